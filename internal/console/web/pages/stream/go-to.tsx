// Goes to a moment that is typed, on the wall clock of the viewer's zone.
import { useSignal } from '@preact/signals';
import { instantOf, instantsOf, offsetName, type Wall, wallAt } from '../../timeline/zone';
import { Button } from '../../ui/button';

interface Props {
  zone: string;
  position: () => number | undefined;
  onGo: (at: number) => void;
}

const two = (n: number): string => String(n).padStart(2, '0');

// A moment as the field has it: 2026-11-28T14:05:03.
function fieldText(at: number, zone: string): string {
  const w = wallAt(at, zone);
  return `${String(w.year).padStart(4, '0')}-${two(w.month)}-${two(w.day)}T${two(w.hour)}:${two(w.minute)}:${two(w.second)}`;
}

function wallOf(text: string): Wall | undefined {
  const m = /^(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$/.exec(text);
  if (!m) return undefined;
  const [, year, month, day, hour, minute, second = '0', ms = '0'] = m;
  return {
    year: Number(year), month: Number(month), day: Number(day), hour: Number(hour), minute: Number(minute),
    second: Number(second), ms: Number(ms.padEnd(3, '0')),
  };
}

export function GoTo({ zone, position, onGo }: Props) {
  const text = useSignal('');
  const note = useSignal<{ text: string; other?: number }>({ text: '' });

  const submit = (e: Event): void => {
    e.preventDefault();
    const wall = wallOf(text.value);
    if (!wall) return;
    const [first, second] = instantsOf(wall, zone);
    if (first === undefined) {
      note.value = { text: 'The clock was put forward over that time. This is when it was.' };
      onGo(instantOf(wall, zone));
    } else {
      note.value = second === undefined ? { text: '' }
        : { text: `The clock showed that time twice. This is the first, ${offsetName(first, zone)}.`, other: second };
      onGo(first);
    }
  };
  const { other } = note.value;
  return (
    <form class="row go-to" onSubmit={submit}>
      <label class="row small">
        <span class="soft">Go to</span>
        <input class="input" type="datetime-local" step="1" required value={text.value}
          onFocus={() => { if (!text.peek()) text.value = fieldText(position() ?? Date.now(), zone); }}
          onInput={(e) => { text.value = e.currentTarget.value; }} />
      </label>
      <Button label="Go" type="submit" />
      {note.value.text && (
        <p class="small" role="status">
          {note.value.text}{' '}
          {other !== undefined && <Button label="Show the second" kind="quiet" onClick={() => onGo(other)} />}
        </p>
      )}
    </form>
  );
}
