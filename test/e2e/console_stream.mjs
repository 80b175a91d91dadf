// Uses the console's page of a stream and its wall in headless Chromium. It prints what it saw as JSON.
//
//   node console_stream.mjs '{"chromium": "/usr/bin/chromium", "link": "http://…/#sign-in=…", "stream": "cam", "begin": 1795948864000,
//     "clip": "/tmp/…/clip.mp4", "send": ["/…/weir", "put-media", …], "environment": {…}}'
//
// The stream receives now, and has a recording of ten numbered pictures a second that begins at begin (see players_source_test.go).
// The stream "empty" has nothing until the command "send" is run.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const options = JSON.parse(process.argv[2]);
const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
const result = { errors: [], violations: [] };
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'Europe/Berlin' });
const page = await context.newPage();
page.setDefaultTimeout(60_000);
page.on('pageerror', (e) => result.errors.push(String(e)));
page.on('console', (m) => { if (/Content Security Policy/i.test(m.text())) result.errors.push(m.text()); });

// How often a session of the stream "empty" was asked for.
let opened = 0;
page.on('request', (r) => { if (r.url().endsWith('/getHLSStreamingSessionURL') && r.postData().includes('"empty"')) opened += 1; });

// The number of the picture that a video shows; -1 when it cannot be read.
await page.addInitScript(() => {
  window.numberOf = (video) => {
    const canvas = new OffscreenCanvas(8, 2);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingEnabled = false;
    context.drawImage(video, 0, 0, 8, 2);
    const { data } = context.getImageData(0, 0, 8, 2);
    let bits = 0;
    for (let i = 0; i < 16; i += 1) if (data[4 * i] > 127) bits |= 1 << i;
    return video.videoWidth && bits % 29 === 0 ? bits / 29 : -1;
  };
});
const numbered = (of, wanted) => page.waitForFunction(([selector, n]) => {
  const video = document.querySelector(selector);
  return video && video.readyState >= 2 && !video.seeking && window.numberOf(video) === n;
}, [of, wanted], { polling: 50 });
const number = (of) => page.evaluate((selector) => window.numberOf(document.querySelector(selector)), of);
const moves = async (of) => {
  await page.waitForFunction((selector) => {
    const video = document.querySelector(selector);
    return video && video.readyState >= 2 && window.numberOf(video) > 0;
  }, of, { polling: 100 });
  const first = await number(of);
  await page.waitForFunction(([selector, n]) => window.numberOf(document.querySelector(selector)) > n + 5, [of, first], { polling: 100 });
};
const visit = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
const iso = (seconds) => new Date(options.begin + seconds * 1000).toISOString();
const stream = (query) => visit(`#/streams/${options.stream}?${new URLSearchParams(query)}`);

async function look(name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    for (const v of violations) result.violations.push(`${name}, ${colorScheme}: ${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`);
  }
}

