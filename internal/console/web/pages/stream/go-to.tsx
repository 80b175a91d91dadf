// Goes to a moment that is typed, on the wall clock of the viewer's zone.
import { useSignal } from '@preact/signals';
import { FIELD_MAX, fieldText, wallOf } from '../../timeline/field';
import { instantOf, instantsOf, offsetName } from '../../timeline/zone';
import { Button } from '../../ui/button';

interface Props {
  zone: string;
  position: () => number | undefined;
  onGo: (at: number) => void;
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
        <span class="visually-hidden">Moment</span>
        <input class="input" type="datetime-local" step="1" max={FIELD_MAX} required value={text.value}
          onFocus={() => { if (!text.peek()) text.value = fieldText(position() ?? Date.now(), zone); }}
          onInput={(e) => { text.value = e.currentTarget.value; }} />
      </label>
      <Button label="Go" title="Go to the moment" type="submit" />
      {note.value.text && (
        <p class="small" role="status">
          {note.value.text}{' '}
          {other !== undefined && <Button label="Show the second" kind="quiet" onClick={() => onGo(other)} />}
        </p>
      )}
    </form>
  );
}
