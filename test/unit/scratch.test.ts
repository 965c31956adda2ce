import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { removeOrphanedScratch, Scratch } from '../../src/testbed/scratch.ts';

describe("a sweep's working directory", () => {
  const before = process.env.OMNI_RUN_DIRECTORY;
  let runDirectory: string;
  beforeEach(() => {
    runDirectory = mkdtempSync(join(tmpdir(), 'omni-scratch-test-'));
    process.env.OMNI_RUN_DIRECTORY = runDirectory;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.OMNI_RUN_DIRECTORY;
    else process.env.OMNI_RUN_DIRECTORY = before;
    rmSync(runDirectory, { recursive: true, force: true });
  });

  test('is listed while it is there', () => {
    const scratch = new Scratch();
    expect(dirname(scratch.directory)).toBe(tmpdir());
    expect(readdirSync(runDirectory)).toHaveLength(1);
    scratch.remove();
    expect(existsSync(scratch.directory)).toBe(false);
    expect(existsSync(runDirectory)).toBe(false);
  });

  test('that a killed sweep left is removed with its content; a living one stays', () => {
    const dead = new Scratch({ pid: process.pid, startTime: '1' });
    writeFileSync(join(dead.directory, 'received.bin'), 'x');
    const living = new Scratch();
    writeFileSync(join(runDirectory, `scratch-${'0'.repeat(36)}.json`), '{"directory":');
    expect(removeOrphanedScratch()).toBe(2);
    expect(existsSync(dead.directory)).toBe(false);
    expect(existsSync(living.directory)).toBe(true);
    expect(readdirSync(runDirectory)).toHaveLength(1);
    living.remove();
  });

  test('a machine without a run directory has none', () => {
    process.env.OMNI_RUN_DIRECTORY = join(runDirectory, 'nowhere');
    expect(removeOrphanedScratch()).toBe(0);
  });
});
