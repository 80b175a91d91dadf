import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamStatus } from '../../api/streams';
import { matcher } from './search';

const status = (State: StreamStatus['State'], Tags: Record<string, string>): StreamStatus => ({ State, Tags }) as StreamStatus;
const yard = status('RECEIVING', { site: 'North Gate', floor: '2' });
const found = (text: string, state = ''): boolean => matcher(text, state)(yard, 'Yard-1');

test('words are found in names and tags, all of them, in any case', () => {
  for (const text of ['', 'yard', 'YARD-', 'site', 'north', 'site=nor', 'floor=2 yard', ' yard  gate ']) assert.ok(found(text), text);
  for (const text of ['porch', 'yard porch', 'site=south', 'floor=north', 'sit=north']) assert.ok(!found(text), text);
});

test('a state is the one that is known, and names are found before anything is', () => {
  assert.ok(found('yard', 'RECEIVING') && !found('yard', 'SILENT'));
  assert.ok(matcher('yard', '')(null, 'yard-1') && !matcher('north', '')(null, 'yard-1') && !matcher('', 'SILENT')(null, 'yard-1'));
});
