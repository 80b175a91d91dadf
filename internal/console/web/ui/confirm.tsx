import type { ComponentChildren } from 'preact';
import { Button } from './button';
import { Dialog } from './dialog';
import { useSubmit } from './submit';

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
  const { wrong, busy, run: submit } = useSubmit();
  const confirmed = () => submit(async () => {
    await run();
    onClose();
  });
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack tight">
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        {children}
      </div>
      <footer>
        <Button label="Cancel" onClick={onClose} />
        <Button label={action} kind="danger primary" disabled={busy} onClick={confirmed} />
      </footer>
    </Dialog>
  );
}
