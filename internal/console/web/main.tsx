import { render } from 'preact';
import { App } from './app';
import { applyTheme } from './ui/theme';
import { begin } from './api/session';
import { place } from './router';
import { match } from './routes';

applyTheme();
void begin();
// load the page of the address while its user signs in; if that fails, the page itself shows the error
const { path } = place.peek();
match(path.length > 0 ? path : ['streams'])?.page.load().catch(() => {});
render(<App />, document.getElementById('app')!);
