// What pointers, wheel and keys mean on a timeline. This code knows views and moments, and only the element that it
// listens to.
import { pan, pinch, stepFor, toTime, toX, type Range, type View, wheelFactor, zoom } from './scale';
import { between, handleAt, isDrag } from './selection';

/** What a timeline does for its gestures. */
export interface Target {
  width: () => number;
  /** Height of what is above the recordings, where a drag moves the view. */
  ruler: () => number;
  view: () => View;
  setView: (view: View) => void;
  selection: () => Range | undefined;
  select: (range: Range | undefined) => void;
  position: () => number | undefined;
  bounds: () => Range;
  /** Shows a moment; moving while more is to come. */
  seek: (at: number, moving: boolean) => void;
  /** The moment that is pointed at. */
  point: (at: number | undefined, x: number) => void;
  live: () => void;
}

const HANDLE = 9; // pixels around an end of the selection, or the playhead, that take it
const LONG_PRESS = 400; // milliseconds after which a finger chooses instead of moving the view

type Drag =
  | { kind: 'press'; x: number; timer: number; touch: boolean; ruler: boolean }
  | { kind: 'pan'; x: number; view: View }
  | { kind: 'scrub' }
  | { kind: 'select'; held: number }
  | { kind: 'pinch'; before: [number, number]; view: View };

/** Listens on an element until the function that it returns is called. */
export function listen(element: HTMLElement, target: Target): () => void {
  const pointers = new Map<number, number>(); // x of each that is down
  let drag: Drag | undefined;
  const xOf = (e: PointerEvent | WheelEvent): number => e.clientX - element.getBoundingClientRect().left;
  const at = (x: number): number => toTime(target.view(), target.width(), x);
  const place = (moment: number): number => toX(target.view(), target.width(), moment);

  const down = (e: PointerEvent): void => {
    if (e.button !== 0) return;
    element.setPointerCapture(e.pointerId);
    const x = xOf(e);
    pointers.set(e.pointerId, x);
    const touch = e.pointerType === 'touch';
    if (drag?.kind === 'press') clearTimeout(drag.timer);
    if (pointers.size > 2) return; // two fingers move it already
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      drag = { kind: 'pinch', before: [a!, b!], view: target.view() };
      return;
    }
    const chosen = target.selection();
    const reach = touch ? 2 * HANDLE : HANDLE;
    const end = chosen && handleAt(place(chosen.start), place(chosen.end), x, reach);
    const position = target.position();
    if (end && chosen) drag = { kind: 'select', held: end === 'start' ? chosen.end : chosen.start };
    else if (position !== undefined && Math.abs(place(position) - x) <= reach) drag = { kind: 'scrub' };
    else {
      const timer = touch ? setTimeout(() => {
        if (drag?.kind !== 'press') return;
        drag = { kind: 'select', held: at(drag.x) };
        navigator.vibrate?.(10);
      }, LONG_PRESS) as unknown as number : 0;
      drag = { kind: 'press', x, timer, touch, ruler: e.clientY - element.getBoundingClientRect().top < target.ruler() };
    }
  };

  const begin = (press: Drag & { kind: 'press' }): Drag => {
    clearTimeout(press.timer);
    return press.touch || press.ruler
      ? { kind: 'pan', x: press.x, view: target.view() } : { kind: 'select', held: at(press.x) };
  };

  const move = (e: PointerEvent): void => {
    const x = xOf(e);
    if (!drag && e.pointerType !== 'touch') target.point(at(x), x);
    if (!pointers.has(e.pointerId)) return;
    pointers.set(e.pointerId, x);
    if (drag?.kind === 'press') {
      if (!isDrag(drag.x, x)) return;
      drag = begin(drag);
    }
    switch (drag?.kind) {
      case 'pinch': {
        const [a, b] = [...pointers.values()];
        if (b !== undefined) target.setView(pinch(drag.view, target.width(), drag.before, [a!, b]));
        break;
      }
      case 'pan':
        target.setView(pan(drag.view, -((x - drag.x) / target.width()) * drag.view.span));
        break;
      case 'scrub':
        target.point(at(x), x);
        target.seek(at(x), true);
        break;
      case 'select':
        target.point(at(x), x);
        target.select(between(drag.held, at(x), target.bounds()));
        break;
      default:
    }
  };

  // When a finger is lifted, the others go on from where they are.
  const rest = (): Drag | undefined => {
    const [a, b] = [...pointers.values()];
    if (a === undefined) return undefined;
    return b === undefined ? { kind: 'pan', x: a, view: target.view() } : { kind: 'pinch', before: [a, b], view: target.view() };
  };

  const up = (e: PointerEvent): void => {
    if (!pointers.delete(e.pointerId)) return;
    const x = xOf(e);
    if (drag?.kind === 'press') {
      clearTimeout(drag.timer);
      if (e.type === 'pointerup') target.seek(at(drag.x), false);
    } else if (drag?.kind === 'scrub' && e.type === 'pointerup') target.seek(at(x), false);
    drag = drag?.kind === 'pinch' ? rest() : undefined;
    if (e.pointerType === 'touch') target.point(undefined, 0);
  };

  const leave = (): void => { if (!drag) target.point(undefined, 0); };

  const wheel = (e: WheelEvent): void => {
    e.preventDefault();
    const sideways = e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY);
    if (sideways) {
      const pixels = (Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : e.deltaY) * (e.deltaMode === 1 ? 16 : 1);
      target.setView(pan(target.view(), (pixels / target.width()) * target.view().span));
    } else {
      target.setView(zoom(target.view(), wheelFactor(e.deltaY, e.deltaMode), at(xOf(e))));
    }
    target.point(at(xOf(e)), xOf(e));
  };

  const key = (e: KeyboardEvent): void => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (keyed(e.key, e.shiftKey, target)) e.preventDefault();
  };

  element.addEventListener('pointerdown', down);
  element.addEventListener('pointermove', move);
  element.addEventListener('pointerup', up);
  element.addEventListener('pointercancel', up);
  element.addEventListener('pointerleave', leave);
  element.addEventListener('wheel', wheel, { passive: false });
  element.addEventListener('keydown', key);
  return () => {
    element.removeEventListener('pointerdown', down);
    element.removeEventListener('pointermove', move);
    element.removeEventListener('pointerup', up);
    element.removeEventListener('pointercancel', up);
    element.removeEventListener('pointerleave', leave);
    element.removeEventListener('wheel', wheel);
    element.removeEventListener('keydown', key);
  };
}

