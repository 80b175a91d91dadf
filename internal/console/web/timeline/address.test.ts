import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clipCommand, readAddress, writeAddress } from './address';
import { between, handleAt, MAX_SELECTION, setEnd } from './selection';
import { nextSpeed, SPEEDS } from './speeds';

const AT = Date.UTC(2026, 10, 28, 13, 5, 3, 250);
const ALL = { start: 0, end: Number.MAX_SAFE_INTEGER };

test('an address says again what it was told, to the millisecond', () => {
  for (const address of [
    { clock: 'PRODUCER_TIMESTAMP' as const },
    { clock: 'SERVER_TIMESTAMP' as const, at: AT, span: 3_600_000, range: { start: AT, end: AT + 60_000 } },
  ]) assert.deepEqual(readAddress(writeAddress(address)), address);
});

test('what an address has wrong is left out', () => {
  const long = new Date(AT + MAX_SELECTION + 1).toISOString();
  for (const text of ['at=yesterday', 'at=', `from=${new Date(AT).toISOString()}`, 'span=-4', 'span=x', 'clock=mine',
    'from=2026-11-28T10:00:00Z&to=2026-11-28T09:00:00Z', `from=${new Date(AT).toISOString()}&to=${long}`]) {
    assert.deepEqual(readAddress(new URLSearchParams(text)), { clock: 'PRODUCER_TIMESTAMP' }, text);
  }
});

test('the line of the command line exports the same range, whatever the stream is called', () => {
  const range = { start: AT, end: AT + 60_000 };
  assert.equal(clipCommand('cam1', range, 'PRODUCER_TIMESTAMP'), 'weir clip cam1 cam1-2026-11-28T130503250Z.mp4 '
    + '--from 2026-11-28T13:05:03.250Z --to 2026-11-28T13:06:03.250Z --exact --clock producer');
  assert.ok(!clipCommand('cam1', range, 'SERVER_TIMESTAMP').includes('--clock'));
});

test('a selection has its ends in order, and is no longer than can be exported', () => {
  assert.deepEqual(between(5000, 2000, ALL), { start: 2000, end: 5000 });
  assert.deepEqual(between(AT, AT + 2 * MAX_SELECTION, ALL), { start: AT, end: AT + MAX_SELECTION });
  assert.deepEqual(between(AT, 0, ALL), { start: AT - MAX_SELECTION, end: AT });
  assert.deepEqual(between(1000, 9000, { start: 2000, end: 8000 }), { start: 2000, end: 8000 });
});

test('its ends are set one by one', () => {
  const range = { start: 100_000, end: 200_000 };
  assert.deepEqual(setEnd(range, 'start', 150_000, ALL), { start: 150_000, end: 200_000 });
  assert.deepEqual(setEnd(range, 'end', 150_000, ALL), { start: 100_000, end: 150_000 });
  assert.deepEqual(setEnd(range, 'start', 300_000, ALL), { start: 300_000, end: 360_000 });
  assert.deepEqual(setEnd(range, 'end', 90_000, ALL), { start: 30_000, end: 90_000 });
  assert.deepEqual(setEnd(undefined, 'end', 90_000, ALL), { start: 30_000, end: 90_000 });
});

test('the nearer handle is taken', () => {
  assert.equal(handleAt(100, 110, 103, 12), 'start');
  assert.equal(handleAt(100, 110, 108, 12), 'end');
  assert.equal(handleAt(100, 200, 150, 12), undefined);
});

test('speeds go up and down, and stay at their ends', () => {
  assert.equal(nextSpeed(1, 1), 2);
  assert.equal(nextSpeed(1, -1), 0.5);
  assert.equal(nextSpeed(16, 1), 16);
  assert.equal(nextSpeed(0.25, -1), 0.25);
  assert.deepEqual([SPEEDS[0], SPEEDS[SPEEDS.length - 1]], [0.25, 16]);
});
