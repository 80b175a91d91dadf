// A stretch of the timeline that was chosen: by dragging, by its ends' handles, by keys.

import type { Range } from './scale';

export const MAX_SELECTION = 24 * 3_600_000; // GetClip and sessions take no longer range

/**
 * The stretch between two moments, whichever comes first, inside of bounds and no longer than can be exported. The
 * first moment holds; the second one gives way.
 */
export function between(held: number, moved: number, bounds: Range): Range {
  const inside = (at: number): number => Math.min(Math.max(at, bounds.start), bounds.end);
  const a = inside(held);
  const b = Math.min(Math.max(inside(moved), a - MAX_SELECTION), a + MAX_SELECTION);
  return { start: Math.round(Math.min(a, b)), end: Math.round(Math.max(a, b)) };
}

/** Whether a drag has become a selection, and is no longer a click. */
export const isDrag = (fromX: number, toX: number): boolean => Math.abs(toX - fromX) > 5;

/** Which end of a selection a pointer is at, within some pixels; the nearer one. */
export function handleAt(startX: number, endX: number, x: number, reach: number): 'start' | 'end' | undefined {
  const [toStart, toEnd] = [Math.abs(x - startX), Math.abs(x - endX)];
  if (Math.min(toStart, toEnd) > reach) return undefined;
  return toStart < toEnd ? 'start' : 'end';
}

/** Sets one end of a selection to a moment: with no selection, or on the wrong side of the other end, a short one begins. */
export function setEnd(range: Range | undefined, which: 'start' | 'end', at: number, bounds: Range): Range {
  if (!range) return which === 'start' ? between(at, at + 60_000, bounds) : between(at, at - 60_000, bounds);
  const other = which === 'start' ? range.end : range.start;
  if (which === 'start' ? at >= other : at <= other) {
    return which === 'start' ? between(at, at + 60_000, bounds) : between(at, at - 60_000, bounds);
  }
  return between(which === 'start' && other - at > MAX_SELECTION ? at : other,
    which === 'start' && other - at > MAX_SELECTION ? other : at, bounds);
}
