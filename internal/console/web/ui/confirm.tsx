import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { words } from '../api/errors';
import { Button } from './button';
import { Dialog } from './dialog';

interface Props {
  title: string;
  /** What the button does, in words. */
  action: string;
  children: ComponentChildren;
  onClose: () => void;
  /** Does it; the dialog stays open with the words of an error. */
  run: () => Promise<void>;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ title, action, children, onClose, run }: Props) {
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (error) {
      setWrong(words(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack tight">
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        {children}
      </div>
      <footer>
        <Button label="Cancel" onClick={onClose} />
        <Button label={action} kind="danger primary" disabled={busy} onClick={submit} />
      </footer>
    </Dialog>
  );
}
