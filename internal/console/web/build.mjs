// Builds the console into OUT: one file a chunk, named by its content, and the page that loads them, all
// compressed.
//
//   node build.mjs OUT
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: ['main.tsx', 'design.css'],
  outdir: '/console',
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  metafile: true,
  write: false,
  logLevel: 'warning',
});

// What the page must load before it shows anything: an entry and the chunks that it imports at once.
const names = Object.fromEntries(Object.entries(metafile.outputs)
  .filter(([, o]) => o.entryPoint).map(([path, o]) => [o.entryPoint, path]));
const first = metafile.outputs[names['main.tsx']].imports
  .filter((i) => i.kind === 'import-statement').map((i) => i.path);
const at = (path) => `console/${basename(path)}`;
const page = readFileSync(join(here, 'index.html'), 'utf8')
  .replace('design.css', at(names['design.css']))
  .replace('main.tsx', at(names['main.tsx']))
  .replace('<!-- chunks -->', first.map((p) => `<link rel="modulepreload" href="${at(p)}">`).join('\n'));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const write = (name, data) => writeFileSync(join(out, `${name}.gz`), gzipSync(data, { level: 9 }));
for (const file of outputFiles) write(basename(file.path), file.contents);
write('index.html', page);
write('icon.svg', readFileSync(join(here, 'icon.svg')));
