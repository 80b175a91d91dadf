import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Asked } from './asked';

test('what was asked for is due again when it is old, or when the question was taken back', () => {
  const asked = new Asked();
  const names = ['door', 'yard'];
  const first = new AbortController();
  asked.ask(names, 1_000, first.signal);
  assert.deepEqual(asked.due(names, 2_000, 10_000), [], 'it is under way');
  first.abort();
  assert.deepEqual(asked.due(names, 2_000, 10_000), names, 'in the turn in which it is aborted');

  const second = new AbortController();
  const answered = asked.ask(['door'], 2_000, second.signal);
  answered();
  second.abort();
  assert.deepEqual(asked.due(names, 3_000, 10_000), ['yard'], 'an answer that came stays');
  assert.deepEqual(asked.due(names, 12_001, 10_000), names);
});
