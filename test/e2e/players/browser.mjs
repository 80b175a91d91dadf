// browser.mjs keeps one headless Chromium and plays what it is told, one JSON object a line on standard input:
//
//   {"id": 1, "page": "http://…", "rate": 10, "join": 2, "seconds": 8}
//
// It opens the page (page.html) and waits until the video ended, failed, or showed so many seconds (0: all), not counting the first,
// join, in which players of live streams look for their place. The answer is a line on standard output: what the
// page saw, and how many pictures the browser decoded. With "clock" the seconds are those of the clock, not of what was shown, and
// nothing is looked for afterwards. {"id": 2, "codecs": "avc1.64000A"} asks whether the browser has decoders.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});

async function play(request) {
  const answer = { id: request.id, console: [] };
  const page = await browser.newPage({ viewport: { width: 200, height: 120 } });
  try {
    if (request.codecs) {
      answer.supported = await page.evaluate((type) => MediaSource.isTypeSupported(type), `video/mp4; codecs="${request.codecs}"`);
      return answer;
    }
    page.on('console', (m) => { if (m.type() === 'error') answer.console.push(m.text()); });
    page.on('pageerror', (e) => answer.console.push(String(e)));
    await page.goto(request.page);
    answer.failure = await page.evaluate(({ join, seconds, rate, clock }) => new Promise((resolve) => {
      const begin = performance.now();
      let joined, from;
      const timer = setInterval(() => {
        const now = performance.now(), s = window.seen;
        if (s.began) joined ??= now;
        if (from === undefined && joined !== undefined && now - joined >= join * 1000) {
          from = video.currentTime;
          if (join) s.frames.length = s.tones.length = 0;
          if (clock) s.stalls = 0;
        }
        const late = now - begin > (join + (seconds || 20)) * 1000 + 25000;
        const span = s.frames.length ? (s.frames.at(-1)[0] - s.frames[0][0] + 1) / rate : video.currentTime - from;
        const length = clock ? (now - joined) / 1000 - join : span;
        if (!late && !s.ended && s.errors.length === 0 && !(seconds && length >= seconds)) return;
        clearInterval(timer);
        const buffered = [...Array(video.buffered.length).keys()].map((i) => `${video.buffered.start(i)}-${video.buffered.end(i)}`);
        const failure = late ? `no end: at ${video.currentTime} s of ${video.duration}, ready state ${video.readyState}, buffered ${buffered}` : '';
        (clock ? Promise.resolve() : findMissing(rate)).then(() => resolve(failure));
      }, 100);
    }), request);
    Object.assign(answer, await page.evaluate(() => ({ ...window.seen, decoded: video.getVideoPlaybackQuality().totalVideoFrames })));
  } catch (e) {
    answer.failure = String(e);
  } finally {
    await page.close();
    console.log(JSON.stringify(answer));
  }
}

const running = [];
for await (const line of createInterface({ input: process.stdin })) running.push(play(JSON.parse(line)));
await Promise.all(running);
await browser.close();
