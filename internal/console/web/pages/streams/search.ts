// What is searched for: parts of names, and tags.
import type { StreamStatus } from '../../api/streams';

/** Whether a search needs the states of all streams, and not only their names. */
export function needsStatus(text: string, state: string): boolean {
  return text.trim() !== '' || state !== '';
}

/** Tells whether a stream fits: each word is in its name, or is a tag's key, or key=value with a part of the value. */
export function matcher(text: string, state: string): (status: StreamStatus | null, name: string) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => ({ word, pair: word.split(/=(.*)/s) }));
  const has = (part: string, whole: string) => whole.toLowerCase().includes(part);
  return (status, name) => {
    if (state && (state === 'FULL' ? status?.StorageState : status?.State) !== state) return false;
    return words.every(({ word, pair: [key, value] }) => has(word, name) || (status !== null
      && Object.entries(status.Tags).some(([k, v]) => (value === undefined ? has(word, k) || has(word, v) : k.toLowerCase() === key && has(value, v)))));
  };
}
