// The timeline of a stream: a canvas that pointers, wheel and keys move, and a slider to who cannot see it.
import { effect, useComputed, useSignal, type ReadonlySignal, type Signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { serverNow } from '../player/sessions';
import { theme } from '../ui/theme';
import type { Coverage } from './coverage';
import { draw, paletteOf, type Palette, RULER } from './draw';
import { listen, type Target } from './gestures';
import { markAt, type Marks } from './marks';
import { runAt } from './runs';
import { type Range, reveal, ticks, type View, within } from './scale';
import { type Still, Stills } from './stills';
import { dateText, spokenTime, timeText } from './zone';

interface Props {
  label: string;
  zone: string;
  coverage: Coverage;
  marks: Marks;
  /** Rises with what of the coverage is known. */
  version: ReadonlySignal<number>;
  stills: Stills;
  /** Where the oldest recording begins. */
  begin: ReadonlySignal<number>;
  view: Signal<View>;
  position: ReadonlySignal<number | undefined>;
  selection: Signal<Range | undefined>;
  /** The picture moves by itself, so that the view goes with it. */
  moving: ReadonlySignal<boolean>;
  onSeek: (at: number, moving: boolean) => void;
  onLive: () => void;
}

/** How large the page's text is, to the size that the timeline is drawn for: wide screens have larger text. */
const unitOf = (): number => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1;

const REST = 90; // milliseconds without a move after which something is asked of the server
const AGAIN = 4_000; // milliseconds after which a view that still stands is asked for again
const SETTLED = 30_000; // milliseconds after which what is not listed was not recorded
const HELD = 4_000; // milliseconds that a view stays where the user put it

export function Timeline(props: Props) {
  const boxRef = useRef<HTMLDivElement>(null);
  const canvasRef = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const pointer = useSignal<{ at: number; x: number } | undefined>(undefined);
  const spoken = useSignal('');
  const size = useSignal({ width: 0, height: 0 });
  const { coverage, marks, view, zone } = props;

  // Drawing: once a frame at most, when something that is drawn changed.
  useLayoutEffect(() => {
    const box = boxRef.current!;
    const canvas = canvasRef.current!;
    const context = canvas.getContext('2d')!;
    let palette: Palette | undefined;
    let frame = 0;
    const paint = (): void => {
      frame = 0;
      const p = latest.current;
      const { width, height } = size.peek();
      if (!width) return;
      palette ??= paletteOf(box);
      const known = coverage.look(view.peek(), width);
      const unit = unitOf();
      draw(context, {
        view: view.peek(), width: width / unit, height: height / unit, ratio: devicePixelRatio * unit,
        ticks: ticks(view.peek(), width / unit, zone),
        runs: known.runs, marks: marks.look(view.peek()), unknown: known.unknown, selection: p.selection.peek(), position: p.position.peek(),
        now: serverNow(), pointer: pointer.peek()?.at, zone,
      }, palette);
    };
    const soon = (): void => { frame ||= requestAnimationFrame(paint); };
    const recolour = (): void => {
      palette = undefined;
      soon();
    };
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = box;
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
      size.value = { width, height };
      soon();
    });
    observer.observe(box);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', recolour);
    const stops = [
      effect(() => {
        const p = latest.current;
        void [view.value, p.position.value, p.selection.value, p.version.value, pointer.value, size.value];
        soon();
      }),
      effect(() => {
        void theme.value;
        recolour();
      }),
    ];
    const clock = setInterval(soon, 1000); // live moves on
    return () => {
      observer.disconnect();
      dark.removeEventListener('change', recolour);
      for (const stop of stops) stop();
      clearInterval(clock);
      cancelAnimationFrame(frame);
    };
  }, [coverage, marks, view, zone, size, pointer]);

  // Asking for what the view shows, when it has come to rest.
  useEffect(() => {
    let rest = 0;
    let again = 0;
    const want = (): void => {
      clearInterval(again);
      const ask = (): void => {
        if (document.hidden || !size.peek().width) return;
        coverage.want(view.peek(), size.peek().width);
        marks.want(view.peek());
      };
      ask();
      again = setInterval(ask, AGAIN) as unknown as number;
    };
    const stop = effect(() => {
      void [view.value, size.value];
      clearTimeout(rest);
      rest = setTimeout(want, REST) as unknown as number;
    });
    return () => {
      stop();
      clearTimeout(rest);
      clearInterval(again);
    };
  }, [coverage, marks, view, size]);

  // Gestures, and the view that goes with the picture.
  useEffect(() => {
    let touched = -Infinity; // when the user moved the view last
    const bounds = (): Range => ({ start: latest.current.begin.peek(), end: serverNow() });
    const say = (at: number): void => {
      const known = coverage.look(view.peek(), size.peek().width);
      const empty = at < serverNow() - SETTLED && !runAt(known.runs, at) && !runAt(known.unknown, at);
      const mark = markAt(marks.look(view.peek()), at, reachOf(view.peek(), size.peek().width));
      spoken.value = `${spokenTime(at, zone)}${empty ? ', nothing recorded' : ''}${mark ? `, ${mark.text}` : ''}`;
    };
    const target: Target = {
      width: () => Math.max(size.peek().width, 1),
      ruler: () => RULER * unitOf(),
      view: () => view.peek(),
      setView: (v) => {
        touched = performance.now();
        view.value = within(v, bounds());
      },
      selection: () => latest.current.selection.peek(),
      select: (range) => { latest.current.selection.value = range; },
      position: () => latest.current.position.peek(),
      bounds,
      seek: (at, moving) => {
        const inside = Math.min(Math.max(at, bounds().start), bounds().end);
        touched = -Infinity;
        say(inside);
        if (!moving) view.value = within(reveal(view.peek(), inside), bounds());
        latest.current.onSeek(inside, moving);
      },
      point: (at, x) => { pointer.value = at === undefined ? undefined : { at, x }; },
      live: () => {
        touched = -Infinity;
        latest.current.onLive();
        spoken.value = 'Live';
      },
    };
    const stopListening = listen(boxRef.current!, target);
    const stopFollowing = effect(() => {
      const p = latest.current;
      const at = p.position.value;
      if (at === undefined) return;
      // what moves by itself is not said again and again
      if (!p.moving.value || !spoken.peek()) say(at);
      if (!p.moving.value || performance.now() - touched < HELD) return;
      const now = view.peek();
      // a view from which the picture was moved away stays there
      if (at < now.start || at > now.start + now.span * 1.1) return;
      const next = reveal(now, at);
      if (next !== now) view.value = next;
    });
    return () => {
      stopListening();
      stopFollowing();
    };
  }, [coverage, marks, view, zone, size, pointer, spoken]);

  const seconds = useComputed(() => Math.round((latest.current.position.value ?? serverNow()) / 1000)).value;
  return (
    <div class="timeline">
      <div ref={boxRef} class="timeline-track" role="slider" tabIndex={0} aria-label={props.label}
        aria-valuemin={Math.round(props.begin.value / 1000)} aria-valuemax={Math.max(Math.round(serverNow() / 1000), seconds)}
        aria-valuenow={seconds} aria-valuetext={spoken.value || spokenTime(seconds * 1000, zone)}
        aria-describedby="timeline-help">
        <canvas ref={canvasRef} aria-hidden="true" />
      </div>
      <Preview pointer={pointer} stills={props.stills} marks={marks} view={view} size={size} zone={zone} />
      <p id="timeline-help" class="visually-hidden">
        Arrows move in time, with Shift they choose a range. Page keys move far, plus and minus zoom, End goes live.
      </p>
    </div>
  );
}

