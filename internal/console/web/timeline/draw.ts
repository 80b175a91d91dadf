// Draws a timeline: ticks above, below them what was recorded and marked, what is chosen, and where the picture is.
import type { Mark } from './marks';
import { heading, type Range, type Tick, toX, type View } from './scale';

export interface Palette {
  ink: string;
  soft: string;
  line: string;
  sunken: string;
  surface: string;
  accent: string;
  accentSoft: string;
  covered: string;
  bad: string;
  mark: string;
  font: string;
}

export interface Picture {
  view: View;
  width: number; // CSS pixels
  height: number;
  ratio: number; // device pixels to one
  ticks: Tick[];
  runs: Range[];
  marks: readonly Mark[];
  unknown: Range[];
  selection: Range | undefined;
  position: number | undefined;
  now: number; // where live is
  pointer: number | undefined; // the moment that is pointed at
  zone: string;
}

export const RULER = 42; // height of the heading and the ticks, pixels
const BAND = 6; // around what was recorded

/** The colours of an element, as its style sheet has them. */
export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  // custom properties keep light-dark(); a resolved colour is asked of a real property
  const probe = document.createElement('span');
  element.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    ink: colour('--ink'), soft: colour('--soft'), line: colour('--line'), sunken: colour('--sunken'),
    surface: colour('--surface'), accent: colour('--accent'), accentSoft: colour('--accent-soft'),
    covered: colour('--covered'), bad: colour('--bad'), mark: colour('--mark'), font: style.fontFamily,
  };
  probe.remove();
  return palette;
}

/** The moment's place, on a whole device pixel. */
const snap = (x: number, ratio: number): number => Math.round(x * ratio) / ratio;

export function draw(context: CanvasRenderingContext2D, p: Picture, colours: Palette): void {
  const { view, width, height, ratio } = p;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const x = (at: number): number => snap(toX(view, width, at), ratio);
  const top = RULER + BAND;
  const bottom = height - BAND;

  context.fillStyle = colours.sunken;
  context.fillRect(0, RULER, width, height - RULER);
  drawUnknown(context, p, colours, top, bottom);
  context.fillStyle = colours.covered;
  for (const run of p.runs) {
    const from = Math.max(x(run.start), -1);
    const to = Math.min(x(run.end), width + 1);
    if (to >= -1 && from <= width) context.fillRect(from, top, Math.max(to - from, 1), bottom - top);
  }
  const live = x(p.now);
  if (live < width) { // what is still to come
    context.fillStyle = colours.surface;
    context.globalAlpha = 0.7;
    context.fillRect(Math.max(live, 0), RULER, width - Math.max(live, 0), height - RULER);
    context.globalAlpha = 1;
  }
  drawMarks(context, p, colours, x, bottom);
  drawSelection(context, p, colours, x);
  drawRuler(context, p, colours, x);
  if (p.pointer !== undefined) {
    context.fillStyle = colours.soft;
    context.fillRect(x(p.pointer), RULER, 1, height - RULER);
  }
  if (p.position !== undefined) drawPlayhead(context, p, colours, x(p.position));
}

// What is not known yet is hatched.
function drawUnknown(context: CanvasRenderingContext2D, p: Picture, colours: Palette, top: number, bottom: number): void {
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  for (const part of p.unknown) {
    const from = Math.max(toX(p.view, p.width, part.start), 0);
    const to = Math.min(toX(p.view, p.width, part.end), p.width);
    if (to <= from) continue;
    context.save();
    context.beginPath();
    context.rect(from, top, to - from, bottom - top);
    context.clip();
    context.beginPath();
    for (let at = Math.floor(from / 8) * 8 - (bottom - top); at < to; at += 8) {
      context.moveTo(at, bottom);
      context.lineTo(at + bottom - top, top);
    }
    context.stroke();
    context.restore();
  }
}

// A mark is a small flag at the lower edge; those that would touch are one.
function drawMarks(context: CanvasRenderingContext2D, p: Picture, colours: Palette, x: (at: number) => number, bottom: number): void {
  context.fillStyle = colours.mark;
  context.strokeStyle = colours.sunken;
  context.lineWidth = 1;
  let last = -Infinity;
  for (const mark of p.marks) {
    const at = x(mark.at);
    if (at - last < 4) continue;
    last = at;
    context.beginPath();
    context.roundRect(at - 2, bottom - 12, 4, 16, 2);
    context.fill();
    context.stroke();
  }
}

function drawSelection(context: CanvasRenderingContext2D, p: Picture, colours: Palette, x: (at: number) => number): void {
  if (!p.selection) return;
  const [from, to] = [x(p.selection.start), x(p.selection.end)];
  context.fillStyle = colours.accent;
  context.globalAlpha = 0.28;
  context.fillRect(from, RULER, to - from, p.height - RULER);
  context.globalAlpha = 1;
  for (const at of [from, to]) {
    context.fillRect(at - 1, RULER, 2, p.height - RULER);
    context.beginPath();
    context.roundRect(at - 4, (RULER + p.height) / 2 - 9, 8, 18, 4);
    context.fill();
  }
}

function drawRuler(context: CanvasRenderingContext2D, p: Picture, colours: Palette, x: (at: number) => number): void {
  context.textBaseline = 'alphabetic';
  context.textAlign = 'left';
  context.font = `12px ${colours.font}`;
  context.fillStyle = colours.soft;
  context.fillText(heading(p.view, p.zone), 8, 14);
  context.textAlign = 'center';
  for (const tick of p.ticks) {
    const at = x(tick.at);
    context.fillStyle = tick.label ? colours.soft : colours.line;
    context.fillRect(at, RULER - (tick.label ? 7 : 4), 1, tick.label ? 7 : 4);
    if (!tick.label) continue;
    context.fillStyle = tick.strong ? colours.ink : colours.soft;
    context.font = `${tick.strong ? '600 ' : ''}12px ${colours.font}`;
    const half = context.measureText(tick.label).width / 2;
    if (at - half >= 2 && at + half <= p.width - 2) context.fillText(tick.label, at, RULER - 11); // whole, or not at all
  }
}

function drawPlayhead(context: CanvasRenderingContext2D, p: Picture, colours: Palette, at: number): void {
  if (at < -8 || at > p.width + 8) return;
  context.fillStyle = colours.bad;
  context.fillRect(at - 1, RULER - 4, 2, p.height - RULER + 4);
  context.beginPath();
  context.moveTo(at - 6, RULER - 8);
  context.lineTo(at + 6, RULER - 8);
  context.lineTo(at + 6, RULER - 3);
  context.lineTo(at, RULER + 4);
  context.lineTo(at - 6, RULER - 3);
  context.closePath();
  context.fill();
}
