import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { poissonLimits99 } from '../../../src/lab/fidelity/interval.ts';
import { fer, wilson99 } from '../../../src/lab/paper/figures/fer.ts';
import { ntp } from '../../../src/lab/paper/figures/ntp.ts';
import { contextOf, makePaper, type PaperOptions } from '../../../src/lab/paper/paper.ts';
import { readProvenance } from '../../../src/lab/paper/provenance.ts';
import { chosenPoints, reproduce } from '../../../src/lab/paper/reproduce.ts';

const directory = mkdtempSync(join(tmpdir(), 'omni-paper-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const options = (more: Partial<PaperOptions> = {}): PaperOptions => ({
  figures: [fer, ntp],
  directory,
  seed: 'test',
  scale: 0.002,
  png: false,
  signal: new AbortController().signal,
  note: () => {},
  progress: () => {},
  ...more,
});

test('figures without runs: files, checksums, kept the second time, reproduced to the digit', async () => {
  const first = await makePaper(options());
  expect(first.figures.map(({ name, kept }) => [name, kept])).toEqual([
    ['fer', false],
    ['ntp', false],
  ]);
  const names = readdirSync(directory);
  expect(names.sort()).toEqual(
    [
      'SHA256SUMS',
      'fer-undetected.csv',
      'fer.csv',
      'fer.md',
      'fer.svg',
      'ntp.csv',
      'ntp.md',
      'ntp.svg',
      'report.html',
    ].sort(),
  );
  for (const line of readFileSync(join(directory, 'SHA256SUMS'), 'utf8').trimEnd().split('\n')) {
    const [sum, name] = line.split('  ');
    expect(
      createHash('sha256')
        .update(readFileSync(join(directory, name!)))
        .digest('hex'),
    ).toBe(sum);
  }
  const { provenance, intact } = readProvenance(readFileSync(join(directory, 'fer.svg'), 'utf8'), 'fer.svg');
  expect(intact).toBe(true);
  for (const [name, sum] of Object.entries(provenance.files))
    expect(
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex'),
    ).toBe(sum);

  const before = statSync(join(directory, 'fer.svg')).mtimeMs;
  const second = await makePaper(options());
  expect(second.figures.map(({ kept }) => kept)).toEqual([true, true]);
  expect(statSync(join(directory, 'fer.svg')).mtimeMs).toBe(before);
  const other = await makePaper(options({ figures: [ntp], seed: 'other' }));
  expect(other.figures[0]!.kept).toBe(false);

  const run = { ...options(), file: join(directory, 'runs.jsonl'), points: 5 };
  const chosen = chosenPoints(provenance, run);
  expect(chosen).toHaveLength(5);
  const results = await reproduce(chosen, contextOf(run), run);
  expect(results.map(({ verdict }) => verdict)).toEqual(Array(5).fill('equal'));
  expect(() => chosenPoints(provenance, { ...run, only: 'no such series' })).toThrow(/with 'no such series'/);
});

test('another seed gives other counts, whose theory lies in the intervals again', async () => {
  const { figures } = await makePaper(options({ figures: [fer], seed: 'other', fresh: true }));
  const [, matched, total] = /^(\d+) of (\d+) frame error rates/.exec(figures[0]!.provenance.findings[0]!)!;
  expect(Number(total)).toBe(28);
  // 99 % intervals of 28 points: more than two outside would be one chance in 400.
  expect(Number(matched)).toBeGreaterThanOrEqual(26);
});

test('a directory that cannot be written is refused with its name', async () => {
  const file = join(directory, 'a-file');
  writeFileSync(file, '');
  await expect(makePaper(options({ directory: join(file, 'below') }))).rejects.toThrow(
    /cannot write into .*a-file\/below/,
  );
});

test("Wilson's interval at its ends and in the middle", () => {
  expect(wilson99(0, 100).low).toBe(0);
  expect(wilson99(100, 100).high).toBe(1);
  // (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) ÷ (1 + z²/n) by hand, z = 2.5758.
  const { low, high } = wilson99(50, 100);
  expect([low.toFixed(4), high.toFixed(4)]).toEqual(['0.3753', '0.6247']);
  expect(poissonLimits99(0, 1000).high).toBeCloseTo(0.0053, 4);
});
