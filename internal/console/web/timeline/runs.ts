// Runs: stretches of time, sorted, that do not touch. What a camera covered is a list of them.

import type { Range } from './scale';

/** Stretches as runs: those with no more than join milliseconds between them become one. */
export function merge(stretches: Range[], join: number): Range[] {
  const sorted = [...stretches].sort((a, b) => a.start - b.start);
  const runs: Range[] = [];
  for (const { start, end } of sorted) {
    const last = runs[runs.length - 1];
    if (last && start - last.end <= join) last.end = Math.max(last.end, end);
    else runs.push({ start, end });
  }
  return runs;
}

/** The runs inside of a range, cut at its ends. */
export function cut(runs: Range[], range: Range): Range[] {
  return runs.filter((run) => run.end > range.start && run.start < range.end)
    .map((run) => ({ start: Math.max(run.start, range.start), end: Math.min(run.end, range.end) }));
}

/** How much of a range is covered, milliseconds. */
export const covered = (runs: Range[], range: Range): number =>
  cut(runs, range).reduce((sum, run) => sum + run.end - run.start, 0);

/** The run that a moment is in. */
export const runAt = (runs: Range[], at: number): Range | undefined =>
  runs.find((run) => run.start <= at && at < run.end);
