// What of a stream is recorded, as far as a view of its timeline can show it. It is loaded by tiles at the resolution of the
// view, so that a month of fragments is never listed. A tile whose list fits one page is exact. For a denser one it asks, a
// few pixels at a time, whether there is anything at all: some 250 small answers for a view, which are kept.

import { isForbidden } from '../api/errors';
import { cut, merge } from './runs';
import type { Range, View } from './scale';

/** A fragment as the timeline needs it; times in milliseconds since 1970. */
export interface Fragment {
  start: number;
  length: number; // from the first frame to the last
  bytes: number;
}

export interface Page {
  fragments: Fragment[];
  token?: string; // of the next page
}

/** One page of the fragments that begin in a range, at most max of them: ListFragments. */
export type Source = (range: Range, max: number, token: string | undefined, signal: AbortSignal) => Promise<Page>;

export interface Options {
  now?: () => number;
  changed?: () => void; // something was loaded, or could not be
  failed?: (error: unknown) => void;
  parallel?: number; // requests at a time
  tiles?: number; // most tiles in memory
}

/** A pause shorter than this is no gap, because the listed length ends where the last frame begins. */
export const JOIN = 2_500;
// The longest fragment: one that begins this much before a stretch may reach into it.
const LONGEST = 20_000;
// Tiles that reach into the last seconds are asked for again; others once in a while, because cameras upload late.
const FRESH = 90_000;
const LIVE_AGE = 4_000;
const OLD_AGE = 300_000;

const BUCKETS = 32; // a tile's width, in the finest stretches that it is asked for
const BUCKET_PIXELS = 5;
const VIEW_BUCKETS = 220; // the most stretches that a view is asked for in, however wide it is
const PAGE = 1_000;
const PROBE = 100; // a tile with no more fragments than this is taken from its list
const EXACT_PAGES = 3; // a tile whose buckets are hardly longer than fragments lists up to so many pages

interface Tile {
  runs: Range[];
  loaded: number; // when; 0: never
  loading?: Promise<void>;
  failed: number; // when it last failed, to wait before it is tried again
}

const LEVELS: number[] = []; // widths of buckets, milliseconds: 125 ms · 2^k
for (let size = 125; size < 20 * 366 * 86_400_000 / BUCKETS; size *= 2) LEVELS.push(size);

/** The level of a view: the finest one whose buckets are no narrower than a few pixels. */
export function levelOf(view: View, width: number): number {
  const least = view.span * Math.max(BUCKET_PIXELS / Math.max(width, 1), 1 / VIEW_BUCKETS);
  const level = LEVELS.findIndex((size) => size >= least);
  return level < 0 ? LEVELS.length - 1 : level;
}

/** Width of a level's buckets, milliseconds. */
export const bucketOf = (level: number): number => LEVELS[level]!;
const tileSpan = (level: number): number => bucketOf(level) * BUCKETS;

export class Coverage {
  private readonly tiles = new Map<string, Tile>(); // in the order of their last use
  private readonly aborter = new AbortController();
  private readonly queue: { run: () => Promise<void>; wanted: () => boolean; done: () => void }[] = [];
  private active = 0;
  private wanted = new Set<string>();
  private typical = 2_000; // length of a fragment, for the next question
  failure: unknown; // of the last request; undefined after one that succeeded
  newest: Fragment | undefined; // the one that ends last, of those seen

  constructor(private readonly source: Source, private readonly options: Options = {}) {}

  private now(): number { return (this.options.now ?? Date.now)(); }

  close(): void { this.aborter.abort(); }

  get size(): number { return this.tiles.size; }

  // The tiles that a view needs, and asks for those that are missing or old.
  want(view: View, width: number): void {
    if (isForbidden(this.failure)) return; // a user who may not list asks once
    const level = levelOf(view, width);
    const wanted = new Set<string>();
    for (const index of this.indices(view, level)) wanted.add(`${level}/${index}`);
    this.wanted = wanted;
    for (const key of wanted) this.load(key);
  }

  private *indices(range: View, level: number): Generator<number> {
    const span = tileSpan(level);
    const last = Math.floor((range.start + range.span) / span);
    for (let i = Math.floor(range.start / span); i <= last; i += 1) yield i;
  }

