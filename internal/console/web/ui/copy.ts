import { complain, say } from './toast';

/** Copies a text, and says so. Without TLS browsers have no clipboard but the one of a selected field. */
export async function copy(text: string, done = 'Copied.'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyField(text)) {
      complain(new Error('This browser does not let the page copy. Select the text instead.'));
      return;
    }
  }
  say(done);
}

function copyField(text: string): boolean {
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'visually-hidden';
  const host = document.querySelector('dialog[open]') ?? document.body; // nothing else can be selected
  host.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  return copied;
}
