// The player of a stream's page: any moment of the stream in one video element. It seeks within the open session if that
// has the moment, and opens another one otherwise. A recording that has played to its end continues with what came after
// it, up to live.
import { signal } from '@preact/signals';
import { isAborted, isForbidden, isNetworkError, words } from '../api/errors';
import { noteError } from '../api/session';
import { returns } from '../api/transport';
import type { Clock } from '../timeline/address';
import type { Source } from '../timeline/coverage';
import { firstFrom, lastBefore } from '../timeline/edges';
import type { Range } from '../timeline/scale';
import { beginDate, dateAt, endDate, timeOf } from './dates';
import { Engine, type Trouble } from './engine';
import { loadHls } from './hls';
import { datesOf, isNothing, openLive, openRecording, type Opened, receives, serverNow } from './sessions';

/** What the player does, for the line of words and the buttons. */
export type State =
  | { kind: 'loading' | 'playing' | 'paused' | 'waiting' | 'nothing' }
  | { kind: 'silent'; since: number | undefined } // the camera sends no more; the last picture's date
  | { kind: 'end'; at: number | undefined } // nothing was recorded after it
  | { kind: 'away' | 'closed' | 'failed'; text: string };

const LIVE_REACH = 60_000; // moments no older than this are looked for in a live session first
const RECORDED_FRAGMENTS = 1_000;
const LONGEST = 20_000; // a fragment lasts no longer
const MAX_RANGE = 24 * 3_600_000; // of a session
const REST = 120; // milliseconds that a wish must last before a session is opened for it
const STEPS = 8; // steps that may wait: a key that is held down asks for more than can be shown
// Seconds. Browsers round times to microseconds, and the moment before a segment is another picture; before the first one of
// a live playlist hls.js looks for nothing, and the video seeks for ever.
const ROUNDING = 0.000_01;
const AGAIN = 5_000; // milliseconds until a silent camera is looked at again
const CLOSED_AGAIN = 60_000; // a session that others close sooner is opened again only by the user

// A session, and where in it to begin, the player's seconds; at its live edge where that is not said.
interface Ready {
  opened: Opened;
  begin?: number;
}

/** How much a player takes. */
export interface Size {
  /** How many fragments a live session lists: moments within them need no other session. */
  fragments: number;
  /** It is the picture of the page, and not one of many. */
  full: boolean;
  /** It plays parts of fragments as they come in, which takes a connection of its own. */
  parts: boolean;
}

/** The one picture of a page. */
export const FULL: Size = { fragments: 300, full: true, parts: true };

export class Player {
  readonly state = signal<State>({ kind: 'loading' });
  /** The date of the picture that is shown, milliseconds since 1970. */
  readonly position = signal<number | undefined>(undefined);
  /** It follows the camera, or will as soon as there is a picture. */
  readonly live = signal(true);
  /** From the camera's clock to the screen, seconds. */
  readonly latency = signal<number | undefined>(undefined);
  readonly paused = signal(false);
  readonly speed = signal(1);
  readonly range = signal<(Range & { loop: boolean }) | undefined>(undefined);
  /** It plays, and there is no picture to it. */
  readonly soundOnly = signal(false);
  /** Nothing was recorded at the moment asked for: the picture is what came next. */
  readonly missed = signal(false);

  private engine: Engine | undefined;
  private opened: Opened | undefined;
  private opening = new AbortController();
  private target: number | undefined; // what was asked for last, until it is shown
  private wish = 0; // timer of a session to be opened
  private pending = false; // another session is to be opened: what is shown is not what was asked for
  private closedAt = -Infinity;
  private readonly timer: number;
  private readonly stops: (() => void)[] = [];
  private shown = 0; // media time of the picture that was last seen on the screen, seconds
  private current = false; // whether it still is: nothing was sought since
  private steps = Promise.resolve(); // one after another: each begins at the picture that the last one showed
  private waiting = 0; // steps that were asked for and are not done
  private walk = 0; // grows when something else is asked for: the steps before it are not done any more
  private over = false;
  private suspended = false; // nobody looks

  constructor(readonly video: HTMLVideoElement, private readonly still: HTMLCanvasElement,
    readonly stream: string, readonly clock: Clock, private readonly source: Source,
    private readonly size: Size = FULL) {
    this.timer = setInterval(() => this.tick(), 250) as unknown as number;
    const on = (event: string, f: () => void): void => {
      video.addEventListener(event, f);
      this.stops.push(() => video.removeEventListener(event, f));
    };
    for (const event of ['playing', 'waiting', 'pause', 'play', 'seeked', 'ratechange']) on(event, () => this.tick());
    on('ended', () => this.goOn());
    // a new session's element may begin at its own speed
    on('loadeddata', () => { video.playbackRate = this.speed.peek(); });
    // a tab that is closed needs no session; one that the browser keeps and shows again opens another
    const leave = (): void => this.opened?.close();
    addEventListener('pagehide', leave);
    this.stops.push(() => removeEventListener('pagehide', leave));
    this.stops.push(returns.subscribe((n) => { if (n > 0 && !this.engine && !this.suspended) this.reopen(); }));
    this.watchPictures();
  }

