// What is searched for: parts of names, and tags.
import type { StreamStatus } from '../../api/streams';

/** Whether a search needs to know how all streams are, and not only what they are called. */
export function needsStatus(text: string, state: string): boolean {
  return text.trim() !== '' || state !== '';
}

/** Whether a stream fits: each word is in its name, or is a tag's key, or key=value with a part of the value. */
export function matches(status: StreamStatus | null, name: string, text: string, state: string): boolean {
  if (state && status?.State !== state) return false;
  const tags = Object.entries(status?.Tags ?? {});
  const has = (part: string, whole: string) => whole.toLowerCase().includes(part);
  return text.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    if (has(word, name)) return true;
    const [key, value] = word.split(/=(.*)/s);
    return tags.some(([k, v]) => (value === undefined ? has(word, k) || has(word, v) : k.toLowerCase() === key && has(value, v)));
  });
}
