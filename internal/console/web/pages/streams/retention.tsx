import { useId } from 'preact/hooks';
import { hours as inWords } from '../../ui/format';

const usual = [0, 24, 3 * 24, 7 * 24, 14 * 24, 30 * 24, 90 * 24, 365 * 24];

/** How long a stream keeps what it got. */
export function Retention({ hours, onChange }: { hours: number; onChange: (hours: number) => void }) {
  const id = useId();
  const all = usual.includes(hours) ? usual : [...usual, hours].toSorted((a, b) => a - b);
  return (
    <div class="field">
      <label htmlFor={id}>Keep recordings for</label>
      <select id={id} class="input" value={hours} onChange={(e) => onChange(Number(e.currentTarget.value))}>
        {all.map((h) => <option key={h} value={h}>{h === 0 ? 'nothing: live in memory only' : inWords(h)}</option>)}
      </select>
    </div>
  );
}
