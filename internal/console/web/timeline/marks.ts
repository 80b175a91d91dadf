// Tags that cameras sent with fragments, as far as a view shows them one by one: loaded by tiles of an hour, kept, and
// asked for again at the live end.
import { isForbidden } from '../api/errors';
import type { Range, View } from './scale';

/** A fragment with tags: when it begins, and what they say. */
export interface Mark {
  at: number;
  text: string;
}

/** One page of the marks of a range: weir:ListFragmentTags. */
export type MarkSource = (range: Range, token: string | undefined, signal: AbortSignal) => Promise<{ marks: Mark[]; token?: string }>;

/** The longest view with marks, milliseconds: in a longer one they would be many and touch one another. */
export const MOST_SPAN = 6 * 3_600_000;

const TILE = 3_600_000;
const KEPT = 48; // tiles
const PAGES = 20; // that are read of a tile: marks after them are not shown
const AGAIN = 8_000; // milliseconds after which the tile of now is asked for again

export class Marks {
  private readonly tiles = new Map<number, { marks: Mark[]; loaded: number; loading: boolean }>();
  private readonly aborter = new AbortController();
  private refused = false;

  constructor(private readonly source: MarkSource, private readonly now: () => number, private readonly changed: () => void) {}

  /** Asks for what the view shows and is not known. */
  want(view: View): void {
    if (this.refused || view.span > MOST_SPAN) return;
    const last = Math.min(view.start + view.span, this.now());
    for (let index = Math.floor(view.start / TILE); index * TILE <= last; index += 1) {
      const known = this.tiles.get(index);
      const late = (index + 1) * TILE > (known?.loaded ?? 0); // more may have come since
      if (known && (known.loading || !late || this.now() - known.loaded < AGAIN)) continue;
      void this.load(index, known?.marks ?? []);
    }
  }

  private async load(index: number, before: Mark[]): Promise<void> {
    const tile = { marks: before, loaded: this.now(), loading: true };
    this.tiles.delete(index);
    this.tiles.set(index, tile);
    if (this.tiles.size > KEPT) this.tiles.delete(this.tiles.keys().next().value!);
    const range = { start: index * TILE, end: (index + 1) * TILE - 1 };
    try {
      const marks: Mark[] = [];
      let token: string | undefined;
      for (let i = 0; i < PAGES; i += 1) {
        const page = await this.source(range, token, this.aborter.signal);
        marks.push(...page.marks);
        token = page.token;
        if (!token) break;
      }
      tile.marks = marks.sort((a, b) => a.at - b.at);
    } catch (error) {
      // who may not know of tags sees none; others ask again with the next view
      if (isForbidden(error)) this.refused = true;
      else tile.loaded = 0;
    }
    tile.loading = false;
    if (!this.aborter.signal.aborted) this.changed();
  }

  /** The marks of a view, in the order of their times. */
  look(view: View): Mark[] {
    if (view.span > MOST_SPAN) return [];
    const end = view.start + view.span;
    const found: Mark[] = [];
    for (let index = Math.floor(view.start / TILE); index * TILE <= end; index += 1) {
      for (const mark of this.tiles.get(index)?.marks ?? []) if (mark.at >= view.start && mark.at <= end) found.push(mark);
    }
    return found;
  }

  close(): void { this.aborter.abort(); }
}

/** The mark that is nearest to a moment, and no farther than so many milliseconds. */
export function markAt(marks: readonly Mark[], at: number, reach: number): Mark | undefined {
  let best: Mark | undefined;
  for (const mark of marks) {
    const distance = Math.abs(mark.at - at);
    if (distance <= reach && distance < Math.abs((best?.at ?? Infinity) - at)) best = mark;
  }
  return best;
}
