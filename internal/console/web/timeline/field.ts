// Moments in the fields of forms (datetime-local), on the wall clock of a zone.
import { instantOf, instantsOf, type Wall, wallAt } from './zone';

/** The last moment of a field. Without it browsers take six digits for a year; with four, typing goes on to the next part. */
export const FIELD_MAX = '9999-12-31T23:59:59';

const two = (n: number): string => String(n).padStart(2, '0');

/** A moment as a field has it: 2026-11-28T14:05:03. */
export function fieldText(at: number, zone: string): string {
  const w = wallAt(at, zone);
  return `${String(w.year).padStart(4, '0')}-${two(w.month)}-${two(w.day)}T${two(w.hour)}:${two(w.minute)}:${two(w.second)}`;
}

/** The wall time in a field; undefined while it is incomplete. */
export function wallOf(text: string): Wall | undefined {
  const m = /^(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$/.exec(text);
  if (!m) return undefined;
  const [, year, month, day, hour, minute, second = '0', ms = '0'] = m;
  return {
    year: Number(year), month: Number(month), day: Number(day), hour: Number(hour), minute: Number(minute),
    second: Number(second), ms: Number(ms.padEnd(3, '0')),
  };
}

/** The moment in a field. In the hour that the clock shows twice it is the one that is nearer to another moment. */
export function momentOf(text: string, zone: string, near: number): number | undefined {
  const wall = wallOf(text);
  if (!wall) return undefined;
  const [first, second] = instantsOf(wall, zone);
  if (first === undefined) return instantOf(wall, zone);
  return second !== undefined && Math.abs(second - near) < Math.abs(first - near) ? second : first;
}
