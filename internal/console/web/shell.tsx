import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { session, signOut } from './api/session';
import { awaySince, clockOffset } from './api/transport';
import { href, place } from './router';
import { pages } from './routes';
import { Brand } from './ui/brand';
import { Button } from './ui/button';
import { timeOfDay } from './ui/format';
import { Icon } from './ui/icon';
import { nextTheme, theme } from './ui/theme';
import { Toasts } from './ui/toast';
import { may } from './api/permissions';

const themeIcons = { system: 'system', light: 'sun', dark: 'moon' } as const;

/** What is around every page: the bar, the navigation, and whether the server can be reached. */
export function Shell({ children }: { children: ComponentChildren }) {
  const mainRef = useRef<HTMLElement>(null);
  const here = place.value.path.join('/');
  const firstRef = useRef(true);

  // Another page begins at its top, also for users of screen readers.
  useEffect(() => {
    if (firstRef.current) firstRef.current = false;
    else mainRef.current?.focus();
    scrollTo(0, 0);
  }, [here]);

  return (
    <div class="shell">
      <Top onSkip={() => mainRef.current?.focus()} />
      <Navigation />
      <main ref={mainRef} class="content" tabIndex={-1}>
        <Notices />
        {children}
      </main>
      <Toasts />
    </div>
  );
}

function Top({ onSkip }: { onSkip: () => void }) {
  const now = session.value;
  return (
    <header class="top">
      <a class="button primary skip" href={location.hash} onClick={(e) => { e.preventDefault(); onSkip(); }}>
        Skip to the page
      </a>
      <a class="brand" href={href(['streams'])}><Brand /></a>
      <span class="grow" />
      {now.state === 'in' && <span class="clip small soft" title={now.identity.arn}>{now.identity.name}</span>}
      <Button label={`Theme: ${theme.value}`} icon={themeIcons[theme.value]} iconOnly kind="quiet" onClick={nextTheme} />
      <Button label="Sign out" icon="out" iconOnly kind="quiet" onClick={() => signOut()} />
    </header>
  );
}

function Navigation() {
  const here = place.value.path[0];
  const shown = pages.filter((p) => p.nav && (p.nav.action === '' || may(p.nav.action)));
  return (
    <nav class="nav" aria-label="Pages">
      <ul>
        {shown.map((p) => (
          <li key={p.pattern}>
            <a href={href([p.pattern])} aria-current={here === p.pattern ? 'page' : undefined}>
              <Icon name={p.nav!.icon} />
              <span>{p.title}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** What is wrong between this computer and the server. */
function Notices() {
  const since = awaySince.value;
  const off = Math.round(clockOffset.value / 1000);
  return (
    <div role="status">
      {since !== null && (
        <p class="banner">The server cannot be reached since {timeOfDay(since / 1000)}. What you see is from before. Trying again…</p>
      )}
      {Math.abs(off) > 10 && (
        <p class="banner">
          The clock of this computer is {Math.abs(off)} seconds {off > 0 ? 'behind' : 'ahead of'} the server’s. Times may look wrong.
        </p>
      )}
    </div>
  );
}