  private watchPictures(): void {
    const { video } = this;
    if (!('requestVideoFrameCallback' in video)) return;
    let handle = 0;
    const sought = (): void => { this.current = false; };
    video.addEventListener('seeking', sought);
    this.stops.push(() => video.removeEventListener('seeking', sought));
    const seen = (_: number, picture: { mediaTime: number }): void => {
      this.shown = picture.mediaTime;
      this.current = !video.seeking;
      if (!this.opening.signal.aborted || this.engine) this.still.hidden = true;
      this.moved();
      handle = video.requestVideoFrameCallback(seen);
    };
    handle = video.requestVideoFrameCallback(seen);
    this.stops.push(() => video.cancelVideoFrameCallback(handle));
  }

  /** Shows what the camera sends now. */
  goLive(): void {
    this.suspended = false;
    this.range.value = undefined;
    this.missed.value = false;
    this.live.value = true;
    this.target = undefined;
    this.setSpeed(1);
    this.play();
    const at = this.engine?.live ? this.engine.liveTime : undefined;
    if (at !== undefined) this.video.currentTime = at;
    else this.openSoon(0);
  }

  /** Shows a moment, and stays paused or playing as it is. */
  seek(at: number): void {
    this.walk += 1;
    this.live.value = false;
    this.missed.value = false;
    this.engine?.catchUp(false);
    this.target = at;
    this.position.value = at;
    if (this.seekInside(at)) {
      clearTimeout(this.wish);
      this.pending = false;
      return;
    }
    this.openSoon(REST);
  }

  // Seeks in the session that is open, if the moment is in it.
  private seekInside(at: number): boolean {
    const { engine } = this;
    if (!engine?.ready) return false;
    const time = timeOf(engine.segments, at);
    if (time === undefined) return false;
    this.video.currentTime = time + ROUNDING;
    return true;
  }

  play(): void {
    this.walk += 1;
    const { engine } = this;
    const at = this.position.peek();
    const begin = engine && beginDate(engine.segments);
    // a live session slides on while one pauses
    if (engine?.live && !this.live.peek() && at !== undefined && begin !== undefined && at < begin) this.seek(at);
    this.paused.value = false;
    this.video.play().catch(() => {
      // without a gesture browsers start silent pictures only
      if (!this.video.muted && this.video.readyState > 1 && !this.over) {
        this.video.muted = true;
        this.video.play().catch(() => {});
      }
    });
  }

  pause(): void {
    this.paused.value = true;
    this.live.value = false;
    this.engine?.catchUp(false);
    this.video.pause();
  }

  toggle(): void {
    if (this.paused.peek()) this.play();
    else this.pause();
  }

  setSpeed(speed: number): void {
    if (speed !== 1) this.live.value = this.live.peek() && speed > 1;
    this.speed.value = speed;
    this.video.playbackRate = speed;
  }

  /** Shows the next picture (1) or the one before (-1), paused. */
  step(direction: 1 | -1): void {
    this.pause();
    if (this.waiting === STEPS) return;
    this.waiting += 1;
    const { walk } = this;
    const over = (): boolean => this.over || this.walk !== walk;
    this.steps = this.steps.then(() => this.stepOnce(direction, over)).finally(() => { this.waiting -= 1; });
  }

  private async stepOnce(direction: 1 | -1, over: () => boolean): Promise<void> {
    const { engine, video } = this;
    if (!engine || over()) return;
    if (!this.current) await this.seekTo(video.currentTime);
    const from = this.shown || video.currentTime;
    const frame = engine.frame;
    for (let n = 1; n <= 25; n += 1) {
      const time = from + (direction > 0 ? n + 0.5 : 0.5 - n) * frame;
      if (time < 0 || over()) return;
      await this.seekTo(time);
      if (Math.abs(this.shown - from) > frame / 4) return;
    }
  }

  // Resolves once the picture of a media time is on the screen.
  private seekTo(time: number): Promise<void> {
    return new Promise((resolve) => {
      const { video } = this;
      const done = (): void => {
        clearTimeout(timer);
        video.removeEventListener('seeked', painted);
        this.current = !video.seeking;
        resolve();
      };
      // The callback of the new picture comes after the end of the seek, and not at all for the same picture.
      const painted = (): void => { setTimeout(done, 500); };
      const timer = setTimeout(done, 3_000);
      video.addEventListener('seeked', painted);
      if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(() => { setTimeout(done); });
      video.currentTime = time;
    });
  }

