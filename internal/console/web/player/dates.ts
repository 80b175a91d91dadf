// Between the player's time, which counts from the session's beginning, and the camera's clock, which the playlist
// tells of each segment (EXT-X-PROGRAM-DATE-TIME, RFC 8216 section 4.3.2.6).

/** A segment of a playlist: begin and length in seconds of the player, and its date in milliseconds since 1970. */
export interface Dated {
  start: number;
  duration: number;
  programDateTime: number | null;
}

/** The date of a time of the player; undefined where the playlist has none. */
export function dateAt(segments: readonly Dated[], time: number): number | undefined {
  let [low, high] = [0, segments.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (segments[middle]!.start <= time) low = middle;
    else high = middle - 1;
  }
  const segment = segments[low];
  if (!segment || segment.programDateTime === null) return undefined;
  // what is shown past the last segment's end, or before the first one, is not far from it
  return segment.programDateTime + Math.min(time - segment.start, segment.duration) * 1000;
}

/** The date at which the last segment ends. */
export function endDate(segments: readonly Dated[]): number | undefined {
  const last = segments[segments.length - 1];
  return last && last.programDateTime !== null ? last.programDateTime + last.duration * 1000 : undefined;
}

/** The date at which the first segment begins. */
export function beginDate(segments: readonly Dated[]): number | undefined {
  return segments[0]?.programDateTime ?? undefined;
}

/**
 * The time of the player at which a date is shown. Where nothing was recorded it is that of what came next. undefined:
 * the date is before the first segment or after the last.
 */
export function timeOf(segments: readonly Dated[], date: number): number | undefined {
  const begin = beginDate(segments);
  if (begin === undefined || date < begin) return undefined;
  let next: Dated | undefined;
  for (let i = segments.length - 1; i >= 0; i -= 1) { // of dates that come twice, the newer
    const s = segments[i]!;
    if (s.programDateTime === null) continue;
    if (s.programDateTime > date) next = s;
    else if (date < s.programDateTime + s.duration * 1000) return s.start + (date - s.programDateTime) / 1000;
    else if (next) return next.start;
    else return undefined;
  }
  return next?.start;
}

/** The segments of a media playlist's text, from time 0 on; those whose fragment is still coming in are not among them. */
export function parseDates(playlist: string): Dated[] {
  const segments: Dated[] = [];
  let start = 0;
  let date: number | null = null;
  for (const line of playlist.split('\n')) {
    if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) date = Date.parse(line.slice(25));
    else if (line.startsWith('#EXTINF:')) {
      const duration = parseFloat(line.slice(8));
      segments.push({ start, duration, programDateTime: date });
      start += duration;
      if (date !== null) date += duration * 1000; // until the next one says another
    }
  }
  return segments;
}
