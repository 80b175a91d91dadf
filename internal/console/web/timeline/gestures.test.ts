import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { keyed, listen, type Target } from './gestures';
import { type Range, toTime, type View } from './scale';

// A timeline of 1000 pixels and 1000 seconds, without a browser: what its gestures did to it.
class Line implements Target {
  current: View = { start: 0, span: 1_000_000 };
  chosen: Range | undefined;
  picture: number | undefined = 900_000;
  sought: [at: number, moving: boolean][] = [];
  wentLive = 0;
  width = () => 1000;
  ruler = () => 40;
  view = () => this.current;
  setView = (view: View) => { this.current = view; };
  selection = () => this.chosen;
  select = (range: Range | undefined) => { this.chosen = range; };
  position = () => this.picture;
  bounds = () => ({ start: 0, end: 1_000_000 });
  seek = (at: number, moving: boolean) => { this.sought.push([at, moving]); };
  point = () => {};
  live = () => { this.wentLive += 1; };
}

class Track extends EventTarget {
  getBoundingClientRect = () => ({ left: 0, top: 0 });
  setPointerCapture = () => {};
  fire(type: string, x: number, more: object = {}): Event {
    const event = Object.assign(new Event(type, { cancelable: true }),
      { clientX: x, clientY: 80, pointerId: 1, pointerType: 'touch', button: 0, deltaX: 0, deltaY: 0, deltaMode: 0, shiftKey: false, ...more });
    this.dispatchEvent(event);
    return event;
  }
}

if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: {} }); // node has one from 21 on, read-only

let line: Line;
let track: Track;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  line = new Line();
  track = new Track();
  listen(track as unknown as HTMLElement, line);
});
afterEach(() => mock.timers.reset());

test('a tap shows the moment, a swipe moves the view, and a gesture that the browser takes does nothing', () => {
  track.fire('pointerdown', 300);
  track.fire('pointerup', 300);
  assert.deepEqual(line.sought, [[300_000, false]]);
  track.fire('pointerdown', 300);
  track.fire('pointermove', 200);
  track.fire('pointerup', 200);
  assert.deepEqual([line.current.start, line.sought.length, line.chosen], [100_000, 1, undefined]);
  track.fire('pointerdown', 300);
  track.fire('pointercancel', 300); // the page is scrolled
  assert.equal(line.sought.length, 1);
});

test('two fingers zoom about what is between them, the one that is left moves on, and a third one changes nothing', () => {
  track.fire('pointerdown', 400);
  track.fire('pointerdown', 600, { pointerId: 2 });
  track.fire('pointermove', 300);
  track.fire('pointermove', 700, { pointerId: 2 });
  assert.equal(line.current.span, 500_000);
  assert.equal(toTime(line.current, 1000, 500), 500_000);
  track.fire('pointerdown', 50, { pointerId: 3 });
  track.fire('pointermove', 90, { pointerId: 3 });
  assert.equal(line.current.span, 500_000);
  track.fire('pointerup', 90, { pointerId: 3 });
  track.fire('pointerup', 300);
  const { start } = line.current;
  track.fire('pointermove', 600, { pointerId: 2 });
  assert.equal(line.current.start, start + 50_000);
  track.fire('pointerup', 600, { pointerId: 2 });
  assert.deepEqual([line.sought, line.chosen], [[], undefined]);
});

test('a finger that rests chooses, and the ends of what is chosen are taken', () => {
  track.fire('pointerdown', 300);
  mock.timers.tick(500);
  track.fire('pointermove', 500);
  track.fire('pointerup', 500);
  assert.deepEqual(line.chosen, { start: 300_000, end: 500_000 });
  track.fire('pointerdown', 512); // beside its end
  track.fire('pointermove', 600);
  track.fire('pointerup', 600);
  assert.deepEqual(line.chosen, { start: 300_000, end: 600_000 });
  assert.deepEqual([line.sought, line.current.start], [[], 0]);
});

test('a mouse chooses by dragging, moves the view on the ruler, and takes the picture along', () => {
  const mouse = { pointerType: 'mouse' };
  track.fire('pointerdown', 100, mouse);
  track.fire('pointermove', 200, mouse);
  track.fire('pointerup', 200, mouse);
  assert.deepEqual(line.chosen, { start: 100_000, end: 200_000 });
  track.fire('pointerdown', 500, { ...mouse, clientY: 10 });
  track.fire('pointermove', 400, { ...mouse, clientY: 10 });
  track.fire('pointerup', 400, { ...mouse, clientY: 10 });
  assert.equal(line.current.start, 100_000);
  track.fire('pointerdown', 800, mouse); // where the picture is now
  track.fire('pointermove', 700, mouse);
  track.fire('pointerup', 650, mouse);
  assert.deepEqual(line.sought, [[800_000, true], [750_000, false]]);
});

test('a wheel zooms at the pointer, and sideways it moves', () => {
  assert.ok(track.fire('wheel', 250, { deltaY: -100 }).defaultPrevented);
  assert.ok(line.current.span < 1_000_000 && Math.abs(toTime(line.current, 1000, 250) - 250_000) < 1);
  const { start, span } = line.current;
  track.fire('wheel', 250, { deltaX: 100 });
  assert.ok(Math.abs(line.current.start - start - span / 10) < 1);
  assert.equal(line.current.span, span);
  track.fire('wheel', 250, { deltaY: 100, shiftKey: true });
  assert.equal(line.current.span, span);
});

test('keys do all that pointers do', () => {
  line.picture = 500_000;
  for (const key of ['ArrowRight', 'ArrowLeft', 'PageUp', 'Home']) assert.ok(keyed(key, false, line), key);
  assert.deepEqual(line.sought.map(([at]) => at), [530_000, 470_000, 0]);
  assert.equal(line.wentLive, 1, 'past the end is live');
  keyed('End', false, line);
  assert.equal(line.wentLive, 2);
  keyed('ArrowRight', true, line);
  assert.deepEqual(line.chosen, { start: 500_000, end: 530_000 });
  assert.ok(keyed('Escape', false, line) && line.chosen === undefined);
  assert.ok(!keyed('Escape', false, line), 'then Escape is for others');
  keyed('+', false, line);
  assert.deepEqual(line.current, { start: 250_000, span: 500_000 });
  assert.ok(!keyed('Tab', false, line) && !keyed('x', false, line));
});
