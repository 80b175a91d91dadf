// watch.mjs opens the player page in headless Chromium and prints each text that its status line shows, one a line, until its
// standard input ends.
//
//   node watch.mjs URL CHROMIUM
import { chromium } from 'playwright-core';

const [, , url, executablePath] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
process.stdin.on('end', async () => {
  await browser.close();
  process.exit(0);
}).resume();
const page = await browser.newPage();
await page.exposeFunction('report', (text) => console.log(text));
await page.addInitScript(() => document.addEventListener('DOMContentLoaded', () => {
  const line = document.getElementById('state');
  new MutationObserver(() => window.report(line.textContent)).observe(line, { childList: true, characterData: true, subtree: true });
}));
await page.goto(url);
