import { signal } from '@preact/signals';
import { words } from '../api/errors';
import { noteError } from '../api/session';
import { Button } from './button';

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const toasts = signal<Toast[]>([]);
const shownMillis = 6000;
let next = 0;

function dismiss(id: number) {
  toasts.value = toasts.value.filter((t) => t.id !== id);
}

/** Says what was done. The toast goes away by itself. */
export function say(text: string): void {
  next += 1;
  const id = next;
  toasts.value = [...toasts.value, { id, text, bad: false }];
  setTimeout(() => dismiss(id), shownMillis);
}

/** Says what could not be done, and why. It stays until it is dismissed. */
export function complain(error: unknown): void {
  noteError(error);
  next += 1;
  toasts.value = [...toasts.value.slice(-2), { id: next, text: words(error), bad: true }];
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((t) => (
        <div key={t.id} class={`toast ${t.bad ? 'bad' : ''}`}>
          <p class="grow">{t.text}</p>
          <Button label="Dismiss" icon="close" iconOnly kind="quiet" onClick={() => dismiss(t.id)} />
        </div>
      ))}
    </div>
  );
}
