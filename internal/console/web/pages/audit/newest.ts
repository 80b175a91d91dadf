// The newest events of a log that is read from its oldest: stretch by stretch, from its end.

/** Reads the events of a stretch of time, oldest first; more: there are too many to read all. Times are seconds. */
export type Read<T> = (from: number, to: number) => Promise<{ events: T[]; more: boolean }>;

const FIRST = 300; // seconds of the first stretch

/** The newest events, newest first: wanted of them or more, if there are as many; more: older times were not read. */
export async function newest<T>(read: Read<T>, start: number, end: number, wanted: number): Promise<{ events: T[]; more: boolean }> {
  const events: T[] = [];
  let to = end;
  let span = FIRST;
  while (to > start && events.length < wanted) {
    const from = Math.max(start, to - span);
    const part = await read(from, to);
    if (part.more && span > 1) {
      span = Math.max(span / 8, 1);
      continue;
    }
    events.push(...part.events.toReversed());
    to = from;
    if (part.events.length < wanted / 4) span *= 4;
  }
  return { events, more: to > start };
}
