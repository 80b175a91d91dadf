// Where recordings begin and end, found by asking whether a stretch of time has anything.
import type { Fragment, Source } from './coverage';

const MINUTE = 60_000;

/** The oldest fragment that is kept, by the order in which fragments came in; undefined: there is none. */
export async function oldest(source: Source, now: number, signal: AbortSignal): Promise<Fragment | undefined> {
  return (await source({ start: 0, end: now }, 1, undefined, signal)).fragments[0];
}

/** The first fragment that begins at a moment or later. */
export async function firstFrom(source: Source, at: number, now: number, signal: AbortSignal): Promise<Fragment | undefined> {
  const filled = async (start: number, end: number): Promise<boolean> =>
    (await source({ start, end }, 1, undefined, signal)).fragments.length > 0;
  if (at > now || !await filled(at, now)) return undefined;
  let [low, high] = [at, now]; // something begins in [at, high], nothing in [at, low)
  while (high - low > MINUTE) {
    const middle = Math.floor((low + high) / 2);
    if (await filled(low, middle)) high = middle;
    else low = middle + 1;
  }
  const { fragments } = await source({ start: low, end: high }, 1000, undefined, signal);
  return fragments.reduce((a, b) => (b.start < a.start ? b : a), fragments[0]!);
}

/** The last fragment that begins before a moment; undefined: there is none since the beginning of time. */
export async function lastBefore(source: Source, at: number, signal: AbortSignal): Promise<Fragment | undefined> {
  const filled = async (start: number, end: number): Promise<boolean> =>
    (await source({ start, end }, 1, undefined, signal)).fragments.length > 0;
  let reach = MINUTE;
  while (!await filled(Math.max(at - reach, 0), at - 1)) {
    if (reach >= at) return undefined;
    reach *= 8;
  }
  let [low, high] = [Math.max(at - reach, 0), at]; // something begins in [low, at), and nothing in [high, at)
  while (high - low > MINUTE) {
    const middle = Math.floor((low + high) / 2);
    if (await filled(middle, high - 1)) low = middle;
    else high = middle;
  }
  const { fragments } = await source({ start: low, end: high - 1 }, 1000, undefined, signal);
  return fragments.reduce<Fragment | undefined>((a, b) => (!a || b.start >= a.start ? b : a), undefined);
}
