// Uses the console in headless Chromium as people do, and looks at every page with axe-core in light and dark. Prints what it did,
// a line each; the first thing that is wrong ends it with an error.
//
//   node console.mjs CHROMIUM LINK KEY SECRET KEY SECRET [PICTURES]
//
// LINK signs in as root. The first KEY and SECRET are those of a viewer, the second of somebody who may see the stream cam and no other. It
// expects the streams cam (receiving) and old (silent), and reads lines from standard input: what was asked for is done. PICTURES is a
// directory for pictures of every page.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [, , executablePath, link, key, secret, ofOne, secretOfOne, pictures] = process.argv;
const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
const base = new URL(link).origin;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  console.log(`ASK ${what}`);
  await answers.next();
};
const did = (what) => console.log(what);

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
page.setDefaultTimeout(30_000);
const wrong = [];
page.on('pageerror', (error) => wrong.push(`page error: ${error.message}`));
page.on('console', (message) => {
  if (/Content Security Policy/i.test(message.text())) wrong.push(message.text());
});
page.on('request', (request) => {
  if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== base) wrong.push(`a request to ${request.url()}`);
});

// Access keys that calls were signed with, since it was last emptied.
const signers = new Set();
page.on('request', (request) => {
  const [, id] = /Credential=([^/]+)/.exec(request.headers().authorization ?? '') ?? [];
  if (id) signers.add(id);
});

const heading = (name) => page.getByRole('heading', { level: 1, name }).waitFor();
const visible = (text) => page.getByText(text).filter({ visible: true }).first();
const see = (text) => visible(text).waitFor();
const gone = (text) => visible(text).waitFor({ state: 'detached' });
const press = (name) => page.getByRole('button', { name, exact: true }).click();
const dialog = () => page.getByRole('dialog');
const visit = (hash) => page.evaluate((to) => { location.hash = to; }, hash);

// Finds what is too small for a finger, and pages that are wider than a phone: each target has 44 pixels (WCAG 2.2, 2.5.5), or its row is one.
async function touch(name) {
  await page.setViewportSize({ width: 360, height: 740 });
  const faults = await page.evaluate(() => {
    const found = [];
    if (document.documentElement.scrollWidth > 360) found.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
    for (const e of document.querySelectorAll('a, button, input, select, textarea')) {
      const whole = e.closest('label')?.querySelector('input[type=checkbox]') ? e.closest('label') : e;
      const { width, height } = whole.getBoundingClientRect();
      const covers = getComputedStyle(e, '::after').position === 'absolute';
      if (width === 0 || covers || e.matches('.skip') || (width >= 44 && height >= 44)) continue;
      found.push(`${e.tagName} ${e.className} ${e.textContent || e.ariaLabel}: ${width} × ${height}`);
    }
    return found;
  });
  wrong.push(...faults.map((fault) => `${name} on a phone: ${fault}`));
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function look(name) {
  await touch(name);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    for (const v of violations) {
      wrong.push(`${name}, ${colorScheme}: ${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary ?? ''}`).join('; ')}`);
    }
    if (pictures) {
      for (const [size, width, height] of [['wide', 1280, 900], ['phone', 360, 740], ['2560', 2560, 1440], ['3840', 3840, 2160]]) {
        await page.setViewportSize({ width, height });
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${pictures}/${name}-${colorScheme}-${size}.png` });
      }
      await page.setViewportSize({ width: 1280, height: 900 });
    }
  }
  did(`looked at ${name}`);
}

