// The player page: plays one HLS session URL and says in words what is going on.

const byId = (id) => document.getElementById(id);
const video = byId('video');
const state = byId('state');

const RETRY_AFTER = 2000; // milliseconds between attempts to reach the server

let hls = null; // the hls.js instance; null with native playback and after an end
let errors = 0; // network and media errors since the page was loaded, fatal or not
let lastRecovery = 0; // when a media error was last recovered from, milliseconds of performance.now()
let clockError = 0; // how far the server's clock is ahead of this one, milliseconds

// What the line below the picture is made of.
let trouble = ''; // why nothing can be loaded; '' while all is well
let waitingSince = 0; // when the picture stopped for want of media, epoch milliseconds; 0 while it moves
let live = false; // the playlist has no end
let newest = -1; // sequence number of the playlist's last segment that has media
let newestAt = 0; // when that one was first seen, milliseconds of performance.now()
let longest = 0; // target duration, seconds

function say(text, bad = false) {
  state.classList.toggle('bad', bad);
  if (state.textContent !== text) state.textContent = text;
}

const clock = (ms) => {
  const time = new Date(ms);
  const today = time.toDateString() === new Date().toDateString();
  const seconds = time.toLocaleTimeString('en-GB');
  return today ? seconds : `${time.toLocaleDateString('en-CA')} ${seconds}`;
};

// The one place that decides what the line says: trouble before everything, then what the picture does.
function tell() {
  byId('live').hidden = !behind();
  if (trouble) say(trouble, true);
  else if (!video.hasAttribute('src')) return; // nothing was asked for, or it ended for a reason that stays
  else if (video.ended) say('The end of the recording');
  else if (video.paused && video.readyState > 0) say('Paused');
  else if (waitingSince && silent()) say(`No picture since ${clock(lastPicture())}`, true);
  else if (waitingSince) say('Waiting for media…');
  else if (video.readyState > 2) say(behind() ? `Playing, ${distance(behind())} behind live` : 'Playing');
}

// How many seconds the picture is behind where live playback would be; 0 while it is live, or in a recording.
function behind() {
  if (!hls || !live || hls.liveSyncPosition === null || video.readyState < 2) return 0;
  const seconds = hls.liveSyncPosition - video.currentTime;
  return seconds > Math.max(10, 3 * longest) ? seconds : 0;
}

// A distance in time: 0:42, 12:05, 1:00:00.
function distance(seconds) {
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// A live playlist that no longer grows has a camera that no longer sends.
function silent() {
  return live && performance.now() - newestAt > 2000 * Math.max(longest, 1);
}

// When the camera took the picture that stands still, or when it stopped where playlists tell no time.
function lastPicture() {
  const date = hls && hls.playingDate;
  return date ? date.getTime() : waitingSince;
}

function countError(what) {
  errors += 1;
  byId('errors').textContent = `${errors}, the last: ${what}`;
}

// The URL asked for: after the # (preferred, it is never sent to a server) or in the query.
function requestedURL() {
  const fragment = new URLSearchParams(location.hash.slice(1)).get('url');
  return fragment || new URLSearchParams(location.search).get('url') || '';
}

// The Message of an error answer of Weir, which is JSON; '' of any other.
function messageOf(text) {
  try {
    const body = JSON.parse(text);
    return body.Message || body.message || '';
  } catch {
    return '';
  }
}

// The text that a request was answered with. Segments are asked for as bytes.
function textOf(request) {
  if (!request || !request.response) return '';
  return typeof request.response === 'string' ? request.response : new TextDecoder().decode(request.response);
}

const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

// Ends playback and leaves the reason, and the last picture, where they are.
function end(reason) {
  const picture = still();
  stop();
  video.poster = picture;
  say(sentence(reason), true);
}

// The picture that is shown now, as a data URL; '' before there is one.
function still() {
  if (!video.videoWidth) return '';
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/jpeg');
}

function stop() {
  if (hls) hls.destroy();
  hls = null;
  trouble = '';
  waitingSince = 0;
  live = false;
  newest = -1;
  video.removeAttribute('src');
  video.removeAttribute('poster');
  video.load();
}

function play(address) {
  stop();
  let url;
  try {
    url = new URL(address, location.href);
  } catch {
    say('That is not a URL.', true);
    return;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    say('Only http and https URLs can be played.', true);
    return;
  }
  if (url.origin !== location.origin) {
    const base = url.href.split('/hls/v1/')[0];
    say(`This page plays sessions of ${location.origin} only. Open ${base}/player instead.`, true);
    return;
  }
  say('Loading…');
  if (window.Hls && window.Hls.isSupported()) {
    playWithHls(url.href);
  } else if (video.canPlayType('application/vnd.apple.mpegurl')) {
    video.src = url.href;
  } else if (window.Hls) {
    say('This browser has no Media Source Extensions, so it cannot play HLS.', true);
  } else {
    say('This build has no player for this browser: build with "make" (it adds hls.js), or open the session URL in '
      + 'another player such as ffplay, VLC or Safari.', true);
  }
}

function playWithHls(url) {
  const { Hls } = window;
  hls = new Hls({ enableWorker: true, backBufferLength: 60, liveSyncDurationCount: 2 });
  const mine = hls;
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (mine !== hls) return;
    countError(data.details);
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      networkError(data);
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && performance.now() - lastRecovery > 5000) {
      lastRecovery = performance.now();
      hls.recoverMediaError();
    } else {
      end(`Playback failed: ${data.details}${data.reason ? ` (${data.reason})` : ''}`);
    }
  });
  hls.on(Hls.Events.LEVEL_LOADED, (_, data) => {
    trouble = '';
    live = data.details.live;
    longest = data.details.targetduration;
    const last = data.details.fragments.findLast((segment) => !segment.gap);
    if (last && last.sn !== newest) {
      newest = last.sn;
      newestAt = performance.now();
    }
    compareClocks(data.networkDetails);
    tell();
  });
  hls.on(Hls.Events.FRAG_LOADED, () => { trouble = ''; });
  hls.loadSource(url);
  hls.attachMedia(video);
}

