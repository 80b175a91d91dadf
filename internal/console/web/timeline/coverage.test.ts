import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Coverage, JOIN, levelOf, bucketOf, type Fragment, type Source } from './coverage';
import { merge } from './runs';
import type { Range, View } from './scale';

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BEGIN = Date.UTC(2026, 9, 1);

// A camera that recorded these runs in fragments of two seconds; pages as ListFragments has them, and counted.
class Camera {
  requests = 0;
  listed = 0;
  constructor(public runs: Range[]) {}

  private *from(start: number): Generator<Fragment> {
    for (const run of this.runs) {
      if (run.end <= start) continue;
      const skip = Math.max(0, Math.ceil((start - run.start) / 2000));
      for (let at = run.start + skip * 2000; at < run.end; at += 2000) yield { start: at, length: 1960, bytes: 1000 };
    }
  }

  source: Source = async (range, max, token, signal) => {
    signal.throwIfAborted();
    this.requests += 1;
    const fragments: Fragment[] = [];
    for (const f of this.from(token ? Number(token) : range.start)) {
      if (f.start > range.end) break;
      if (fragments.length === max) {
        this.listed += max;
        return { fragments, token: String(f.start) };
      }
      fragments.push(f);
    }
    this.listed += fragments.length;
    return { fragments };
  };
}

// Loads a view until nothing is missing.
async function load(coverage: Coverage, view: View, width: number): Promise<Range[]> {
  for (let i = 0; i < 10_000; i += 1) {
    coverage.want(view, width);
    const { runs, unknown } = coverage.look(view, width);
    if (!unknown.length) return runs;
    await new Promise((resolve) => { setTimeout(resolve, 0); });
  }
  throw new Error('the view never became complete');
}

const month = (): Camera => new Camera([
  { start: BEGIN, end: BEGIN + 9 * DAY },
  { start: BEGIN + 10 * DAY, end: BEGIN + 20 * DAY + 13 * SECOND * 2 },
  { start: BEGIN + 20 * DAY + 40 * SECOND, end: BEGIN + 31 * DAY },
]);

// What lies between runs, from a moment to another.
function gapsOf(runs: Range[], { start, end }: Range): Range[] {
  const inside = runs.filter((run) => run.end > start && run.start < end);
  const ends = [start, ...inside.map((run) => run.end)];
  return [...inside, { start: end, end }].map((run, i) => ({ start: ends[i]!, end: run.start })).filter((gap) => gap.end > gap.start);
}

test('a month is shown without listing it, right to a few pixels', async () => {
  const camera = month();
  const coverage = new Coverage(camera.source, { now: () => BEGIN + 40 * DAY });
  const view = { start: BEGIN - DAY, span: 33 * DAY };
  const runs = await load(coverage, view, 1200);
  const pixel = view.span / 1200;
  const gaps = gapsOf(runs, { start: BEGIN + DAY, end: BEGIN + 30 * DAY });
  assert.equal(gaps.length, 1);
  assert.ok(Math.abs(gaps[0].start - (BEGIN + 9 * DAY)) <= 10 * pixel, 'begin of the gap');
  assert.ok(Math.abs(gaps[0].end - (BEGIN + 10 * DAY)) <= 10 * pixel, 'end of the gap');
  assert.ok(camera.requests < 300, `${camera.requests} requests`);
  assert.ok(camera.listed < 2_000, `${camera.listed} of 1.3 million fragments`);
  const before = camera.requests;
  await load(coverage, view, 1200);
  assert.equal(camera.requests, before, 'it is cached');
  await load(coverage, view, 3840);
  assert.equal(camera.requests, before, 'a wider screen asks for no more');
});

test('near enough, gaps are exact', async () => {
  const camera = month();
  const coverage = new Coverage(camera.source, { now: () => BEGIN + 40 * DAY });
  const at = BEGIN + 20 * DAY;
  const runs = await load(coverage, { start: at - 5 * 60_000, span: 10 * 60_000 }, 1200);
  assert.deepEqual(gapsOf(runs, { start: at - 60_000, end: at + 60_000 }),
    [{ start: at + 26 * SECOND - 40, end: at + 40 * SECOND }]);
});

test('years of nothing are a question each tile', async () => {
  const camera = new Camera([{ start: BEGIN, end: BEGIN + 6 * SECOND }]);
  const coverage = new Coverage(camera.source, { now: () => BEGIN + DAY });
  const runs = await load(coverage, { start: BEGIN - 3000 * DAY, span: 3001 * DAY }, 1200);
  assert.deepEqual(runs, [{ start: BEGIN, end: BEGIN + 4000 + 1960 }]);
  assert.ok(camera.requests < 12, `${camera.requests} requests`);
});

test('what is in memory is bounded', async () => {
  const camera = month();
  const coverage = new Coverage(camera.source, { now: () => BEGIN + 40 * DAY, tiles: 20 });
  for (let i = 0; i < 40; i += 1) await load(coverage, { start: BEGIN + i * HOUR, span: 10 * 60_000 }, 1200);
  assert.ok(coverage.size <= 20, `${coverage.size} tiles`);
});