try {
  // The link signs in once, and leaves no code behind.
  await page.goto(link);
  await heading('Streams');
  if (/sign-in/.test(page.url())) throw new Error(`the code is still in the address: ${page.url()}`);
  await see('2 streams');
  await see('Receiving');
  await see('320×240 H.264 + AAC');
  await look('streams');
  // a window that moves to a larger screen has larger text, and rows that hold it
  await page.setViewportSize({ width: 3840, height: 2160 });
  await page.waitForFunction(() => {
    const row = document.querySelector('.stream-row');
    return row.scrollHeight <= row.clientHeight;
  });
  await page.setViewportSize({ width: 1280, height: 900 });
  const other = await context.newPage();
  await other.goto(base);
  await other.getByLabel('Access key ID').waitFor();
  await other.goto(link); // in a tab that has the console, only what is after the # changes
  await other.getByText('This link has been used').waitFor();
  await other.close();
  did('signed in by a link, which works once');

  // A stream is made, found by its tag, changed and deleted.
  await press('New stream');
  await look('new-stream');
  await dialog().getByLabel('Name').fill('yard');
  await dialog().getByLabel('Tags').fill('site=north, floor=2');
  await press('Make the stream');
  await heading('yard');
  await see('--stream-name yard');
  await page.getByRole('tab', { name: 'ffmpeg' }).press('ArrowRight');
  await see('kvssink stream-name=yard');
  await look('settings');
  await page.getByLabel('Keep recordings for').selectOption('7 days');
  await page.getByRole('button', { name: 'Save' }).first().click();
  await see('Saved.');
  await visit('/streams?search=site%3Dnor');
  await see('1 of 3 streams');
  await see('7 days');
  await page.getByRole('searchbox').fill('nothing like it');
  await see('No stream fits');
  await visit('/streams/yard/settings');
  await press('Delete the stream');
  const last = page.getByRole('button', { name: 'Delete for ever' });
  await dialog().getByLabel('Type yard to delete it').fill('yar');
  if (await last.isEnabled()) throw new Error('the stream can be deleted by another name');
  await look('delete');
  await dialog().getByLabel('Type yard to delete it').fill('yard');
  await last.click();
  await heading('Streams');
  await gone('floor=2');
  did('made, found, changed and deleted a stream');

  // Who watches is seen and sent away.
  await visit('/sessions');
  await page.getByRole('link', { name: 'old' }).waitFor();
  await look('sessions');
  await page.getByRole('row', { name: /old/ }).getByRole('button', { name: 'Close' }).click();
  await press('Close it');
  await page.getByRole('link', { name: 'old' }).waitFor({ state: 'detached' });
  did('closed a session');

  // A key is made, shown once, disabled and deleted.
  await visit('/keys');
  await press('New key');
  await dialog().getByLabel('User').fill('porch');
  await dialog().getByLabel('producer').check();
  await press('Make the key');
  await see(/aws_secret_access_key = \S{20}/);
  await look('new-key');
  await press('Done');
  const porch = page.getByRole('row', { name: /porch/ });
  await porch.getByRole('button', { name: 'Disable' }).click();
  await porch.getByText('Disabled').waitFor();
  await look('keys');
  await porch.getByRole('button', { name: /^Delete/ }).click();
  await press('Delete it');
  await porch.waitFor({ state: 'detached' });
  await page.getByRole('tab', { name: 'Policies' }).click();
  await page.getByRole('button', { name: 'Show viewer' }).click();
  await see('kinesisvideo:GetMedia');
  await look('policies');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  did('made, disabled and deleted a key');

  await visit('/cameras');
  await see('weir camera add');
  await look('cameras');
  await visit('/audit?hours=1');
  await see('DeleteKey');
  await look('audit');
  await visit('/server');
  await see('A camera is silent: old.');
  await see(/free of/);
  await look('server');
  await visit('/nowhere');
  await see('There is no such page');
  did('saw cameras, the audit log and the server');

  // The server goes away and comes back, and nobody reloads anything.
  await visit('/streams');
  const row = page.locator('.stream-row').first();
  await row.evaluate((e) => { e.seen = true; });
  await ask('stop');
  await see(/The server cannot be reached since/);
  await see('cam');
  await look('away');
  await ask('start');
  await gone(/The server cannot be reached since/);
  if (!await row.evaluate((e) => e.seen)) throw new Error('the list was drawn anew because it was loaded again');
  did('saw the server go and come back');

  // A viewer is offered what a viewer may do, and told in words what he may not.
  await press('Sign out');
  await page.getByLabel('Access key ID').waitFor();
  await look('sign-in');
  const ofRoot = new Set(signers);
  signers.clear();
  const sign = async (id, word) => {
    await page.getByLabel('Access key ID').fill(id);
    await page.getByLabel('Secret access key').fill(word);
    await press('Sign in');
  };
  await sign(key, `${secret}x`);
  await see('The secret access key is not the one of this access key.');
  await page.getByLabel('Stay signed in for this tab').check();
  await sign(key, secret);
  await heading('Streams');
  await see('2 streams');
  await see(/Silent for/);
  const stale = [...signers].filter((id) => ofRoot.has(id));
  if (ofRoot.size === 0 || stale.length > 0) throw new Error(`the viewer's calls are signed with keys of root: ${stale}`);
  for (const name of ['Sessions', 'Keys', 'Audit', 'Server', 'New stream']) {
    if (await page.getByText(name, { exact: true }).count() > 0) throw new Error(`a viewer is offered ${name}`);
  }
  await visit('/audit');
  await see('You may not do this: no policy allows you weir:ListAuditEvents.');
  await page.reload();
  await heading('Audit');
  await ask('disable');
  await visit('/streams');
  await see('Your session is over');
  did('signed in with a key, stayed for a reload, and was signed out with the key');

  // A user who may see one stream opens it by its name, and is offered nothing else.
  await sign(ofOne, secretOfOne);
  await see('You may not list the streams');
  await look('by-name');
  await page.getByLabel('Name of a stream').fill('cam');
  await press('Open');
  await heading('cam');
  await see(/s behind the camera/);
  await see('Export…');
  if (await page.getByRole('link', { name: 'Settings' }).count() > 0) throw new Error('settings are offered to who may not see them');
  await visit('/streams/old');
  await see('You may not do this: no policy allows you kinesisvideo:GetHLSStreamingSessionURL.');
  await see('What was recorded cannot be shown.');
  await visit('/wall');
  await press('Choose cameras');
  await dialog().getByLabel('Name of a stream').fill('cam');
  await dialog().getByRole('button', { name: 'Add' }).click();
  await press('Done');
  await page.getByRole('article', { name: 'cam' }).waitFor();
  did('saw the one stream that may be seen');
} catch (error) {
  wrong.push(`${error.message}\nThe page says: ${await page.evaluate(() => document.body.innerText.slice(0, 1500))}`);
}
await browser.close();
for (const text of wrong) console.log(`WRONG ${text}`);
process.exit(wrong.length > 0 ? 1 : 0);
