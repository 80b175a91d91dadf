// Asking for something and showing what came: the one hook with which pages load.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isAborted, isNetworkError } from './errors';
import { noteError } from './session';
import { returns } from './transport';

export interface Query<T> {
  /** What came last; undefined before. It stays while it is asked for again. */
  data: T | undefined;
  /** Why nothing came last time; null while all is well, also while the server is away. */
  error: unknown;
  /** Something is being asked for. */
  loading: boolean;
  reload: () => void;
}

interface State<T> {
  key: string;
  data: T | undefined;
  error: unknown;
  loading: boolean;
}

/**
 * Asks for something when the page is shown, when the key changes, when the server is back, and again every so
 * many seconds while the tab is visible. What is under way is aborted when nobody waits for it any more.
 */
export function useQuery<T>(key: string, ask: (abort: AbortSignal) => Promise<T>, everySeconds = 0): Query<T> {
  const [state, setState] = useState<State<T>>({ key, data: undefined, error: null, loading: true });
  const [round, setRound] = useState(0);
  const latestRef = useRef(ask);
  useLayoutEffect(() => { latestRef.current = ask; });
  const back = returns.value;

  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const later = () => {
      if (everySeconds > 0 && !abort.signal.aborted) timer = setTimeout(run, everySeconds * 1000);
    };
    const run = async () => {
      if (document.hidden && timer) { // hidden tabs do not poll
        later();
        return;
      }
      try {
        const data = await latestRef.current(abort.signal);
        if (!abort.signal.aborted) setState({ key, data, error: null, loading: false });
      } catch (error) {
        if (abort.signal.aborted || isAborted(error)) return;
        noteError(error);
        // the shell says that the server is away; what was shown stays
        if (!isNetworkError(error)) setState((s) => ({ ...s, key, error, loading: false }));
      }
      later();
    };
    setState((s) => (s.key === key ? { ...s, loading: true } : { key, data: undefined, error: null, loading: true }));
    void run();
    const shown = () => {
      if (!document.hidden && timer) {
        clearTimeout(timer);
        void run();
      }
    };
    document.addEventListener('visibilitychange', shown);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [key, round, back, everySeconds]);

  const reload = useCallback(() => setRound((n) => n + 1), []);
  return state.key === key ? { ...state, reload } : { data: undefined, error: null, loading: true, reload };
}