try {
  await page.goto(options.link);
  await page.locator('.shell').waitFor();
  await visit(`#/streams/${options.stream}`);
  await moves('.stage video');
  await page.waitForFunction(() => / s behind the camera/.test(document.querySelector('.button.live').textContent));
  result.live = await page.getAttribute('.button.live', 'aria-pressed');
  await look('live');

  // a moment of hours ago, paused, and the pictures beside it
  await page.keyboard.press('k');
  await stream({ at: iso(12.34) });
  await numbered('.stage video', 123);
  result.live += ` ${await page.getAttribute('.button.live', 'aria-pressed')}`;
  result.says = await page.getAttribute('[role=slider]', 'aria-valuetext');
  for (const key of '...') await page.keyboard.press(key); // no picture is waited for
  await numbered('.stage video', 126);
  for (const key of ',,,') await page.keyboard.press(key);
  await numbered('.stage video', 123);
  await page.focus('[role=slider]');
  for (const key of '.,.,.') await page.keyboard.press(key); // a moment that is asked for ends them
  await page.keyboard.press('Home');
  await numbered('.stage video', 0);

  // other speeds, and over the gap to what came after it
  await page.keyboard.press('>');
  await page.getByLabel('Speed').selectOption('16×');
  const rates = [await page.evaluate(() => document.querySelector('.stage video').playbackRate)];
  await page.getByLabel('Speed').selectOption('0.25×');
  rates.push(await page.evaluate(() => document.querySelector('.stage video').playbackRate));
  result.rates = rates.join(' ');
  // the address goes with what plays
  await page.getByLabel('Speed').selectOption('1×');
  await stream({ at: iso(2) });
  await page.keyboard.press('k');
  await page.waitForFunction((to) => Date.parse(new URLSearchParams(location.hash.split('?')[1]).get('at')) > to, options.begin + 2_200);
  await page.keyboard.press('k');
  await page.keyboard.press(']');
  await page.waitForFunction((end) => Number(document.querySelector('[role=slider]').ariaValueNow) > end, options.begin / 1000 + 60);
  await page.keyboard.press('[');
  await page.waitForFunction((end) => Number(document.querySelector('[role=slider]').ariaValueNow) < end, options.begin / 1000 + 60);

  // a range of it as a file
  await stream({ from: iso(5), to: iso(9) });
  const link = page.getByRole('link', { name: /^Export MP4/ });
  await link.waitFor();
  result.link = await link.textContent();
  await look('range');
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  result.file = download.suggestedFilename();
  await download.saveAs(options.clip);

  // one by the button, and its end by the field
  await page.getByRole('button', { name: 'Let go of the range' }).click();
  await stream({ at: iso(4) });
  await numbered('.stage video', 40);
  await page.getByRole('button', { name: 'Export…' }).click();
  const to = page.getByLabel('To', { exact: true });
  await to.fill((await page.getByLabel('From', { exact: true }).inputValue()).replace(/:\d\d$/, ':59'));
  await to.press('Enter');
  await page.waitForFunction(() => /&to=[^&]*%3A59.000Z/.test(location.hash));

  // one drawn with the mouse
  await page.getByRole('button', { name: 'Let go of the range' }).click();
  const box = await page.locator('[role=slider]').boundingBox();
  await page.mouse.move(box.x + 300, box.y + 70);
  await page.mouse.down();
  await page.mouse.move(box.x + 320, box.y + 70);
  await page.mouse.move(box.x + 400, box.y + 70);
  await page.mouse.up();
  await page.getByRole('region', { name: 'The range that is chosen' }).waitFor();

  await visit(`#/wall?s=${options.stream}&s=empty`);
  await moves(`article[aria-label="${options.stream}"] video`);
  await page.locator('article[aria-label="empty"]').getByText('Nothing has been recorded yet.').waitFor();
  await look('wall');

  // a camera that does not send is asked for without opening sessions, and is shown once it sends
  await page.waitForResponse((r) => r.url().endsWith('/weir/getStreamStatus') && r.request().postData().includes('"empty"'));
  result.opened = opened;
  const [command, ...args] = options.send;
  spawn(command, args, { env: options.environment, stdio: 'inherit' });
  await page.waitForFunction(() => document.querySelector('article[aria-label="empty"] video').readyState >= 2);

  // one is heard at a time, and what is out of sight rests
  const tile = (name) => page.locator(`article[aria-label="${name}"]`);
  const heard = (name) => tile(name).getByRole('button', { name: /^Sound of/ });
  await heard('empty').click();
  await heard(options.stream).click();
  result.heard = [await heard('empty').getAttribute('aria-pressed'), await heard(options.stream).getAttribute('aria-pressed')].join(' ');
  await page.getByLabel('Columns').selectOption('1');
  await page.setViewportSize({ width: 1280, height: 300 });
  await tile('empty').evaluate((e) => e.scrollIntoView({ block: 'end' }));
  const video = `article[aria-label="${options.stream}"] video`;
  await page.waitForFunction((of) => document.querySelector(of).readyState === 0, video);
  await tile(options.stream).evaluate((e) => e.scrollIntoView());
  await moves(video);

  // a tab that goes closes its sessions
  await page.goto('about:blank');
  await page.goto(new URL(options.link).origin);
  await page.getByLabel('Access key ID').waitFor();
} catch (e) {
  result.errors.push(String(e), await page.evaluate(() => `${location.hash} ${document.querySelector('main')?.innerText} picture ${
    document.querySelector('video') && window.numberOf(document.querySelector('video'))}`).catch(() => ''));
} finally {
  await browser.close();
}
console.log(JSON.stringify(result));
