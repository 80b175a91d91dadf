// What a page of the console is.
import type { FunctionComponent } from 'preact';
import type { IconName } from './ui/icon';

/** What a page gets: the steps of its pattern that begin with a colon, by name. */
export interface PageProps {
  params: Record<string, string>;
}

export interface Page {
  /** Such as streams/:name. */
  pattern: string;
  title: string;
  /** The page is in the navigation of everybody who may do this on *; '' stands for everybody. */
  nav?: { icon: IconName; action: string };
  load: () => Promise<{ default: FunctionComponent<PageProps> }>;
}