const MARK_PIXELS = 6; // around a mark, from where it is pointed at
const reachOf = (view: View, width: number): number => (view.span / Math.max(width, 1)) * MARK_PIXELS;

interface PreviewProps {
  pointer: ReadonlySignal<{ at: number; x: number } | undefined>;
  stills: Stills;
  marks: Marks;
  view: ReadonlySignal<View>;
  size: ReadonlySignal<{ width: number }>;
  zone: string;
}

const PREVIEW = 200; // its width, pixels

/** What was to be seen at the moment that is pointed at. */
function Preview({ pointer, stills, marks, view, size, zone }: PreviewProps) {
  const still = useSignal<Still | undefined>(undefined);
  const stale = useSignal(true);

  useEffect(() => {
    let timer = 0;
    const stop = effect(() => {
      const now = pointer.value;
      clearTimeout(timer);
      if (!now) {
        still.value = undefined;
        return;
      }
      const pixel = view.peek().span / Math.max(size.peek().width, 1);
      const known = stills.known(now.at, pixel);
      if (known) {
        still.value = known;
        stale.value = false;
        return;
      }
      stale.value = true;
      timer = setTimeout(() => {
        void stills.load(now.at, pixel).then((loaded) => {
          if (!loaded || !pointer.peek()) return undefined;
          still.value = loaded;
          stale.value = false;
          return loaded;
        });
      }, REST) as unknown as number;
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [stills, view, pointer, size, still, stale]);

  const now = pointer.value;
  if (!now) return null;
  const left = Math.min(Math.max(now.x, PREVIEW / 2), Math.max(size.value.width - PREVIEW / 2, PREVIEW / 2));
  const digits = view.value.span < 20_000 ? 2 : 0;
  const picture = still.value;
  const mark = markAt(marks.look(view.value), now.at, reachOf(view.value, size.value.width));
  return (
    <div class="timeline-preview" style={{ left: `${left}px`, width: `${PREVIEW}px` }} aria-hidden="true">
      {picture && 'url' in picture
        ? <img src={picture.url} alt="" class={stale.value ? 'stale' : ''} />
        : picture && <p class="small">{picture.reason}</p>}
      <p class="small figures">
        {view.value.span > 36 * 3_600_000 && `${dateText(now.at, zone)} `}{timeText(now.at, zone, digits)}
      </p>
      {mark && <p class="small mark">{mark.text}</p>}
    </div>
  );
}
