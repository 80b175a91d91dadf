// Measures the console in headless Chromium and prints figures as JSON, by the units under which `make bench` shows them.
//
//   node console_bench.mjs '{"chromium": "/usr/bin/chromium", "url": "http://127.0.0.1:8480/", "key": "…", "secret": "…",
//     "stream": "month", "begin": 1795948864000}'
//
// The stream has a month of fragments from begin on, and is one of many. A task is what the main thread of the page does at a
// stretch, as the browser's own trace has it: nothing is shown and no key is heard meanwhile. Its time on the processor is told too,
// because on a busy machine it waits.
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const options = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--mute-audio'],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'Europe/Berlin' });
const page = await context.newPage();
page.setDefaultTimeout(120_000);
const figures = {};

// What the page does while something is done to it: the longest task of its main thread. With "trace" it says what the longest did.
async function tasks(name, act) {
  const path = join(tmpdir(), `weir-console-${process.pid}.json`);
  await browser.startTracing(page, { path, categories: ['toplevel', 'devtools.timeline', '__metadata'] });
  await act();
  await browser.stopTracing();
  const { traceEvents: events } = JSON.parse(readFileSync(path, 'utf8'));
  rmSync(path);
  const scripts = new Map(); // by process: the page's own runs most of them
  for (const e of events) if (e.name === 'FunctionCall') scripts.set(e.pid, (scripts.get(e.pid) ?? 0) + 1);
  const [pid] = [...scripts].reduce((x, y) => (y[1] > x[1] ? y : x));
  const main = events.find((e) => e.pid === pid && e.name === 'thread_name' && e.args.name === 'CrRendererMain');
  const mine = events.filter((e) => e.pid === pid && e.tid === main.tid && e.ph === 'X');
  const all = mine.filter((e) => /RunTask$/.test(e.name));
  figures[`${name}-task-ms`] = Math.max(...all.map((e) => e.dur)) / 1000;
  figures[`${name}-task-cpu-ms`] = Math.max(...all.map((e) => e.tdur)) / 1000;
  if (!options.trace) return;
  for (const task of all.sort((x, y) => y.tdur - x.tdur).slice(0, 5)) {
    const parts = mine.filter((e) => e.ts >= task.ts && e.ts + e.dur <= task.ts + task.dur && e.tdur > 2000);
    console.error(name, task.tdur / 1000, parts.map((e) => `${e.name} ${e.args.data?.functionName ?? ''} ${e.tdur / 1000}`).join(', '));
  }
}

const visit = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
const settle = (ms) => page.waitForTimeout(ms);

await page.goto(options.url);
await page.getByLabel('Access key ID').fill(options.key);
await page.getByLabel('Secret access key').fill(options.secret);
await page.getByLabel('Stay signed in').check();
await page.getByRole('button', { name: 'Sign in' }).click();
await page.locator('.stream-row').first().waitFor();

// The first view of who is signed in, from the address to the names of the streams.
const views = [];
for (let i = 0; i < 3; i += 1) {
  await page.reload();
  await page.locator('.stream-row').first().waitFor();
  views.push(await page.evaluate(() => performance.now()));
}
figures['first-view-ms'] = Math.min(...views);

await tasks('list', async () => {
  await settle(1500);
  await page.getByRole('searchbox').pressSequentially('cam-012', { delay: 60 });
  await settle(1500);
  await page.getByRole('searchbox').fill('');
  await settle(500);
  for (let i = 0; i < 30; i += 1) {
    await page.mouse.wheel(0, 4000);
    await settle(30);
  }
  await page.keyboard.press('End');
  await settle(1000);
});

let listed = 0;
page.on('request', (r) => { if (r.url().endsWith('/listFragments')) listed += 1; });
const iso = (at) => new Date(at).toISOString();
await visit(`/streams/${options.stream}?at=${iso(options.begin + 15 * 86_400_000)}&span=3600`);
const timeline = page.getByRole('slider');
await timeline.waitFor();
await settle(2000);
listed = 0;
await page.getByRole('button', { name: 'Month' }).click();
for (let last = -1; last !== listed;) { // until nothing more is asked for
  last = listed;
  await settle(1500);
}
figures['month-pages'] = listed;

const { x, y, width } = await timeline.boundingBox();
listed = 0;
await tasks('timeline', async () => {
  for (const factor of [-1, 1]) { // closer, to seconds, and back
    await page.mouse.move(x + width / 2, y + 70);
    for (let i = 0; i < 40; i += 1) {
      await page.mouse.wheel(0, factor * 160);
      await settle(25);
    }
    await settle(1500);
  }
  for (let i = 0; i < 20; i += 1) { // sideways
    await page.mouse.wheel(120, 0);
    await settle(25);
  }
  await page.mouse.click(x + width / 3, y + 70);
  await settle(500);
  await page.mouse.move(x + width / 3, y + 60); // the picture's place is taken and drawn along
  await page.mouse.down();
  for (let i = 0; i < 60; i += 1) {
    await page.mouse.move(x + width / 3 + i * 5, y + 60);
    await settle(16);
  }
  await page.mouse.up();
  await settle(1000);
});
figures['timeline-pages'] = listed;
figures['heap-MB'] = await page.evaluate(() => performance.memory.usedJSHeapSize / 1e6);
await browser.close();
console.log(JSON.stringify(figures));