  // What is covered in a view, and for what that is not known yet. Where the view's own level is not loaded, coarser levels
  // stand in for it.
  look(view: View, width: number): { runs: Range[]; unknown: Range[] } {
    const level = levelOf(view, width);
    const runs: Range[] = [];
    const unknown: Range[] = [];
    const end = this.now();
    for (const index of this.indices(view, level)) {
      const key = `${level}/${index}`;
      const span = tileSpan(level);
      const tile = this.tiles.get(key);
      if (tile?.loaded) {
        this.touch(key, tile);
        runs.push(...tile.runs);
        continue;
      }
      const range = { start: index * span, end: (index + 1) * span };
      const other = this.standIn(range, level);
      if (other) runs.push(...other);
      else if (range.start < end) unknown.push({ start: range.start, end: Math.min(range.end, end) });
    }
    const past = runs.filter((run) => run.start < end).map((run) => ({ ...run, end: Math.min(run.end, end) }));
    return { runs: merge(past, JOIN), unknown };
  }

  private standIn(range: Range, level: number): Range[] | undefined {
    for (let up = level + 1; up < Math.min(level + 5, LEVELS.length); up += 1) {
      const tile = this.tiles.get(`${up}/${Math.floor(range.start / tileSpan(up))}`);
      if (tile?.loaded) {
        return cut(tile.runs, range);
      }
    }
    return undefined;
  }

  private touch(key: string, tile: Tile): void {
    this.tiles.delete(key);
    this.tiles.set(key, tile);
  }

  private load(key: string): void {
    const now = this.now();
    let tile = this.tiles.get(key);
    const [level = 0, index = 0] = key.split('/').map(Number);
    const span = tileSpan(level);
    const range = { start: index * span, end: (index + 1) * span };
    if (range.start > now) return;
    if (tile) {
      const age = range.end > now - FRESH ? Math.max(LIVE_AGE, span / 200) : OLD_AGE;
      if (tile.loading || now - tile.loaded < age || now - tile.failed < LIVE_AGE) return;
    } else {
      tile = { runs: [], loaded: 0, failed: 0 };
      this.tiles.set(key, tile);
      this.shrink();
    }
    const mine = tile;
    tile.loading = this.loadTile(mine, range, level, () => this.wanted.has(key));
  }

  private async loadTile(tile: Tile, range: Range, level: number, wanted: () => boolean): Promise<void> {
    try {
      const runs = await this.fill(range, level, wanted);
      if (runs) {
        tile.runs = runs;
        tile.loaded = this.now();
        this.failure = undefined;
      }
    } catch (error) {
      if (this.aborter.signal.aborted) return;
      tile.failed = this.now();
      this.failure = error;
      this.options.failed?.(error);
    } finally {
      tile.loading = undefined;
      if (!this.aborter.signal.aborted) this.options.changed?.();
    }
  }

