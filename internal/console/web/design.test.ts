import assert from 'node:assert/strict';
import { test } from 'node:test';
import design from './design.css' with { type: 'text' };
import stream from './pages/stream/stream.css' with { type: 'text' };
import wall from './pages/wall/wall.css' with { type: 'text' };

// The rules of style sheets: the selector, after the media query that it is in, and the properties that it sets.
function* rules(css: string): Generator<[selector: string, properties: string[]]> {
  const text = css.replace(/\/\*[\s\S]*?\*\//g, '').replace(/@import[^;]*;/g, '');
  let media = '';
  for (const [, before, open, body] of text.matchAll(/([^{}]*)(?:(\{)([^{}]*\})?|\})/g)) {
    const selector = before!.trim().replace(/\s+/g, ' ');
    if (!open) media = '';
    else if (body === undefined) media = selector;
    else yield [`${media} ${selector}`.trim(), body.split(';').map((p) => p.split(':')[0]!.trim()).filter((p) => p && p !== '}')];
  }
}

test('a selector sets a property in one place: pages do not undo one another', () => {
  const seen = new Map<string, number>();
  for (const [selector, properties] of rules([design, stream, wall].join('\n'))) {
    for (const property of properties) {
      const key = `${selector} { ${property} }`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
  }
  assert.ok(seen.size > 300, `${seen.size} properties were found`);
  assert.deepEqual([...seen].filter(([, n]) => n > 1).map(([key]) => key), []);
});
