// What a dialog does when it is sent off: once at a time, with the words of an error.
import { useState } from 'preact/hooks';
import { words } from '../api/errors';

export interface Submit {
  /** Why it failed last time; '' at first. */
  wrong: string;
  /** It is being done, or was: a dialog that did it closes. */
  busy: boolean;
  run: (call: () => Promise<void>) => Promise<void>;
}

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
