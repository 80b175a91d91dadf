import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestColumns, readLayout, writeLayout } from './layout';

test('a layout comes back from its address', () => {
  const layout = { streams: ['door', 'yard.2', 'gate-3'], columns: 2, sound: 'yard.2' };
  assert.deepEqual(readLayout(writeLayout(layout)), layout);
  assert.deepEqual(readLayout(new URLSearchParams('')), { streams: [], columns: 0, sound: '' });
});

test('what an address has wrong is left out', () => {
  assert.deepEqual(readLayout(new URLSearchParams('s=a&s=a&s=b%20c&s=%3Cb%3E&cols=99&sound=z')),
    { streams: ['a'], columns: 0, sound: '' });
  const many = new URLSearchParams(Array.from({ length: 200 }, (_, i) => ['s', `cam${i}`]));
  assert.equal(readLayout(many).streams.length, 64);
});

test('pictures are as large as they can be, and never too small', () => {
  assert.equal(bestColumns(1, 1600, 900), 1);
  assert.equal(bestColumns(4, 1600, 900), 2);
  assert.equal(bestColumns(9, 1600, 900), 3);
  assert.equal(bestColumns(2, 360, 640), 1);
  assert.equal(bestColumns(3, 3840, 700), 3);
  assert.ok(bestColumns(64, 360, 640) <= 1);
  assert.ok(bestColumns(64, 1280, 720) <= 5);
});
