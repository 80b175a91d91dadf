import { useState } from 'preact/hooks';
import { Button } from '../../ui/button';
import { Field } from '../../ui/field';

interface Props {
  /** What is done with it, in a word. */
  action: string;
  onName: (name: string) => void;
}

/** Asks for the name of a stream, from users who may not list streams. */
export function ByName({ action, onName }: Props) {
  const [name, setName] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    onName(name);
    setName('');
  };
  return (
    <form class="row by-name" onSubmit={submit}>
      <Field label="Name of a stream" required maxLength={256} pattern="[a-zA-Z0-9_.\-]+" value={name} onInput={(e) => setName(e.currentTarget.value)} />
      <Button type="submit" kind="primary" label={action} />
    </form>
  );
}
