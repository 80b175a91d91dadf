import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Button } from './button';

interface Props {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog: the browser keeps the focus in it, and Escape closes it. Its last child may be a footer. */
export function Dialog({ title, onClose, children }: Props) {
  const dialogRef = useRef<HTMLDialogElement>(null);
  const id = useId();

  useEffect(() => {
    const dialog = dialogRef.current!;
    const before = document.activeElement;
    dialog.showModal();
    // the browser takes the first button; on a touch screen a field would raise the keyboard over the dialog
    if (matchMedia('(pointer: fine)').matches) dialog.querySelector<HTMLElement>('.input')?.focus();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);

  return (
    <dialog ref={dialogRef} class="dialog" aria-labelledby={id} onCancel={(e) => { e.preventDefault(); onClose(); }}>
      <header>
        <h2 id={id}>{title}</h2>
        <Button label="Close" icon="close" iconOnly kind="quiet" onClick={onClose} />
      </header>
      {children}
    </dialog>
  );
}
