// What the page of a stream knows and does: its player, what is recorded, what is chosen, and its address.
import { batch, effect, signal } from '@preact/signals';
import { isAborted, isNetworkError, words } from '../../api/errors';
import { noteError } from '../../api/session';
import { Player } from '../../player/player';
import { fragmentsOf, marksOf, serverNow } from '../../player/sessions';
import { go, href, place } from '../../router';
import { type Clock, readAddress, writeAddress } from '../../timeline/address';
import { Coverage, type Source } from '../../timeline/coverage';
import { oldest } from '../../timeline/edges';
import { Marks } from '../../timeline/marks';
import { framing, type Range, reveal, type View, zoom } from '../../timeline/scale';
import { setEnd } from '../../timeline/selection';
import { Stills } from '../../timeline/stills';
import { localZone } from '../../timeline/zone';
import { say } from '../../ui/toast';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW_AT = 0.85; // of the width, where now stands in a live view
const RESTING = 400; // milliseconds that the page must rest before its address changes
const PLAYING = 4_000; // milliseconds between changes of the address while it plays

const liveView = (span: number): View => ({ span, start: serverNow() - span * NOW_AT });

export class StreamModel {
  readonly zone = localZone();
  readonly view = signal<View>(liveView(HOUR));
  readonly selection = signal<Range | undefined>(undefined);
  readonly muted = signal(true);
  /** Where the oldest recording begins. */
  readonly begin = signal(serverNow() - DAY);
  /** A search for a gap: how far it is. */
  readonly search = signal<{ at: number } | undefined>(undefined);
  /** Rises with what is known of the recordings. */
  readonly version = signal(0);
  readonly player = signal<Player | undefined>(undefined);
  readonly coverage: Coverage;
  readonly stills: Stills;
  readonly marks: Marks;
  private readonly source: Source;
  private searching = new AbortController();
  private written = ''; // the query that this page put into the address

  constructor(readonly name: string, readonly clock: Clock) {
    this.source = fragmentsOf(name, clock);
    this.stills = new Stills(name, clock);
    const changed = (): void => { this.version.value += 1; };
    this.marks = new Marks(marksOf(name, clock), serverNow, changed);
    this.coverage = new Coverage(this.source, {
      now: serverNow,
      changed,
      failed: noteError,
    });
    const { at, range, span = HOUR } = readAddress(place.peek().query);
    this.selection.value = range;
    if (range && at === undefined) this.view.value = framing(range);
    else this.view.value = at === undefined ? liveView(span) : { span, start: at - span / 2 };
  }

  /** Plays in a video element what the address says, until the function that it returns is called. */
  start(video: HTMLVideoElement, still: HTMLCanvasElement): () => void {
    const player = new Player(video, still, this.name, this.clock, this.source);
    const { at, range } = readAddress(place.peek().query);
    const from = at ?? range?.start;
    if (from === undefined) player.goLive();
    else {
      player.seek(from);
      player.play();
    }
    this.player.value = player;
    this.written = place.peek().query.toString();
    const abort = new AbortController();
    oldest(this.source, serverNow() + DAY, abort.signal).then((f) => {
      if (f) this.begin.value = f.start;
      return f;
    }).catch((error: unknown) => { if (!abort.signal.aborted) noteError(error); });
    const stops = [this.keepAddress(player), this.followAddress()];
    return () => {
      for (const stop of stops) stop();
      abort.abort();
      this.searching.abort();
      player.destroy();
      this.player.value = undefined;
      this.stills.close();
      this.marks.close();
      this.coverage.close();
    };
  }

  /** The moment that is shown, or now. */
  get moment(): number { return this.player.peek()?.position.peek() ?? serverNow(); }

  seek(at: number, moving = false): void {
    this.player.peek()?.seek(at);
    if (!moving) this.view.value = reveal(this.view.peek(), at);
  }

  goLive(): void {
    this.player.peek()?.goLive();
    this.view.value = liveView(this.view.peek().span);
  }

  zoom(factor: number): void {
    this.view.value = zoom(this.view.peek(), factor, this.moment);
  }

  /** Shows so much time around the moment; undefined stands for everything. */
  show(span: number | undefined): void {
    if (span === undefined) this.view.value = framing({ start: this.begin.peek(), end: serverNow() });
    else this.view.value = { span, start: Math.min(this.moment - span / 2, serverNow() - span * NOW_AT) };
  }

