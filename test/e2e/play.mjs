// play.mjs opens a page in headless Chromium, lets hls.js play an HLS URL for a while, and prints what happened as JSON.
//
//   node play.mjs '{"page": "http://…", "chromium": "/usr/bin/chromium", "seconds": 30, "seeks": [0, 10]}'
//
// The page has one <video>. Counted are stalls (the player waits for data after playback began), errors of hls.js and of the
// element, frames shown and dropped; for each seek how the position moves afterwards.
import { chromium } from 'playwright-core';

const options = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
const result = { console: [] };
try {
  const page = await browser.newPage();
  page.on('console', (m) => { if (m.type() === 'error') result.console.push(m.text()); });
  page.on('pageerror', (e) => result.console.push(String(e)));
  await page.goto(options.page);
  await page.waitForSelector('video', { state: 'attached', timeout: 20000 });
  await page.evaluate(() => {
    const v = document.querySelector('video');
    window.seen = { stalls: 0, errors: [], began: false };
    v.addEventListener('playing', () => { window.seen.began = true; });
    v.addEventListener('waiting', () => { if (window.seen.began && !v.seeking) window.seen.stalls++; });
    v.addEventListener('error', () => window.seen.errors.push('media element: ' + v.error?.message));
    v.muted = true;
    v.play().catch(() => {});
  });
  await page.waitForFunction(() => document.querySelector('video').currentTime > 0, null, { timeout: 30000 });
  const position = () => page.evaluate(() => document.querySelector('video').currentTime);
  const from = await position();
  if (options.seconds) {
    await page.waitForFunction(([start, seconds]) => document.querySelector('video').currentTime >= start + seconds ||
      window.seen.errors.length > 0, [from, options.seconds], { timeout: options.seconds * 2000 + 20000 });
  }
  result.played = (await position()) - from;
  result.duration = await page.evaluate(() => document.querySelector('video').duration);
  result.seeks = [];
  for (const target of options.seeks ?? []) {
    const to = target < 0 ? result.duration + target : target;
    await page.evaluate((t) => { const v = document.querySelector('video'); v.currentTime = t; v.play().catch(() => {}); }, to);
    await page.waitForFunction((t) => {
      const v = document.querySelector('video');
      return !v.seeking && v.readyState >= 3 && v.currentTime >= t + 0.5;
    }, to, { timeout: 20000 });
    result.seeks.push(await position());
  }
  Object.assign(result, await page.evaluate(() => {
    const v = document.querySelector('video');
    const q = v.getVideoPlaybackQuality();
    return { stalls: window.seen.stalls, errors: [...window.seen.errors, ...(window.playerErrors ?? [])],
      frames: q.totalVideoFrames, dropped: q.droppedVideoFrames, width: v.videoWidth, height: v.videoHeight };
  }));
  if (options.screenshot) await page.screenshot({ path: options.screenshot });
} catch (e) {
  result.failure = String(e);
} finally {
  await browser.close();
}
console.log(JSON.stringify(result));
