import { Button } from './button';
import { copy } from './copy';

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
