// Tags as people type them: site=north, floor=2.

/** The tags of a line of text; a tag without = has no value. */
export function parseTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const part of text.split(',').map((p) => p.trim()).filter(Boolean)) {
    const [key = '', value = ''] = part.split(/=(.*)/s);
    if (key.trim()) tags[key.trim()] = value.trim();
  }
  return tags;
}

/** The line of text of tags. */
export function formatTags(tags: Record<string, string>): string {
  return Object.entries(tags).map(([k, v]) => (v ? `${k}=${v}` : k)).join(', ');
}
