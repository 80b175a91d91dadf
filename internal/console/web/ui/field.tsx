import type { ComponentChildren, TargetedInputEvent } from 'preact';
import { useId } from 'preact/hooks';

interface Props {
  label: string;
  /** An explanation, below the field. */
  hint?: ComponentChildren;
  value: string;
  onInput: (event: TargetedInputEvent<HTMLInputElement>) => void;
  name?: string;
  type?: 'text' | 'password' | 'search';
  required?: boolean;
  autocomplete?: string;
  pattern?: string;
  placeholder?: string;
  maxLength?: number;
}

/** A line of text with its label. */
export function Field({ label, hint, type = 'text', ...input }: Props) {
  const id = useId();
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      <input {...input} type={type as 'text'} id={id} class="input" spellcheck={false} autocapitalize="off"
        aria-describedby={hint ? `${id}-hint` : undefined} />
      {hint && <p id={`${id}-hint`} class="small soft">{hint}</p>}
    </div>
  );
}