  mute(): void {
    this.muted.value = !this.muted.peek();
    const video = this.player.peek()?.video;
    if (video) video.muted = this.muted.peek();
  }

  setRange(which: 'start' | 'end'): void {
    this.selection.value = setEnd(this.selection.peek(), which, this.moment, this.bounds);
  }

  /** Chooses the minute that begins at the moment; of a live stream, the last minute. */
  chooseRange(): void {
    if (this.player.peek()?.live.peek()) this.setRange('end');
    else this.setRange('start');
    const range = this.selection.peek();
    const { start, span } = this.view.peek();
    // if a minute is too narrow to be seen and held, the view comes closer
    if (range && (range.end - range.start < span / 40 || range.start < start || range.end > start + span)) this.view.value = framing(range, 4);
  }

  /** What there is to choose from. */
  get bounds(): Range { return { start: this.begin.peek(), end: serverNow() }; }

  stopSearch(): void { this.searching.abort(); }

  /** Goes to the next gap, where recording goes on after it; or to the one before, where it ends. */
  async gap(direction: 1 | -1): Promise<void> {
    this.searching.abort();
    const mine = new AbortController();
    this.searching = mine;
    const from = this.moment;
    this.search.value = { at: from };
    try {
      const found = await this.coverage.gap(from, direction, direction > 0 ? serverNow() : this.begin.peek(), mine.signal,
        (at) => { if (!mine.signal.aborted) this.search.value = { at }; });
      if (!found) say(direction > 0 ? 'There is no gap from here to now.' : 'There is no gap before this moment.');
      else this.showGap(found, direction);
    } catch (error) {
      if (!isAborted(error) && !isNetworkError(error)) say(words(error));
    } finally {
      if (this.searching === mine) this.search.value = undefined;
    }
  }

  private showGap(gap: Range, direction: 1 | -1): void {
    batch(() => {
      const { span } = this.view.peek();
      // in the view's own scale, if the gap can be seen in it
      this.view.value = gap.end - gap.start > span || gap.end - gap.start < span / 100
        ? framing({ start: gap.start - 10_000, end: gap.end + 10_000 })
        : { span, start: (gap.start + gap.end - span) / 2 };
      this.seek(direction > 0 ? gap.end : Math.max(gap.start - 1_000, this.begin.peek()), true);
    });
  }

  // Keeps moment, range and zoom in the address, when they have come to rest.
  private keepAddress(player: Player): () => void {
    let timer = 0;
    let last = -Infinity;
    let before: unknown[] = []; // selection and zoom
    let waiting = false; // to write while it plays: the next pictures do not put that off
    const write = (): void => {
      last = performance.now();
      waiting = false;
      const at = player.live.peek() ? undefined : player.position.peek();
      const range = this.selection.peek();
      const query = writeAddress({
        clock: this.clock, span: this.view.peek().span, ...(at !== undefined && { at }), ...(range && { range }),
      });
      if (query.toString() === this.written) return;
      this.written = query.toString();
      go(href(['streams', this.name], query), true);
    };
    const stop = effect(() => {
      const shown = [this.selection.value, this.view.value.span];
      const changed = shown.some((value, i) => value !== before[i]); // by the user, who may copy the address next
      before = shown;
      const live = player.live.value;
      const resting = player.paused.value || live;
      if (!live) void player.position.value;
      if (waiting && !resting && !changed) return;
      waiting = !resting;
      clearTimeout(timer);
      timer = setTimeout(write, resting || changed ? RESTING : Math.max(RESTING, last + PLAYING - performance.now())) as unknown as number;
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }

  // Follows another address of the same page, such as a link that was pasted.
  private followAddress(): () => void {
    return effect(() => {
      const { path, query } = place.value;
      if (path[0] !== 'streams' || path[1] !== this.name || query.toString() === this.written) return;
      this.written = query.toString();
      const { at, range, span, clock } = readAddress(query);
      if (clock !== this.clock) return; // the page begins anew
      this.selection.value = range;
      const to = at ?? range?.start;
      if (to !== undefined) {
        if (range && at === undefined) this.view.value = framing(range);
        else if (span !== undefined) this.view.value = { span, start: to - span / 2 };
        this.seek(to);
      }
      else if (!this.player.peek()?.live.peek()) this.goLive();
    });
  }
}
