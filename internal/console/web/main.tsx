import { render } from 'preact';
import { App } from './app';
import { applyTheme } from './ui/theme';
import { begin } from './api/session';

applyTheme();
void begin();
render(<App />, document.getElementById('app')!);
