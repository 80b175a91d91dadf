// What can be done with a range that was chosen.
import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { isAborted, words } from '../../api/errors';
import { noteError } from '../../api/session';
import { type Clock, clipCommand, clipName } from '../../timeline/address';
import { isNothing } from '../../player/sessions';
import type { Range } from '../../timeline/scale';
import { FIELD_MAX, fieldText, momentOf } from '../../timeline/field';
import { setEnd } from '../../timeline/selection';
import { durationText } from '../../timeline/zone';
import { Button } from '../../ui/button';
import { copy } from '../../ui/copy';
import { bytes } from '../../ui/format';
import { Icon } from '../../ui/icon';
import { type Clip, clipOf } from './clips';

interface Props {
  stream: string;
  clock: Clock;
  zone: string;
  selection: Signal<Range | undefined>;
  /** What there is to choose from. */
  bounds: () => Range;
  looping: boolean;
  mayExport: boolean;
  onPlay: (range: Range, loop: boolean) => void;
  onLeave: () => void;
}

const REST = 500; // milliseconds that a range must stay before its size is asked for
const LONG = 2 * 3_600_000; // longer ones are made into a file only when that is asked for

export function SelectionBar({ stream, clock, zone, selection, bounds, looping, mayExport, onPlay, onLeave }: Props) {
  const range = selection.value;
  if (!range) return null;
  const set = (which: 'start' | 'end', text: string): void => {
    const at = momentOf(text, zone, range[which]);
    if (at !== undefined && at !== range[which]) selection.value = setEnd(range, which, at, bounds());
  };
  return (
    <section class="selection card" aria-label="The range that is chosen">
      <div class="row grow figures">
        <End label="From" at={range.start} zone={zone} onSet={(text) => set('start', text)} />
        <End label="To" at={range.end} zone={zone} onSet={(text) => set('end', text)} />
        <span class="soft">{durationText(range.end - range.start)}</span>
      </div>
      <div class="row">
        <Button label="Play" icon="play" onClick={() => onPlay(range, false)} />
        <Button label="Loop" aria-pressed={looping} onClick={() => onPlay(range, !looping)} />
        {mayExport && <Export stream={stream} clock={clock} range={range} />}
        <Button label="Copy link" icon="link" onClick={() => copy(location.href, 'The link is copied.')} />
        <Button label="Copy command" icon="copy"
          onClick={() => copy(clipCommand(stream, range, clock), 'The line for a terminal is copied.')} />
        <Button label="Let go of the range" icon="close" iconOnly kind="quiet" onClick={onLeave} />
      </div>
    </section>
  );
}

/** An end of the range. It is set when the field is left or Enter is pressed, since a half-typed time is another time. */
function End({ label, at, zone, onSet }: { label: string; at: number; zone: string; onSet: (text: string) => void }) {
  return (
    <label class="row small">
      <span class="soft">{label}</span>
      <input key={at} class="input" type="datetime-local" step="1" max={FIELD_MAX} defaultValue={fieldText(at, zone)}
        onBlur={(e) => onSet(e.currentTarget.value)}
        onKeyDown={(e) => { if (e.key === 'Enter') onSet(e.currentTarget.value); }} />
    </label>
  );
}

type Making = { state: 'idle' | 'making' } | { state: 'made'; clip: Clip } | { state: 'failed'; text: string };

async function make(stream: string, range: Range, clock: Clock, signal: AbortSignal): Promise<Making | undefined> {
  try {
    return { state: 'made', clip: await clipOf(stream, range, clock, signal) };
  } catch (error) {
    if (signal.aborted || isAborted(error)) return undefined;
    noteError(error);
    return { state: 'failed', text: isNothing(error) ? 'nothing was recorded in this range.' : words(error) };
  }
}

function Export({ stream, clock, range }: { stream: string; clock: Clock; range: Range }) {
  const making = useSignal<Making>({ state: 'idle' });
  const asked = useSignal(false);
  const { start, end } = range;
  const long = end - start > LONG;
  const wanted = asked.value;

  useEffect(() => {
    const abort = new AbortController();
    making.value = { state: 'idle' };
    if (long && !wanted) return undefined;
    const timer = setTimeout(() => {
      making.value = { state: 'making' };
      void make(stream, { start, end }, clock, abort.signal).then((made) => {
        if (made) making.value = made;
        return made;
      });
    }, long ? 0 : REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [stream, clock, start, end, long, wanted, making]);

  const now = making.value;
  if (now.state === 'made') {
    const { url, size } = now.clip;
    return (
      <a class="button primary" href={url} download={clipName(stream, range)}>
        <Icon name="export" /><span>Export MP4{size !== undefined && ` · ${bytes(size)}`}</span>
      </a>
    );
  }
  if (now.state === 'failed') return <p class="small note bad" role="status">No export: {now.text}</p>;
  return (
    <Button label={now.state === 'making' ? 'Making the file…' : 'Export MP4'} icon="export" kind="primary"
      disabled={!long || now.state === 'making'} onClick={() => { asked.value = true; }} />
  );
}
