import { Button } from './button';
import { complain, say } from './toast';

/** Copies text, also where the page is not served over TLS and browsers have no clipboard for it. */
export async function copy(text: string): Promise<void> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      const area = document.createElement('textarea');
      area.value = text;
      area.className = 'visually-hidden';
      const host = document.querySelector('dialog[open]') ?? document.body;
      host.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      if (!done) throw new Error('This browser does not let the page copy. Select the text instead.');
    }
    say('Copied.');
  } catch (error) {
    complain(error);
  }
}

/** Text to copy and paste elsewhere. */
export function Code({ label, text }: { label: string; text: string }) {
  return (
    <div class="code">
      {/* it scrolls, also by keys */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} role="region" aria-label={label}>{text}</pre>
      <Button label={`Copy ${label}`} icon="copy" iconOnly onClick={() => copy(text)} />
    </div>
  );
}
