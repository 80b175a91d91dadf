// The player page: plays one HLS session URL and says in words what is going on.

const byId = (id) => document.getElementById(id);
const video = byId('video');
const state = byId('state');

let hls = null; // the hls.js instance, null with native playback
let errors = 0; // network and media errors since the page was loaded, fatal or not
let lastRecovery = 0; // when a media error was last recovered from, milliseconds of performance.now()

function say(text, bad = false) {
  state.classList.toggle('bad', bad);
  if (state.textContent !== text) state.textContent = text;
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

// An error answer of Weir is JSON with a Message; anything else is named by its status.
function describeResponse(code, text) {
  let message = '';
  try {
    const body = JSON.parse(text);
    message = body.Message || body.message || '';
  } catch { /* not JSON: the status says enough */ }
  if (code === 403) return `The session has ended or expired${message ? `: ${message}` : ''}. Ask for a new session URL.`;
  if (code === 404) return `Nothing to play${message ? `: ${message}` : ''}`;
  return `The server answered ${code}${message ? `: ${message}` : ''}`;
}

function stop() {
  if (hls) hls.destroy();
  hls = null;
  video.removeAttribute('src');
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
    const code = data.response ? data.response.code : 0;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      if (code >= 400 && code < 500) {
        say(describeResponse(code, String(data.response.text || data.response.data || '')), true);
        return;
      }
      say('The server cannot be reached. Trying again…', true);
      setTimeout(() => { if (mine === hls) play(url); }, 2000);
      return;
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && performance.now() - lastRecovery > 5000) {
      lastRecovery = performance.now();
      say('The picture broke off. Recovering…', true);
      hls.recoverMediaError();
      return;
    }
    say(`Playback failed: ${data.details}${data.reason ? ` (${data.reason})` : ''}`, true);
    hls.destroy();
    hls = null;
  });
  hls.loadSource(url);
  hls.attachMedia(video);
}

video.addEventListener('playing', () => say('Playing'));
video.addEventListener('pause', () => { if (!video.ended) say('Paused'); });
video.addEventListener('waiting', () => say('Waiting for media…'));
video.addEventListener('ended', () => say('The end of the recording'));
video.addEventListener('error', () => {
  if (hls) return; // hls.js reports it, and may recover
  countError('playback failed');
  say(`Playback failed: ${video.error && video.error.message ? video.error.message : 'the browser gave no reason'}`, true);
});

const seconds = (value) => (Number.isFinite(value) ? `${value.toFixed(1)} s` : '–');

function bufferedAhead() {
  const ranges = video.buffered;
  for (let i = 0; i < ranges.length; i += 1) {
    if (ranges.start(i) <= video.currentTime + 0.1 && video.currentTime < ranges.end(i)) return ranges.end(i) - video.currentTime;
  }
  return 0;
}

// With PROGRAM-DATE-TIME in the playlist the distance to the camera is known; else a live playlist gives the distance to its end.
function latency() {
  if (!hls) return NaN;
  if (hls.playingDate) return (Date.now() - hls.playingDate.getTime()) / 1000;
  const level = hls.latestLevelDetails;
  return level && level.live ? hls.latency : NaN;
}

setInterval(() => {
  byId('picture').textContent = video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : '–';
  byId('latency').textContent = seconds(latency());
  byId('buffered').textContent = seconds(bufferedAhead());
  const quality = video.getVideoPlaybackQuality ? video.getVideoPlaybackQuality() : null;
  byId('dropped').textContent = quality ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}` : '–';
}, 500);

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
