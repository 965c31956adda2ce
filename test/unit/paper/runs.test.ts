import { expect, test } from 'vitest';
import { FIGURES } from '../../../src/lab/paper/figures/index.ts';
import { contextOf } from '../../../src/lab/paper/paper.ts';
import { keyOf, paperMatrix, samplesOf } from '../../../src/lab/paper/runs.ts';
import { planSweep } from '../../../src/lab/sweep/run.ts';
import { tasksOf } from '../../../src/lab/sweep/tasks.ts';

const context = contextOf({
  directory: '/nowhere',
  seed: '2000',
  signal: new AbortController().signal,
  progress: () => {},
});

test('the whole paper is a possible matrix of at least 700 runs, 20 and 50 where the paper has numbers', () => {
  const cells = FIGURES.flatMap((figure) => figure.cells?.(context) ?? []);
  const matrix = paperMatrix(cells, '2000');
  const planned = planSweep({ matrix, directory: '.' });
  const tasks = tasksOf(planned, 1, '2000');
  expect(planned).toHaveLength(new Set(cells.map(({ keys }) => keyOf(keys))).size);
  expect(tasks).toHaveLength(cells.reduce((sum, { repetitions }) => sum + repetitions, 0));
  expect(tasks.length).toBeGreaterThanOrEqual(700);
  expect(new Set(tasks.map(({ seed }) => seed)).size).toBe(tasks.length);
  const runs = (stack: string, ber: number) =>
    planned
      .filter(({ settings }) => settings.stack === stack && settings.down.bitErrorRate === ber)
      .map(({ repetitions }) => repetitions);
  expect(new Set(runs('2000', 1e-5))).toEqual(new Set([20]));
  expect(new Set(runs('bbr', 4.5e-6))).toEqual(new Set([50]));
});

test('segments hold the data that the figure says, whatever the options take', () => {
  const cells = FIGURES.flatMap((figure) => figure.cells?.(context) ?? []);
  const planned = planSweep({ matrix: paperMatrix(cells, '2000'), directory: '.' });
  for (const { settings } of planned) {
    const options = settings.stack === '2000' ? 0 : 12;
    expect(settings.maximumSegmentOctets! - options).toBe(settings.varied.segment);
    expect(settings.maximumSegmentOctets! + 40).toBeLessThanOrEqual(settings.mtuOctets);
  }
});

test('cells are told apart by their keys in any order, not by their repetitions', () => {
  expect(keyOf({ a: 1, b: { d: 1, c: 2 }, repetitions: 3 })).toBe(keyOf({ b: { c: 2, d: 1 }, a: 1 }));
  expect(samplesOf(1, 'utilisation', [])).toEqual([]);
});
