import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const omni = fileURLToPath(new URL('../../bin/omni', import.meta.url));

test('a reader that closes the pipe ends a verb without a trace', () => {
  const { stderr, stdout } = spawnSync(
    'sh',
    ['-c', `'${process.execPath}' '${omni}' contacts --scenario leo | true; echo over`],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(stdout).toBe('over\n');
});
