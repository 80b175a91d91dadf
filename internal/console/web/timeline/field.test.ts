import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldText, momentOf, wallOf } from './field';

const BERLIN = 'Europe/Berlin';
const utc = (text: string): number => Date.parse(`${text}Z`);

test('a field says a moment and is read as the same one', () => {
  const at = utc('2026-11-28T13:05:03');
  assert.equal(fieldText(at, BERLIN), '2026-11-28T14:05:03');
  assert.equal(momentOf(fieldText(at, BERLIN), BERLIN, 0), at);
  assert.equal(momentOf('2026-11-28T14:05', BERLIN, 0), utc('2026-11-28T13:05:00'));
  for (const text of ['', '2026-11-28', 'yesterday', '2026-11-28T14']) assert.equal(wallOf(text), undefined, text);
});

test('a time that the clock showed twice is the nearer one, and one that it never showed is when it was put forward', () => {
  const [first, second] = [utc('2026-10-25T00:30'), utc('2026-10-25T01:30')];
  assert.equal(momentOf('2026-10-25T02:30:00', BERLIN, first - 60_000), first);
  assert.equal(momentOf('2026-10-25T02:30:00', BERLIN, second + 60_000), second);
  assert.equal(momentOf('2026-03-29T02:30:00', BERLIN, 0), utc('2026-03-29T01:00'));
});