  private shrink(): void {
    const most = this.options.tiles ?? 1_600;
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= most) return;
      if (!tile.loading && !this.wanted.has(key)) this.tiles.delete(key);
    }
  }

  // The runs of a tile; undefined if nobody wants it any more.
  private async fill(range: Range, level: number, wanted: () => boolean): Promise<Range[] | undefined> {
    const bucket = bucketOf(level);
    const stretches: Range[] = [];
    let dropped = false;
    const whole = { start: bucket < LONGEST ? range.start - LONGEST : range.start, end: range.end };
    const exact = (range.end - range.start) / Math.max(this.typical, 100) <= PAGE * EXACT_PAGES && bucket < 4 * this.typical;
    const page = await this.ask(whole, exact ? PAGE : PROBE, wanted, exact ? Infinity : 1);
    if (!page) return undefined;
    const take = (fragments: Fragment[]): void => {
      for (const f of fragments) stretches.push({ start: f.start, end: f.start + f.length });
    };
    if (!page.token) take(page.fragments);
    else {
      await Promise.all(Array.from({ length: BUCKETS }, async (_, i) => {
        const part = { start: range.start + i * bucket, end: range.start + (i + 1) * bucket };
        const some = part.start > this.now() ? { fragments: [] } : await this.ask(part, 1, wanted, 1);
        if (!some) dropped = true;
        else if (some.token) stretches.push(part);
        else take(some.fragments);
      }));
    }
    if (dropped) return undefined;
    // A bucket stands for its whole width, so neighbours join; so do fragments that follow one another.
    return merge(stretches, JOIN).map((run) => ({ ...run, end: Math.max(run.end, run.start + 1) }));
  }

  // All fragments of a part up to some pages, each request in its turn; the token tells that there are more.
  private async ask(part: Range, max: number, wanted: () => boolean, pages: number): Promise<Page | undefined> {
    const all: Fragment[] = [];
    let token: string | undefined;
    for (let i = 0; i < pages; i += 1) {
      const page: Page | undefined = await this.inTurn(() => this.source(
        { start: Math.max(part.start, 0), end: part.end - 1 }, max, token, this.aborter.signal), wanted);
      if (!page) return undefined;
      this.learn(page.fragments);
      all.push(...page.fragments);
      token = page.token;
      if (!token) break;
    }
    return { fragments: all, token };
  }

  private learn(fragments: Fragment[]): void {
    if (fragments.length > 1) {
      const mean = (fragments.at(-1)!.start - fragments[0]!.start) / (fragments.length - 1);
      if (mean > 0) this.typical = Math.min(Math.max(mean, 20), LONGEST);
    }
    for (const f of fragments) {
      if (!this.newest || f.start + f.length > this.newest.start + this.newest.length) this.newest = f;
    }
  }

  private inTurn<T>(request: () => Promise<T>, wanted: () => boolean): Promise<T | undefined> {
    return new Promise<T | undefined>((resolve, reject) => {
      this.queue.push({
        run: () => request().then(resolve, reject),
        wanted,
        done: () => resolve(undefined),
      });
      this.pump();
    });
  }

  // The newest questions go first: they are about what is in view now.
  private pump(): void {
    while (this.active < (this.options.parallel ?? 4) && this.queue.length) {
      const next = this.queue.pop()!;
      if (!next.wanted() || this.aborter.signal.aborted) {
        next.done();
        continue;
      }
      this.active += 1;
      next.run().finally(() => {
        this.active -= 1;
        this.pump();
      });
    }
  }

  // Every fragment that begins in a range, or reaches into it, in the order of their times.
  async list(range: Range, signal: AbortSignal, progress?: (seen: number) => void): Promise<Fragment[]> {
    const all: Fragment[] = [];
    let token: string | undefined;
    do {
      const page = await this.source(
        { start: Math.max(range.start - LONGEST, 0), end: range.end }, PAGE, token, signal);
      this.learn(page.fragments);
      all.push(...page.fragments.filter((f) => f.start + f.length >= range.start));
      token = page.token;
      progress?.(all.length);
    } while (token);
    return all.sort((a, b) => a.start - b.start);
  }

  // The next gap after a moment (direction 1), or the one before it (-1): exactly, window by window, up to a limit.
  // progress is told how far it has looked. No gap: undefined.
  async gap(from: number, direction: 1 | -1, limit: number, signal: AbortSignal,
    progress?: (at: number) => void): Promise<Range | undefined> {
    let at = from;
    let edge: number | undefined; // where the run that is being followed ends, in the direction of the search
    let grow = 1; // windows without anything grow
    const away = (a: number, b: number): number => (direction > 0 ? a - b : b - a);
    while (away(limit, at) > 0) {
      signal.throwIfAborted();
      const window = Math.max(this.typical * PAGE * 0.9, 60_000) * grow;
      const other = direction > 0 ? Math.min(at + window, limit) : Math.max(at - window, limit);
      const part = direction > 0 ? { start: at, end: other } : { start: other, end: at };
      if (grow > 1 && (await this.source(part, 1, undefined, signal)).fragments.length) {
        grow = Math.max(1, grow / 8);
        continue;
      }
      const found = grow > 1 ? [] : await this.list(part, signal);
      const runs = merge(found.map((f) => ({ start: f.start, end: f.start + f.length })), JOIN);
      for (const run of direction > 0 ? runs : runs.reverse()) {
        const [near, far] = direction > 0 ? [run.start, run.end] : [run.end, run.start];
        if (edge === undefined) {
          edge = far; // a search that begins within a gap does not find this gap
        } else if (away(near, edge) > JOIN) {
          return direction > 0 ? { start: edge, end: near } : { start: near, end: edge };
        } else if (away(far, edge) > 0) {
          edge = far;
        }
      }
      if (!found.length) grow *= 2;
      at = other;
      progress?.(at);
    }
    return undefined;
  }
}
