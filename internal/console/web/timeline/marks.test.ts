import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Mark, markAt, Marks, type MarkSource, MOST_SPAN } from './marks';

const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 9, 1);
const turn = () => new Promise((resolve) => { setTimeout(resolve, 1); });

// Marks every ten minutes, two on a page.
function camera(): { asked: number[]; source: MarkSource } {
  const asked: number[] = [];
  return {
    asked,
    source: async (range, token) => {
      const from = token ? Number(token) : range.start;
      asked.push(from);
      const marks: Mark[] = [];
      for (let at = from; at <= range.end; at += HOUR / 6) {
        if (marks.length === 2) return { marks, token: String(at) };
        marks.push({ at, text: 'motion' });
      }
      return { marks };
    },
  };
}

test('marks of what is in view are loaded page by page, once', async () => {
  const { asked, source } = camera();
  let changes = 0;
  const marks = new Marks(source, () => BEGIN + 30 * HOUR, () => { changes += 1; });
  const view = { start: BEGIN + HOUR / 2, span: HOUR };
  marks.want(view);
  marks.want(view);
  while (changes < 2) await turn();
  marks.want(view);
  assert.deepEqual(marks.look(view).map((m) => (m.at - BEGIN) / (HOUR / 6)), [3, 4, 5, 6, 7, 8, 9]);
  assert.equal(asked.length, 6);
  const wide = { start: BEGIN, span: MOST_SPAN + 1 };
  marks.want(wide);
  assert.deepEqual([marks.look(wide), asked.length], [[], 6], 'a wide view has none, and asks for none');
});

test('at the live end new marks come, and whoever may not see any does not ask again', async () => {
  const { asked, source } = camera();
  let now = BEGIN + HOUR / 2;
  const marks = new Marks(source, () => now, () => {});
  const view = { start: BEGIN, span: HOUR };
  marks.want(view);
  await turn();
  const once = asked.length;
  now += 1_000;
  marks.want(view);
  assert.equal(asked.length, once);
  now += 20_000;
  marks.want(view);
  await turn();
  assert.equal(asked.length, 2 * once);

  let calls = 0;
  const refused = new Marks(() => {
    calls += 1;
    return Promise.reject(Object.assign(new Error('no'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } }));
  }, () => now, () => {});
  for (let i = 0; i < 3; i += 1) {
    refused.want(view);
    await turn();
    now += 20_000;
  }
  assert.equal(calls, 1);
});

test('a mark is pointed at from near by', () => {
  const marks = [{ at: 100, text: 'a' }, { at: 130, text: 'b' }];
  assert.equal(markAt(marks, 110, 20)?.text, 'a');
  assert.equal(markAt(marks, 118, 20)?.text, 'b');
  assert.equal(markAt(marks, 200, 20), undefined);
});
