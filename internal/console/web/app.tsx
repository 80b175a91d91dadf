import { useEffect } from 'preact/hooks';
import { session } from './api/session';
import { go, href, place } from './router';
import { match } from './routes';
import { Lazy } from './ui/lazy';
import { Loading } from './ui/states';
import { Shell } from './shell';
import { SignIn } from './pages/sign-in';
import { NotFound } from './pages/not-found';

/** The whole console: signing in, or the shell with the page of the address. */
export function App() {
  const { path } = place.value;
  const found = match(path);
  const here = path.length === 0 ? '' : (found?.page.title ?? 'No such page');

  useEffect(() => {
    if (path.length === 0) go(href(['streams']), true);
  }, [path]);
  useEffect(() => {
    document.title = here ? `${here} · Weir` : 'Weir';
  }, [here]);

  switch (session.value.state) {
    case 'starting':
      return <main class="center"><Loading what="Signing in" /></main>;
    case 'out':
      return <SignIn />;
    case 'in':
      return (
        <Shell>
          {found
            ? <Lazy key={found.page.pattern} load={found.page.load} params={found.params} />
            : path.length > 0 && <NotFound />}
        </Shell>
      );
  }
}
