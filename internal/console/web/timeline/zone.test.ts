import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  changesBetween, durationText, instantOf, instantsOf, isDoubled, offsetAt, offsetName, spokenTime, timeText, wallAt,
} from './zone';

const BERLIN = 'Europe/Berlin';
const utc = (text: string): number => Date.parse(`${text}Z`);
const wall = (year: number, month: number, day: number, hour = 0, minute = 0) => (
  { year, month, day, hour, minute, second: 0, ms: 0 });

test('a wall time is one instant, none in the missing hour, two in the doubled one', () => {
  assert.deepEqual(instantsOf(wall(2026, 7, 1, 14, 5), BERLIN), [utc('2026-07-01T12:05')]);
  assert.deepEqual(instantsOf(wall(2026, 3, 29, 2, 30), BERLIN), []);
  assert.deepEqual(instantsOf(wall(2026, 10, 25, 2, 30), BERLIN), [utc('2026-10-25T00:30'), utc('2026-10-25T01:30')]);
  assert.equal(instantOf(wall(2026, 3, 29, 2, 30), BERLIN), utc('2026-03-29T01:00'));
});

test('a day that begins without midnight begins when its clock does', () => {
  // Beirut went from 23:59:59 to 01:00 on 27 March 2022.
  const begins = instantOf(wall(2022, 3, 27), 'Asia/Beirut');
  assert.equal(begins, utc('2022-03-26T22:00'));
  assert.equal(wallAt(begins, 'Asia/Beirut').hour, 1);
});

test('changes of half an hour are found, and offsets of three quarters said', () => {
  const changes = changesBetween(utc('2026-01-01T00:00'), utc('2027-01-01T00:00'), 'Australia/Lord_Howe');
  assert.equal(changes.length, 2);
  assert.equal(offsetAt(changes[0], 'Australia/Lord_Howe') - offsetAt(changes[0] - 1, 'Australia/Lord_Howe'), -1_800_000);
  assert.equal(offsetName(0, 'UTC'), 'UTC');
  assert.equal(offsetName(utc('2026-01-01T00:00'), 'Asia/Kathmandu'), 'UTC+5:45');
  assert.equal(offsetName(utc('2026-01-01T00:00'), 'America/St_Johns'), 'UTC−3:30');
});

test('times of the doubled hour say which of the two', () => {
  assert.equal(timeText(utc('2026-10-25T00:30'), BERLIN), '02:30:00 UTC+2');
  assert.equal(timeText(utc('2026-10-25T01:30'), BERLIN), '02:30:00 UTC+1');
  assert.equal(timeText(utc('2026-10-25T02:30'), BERLIN, 2), '03:30:00.00');
  assert.ok(isDoubled(utc('2026-10-25T01:59:59'), BERLIN));
  assert.ok(!isDoubled(utc('2026-10-25T02:00'), BERLIN));
});

test('a screen reader hears the day and the time', () => {
  assert.match(spokenTime(utc('2026-11-28T13:05:03'), BERLIN), /^Saturday,? 28 November 2026, 14:05:03$/);
});

test('durations have two units at most', () => {
  assert.deepEqual([400, 9_950, 42_000, 725_000, 12_000_000, 187_200_000, 3_600_000].map(durationText),
    ['0.4 s', '9.9 s', '42 s', '12 min 5 s', '3 h 20 min', '2 d 4 h', '1 h']);
});
