// The scale of the timeline: which stretch of time is in view, how it moves, and where its ticks are.

import { changesBetween, dateText, dayText, instantOf, isDoubled, offsetAt, offsetName, wallAt } from './zone';

/** A view: from start, for span milliseconds. */
export interface View {
  start: number;
  span: number;
}

export interface Range {
  start: number;
  end: number;
}

export interface Tick {
  at: number;
  label: string; // '' for a tick without one
  strong: boolean; // begins something greater: a day among hours, a year among months
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const MIN_SPAN = 400; // ten frames of 25 a second
export const MAX_SPAN = 20 * 365.25 * DAY;

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Keeps a view within what there is to see, with half a view beside it at most. */
export function within(view: View, bounds: Range): View {
  const span = clamp(view.span, MIN_SPAN, MAX_SPAN);
  return { span, start: clamp(view.start, bounds.start - span / 2, Math.max(bounds.end - span / 2, bounds.start - span / 2)) };
}

/** Zooms by a factor (below 1: closer) around a moment, which keeps its place. */
export function zoom(view: View, factor: number, at: number): View {
  const span = clamp(view.span * factor, MIN_SPAN, MAX_SPAN);
  const share = view.span > 0 ? (at - view.start) / view.span : 0.5;
  return { span, start: at - share * span };
}

export const pan = (view: View, by: number): View => ({ span: view.span, start: view.start + by });

/** The view that has a stretch in its middle and is as many times as long; by default the stretch fills most of the width. */
export const framing = (range: Range, times = 1.25): View => {
  const span = clamp((range.end - range.start) * times, MIN_SPAN, MAX_SPAN);
  return { span, start: (range.start + range.end - span) / 2 };
};

/** Moves a view as little as possible so that a moment is in it, with a margin of a tenth. */
export function reveal(view: View, at: number): View {
  const margin = view.span / 10;
  if (at < view.start + margin) return { span: view.span, start: at - margin };
  if (at > view.start + view.span - margin) return { span: view.span, start: at + margin - view.span };
  return view;
}

export const toX = (view: View, width: number, at: number): number => ((at - view.start) / view.span) * width;
export const toTime = (view: View, width: number, x: number): number => view.start + (x / width) * view.span;

/** A wheel's turn as a factor; lines and pages are converted to pixels (WheelEvent.deltaMode). */
export function wheelFactor(delta: number, mode: number): number {
  const pixels = delta * (mode === 1 ? 16 : mode === 2 ? 400 : 1);
  return Math.exp(clamp(pixels, -600, 600) * 0.0022);
}

/** The view in which the moments under two fingers stay under them. */
export function pinch(view: View, width: number, before: [number, number], now: [number, number]): View {
  const wide = Math.max(Math.abs(now[1] - now[0]), 8);
  const factor = Math.max(Math.abs(before[1] - before[0]), 8) / wide;
  const held = toTime(view, width, (before[0] + before[1]) / 2);
  const span = clamp(view.span * factor, MIN_SPAN, MAX_SPAN);
  return { span, start: held - ((now[0] + now[1]) / 2 / width) * span };
}

type Unit = 'ms' | 'day' | 'month' | 'year';

interface Step {
  unit: Unit;
  n: number; // ms: how many; else how many days, months or years
  size: number; // about how long, milliseconds
}

const STEPS: Step[] = [
  ...[10, 20, 50, 100, 200, 500, 1, 2, 5, 10, 15, 30].map((n, i) => (i < 6 ? n : n * SECOND)),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
].map((n): Step => ({ unit: 'ms', n, size: n })).concat(
  [1, 2, 7].map((n): Step => ({ unit: 'day', n, size: n * DAY })),
  [1, 3, 6].map((n): Step => ({ unit: 'month', n, size: n * 30.4 * DAY })),
  [1, 2, 5, 10].map((n): Step => ({ unit: 'year', n, size: n * 365.25 * DAY })),
);

/** The smallest step that leaves so many pixels between ticks. */
export function stepFor(view: View, width: number, pixels: number): Step {
  const least = (view.span / Math.max(width, 1)) * pixels;
  return STEPS.find((step) => step.size >= least) ?? STEPS.at(-1)!;
}

const two = (n: number): string => String(n).padStart(2, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const midnight = (year: number, month: number, day: number, zone: string): number => {
  const d = new Date(Date.UTC(2000, month - 1, day));
  d.setUTCFullYear(year, month - 1, day); // carries days and months over
  return instantOf({
    year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: 0, minute: 0, second: 0, ms: 0,
  }, zone);
};

/**
 * The instants of a step in the view, on the wall clock of the zone. In the hour that is missing there is none; in the
 * doubled hour there are those of both.
 */
export function instantsOfStep(view: View, step: Step, zone: string): number[] {
  const [from, to] = [view.start, view.start + view.span];
  const found: number[] = [];
  if (step.unit === 'ms') {
    let start = from;
    for (const change of [...changesBetween(from, to, zone), to + 1]) {
      const offset = offsetAt(start, zone);
      const first = Math.ceil((start + offset) / step.n) * step.n - offset;
      for (let at = first; at < change && at <= to; at += step.n) found.push(at);
      start = change;
    }
    return found;
  }
  const w = wallAt(from, zone);
  const next = (i: number): number => {
    if (step.unit === 'day') {
      const anchor = Math.floor(Date.UTC(w.year, w.month - 1, w.day) / DAY);
      // Weeks begin on Mondays: 1970-01-05 was one.
      const day = Math.floor((anchor - (step.n === 7 ? 4 : 0)) / step.n) * step.n + (step.n === 7 ? 4 : 0) + i * step.n;
      const d = new Date(day * DAY);
      return midnight(d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), zone);
    }
    if (step.unit === 'month') return midnight(w.year, Math.floor((w.month - 1) / step.n) * step.n + 1 + i * step.n, 1, zone);
    return midnight(Math.floor(w.year / step.n) * step.n + i * step.n, 1, 1, zone);
  };
  for (let i = 0; found.length < 1000; i += 1) {
    const at = next(i);
    if (at > to) break;
    if (at >= from) found.push(at);
  }
  return found;
}

const LABEL_PIXELS = 76;

/** The ticks of a view: small ones, and labelled ones with room for their labels. */
export function ticks(view: View, width: number, zone: string): Tick[] {
  if (!(width > 0)) return [];
  const great = stepFor(view, width, LABEL_PIXELS);
  const labelled = new Map(instantsOfStep(view, great, zone).map((at) => [at, true]));
  const small = stepFor(view, width, LABEL_PIXELS / 6);
  const all = new Set([...labelled.keys(), ...instantsOfStep(view, small, zone)]);
  return [...all].sort((a, b) => a - b).map((at) => {
    const strong = isStrong(at, great, zone);
    return { at, strong, label: labelled.has(at) ? labelOf(at, great, zone) : '' };
  });
}

const isMidnight = (at: number, zone: string): boolean => dateText(at, zone) !== dateText(at - 1, zone);

function isStrong(at: number, step: Step, zone: string): boolean {
  const w = wallAt(at, zone);
  if (step.unit === 'year') return false;
  if (step.unit === 'month') return w.month === 1 && w.day === 1;
  if (step.unit === 'day') return w.day === 1 && isMidnight(at, zone);
  return isMidnight(at, zone);
}

function labelOf(at: number, step: Step, zone: string): string {
  const w = wallAt(at, zone);
  if (step.unit === 'year') return String(w.year);
  if (step.unit === 'month') return w.month === 1 ? String(w.year) : MONTHS[w.month - 1]!;
  if (step.unit === 'day' || isMidnight(at, zone)) return `${w.day} ${MONTHS[w.month - 1]}`;
  const time = `${two(w.hour)}:${two(w.minute)}`;
  const offset = isDoubled(at, zone) ? ` ${offsetName(at, zone)}` : '';
  if (step.n >= MINUTE) return time + offset;
  if (step.n >= SECOND) return `${time}:${two(w.second)}${offset}`;
  return `${two(w.minute)}:${two(w.second)}.${String(w.ms).padStart(3, '0').slice(0, step.n >= 100 ? 1 : 2)}`;
}

/** The text above the ticks: the day, month or year that the middle of the view is in, and the zone. */
export function heading(view: View, zone: string): string {
  const middle = view.start + view.span / 2;
  const w = wallAt(middle, zone);
  const name = `${zone.replace(/_/g, ' ')}, ${offsetName(middle, zone)}`;
  const zoneText = zone === 'UTC' ? 'UTC' : name;
  if (view.span > 400 * DAY) return zoneText;
  if (view.span > 40 * DAY) return `${w.year} · ${zoneText}`;
  return `${dayText(middle, zone, 'short')} · ${zoneText}`;
}
