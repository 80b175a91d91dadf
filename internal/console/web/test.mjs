// Runs the console's unit tests, every *.test.ts here, in node's own test runner.
//
//   node test.mjs
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const tests = readdirSync(here, { recursive: true }).filter((name) => name.endsWith('.test.ts'));
const out = mkdtempSync(join(tmpdir(), 'weir-console-'));
try {
  const { metafile } = await build({
    absWorkingDir: here, entryPoints: tests, outdir: out, outExtension: { '.js': '.mjs' }, bundle: true, platform: 'node',
    format: 'esm', sourcemap: 'inline', metafile: true, loader: { '.css': 'text' }, logLevel: 'warning',
  });
  const built = Object.entries(metafile.outputs).filter(([, o]) => o.entryPoint).map(([name]) => join(here, name));
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...built], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(out, { recursive: true });
}
