/** The addon ships with its own tests, for node:test, so that they run without anything else; here they run as one. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const file = fileURLToPath(new URL('../../native/test/native.test.mjs', import.meta.url));

test.skipIf(process.getuid?.() !== 0)('the native addon passes its own tests (needs root)', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--test', file], { encoding: 'utf8' });
  expect(status, `${stdout}${stderr}`).toBe(0);
});
