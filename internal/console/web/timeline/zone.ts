// Wall clocks of time zones, by the browser's own zone data: offsets, the instants of a wall time, and words.
// An instant is in milliseconds since 1970 (UTC), an offset in milliseconds east of UTC.

export interface Wall {
  year: number;
  month: number; // 1 to 12
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

const HOUR = 3_600_000;

const formats = new Map<string, Intl.DateTimeFormat>();

function fields(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, calendar: 'iso8601', numberingSystem: 'latn', hourCycle: 'h23', era: 'short',
      year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}

/** The zone of the viewer, such as Europe/Berlin. */
export const localZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

// The wall time as if it were UTC.
const asUTC = (w: Wall): number => {
  const date = new Date(0);
  date.setUTCFullYear(w.year, w.month - 1, w.day);
  date.setUTCHours(w.hour, w.minute, w.second, w.ms);
  return date.getTime();
};

// Offsets are asked for again and again while a timeline moves, and change on whole quarters of an hour.
const offsets = new Map<string, number>();
const QUARTER = HOUR / 4;

/** How far the wall clock is ahead of UTC at an instant. */
export function offsetAt(instant: number, zone: string): number {
  const quarter = Math.floor(instant / QUARTER);
  const key = `${zone} ${quarter}`;
  let offset = offsets.get(key);
  if (offset === undefined) {
    const whole = quarter * QUARTER;
    const part: Record<string, string> = {};
    for (const { type, value } of fields(zone).formatToParts(whole)) part[type] = value;
    const year = Number(part.year);
    offset = asUTC({
      year: part.era?.startsWith('B') ? 1 - year : year,
      month: Number(part.month), day: Number(part.day), hour: Number(part.hour),
      minute: Number(part.minute), second: Number(part.second), ms: 0,
    }) - whole;
    if (offsets.size > 20_000) offsets.clear();
    offsets.set(key, offset);
  }
  return offset;
}

/** What the wall clock shows at an instant. */
export function wallAt(instant: number, zone: string): Wall {
  const d = new Date(instant + offsetAt(instant, zone));
  return {
    year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: d.getUTCHours(),
    minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds(),
  };
}

/**
 * The instants at which the wall clock shows a time. As a rule there is one. There is none if the clock is put forward over
 * the time, and there are two, in order, if it is put back.
 */
export function instantsOf(wall: Wall, zone: string): number[] {
  const utc = asUTC(wall);
  const found = new Set<number>();
  for (const near of [utc - 26 * HOUR, utc + 26 * HOUR]) {
    const instant = utc - offsetAt(near, zone);
    if (instant + offsetAt(instant, zone) === utc) found.add(instant);
  }
  return [...found].sort((a, b) => a - b);
}

/** The first instant at which the wall clock shows the time or a later one of the same day. */
export function instantOf(wall: Wall, zone: string): number {
  const [first] = instantsOf(wall, zone);
  if (first !== undefined) return first;
  // The clock was put forward over it: the instant of the change.
  let low = asUTC(wall) - offsetAt(asUTC(wall) + 26 * HOUR, zone) - 3 * HOUR;
  let high = low + 6 * HOUR;
  const before = offsetAt(low, zone);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle, zone) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** The instants in (from, to] at which the offset changes, in order. */
export function changesBetween(from: number, to: number, zone: string): number[] {
  const changes: number[] = [];
  const step = 24 * HOUR;
  for (let a = from; a < to; a += step) {
    const b = Math.min(a + step, to);
    if (offsetAt(a, zone) === offsetAt(b, zone)) continue;
    let [low, high] = [a, b];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle, zone) === offsetAt(a, zone)) low = middle;
      else high = middle;
    }
    changes.push(high);
  }
  return changes;
}

/** Whether the wall clock shows the time of this instant twice, on the day that the clock is put back. */
export const isDoubled = (instant: number, zone: string): boolean =>
  instantsOf(wallAt(instant, zone), zone).length > 1;

/** UTC+2, UTC−3:30: the name of a zone's offset, for times that are not clear without it. */
export function offsetName(instant: number, zone: string): string {
  const minutes = Math.round(offsetAt(instant, zone) / 60_000);
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  const rest = size % 60;
  return `UTC${minutes < 0 ? '−' : '+'}${Math.floor(size / 60)}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** 2026-11-28 */
export const dateText = (instant: number, zone: string): string => {
  const w = wallAt(instant, zone);
  return `${w.year}-${two(w.month)}-${two(w.day)}`;
};

/** 14:05:03, with digits of a second up to 3; in the doubled hour with the offset after it. */
export function timeText(instant: number, zone: string, digits = 0): string {
  const w = wallAt(instant, zone);
  const fraction = digits ? `.${String(w.ms).padStart(3, '0').slice(0, digits)}` : '';
  const offset = isDoubled(instant, zone) ? ` ${offsetName(instant, zone)}` : '';
  return `${two(w.hour)}:${two(w.minute)}:${two(w.second)}${fraction}${offset}`;
}

/** What a screen reader says: Saturday, 28 November 2026, 14:05:03. */
export function spokenTime(instant: number, zone: string, digits = 0): string {
  return `${dayText(instant, zone, 'long')}, ${timeText(instant, zone, digits)}`;
}

// Formats are kept, because making one takes longer than many uses of it.
const days = new Map<string, Intl.DateTimeFormat>();

/** Sat, 28 Nov 2026; or Saturday, 28 November 2026. */
export function dayText(instant: number, zone: string, size: 'short' | 'long'): string {
  const key = `${zone} ${size}`;
  let format = days.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: size, day: 'numeric', month: size, year: 'numeric' });
    days.set(key, format);
  }
  return format.format(instant);
}

/** 42 s, 12 min 5 s, 3 h 20 min, 2 d 4 h: the two greatest units of a duration. */
export function durationText(ms: number): string {
  const seconds = Math.abs(ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, '')} s`;
  const units: [string, number][] = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]];
  let rest = Math.round(seconds);
  const words: string[] = [];
  for (const [name, size] of units) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n) words.push(`${n} ${name}`);
    if (words.length && (words.length === 2 || !n)) break;
  }
  return words.join(' ');
}
