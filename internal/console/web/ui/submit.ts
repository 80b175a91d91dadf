// What dialogs and forms do when they are sent off: once at a time, with the words of an error.
import { useState } from 'preact/hooks';
import { words } from '../api/errors';
import { complain, say } from './toast';

export interface Submit {
  /** Why it failed last time; '' at first. */
  wrong: string;
  /** It is being done, or was done: the dialog then closes. */
  busy: boolean;
  run: (call: () => Promise<void>) => Promise<void>;
}

/** Of a dialog, which closes when it is done. */
export function useSubmit(): Submit {
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const run = async (call: () => Promise<void>) => {
    setBusy(true);
    try {
      await call();
    } catch (error) {
      setWrong(words(error));
      setBusy(false);
    }
  };
  return { wrong, busy, run };
}

export interface Save {
  /** It is being saved. */
  busy: boolean;
  save: (event: Event, call: () => Promise<void>) => Promise<void>;
}

/** Of a form that stays: toasts say that it is saved, or why it is not. onDone is called in both cases. */
export function useSave(onDone: () => void): Save {
  const [busy, setBusy] = useState(false);
  const save = async (event: Event, call: () => Promise<void>) => {
    event.preventDefault();
    setBusy(true);
    try {
      await call();
      say('Saved.');
    } catch (error) {
      complain(error);
    }
    setBusy(false);
    onDone();
  };
  return { busy, save };
}