  /** Plays a range, once or again and again. */
  playRange(range: Range, loop: boolean): void {
    this.seek(range.start);
    this.range.value = { ...range, loop };
    this.play();
  }

  /** Lets go of the session while nobody looks; the last picture stays. goLive goes on. */
  suspend(): void {
    if (this.suspended) return;
    this.suspended = true;
    clearTimeout(this.wish);
    this.freeze();
    this.drop();
    this.state.value = { kind: 'paused' };
  }

  destroy(): void {
    this.over = true;
    clearInterval(this.timer);
    clearTimeout(this.wish);
    for (const stop of this.stops) stop();
    this.drop();
  }

  private drop(): void {
    this.opening.abort();
    this.engine?.destroy();
    this.engine = undefined;
    this.opened?.close();
    this.opened = undefined;
  }

  // With again, the page keeps what it says until there is something to show.
  private openSoon(after: number, again = false): void {
    clearTimeout(this.wish);
    this.pending = true;
    this.wish = setTimeout(() => { void this.open(again); }, after) as unknown as number;
  }

  private reopen(): void {
    if (this.over) return;
    this.target ??= this.live.peek() ? undefined : this.position.peek();
    this.openSoon(0);
  }

  // Keeps the picture on the screen while another session is opened.
  private freeze(): void {
    const { video, still } = this;
    if (video.readyState < 2 || !video.videoWidth) return;
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext('2d')!.drawImage(video, 0, 0);
    still.hidden = false;
  }

  private async open(again: boolean): Promise<void> {
    const at = this.target;
    this.freeze();
    this.drop();
    this.opening = new AbortController();
    const { signal } = this.opening;
    if (!again) this.state.value = { kind: 'loading' };
    try {
      const nothing = again && !await this.goesOn(at, signal);
      if (signal.aborted || this.over) return;
      if (nothing) {
        this.openSoon(AGAIN, true);
        return;
      }
      const Hls = await loadHls();
      const ready = await this.sessionFor(at, signal);
      if (!ready) return;
      if (signal.aborted || this.over) ready.opened.close();
      else this.show(Hls, ready);
    } catch (error) {
      if (signal.aborted || isAborted(error)) return;
      noteError(error);
      this.state.value = isNetworkError(error)
        ? { kind: 'away', text: words(error) } : { kind: 'failed', text: words(error) };
    }
  }

  // Whether there may be something to show now: the camera sends, or something was recorded at a moment or later.
  private async goesOn(at: number | undefined, signal: AbortSignal): Promise<boolean> {
    if (at === undefined) return await receives(this.stream, signal) !== false;
    return await firstFrom(this.source, at, serverNow(), signal) !== undefined;
  }

  // A session that has the moment, or what came next; undefined, with the state said, when there is none.
  private async sessionFor(at: number | undefined, signal: AbortSignal): Promise<Ready | undefined> {
    const now = serverNow();
    if (at === undefined || at > now - LIVE_REACH) {
      const found = await this.liveFrom(at, signal);
      if (found) return found;
      if (at === undefined) {
        this.state.value = await this.silence(now, signal);
        this.openSoon(AGAIN, true);
        return undefined;
      }
    }
    const found = await this.recordedFrom(at, now, signal);
    if (found) return found;
    const next = await firstFrom(this.source, at, now, signal);
    if (next) return this.recordedFrom(next.start, now, signal);
    const last = await lastBefore(this.source, at, signal);
    this.state.value = { kind: 'end', at: last && last.start + last.length };
    this.openSoon(AGAIN, true); // it may go on
    return undefined;
  }

  // The state of a camera that does not send: since when, unless the user may not list what was recorded.
  private async silence(now: number, signal: AbortSignal): Promise<State> {
    try {
      const last = await lastBefore(this.source, now + MAX_RANGE, signal);
      const since = last && last.start + last.length;
      const shown = this.position.peek();
      if (shown !== undefined && shown < (since ?? Infinity) - LIVE_REACH) { // the picture is of another time than that
        this.position.value = undefined;
        this.still.hidden = true;
      }
      return since === undefined ? { kind: 'nothing' } : { kind: 'silent', since };
    } catch (error) {
      if (isForbidden(error)) return { kind: 'silent', since: undefined };
      throw error;
    }
  }

  // A live session, if the camera sends, and the moment is not before what it lists.
  private async liveFrom(at: number | undefined, signal: AbortSignal): Promise<Ready | undefined> {
    try {
      const opened = await openLive(this.stream, this.clock, this.size.fragments, signal);
      if (at === undefined) return { opened };
      const segments = await datesOf(opened.url, signal);
      const begin = timeOf(segments, at);
      if (begin !== undefined) return { opened, begin };
      if (at >= (endDate(segments) ?? Infinity)) {
        this.target = undefined;
        this.live.value = true;
        return { opened };
      }
      opened.close();
      return undefined;
    } catch (error) {
      if (isNothing(error)) return undefined;
      throw error;
    }
  }

