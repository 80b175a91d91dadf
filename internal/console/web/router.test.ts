import assert from 'node:assert/strict';
import { test } from 'node:test';

// The address bar of a browser: assigning to the hash takes effect at once, and the event comes later.
const bar = { hash: '#/streams/cam' };
const set = (_: unknown, __: string, to: string): void => { bar.hash = to; };
let tell = (): void => {};
Object.assign(globalThis, {
  location: bar, history: { replaceState: set, pushState: set }, addEventListener: (_: string, f: () => void) => { tell = f; },
});
const { go, place } = await import('./router');

test('a page that is being left does not take the user back', () => {
  go('#/streams/cam?span=60', true);
  assert.equal(place.value.query.get('span'), '60');

  bar.hash = '#/wall';
  go('#/streams/cam?span=90', true);
  assert.equal(bar.hash, '#/wall');
  tell();
  assert.deepEqual(place.value.path, ['wall']);
  go('#/wall?s=cam', true);
  assert.equal(place.value.query.get('s'), 'cam');
});
