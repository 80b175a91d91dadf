// Light or dark: as the system has it, until the user says otherwise.
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const stored = 'weir-theme';

function read(): Theme {
  const text = localStorage.getItem(stored);
  return text === 'light' || text === 'dark' ? text : 'system';
}

export const theme = signal<Theme>(read());

/** Shows the page in the theme that was chosen. */
export function applyTheme(): void {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
}

/** Goes from one theme to the next. */
export function nextTheme(): void {
  const all: Theme[] = ['system', 'light', 'dark'];
  theme.value = all[(all.indexOf(theme.value) + 1) % all.length]!;
  localStorage.setItem(stored, theme.value);
  applyTheme();
}
