import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  heading, instantsOfStep, MAX_SPAN, MIN_SPAN, pinch, reveal, ticks, toTime, toX, wheelFactor, within, zoom,
} from './scale';
import { dateText, wallAt } from './zone';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BERLIN = 'Europe/Berlin';
const utc = (text: string): number => Date.parse(`${text}Z`);
const hourly = (view: { start: number; span: number }, n = 1) =>
  instantsOfStep(view, { unit: 'ms', n: n * HOUR, size: n * HOUR }, BERLIN);

test('the moment under the pointer stays when one zooms, from years to frames', () => {
  const at = utc('2026-11-28T13:05:03');
  let view = { start: at - DAY, span: 3 * DAY };
  const x = toX(view, 1000, at);
  for (let i = 0; i < 200; i += 1) view = zoom(view, wheelFactor(-100, 0), at);
  assert.equal(view.span, MIN_SPAN);
  assert.ok(Math.abs(toX(view, 1000, at) - x) < 0.01);
  for (let i = 0; i < 200; i += 1) view = zoom(view, wheelFactor(100, 0), at);
  assert.equal(view.span, MAX_SPAN);
  assert.ok(Math.abs(toX(view, 1000, at) - x) < 0.01);
});

test('what two fingers hold stays under them', () => {
  const view = { start: 0, span: 1000 };
  const now = pinch(view, 1000, [400, 600], [300, 700]);
  assert.equal(now.span, 500);
  assert.equal(toTime(now, 1000, 300), 400);
  assert.equal(toTime(now, 1000, 700), 600);
});

test('a view stays near what there is to see', () => {
  assert.deepEqual(within({ start: 10_000, span: 1000 }, { start: 0, end: 5000 }), { start: 4500, span: 1000 });
  assert.deepEqual(within({ start: -9000, span: 1000 }, { start: 0, end: 5000 }), { start: -500, span: 1000 });
  assert.deepEqual(reveal({ start: 0, span: 1000 }, 500), { start: 0, span: 1000 });
  assert.deepEqual(reveal({ start: 0, span: 1000 }, 1000), { start: 100, span: 1000 });
});

test('hours are those of the wall clock on the day that has 23 and on the one that has 25', () => {
  const short = hourly({ start: utc('2026-03-28T23:00'), span: 23 * HOUR - 1 });
  assert.deepEqual(short.slice(0, 4).map((at) => wallAt(at, BERLIN).hour), [0, 1, 3, 4]);
  assert.equal(short.length, 23);
  const long = hourly({ start: utc('2026-10-24T22:00'), span: 25 * HOUR - 1 });
  assert.deepEqual(long.slice(0, 5).map((at) => wallAt(at, BERLIN).hour), [0, 1, 2, 2, 3]);
  assert.equal(long.length, 25);
  const sixes = hourly({ start: utc('2026-03-28T23:00'), span: 23 * HOUR }, 6);
  assert.deepEqual(sixes.map((at) => wallAt(at, BERLIN).hour), [0, 6, 12, 18, 0]);
});

test('the labels of the doubled hour differ', () => {
  const labels = ticks({ start: utc('2026-10-24T23:40'), span: 3 * HOUR }, 1000, BERLIN)
    .map((t) => t.label).filter((label) => label.startsWith('02:00'));
  assert.deepEqual(labels, ['02:00 UTC+2', '02:00 UTC+1']);
});

test('days, weeks, months and years begin where the calendar says', () => {
  const days = ticks({ start: utc('2026-03-26T12:00'), span: 6 * DAY }, 600, BERLIN).filter((t) => t.label);
  assert.deepEqual(days.map((t) => t.label), ['27 Mar', '28 Mar', '29 Mar', '30 Mar', '31 Mar', '1 Apr']);
  assert.ok(days[5].strong && !days[0].strong);
  const weeks = instantsOfStep({ start: utc('2026-11-01T00:00'), span: 30 * DAY }, { unit: 'day', n: 7, size: 7 * DAY }, BERLIN);
  assert.deepEqual(weeks.map((at) => dateText(at, BERLIN)), ['2026-11-02', '2026-11-09', '2026-11-16', '2026-11-23', '2026-11-30']);
  const months = ticks({ start: utc('2025-11-10T00:00'), span: 120 * DAY }, 400, BERLIN).filter((t) => t.label);
  assert.deepEqual(months.map((t) => t.label), ['Dec', '2026', 'Feb', 'Mar']);
  const years = ticks({ start: utc('2019-06-01T00:00'), span: 7 * 365 * DAY }, 700, BERLIN).filter((t) => t.label);
  assert.deepEqual(years.map((t) => t.label), ['2020', '2021', '2022', '2023', '2024', '2025', '2026']);
});

test('at every zoom there are ticks, in order, and labels that differ from their neighbours', () => {
  const at = utc('2026-10-25T00:59:30');
  for (let span = MIN_SPAN; span <= MAX_SPAN; span *= 1.7) {
    for (const width of [360, 1280, 3840]) {
      const all = ticks({ start: at - span / 3, span }, width, BERLIN);
      const labels = all.filter((t) => t.label);
      assert.ok(labels.length >= 1 && labels.length <= width / 70 + 2, `span ${span}, width ${width}: ${labels.length}`);
      assert.ok(all.length <= width / 10 + 4, `span ${span}, width ${width}: ${all.length} ticks`);
      for (let i = 1; i < labels.length; i += 1) assert.notEqual(labels[i].label, labels[i - 1].label);
      for (let i = 1; i < all.length; i += 1) assert.ok(all[i].at > all[i - 1].at);
    }
  }
});

test('the zone is said, with the offset that holds in view', () => {
  assert.equal(heading({ start: utc('2026-07-01T00:00'), span: HOUR }, BERLIN), 'Wed, 1 Jul 2026 · Europe/Berlin, UTC+2');
  assert.match(heading({ start: utc('2026-01-01T00:00'), span: 100 * DAY }, BERLIN), /^2026 · Europe\/Berlin, UTC\+1$/);
  assert.equal(heading({ start: utc('2026-01-01T00:00'), span: 1000 * DAY }, 'UTC'), 'UTC');
});