/** Does what a key means on a timeline that has the focus. Returns whether it means anything. */
export function keyed(key: string, shift: boolean, target: Target): boolean {
  const view = target.view();
  const bounds = target.bounds();
  const position = target.position() ?? bounds.end;
  const small = stepFor(view, target.width(), 24).size;
  const steps: Record<string, number> = {
    ArrowRight: small, ArrowUp: small, ArrowLeft: -small, ArrowDown: -small,
    PageUp: view.span * 0.8, PageDown: -view.span * 0.8,
  };
  const step = steps[key];
  if (step !== undefined) {
    const to = Math.min(Math.max(position + step, bounds.start), bounds.end);
    if (shift) {
      const chosen = target.selection();
      // the nearer end moves, and the other one stays
      const atStart = !!chosen && Math.abs(chosen.start - position) < Math.abs(chosen.end - position);
      const held = chosen ? (atStart ? chosen.end : chosen.start) : position;
      target.select(between(held, to, bounds));
    }
    if (step > 0 && to >= bounds.end && !shift) target.live();
    else target.seek(to, false);
    return true;
  }
  switch (key) {
    case '+': case '=': target.setView(zoom(view, 1 / 2, position)); return true;
    case '-': case '_': target.setView(zoom(view, 2, position)); return true;
    case 'Home': target.seek(bounds.start, false); return true;
    case 'End': target.live(); return true;
    case 'Escape':
      if (!target.selection()) return false;
      target.select(undefined);
      return true;
    default: return false;
  }
}
