#!/usr/bin/env node
// `npm run check`: format, lint, both type checks and the fast tests; under a minute.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// A clone that was updated has yesterday's packages; the type checker's words for that mislead.
const packages = join(root, 'node_modules', '.package-lock.json');
if (!existsSync(packages) || statSync(packages).mtimeMs < statSync(join(root, 'package-lock.json')).mtimeMs)
  process.stderr.write(
    "check: node_modules may be older than package-lock.json; if something is not found, run 'npm run setup'\n",
  );
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
