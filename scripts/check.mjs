#!/usr/bin/env node
// `npm run check`: format, lint, both type checks and the fast tests; under a minute.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const steps = [
  ['format and lint', bin('biome'), ['check', '--error-on-warnings', '.']],
  ['types, rings 0 and 1', bin('tsc'), ['-p', 'tsconfig.core.json']],
  ['types', bin('tsc'), ['-p', 'tsconfig.json']],
  ['fast tests', bin('vitest'), ['run', '--project', 'fast', '--reporter=dot']],
];
for (const [name, command, args] of steps) {
  const started = Date.now();
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  process.stderr.write(
    `check: ${name}: ${status === 0 ? 'good' : 'FAILED'} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  if (status !== 0) process.exit(status ?? 1);
}
