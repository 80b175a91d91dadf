import { complain, say } from '../../ui/toast';

/** Copies a text, and says so. Without TLS browsers have no clipboard but the one of a selected field. */
export function copy(text: string, done: string): void {
  const old = (): boolean => {
    const field = document.createElement('textarea');
    field.value = text;
    field.style.position = 'fixed';
    document.body.append(field);
    field.select();
    const worked = document.execCommand('copy');
    field.remove();
    return worked;
  };
  const finish = (worked: boolean): void => {
    if (worked) say(done);
    else complain(new Error('The browser does not let the page copy.'));
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => finish(true), () => finish(old()));
  else finish(old());
}
