import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Page, PageProps } from '../page';
import { returns, unreachable } from '../api/transport';
import { Loading } from './states';

interface Props extends PageProps {
  load: Page['load'];
}

/** A page whose chunk is loaded when it is first shown. */
export function Lazy({ load, params }: Props) {
  const [page, setPage] = useState<{ component: FunctionComponent<PageProps> } | null>(null);
  const back = returns.value;

  useEffect(() => {
    let wanted = true;
    load().then((m) => {
      if (wanted) setPage({ component: m.default });
      return m;
    }).catch((error: unknown) => {
      if (!(error instanceof TypeError)) throw error; // it came, and is broken
      unreachable(); // it is loaded again when the server is back
    });
    return () => { wanted = false; };
  }, [load, back]);

  return page ? <page.component params={params} /> : <Loading what="Loading" />;
}