// A refusal ends playback with the server's own words; a server that cannot be reached, or has nothing yet, is asked again until it
// answers. The picture is left alone meanwhile.
function networkError(data) {
  const code = data.response ? data.response.code : 0;
  const message = messageOf(textOf(data.networkDetails));
  if (code === 403) {
    end(`${sentence(message || 'The session has ended')} Ask for a new session URL`);
    return;
  }
  const throttled = code === 400 && /limit/i.test(message);
  if (code >= 400 && code < 500 && code !== 404 && !throttled) {
    end(`The server answered ${code}${message ? `: ${message}` : ''}`);
    return;
  }
  if (!trouble) {
    const why = message || (code ? `The server answers ${code}` : 'The server cannot be reached');
    trouble = `${why.replace(/\.$/, '')} (since ${clock(Date.now())}). Trying again…`;
  }
  tell();
  const mine = hls;
  setTimeout(() => {
    if (mine !== hls) return;
    if (hls.levels.length) hls.startLoad();
    else hls.loadSource(hls.url);
  }, RETRY_AFTER);
}

// The server's clock counts: that of a laptop may be minutes off. Its Date header is exact to a second.
function compareClocks(request) {
  const date = request && request.getResponseHeader ? Date.parse(request.getResponseHeader('Date')) : NaN;
  if (Number.isNaN(date)) return;
  const off = date + 500 - Date.now();
  clockError = Math.abs(off) > 1500 ? off : 0;
}

video.addEventListener('playing', () => { waitingSince = 0; tell(); });
video.addEventListener('waiting', () => { waitingSince = waitingSince || Date.now(); tell(); });
for (const event of ['pause', 'ended']) video.addEventListener(event, tell);
video.addEventListener('error', async () => {
  if (hls || !video.hasAttribute('src')) return; // hls.js reports it, and may recover
  countError('playback failed');
  const reason = video.error && video.error.message ? video.error.message : 'the browser gave no reason';
  const answer = await fetch(video.currentSrc).catch(() => null);
  const message = answer && !answer.ok ? messageOf(await answer.text()) : '';
  end(message || `Playback failed: ${reason}`);
});

const seconds = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} s` : '–');

function bufferedAhead() {
  const ranges = video.buffered;
  for (let i = 0; i < ranges.length; i += 1) {
    if (ranges.start(i) <= video.currentTime + 0.1 && video.currentTime < ranges.end(i)) return ranges.end(i) - video.currentTime;
  }
  return 0;
}

// The distance to the camera is known where the playlist tells dates. Without them only the distance to the newest segment is, and
// it is called that.
function latency() {
  if (hls && hls.playingDate) return ['Behind the camera', (Date.now() + clockError - hls.playingDate.getTime()) / 1000];
  const level = hls && hls.latestLevelDetails;
  if (level && level.live) return ['Behind the newest segment', Math.max(level.edge - video.currentTime, 0)];
  return ['Behind the camera', NaN];
}

setInterval(() => {
  const [name, distance] = latency();
  byId('latency-name').textContent = name;
  byId('latency').textContent = seconds(distance);
  byId('picture').textContent = video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : '–';
  byId('buffered').textContent = seconds(bufferedAhead());
  const quality = video.getVideoPlaybackQuality ? video.getVideoPlaybackQuality() : null;
  byId('dropped').textContent = quality ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}` : '–';
  tell();
}, 500);

byId('live').addEventListener('click', () => {
  if (!behind()) return;
  video.currentTime = hls.liveSyncPosition;
  video.play().catch(() => {}); // the browser may want to be asked by its own controls
});

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const url = byId('url').value.trim();
  const hash = `#url=${encodeURIComponent(url)}`;
  if (location.hash === hash) play(url);
  else location.hash = hash; // hashchange plays it
});

function start() {
  const url = requestedURL();
  if (!url) {
    say('Give a session URL to play.');
    return;
  }
  byId('url').value = url;
  play(url);
}

window.addEventListener('hashchange', start);
start();
