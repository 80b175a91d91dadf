// Routes follow the # of the address, so that the server has one page and sees neither names of streams
// nor moments: #/streams/cam1?at=2026-05-01T14:05:00Z.
import { computed, signal } from '@preact/signals';

/** Where the console is: decoded steps of the path, and the query. */
export interface Location {
  path: string[];
  query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => { hash.value = location.hash; });

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step; // typed by hand, and meant as it is
  }
}

/** The place that the address names. */
export const place = computed<Location>(() => {
  const [path = '', query = ''] = hash.value.replace(/^#\/?/, '').split(/\?(.*)/s);
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
});

/** The address of a place, for links. */
export function href(path: string[], query?: Record<string, string> | URLSearchParams): string {
  const text = new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

/** Goes to a place. With replace, the history does not keep the one before; and if the user has just left that one, nothing happens. */
export function go(to: string, replace = false): void {
  // The address changes at once, but the page that is left learns of it later (hashchange), and may note something in its address before.
  if (replace && location.hash !== hash.peek()) return;
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  hash.value = location.hash;
}

/** Replaces the query of the present place: for what a page keeps in its address. */
export function keep(query: Record<string, string | null | undefined>): void {
  const next = new URLSearchParams(place.peek().query);
  for (const [name, value] of Object.entries(query)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  go(href(place.peek().path, next), true);
}
