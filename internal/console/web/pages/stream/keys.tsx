import { Dialog } from '../../ui/dialog';

const KEYS: [string, string][] = [
  ['Space, K', 'play or pause'],
  [', .', 'one picture back, on'],
  ['< >', 'slower, faster'],
  ['[ ]', 'previous, next gap'],
  ['L', 'live'],
  ['I O', 'begin, end of a range'],
  ['M', 'sound'],
  ['F', 'full screen'],
  ['← →', 'on the timeline: a small step; with Shift a range'],
  ['Page ↑ ↓', 'on the timeline: a large step'],
  ['+ −', 'on the timeline: closer, farther'],
  ['Home End', 'on the timeline: the oldest recording, live'],
  ['Esc', 'on the timeline: let go of the range'],
];

/** What the keys of the page do. */
export function Keys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}
      </dl>
    </Dialog>
  );
}
