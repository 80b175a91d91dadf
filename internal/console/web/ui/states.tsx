import type { ComponentChildren } from 'preact';
import { words } from '../api/errors';
import { Button } from './button';
import { Icon } from './icon';
import type { IconName } from './icon';

/** Something is on its way. */
export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      <span class="spinner" />
      <span>{what}…</span>
    </p>
  );
}

/** There is nothing, why, and what to do about it. */
export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** What went wrong, in words, and a way to try again. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div class="note bad row" role="alert">
      <p class="grow">{words(error)}</p>
      {retry && <Button label="Try again" onClick={retry} />}
    </div>
  );
}
