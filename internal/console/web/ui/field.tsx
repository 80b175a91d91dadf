import type { ComponentChildren, TargetedInputEvent } from 'preact';
import { useId } from 'preact/hooks';

interface Props {
  label: string;
  /** What is meant, below the field. */
  hint?: ComponentChildren;
  /** What is wrong with it; '' while nothing is. */
  wrong?: string;
  value: string;
  onInput: (event: TargetedInputEvent<HTMLInputElement>) => void;
  name?: string;
  type?: 'text' | 'password' | 'search' | 'number' | 'datetime-local';
  required?: boolean;
  autocomplete?: string;
  pattern?: string;
  placeholder?: string;
  min?: number;
  max?: number;
  maxLength?: number;
}

/** A line of text with its label. */
export function Field({ label, hint, wrong = '', type = 'text', ...input }: Props) {
  const id = useId();
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      <input {...input} type={type as 'text'} id={id} class="input" spellcheck={false} autocapitalize="off" aria-invalid={wrong !== ''}
        aria-describedby={hint || wrong ? `${id}-hint` : undefined} />
      {(hint || wrong) && <p id={`${id}-hint`} class="small soft">{wrong || hint}</p>}
    </div>
  );
}