  // A recording that has the moment, or what came within a day after it.
  private async recordedFrom(at: number, now: number, signal: AbortSignal): Promise<Ready | undefined> {
    try {
      const opened = await openRecording(this.stream, this.clock, Math.max(at - LONGEST, 0),
        Math.min(at + MAX_RANGE - LONGEST, Math.max(now, at)), RECORDED_FRAGMENTS, signal);
      const segments = await datesOf(opened.url, signal);
      const begin = timeOf(segments, Math.max(at, beginDate(segments) ?? at));
      if (begin !== undefined) return { opened, begin };
      opened.close();
      return undefined;
    } catch (error) {
      if (isNothing(error)) return undefined;
      throw error;
    }
  }

  private show(Class: Awaited<ReturnType<typeof loadHls>>, { opened, begin }: Ready): void {
    this.opened = opened;
    this.pending = false;
    this.engine = new Engine(Class, this.video, opened.url, {
      live: opened.live,
      fullSize: this.size.full,
      parts: this.size.parts,
      begin,
      updated: () => this.tick(),
      trouble: (trouble) => this.troubled(trouble),
    });
    this.engine.catchUp(this.live.peek());
    if (!this.paused.peek()) this.play();
  }

  // A recording has been played to its end: what came after it is next.
  private goOn(): void {
    const end = this.engine?.end;
    if (this.over || this.engine?.live || end === undefined) return;
    this.target = end + 1;
    this.openSoon(0);
  }

  private troubled(trouble: Trouble | null): void {
    if (!trouble) {
      if (this.state.peek().kind === 'away') this.state.value = { kind: 'waiting' };
      return;
    }
    if (trouble.kind === 'closed' && performance.now() - this.closedAt > CLOSED_AGAIN) {
      this.closedAt = performance.now();
      this.opened = undefined; // there is nothing left to close
      this.reopen();
      return;
    }
    if (trouble.kind !== 'away') {
      this.freeze();
      this.engine?.destroy();
      this.engine = undefined;
      this.opened = undefined;
      this.latency.value = undefined;
    }
    this.state.value = trouble;
  }

  /** Opens the session again that was closed, or failed. */
  again(): void { this.reopen(); }

  private moved(): void {
    const { engine } = this;
    if (this.pending) return;
    const time = this.video.currentTime;
    // a picture stands from its own time on, which is what is shown of one that stands still
    const still = this.paused.peek() && Math.abs(this.shown - time) < 1;
    const date = engine && dateAt(engine.segments, still ? this.shown : time);
    if (!engine || date === undefined || this.video.readyState < 2) return;
    if (this.target !== undefined) {
      if (this.video.seeking) return;
      this.arrived(this.target, date);
      this.target = undefined;
    }
    this.position.value = date;
    const range = this.range.peek();
    if (range && !this.paused.peek() && date >= range.end) {
      if (range.loop) this.playRange(range, true);
      else {
        this.range.value = undefined;
        this.pause();
      }
    }
  }

  private arrived(asked: number, date: number): void {
    this.missed.value = date - asked > 2_500;
  }

  private tick(): void {
    const { engine, video } = this;
    if (this.over || !engine || this.pending) return;
    if (video.readyState >= 2) this.soundOnly.value = video.videoWidth === 0;
    this.moved();
    this.latency.value = engine.live && !this.paused.peek() ? engine.latency : undefined;
    if (engine.live && video.readyState >= 2 && engine.liveTime !== undefined) this.followLive(engine);
    const { kind } = this.state.peek();
    if (kind === 'away' || kind === 'closed' || kind === 'failed') return;
    if (this.paused.peek() && video.readyState > 0) this.say({ kind: 'paused' });
    else if (video.readyState < 3 && engine.silent) this.say({ kind: 'silent', since: engine.end });
    else if (video.readyState < 3 && kind !== 'loading') this.say({ kind: 'waiting' });
    else if (video.readyState >= 3 && !video.paused) this.say({ kind: 'playing' });
  }

  // Whether the picture is live: it becomes so when playback from earlier has caught up.
  private followLive(engine: Engine): void {
    const { behind } = engine;
    if (this.live.peek()) {
      if (this.speed.peek() !== 1 && behind < 1) this.setSpeed(1);
    } else if (!this.paused.peek() && !this.range.peek() && behind < 1 && this.target === undefined) {
      this.live.value = true;
      this.setSpeed(1);
    }
    engine.catchUp(this.live.peek() && this.speed.peek() === 1);
  }

  private say(state: State): void {
    const now = this.state.peek();
    if (now.kind !== state.kind || (now.kind === 'silent' && state.kind === 'silent' && now.since !== state.since)) {
      this.state.value = state;
    }
  }
}
