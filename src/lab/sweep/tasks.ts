/** What a sweep has to run: every repetition of every cell that its results do not have yet, in batches that share a testbed. Pure. */
import { createHash } from 'node:crypto';
import type { Cell } from './cell.ts';
import { isSound, type SweepResult } from './result.ts';

export interface Task {
  readonly cell: Cell;
  readonly repetition: number;
  readonly seed: string;
  /** Attempts that the results have already, and the one before which it runs alone. */
  attempt: number;
}

export interface Batch {
  readonly cell: Cell;
  readonly tasks: Task[];
}

export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly of: number;
}

/** A run's own seed: unrelated to every other's, the same on every machine. */
export const seedOf = (sweepSeed: number | string, cell: string, repetition: number): string =>
  createHash('sha256').update(`${sweepSeed}\0${cell}\0${repetition}`).digest('hex').slice(0, 16);

/** Whether a result settles its run: another one would tell nothing else. */
export const settles = (result: SweepResult): boolean =>
  isSound(result) || (result.outcome === 'incomplete' && !result.lateness.late);

const keyOf = (cell: string, repetition: number): string => `${cell}/${repetition}`;

/** All runs of the shard; in the order of repetitions, so that an early look shows every cell. */
export function tasksOf(
  cells: readonly Cell[],
  repetitions: number,
  seed: number | string,
  shard: Shard = { index: 1, of: 1 },
): Task[] {
  const tasks: Task[] = [];
  const runsOf = (cell: Cell): number => cell.repetitions ?? repetitions;
  const most = cells.reduce((n, cell) => Math.max(n, runsOf(cell)), 0);
  for (let repetition = 0; repetition < most; repetition++)
    for (const cell of cells.filter((one) => repetition < runsOf(one)))
      tasks.push({ cell, repetition, seed: seedOf(seed, cell.id, repetition), attempt: 1 });
  return tasks.filter((_, i) => i % shard.of === shard.index - 1);
}

/** The tasks that the results do not settle; the attempts that they had are counted on. */
export function withoutDone(tasks: readonly Task[], results: readonly SweepResult[]): Task[] {
  const done = new Set<string>();
  const attempts = new Map<string, number>();
  for (const result of results) {
    const key = keyOf(result.cell, result.repetition);
    if (settles(result)) done.add(key);
    attempts.set(key, Math.max(attempts.get(key) ?? 0, result.attempt));
  }
  return tasks
    .filter(({ cell, repetition }) => !done.has(keyOf(cell.id, repetition)))
    .map((task) => ({ ...task, attempt: 1 + (attempts.get(keyOf(task.cell.id, task.repetition)) ?? 0) }));
}

/**
 * Runs of one cell share a testbed, whose building costs half a second of a core: a dozen at most and four minutes' worth, and never so
 * many that cores would stand idle. The longest go first, so that the end of a sweep is not one long run.
 */
export function batchesOf(tasks: readonly Task[], secondsOf: (cell: Cell) => number, side: number): Batch[] {
  const byCell = new Map<string, Task[]>();
  for (const task of tasks) byCell.set(task.cell.id, [...(byCell.get(task.cell.id) ?? []), task]);
  const fair = Math.max(1, Math.ceil(tasks.length / (2 * side)));
  const rounds: Batch[][] = [];
  for (const own of byCell.values()) {
    const size = Math.min(MOST_OF_A_BATCH, fair, Math.max(1, Math.floor(BATCH_SECONDS / secondsOf(own[0]!.cell))));
    for (let i = 0, round = 0; i < own.length; i += size, round++) {
      rounds[round] ??= [];
      rounds[round]!.push({ cell: own[0]!.cell, tasks: own.slice(i, i + size) });
    }
  }
  const length = ({ cell, tasks: own }: Batch) => secondsOf(cell) * own.length;
  return rounds.flatMap((round) => round.sort((a, b) => length(b) - length(a)));
}

const MOST_OF_A_BATCH = 12;
const BATCH_SECONDS = 240;
