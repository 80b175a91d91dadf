// dvr.mjs opens a page of the player in headless Chromium, goes back in a live stream, plays there, and returns to live by the page's
// button. It prints what happened as JSON.
//
//   node dvr.mjs '{"page": "https://…", "chromium": "/usr/bin/chromium", "back": 3600}'
import { chromium } from 'playwright-core';

const options = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
const result = { errors: [] };
try {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.on('pageerror', (e) => result.errors.push(String(e)));
  await page.goto(options.page);
  const says = (pattern) => page.waitForFunction((p) => new RegExp(p).test(document.getElementById('state').textContent), pattern,
    { timeout: 60000 });
  const look = () => page.evaluate(() => {
    const v = document.querySelector('video');
    return { at: v.currentTime, edge: v.seekable.end(v.seekable.length - 1), says: document.getElementById('state').textContent,
      button: !document.getElementById('live').hidden };
  });
  const plays = (from) => page.waitForFunction((t) => document.querySelector('video').currentTime > t, from + 3, { timeout: 60000 });

  await says('^Playing$');
  result.live = await look();
  await page.evaluate((back) => { document.querySelector('video').currentTime -= back; }, options.back);
  await says('^Playing, .* behind live$');
  await plays(result.live.at - options.back);
  result.back = await look();
  await page.click('#live');
  await says('^Playing$');
  await plays((await look()).at);
  result.again = await look();
  result.mediaErrors = await page.evaluate(() => document.getElementById('errors').textContent);
  result.protocols = await page.evaluate(() => [...new Set(performance.getEntriesByType('resource').map((e) => e.nextHopProtocol))]);
} catch (e) {
  result.errors.push(String(e));
} finally {
  await browser.close();
}
console.log(JSON.stringify(result));
