import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('a log that grows large is kept once and begins anew', () => {
  const folder = mkdtempSync(join(tmpdir(), 'omni-log-'));
  try {
    const file = join(folder, 'x.log');
    const out = openSync(file, 'a');
    const source = new URL('../../src/testbed/log.ts', import.meta.url);
    // Plain Node of 20.19 does not run TypeScript: the module's three functions are few enough to strip by hand.
    const code = readFileSync(source, 'utf8').replaceAll(/: \(line: string\) => void|: string|: number/g, '');
    const program = `${code}\nconst log = fileLog(process.argv[1], 1000);\nfor (let i = 0; i < 50; i++) log('line=' + i);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program, file], {
      stdio: ['ignore', out, 'pipe'],
    });
    closeSync(out);
    expect(run.stderr.toString()).toBe('');
    expect(statSync(file).size).toBeLessThan(1000);
    const lines = `${readFileSync(`${file}.1`, 'utf8')}${readFileSync(file, 'utf8')}`.trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(/line=49$/);
    const numbers = lines.map((line) => Number(/line=(\d+)$/.exec(line)?.[1]));
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
