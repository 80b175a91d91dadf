import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newest, type Read } from './newest';

const DAY = 86_400;

// A log with an event at each of these times. One call reads as many as most.
function log(times: number[], most: number): { read: Read<number>; calls: () => number } {
  let calls = 0;
  return {
    read: async (from, to) => {
      calls += 1;
      const found = times.filter((t) => t >= from && t < to);
      return { events: found.slice(0, most), more: found.length > most };
    },
    calls: () => calls,
  };
}

test('of a busy log the newest events are read, and not all the others', async () => {
  const busy = log(Array.from({ length: DAY }, (_, i) => i), 100);
  const { events, more } = await newest(busy.read, 0, DAY, 500);
  assert.ok(more && events.length >= 500 && events.length < 1_000, `${events.length} events`);
  assert.deepEqual(events, Array.from({ length: events.length }, (_, i) => DAY - 1 - i));
  assert.ok(busy.calls() < 30, `${busy.calls()} calls`);
});

test('of a quiet log all are read, in few calls', async () => {
  const quiet = log([5, 10 * DAY, 29 * DAY], 100);
  assert.deepEqual(await newest(quiet.read, 0, 30 * DAY, 500), { events: [29 * DAY, 10 * DAY, 5], more: false });
  assert.ok(quiet.calls() < 12, `${quiet.calls()} calls`);
});

test('more events in a second than are read do not stop it', async () => {
  const burst = log([...Array<number>(500).fill(9), 3], 100);
  const { events, more } = await newest(burst.read, 0, 10, 101);
  assert.deepEqual([events.length, events.at(-1), more], [101, 3, false]);
});
