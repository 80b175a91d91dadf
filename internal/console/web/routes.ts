// The pages. Each is a chunk of its own, loaded when it is first shown.
import type { FunctionComponent } from 'preact';

/** What a page is given: the steps of its pattern that begin with a colon, by name. */
export interface PageProps {
  params: Record<string, string>;
}

export interface Page {
  /** Such as streams/:name. */
  pattern: string;
  title: string;
  /** The page stands in the navigation, for whoever may do this on *; '' for everybody. */
  nav?: { icon: string; action: string };
  load: () => Promise<{ default: FunctionComponent<PageProps> }>;
}

export const pages: Page[] = [
  {
    pattern: 'streams',
    title: 'Streams',
    nav: { icon: 'camera', action: '' },
    load: () => import('./pages/streams/streams'),
  },
  {
    pattern: 'wall',
    title: 'Wall',
    nav: { icon: 'wall', action: '' },
    load: () => import('./pages/wall/wall'),
  },
  {
    pattern: 'streams/:name',
    title: 'Stream',
    load: () => import('./pages/stream/stream'),
  },
];

/** The page of a path with its parameters, or null. */
export function match(path: string[]): { page: Page; params: Record<string, string> } | null {
  for (const page of pages) {
    const steps = page.pattern.split('/');
    if (steps.length !== path.length) continue;
    const params: Record<string, string> = {};
    const fits = steps.every((step, i) => {
      if (!step.startsWith(':')) return step === path[i];
      params[step.slice(1)] = path[i]!;
      return true;
    });
    if (fits) return { page, params };
  }
  return null;
}
