// The pages. Each is a chunk of its own, loaded when it is first shown.
import type { Page } from './page';

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
  { pattern: 'streams/:name/settings', title: 'Settings', load: () => import('./pages/settings/settings') },
  {
    pattern: 'sessions',
    title: 'Sessions',
    nav: { icon: 'people', action: 'weir:ListSessions' },
    load: () => import('./pages/sessions/sessions'),
  },
  {
    pattern: 'cameras',
    title: 'Cameras',
    nav: { icon: 'certificate', action: 'weir:ListCameras' },
    load: () => import('./pages/cameras/cameras'),
  },
  {
    pattern: 'keys',
    title: 'Keys',
    nav: { icon: 'key', action: 'weir:ListKeys' },
    load: () => import('./pages/access/access'),
  },
  {
    pattern: 'audit',
    title: 'Audit',
    nav: { icon: 'audit', action: 'weir:ListAuditEvents' },
    load: () => import('./pages/audit/audit'),
  },
  {
    pattern: 'server',
    title: 'Server',
    nav: { icon: 'server', action: 'weir:GetServerStatus' },
    load: () => import('./pages/server/server'),
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
