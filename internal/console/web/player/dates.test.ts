import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginDate, dateAt, endDate, parseDates, timeOf } from './dates';

const AT = Date.UTC(2026, 10, 28, 13, 5);
// Two segments, a pause of a minute, two more; the player's time has no pause.
const segments = [
  { start: 10, duration: 2, programDateTime: AT },
  { start: 12, duration: 2, programDateTime: AT + 2000 },
  { start: 14, duration: 2, programDateTime: AT + 64_000 },
  { start: 16, duration: 2, programDateTime: AT + 66_000 },
];

test('a time and its date are one another’s, on both sides of a gap', () => {
  for (const time of [10, 11.5, 13.96, 14, 17]) assert.ok(Math.abs(timeOf(segments, dateAt(segments, time)!)! - time) < 1e-6);
  assert.equal(dateAt(segments, 13.5), AT + 3500);
  assert.equal(dateAt(segments, 14.5), AT + 64_500);
});

test('a date in a gap is shown as what came after it', () => {
  assert.equal(timeOf(segments, AT + 30_000), 14);
});

test('a date outside of the session is not in it', () => {
  assert.equal(timeOf(segments, AT - 1), undefined);
  assert.equal(timeOf(segments, AT + 68_000), undefined);
  assert.equal(timeOf([], AT), undefined);
  assert.deepEqual([beginDate(segments), endDate(segments)], [AT, AT + 68_000]);
});

test('a playlist without dates has none', () => {
  const undated = [{ start: 0, duration: 2, programDateTime: null }];
  assert.equal(dateAt(undated, 1), undefined);
  assert.equal(timeOf(undated, AT), undefined);
});

test('when the camera’s clock went back, the newer picture of a date is shown', () => {
  const twice = [...segments, { start: 18, duration: 2, programDateTime: AT + 1000 }];
  assert.equal(timeOf(twice, AT + 1500), 18.5);
});

test('the dates of a playlist are read, also of segments without one of their own', () => {
  const text = ['#EXTM3U', '#EXT-X-TARGETDURATION:2', '#EXT-X-PROGRAM-DATE-TIME:2026-11-28T13:05:00.000Z', '#EXTINF:2.000,', 'a.mp4',
    '#EXTINF:2.000,', 'b.mp4', '#EXT-X-DISCONTINUITY', '#EXT-X-PROGRAM-DATE-TIME:2026-11-28T13:06:04.000Z',
    '#EXT-X-PART:DURATION=1.0,URI="p.mp4"', '#EXTINF:1.5,', 'c.mp4', ''].join('\n');
  assert.deepEqual(parseDates(text), [
    { start: 0, duration: 2, programDateTime: AT },
    { start: 2, duration: 2, programDateTime: AT + 2000 },
    { start: 4, duration: 1.5, programDateTime: AT + 64_000 },
  ]);
});