test('what comes in live appears, and a view that was left is not loaded to its end', async () => {
  const camera = new Camera([{ start: BEGIN, end: BEGIN + 60_000 }]);
  let now = BEGIN + 60_000;
  const coverage = new Coverage(camera.source, { now: () => now });
  const view = { start: BEGIN, span: 300_000 };
  assert.equal((await load(coverage, view, 600)).at(-1)?.end, BEGIN + 59_960);
  camera.runs[0].end += 60_000;
  now += 60_000;
  coverage.want(view, 600);
  await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.equal(coverage.look(view, 600).runs.at(-1)?.end, BEGIN + 119_960);

  const big = month();
  const left = new Coverage(big.source, { now: () => BEGIN + 40 * DAY });
  left.want({ start: BEGIN, span: 31 * DAY }, 3840);
  await load(left, { start: BEGIN + DAY, span: 60_000 }, 600);
  const asked = big.requests;
  await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.ok(big.requests - asked < 8, `${big.requests - asked} requests after the view was left`);
});

test('a refusal is told, and the view loads once the server is back', async () => {
  const camera = month();
  let away = true;
  let now = BEGIN + 40 * DAY;
  const told: unknown[] = [];
  const coverage = new Coverage((...a) => (away ? Promise.reject(new Error('away')) : camera.source(...a)),
    { now: () => now, failed: (e) => told.push(e) });
  const view = { start: BEGIN, span: 600_000 };
  coverage.want(view, 600);
  await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.ok(told.length > 0 && coverage.failure instanceof Error);
  assert.ok(coverage.look(view, 600).unknown.length > 0, 'it is not shown as a gap');
  away = false;
  now += 10_000;
  assert.equal((await load(coverage, view, 600)).length, 1);
  assert.equal(coverage.failure, undefined);
});

test('whoever may not know what was recorded asks no more', async () => {
  let calls = 0;
  const coverage = new Coverage(() => {
    calls += 1;
    return Promise.reject(Object.assign(new Error('no'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } }));
  }, { now: () => BEGIN + 40 * DAY, parallel: 1 });
  const view = { start: BEGIN, span: 600_000 };
  coverage.want(view, 600);
  await new Promise((resolve) => { setTimeout(resolve, 5); });
  const once = calls;
  coverage.want({ start: BEGIN + DAY, span: 600_000 }, 600);
  await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.ok(once > 0);
  assert.equal(calls, once);
});

test('the next and the previous gap are found across days', async () => {
  const camera = month();
  const coverage = new Coverage(camera.source, { now: () => BEGIN + 40 * DAY });
  const signal = new AbortController().signal;
  const big = { start: BEGIN + 9 * DAY - 40, end: BEGIN + 10 * DAY };
  const small = { start: BEGIN + 20 * DAY + 26 * SECOND - 40, end: BEGIN + 20 * DAY + 40 * SECOND };
  const end = BEGIN + 31 * DAY;
  assert.deepEqual(await coverage.gap(BEGIN + 8 * DAY, 1, end, signal), big);
  assert.deepEqual(await coverage.gap(BEGIN + 9 * DAY + HOUR, 1, end, signal), small, 'from inside of a gap');
  assert.deepEqual(await coverage.gap(BEGIN + 21 * DAY, -1, BEGIN, signal), small);
  assert.deepEqual(await coverage.gap(BEGIN + 20 * DAY, -1, BEGIN, signal), big);
  assert.equal(await coverage.gap(BEGIN + 25 * DAY, 1, end, signal), undefined);
});

test('a search for a gap can be stopped, and says how far it is', async () => {
  const coverage = new Coverage(month().source, { now: () => BEGIN + 40 * DAY });
  const stop = new AbortController();
  const seen: number[] = [];
  await assert.rejects(coverage.gap(BEGIN, 1, BEGIN + 31 * DAY, stop.signal, (at) => {
    seen.push(at);
    if (seen.length === 3) stop.abort();
  }), { name: 'AbortError' });
  assert.ok(seen[0] > BEGIN && seen[1] > seen[0]);
});

test('runs join over the pause that a listed length leaves, in any order', () => {
  assert.deepEqual(merge([{ start: 4000, end: 5960 }, { start: 0, end: 1960 }, { start: 2000, end: 3960 },
    { start: 5960 + JOIN + 1, end: 9000 }], JOIN), [{ start: 0, end: 5960 }, { start: 5961 + JOIN, end: 9000 }]);
});

test('levels are as fine as the view', () => {
  assert.equal(bucketOf(levelOf({ start: 0, span: 400 }, 1000)), 125);
  assert.ok(bucketOf(levelOf({ start: 0, span: 30 * DAY }, 1000)) >= (30 * DAY) / 1000);
});
