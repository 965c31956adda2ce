/**
 * Runs a sweep: every cell of a matrix, each repetition in a testbed with a seed of its own, as many side by side as the machine
 * carries without being late. Results go to a file as they come, so a sweep that was interrupted in whatever way goes on where it
 * was. Needs root, as every testbed does.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { OmniError } from '../../core/index.ts';
import { requireCongestionControls } from '../../testbed/congestion-control.ts';
import { findProgram, requireTestbedMachine } from '../../testbed/preconditions.ts';
import { removeOrphanedScratch, Scratch } from '../../testbed/scratch.ts';
import { Bed, removeOrphans } from './bed.ts';
import { type Cell, makeCell, readBase } from './cell.ts';
import { SweepError } from './error.ts';
import { Journal, readResults } from './journal.ts';
import { cores } from './machine.ts';
import { checkMatrix, type Job, pointsOf, type SweepMatrix } from './matrix.ts';
import { carries, loadOf, Planner } from './planner.ts';
import { ProgressClock, type SweepProgress } from './progress.ts';
import type { SweepResult } from './result.ts';
import { runCell } from './run-cell.ts';
import { type Batch, batchesOf, type Shard, settles, type Task, tasksOf, withoutDone } from './tasks.ts';
import { Traffic } from './traffic.ts';

export type { SweepProgress } from './progress.ts';

export interface SweepOptions {
  /** Results are appended here, and runs that it has already are not made again. Without it they are only yielded. */
  readonly output?: string | undefined;
  /** Only every n-th run: `{ index: 1, of: 4 }`, from 1. */
  readonly shard?: Shard | undefined;
  /** Keep each run's packets as pcapng in this directory. */
  readonly captures?: string | undefined;
  /** Runs at a time at most. Default: what the planner finds that the machine carries. */
  readonly parallel?: number | undefined;
  /** Times that a late or failed run is made. Default 3. */
  readonly attempts?: number | undefined;
  /** Nanoseconds; above it a run counts as late. Default: a quarter of the path's shortest round trip, at least 1 ms. */
  readonly latenessBound?: number | undefined;
  /** What file names in the matrix are relative to. Default: the working directory. */
  readonly directory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SweepProgress) => void) | undefined;
  readonly note?: ((text: string) => void) | undefined;
}

/** Every cell of a matrix, checked. Throws SweepError with the key and the remedy; needs no root and builds nothing. */
export function planSweep(job: Job): Cell[] {
  const base = readBase(job);
  const cells = new Map<string, Cell>();
  for (const point of pointsOf(job.matrix)) {
    const cell = makeCell(job, base, point);
    const rate = cell.link[cell.settings.direction].rateBitPerSecond;
    const carried = carries(loadOf(cell), rate);
    if (!carried.ok)
      throw new SweepError(
        `${cell.settings.direction}.rate`,
        `this machine cannot carry ${rate} bit/s with an MTU of ${cell.settings.mtuOctets} without being late`,
        `set it to ${Math.floor(Number(carried.rateBitPerSecond.toPrecision(2)))} bit/s or less, or use larger packets`,
      );
    cells.set(cell.id, point.repetitions === undefined ? cell : { ...cell, repetitions: point.repetitions });
  }
  return [...cells.values()];
}

/**
 * Yields the results that the output has already, then each run as it ends, late and failed ones too (`isSound` tells which
 * count). Throws SweepError before anything is built when the matrix is impossible; OmniError OMNI_INTERRUPTED when the signal
 * came, OMNI_DISK_FULL when results could not be written: whatever was yielded before is in the output.
 */
export async function* sweep(matrix: SweepMatrix, options: SweepOptions = {}): AsyncGenerator<SweepResult> {
  const job: Job = { matrix: checkMatrix(matrix), directory: options.directory ?? '.' };
  const cells = planSweep(job);
  requireTestbedMachine();
  for (const { resolved } of cells) requireCongestionControls(resolved);
  if (
    cells.some(({ workload: { kind } }) => kind === 'mail' || kind.startsWith('ftp')) &&
    findProgram('curl') === undefined
  )
    throw new OmniError('OMNI_UNAVAILABLE', 'the workloads ftp-get, ftp-put and mail need curl', {
      remedy: 'apt-get install curl',
    });
  const { results, ignored } = options.output === undefined ? { results: [], ignored: 0 } : readResults(options.output);
  if (ignored > 0) options.note?.(`${ignored} lines of ${options.output} are no results (a crash may leave one)`);
  const all = tasksOf(cells, matrix.repetitions ?? 1, matrix.seed ?? 1, options.shard);
  const mine = new Set(all.map(({ cell, repetition }) => `${cell.id}/${repetition}`));
  yield* results.filter(({ cell, repetition }) => mine.has(`${cell}/${repetition}`));
  const tasks = withoutDone(all, results);
  if (tasks.length === 0) return;
  removeOrphanedScratch();
  const removed = await removeOrphans();
  if (removed > 0) options.note?.(`removed ${removed} testbeds that a sweep which was killed had left`);
  const journal = options.output === undefined ? undefined : await Journal.open(options.output);
  const run = new SweepRun(matrix.name ?? 'sweep', tasks, options, journal);
  try {
    yield* run.results();
  } finally {
    await run.close();
    journal?.close();
  }
}

class SweepRun {
  readonly #name: string;
  readonly #options: SweepOptions;
  readonly #journal: Journal | undefined;
  readonly #planner: Planner;
  readonly #progress: ProgressClock;
  readonly #traffic = new Traffic();
  readonly #scratch = new Scratch();
  readonly #waiting: Batch[];
  readonly #running = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #attempts: number;
  readonly #loads = new Map<string, ReturnType<typeof loadOf>>();
  readonly #finished: SweepResult[] = [];
  #building = 0;
  #batches = 0;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(name: string, tasks: readonly Task[], options: SweepOptions, journal: Journal | undefined) {
    this.#name = name;
    this.#options = options;
    this.#journal = journal;
    this.#attempts = options.attempts ?? 3;
    this.#planner = new Planner({ cores: cores(), parallel: options.parallel });
    this.#progress = new ProgressClock(
      tasks.map(({ cell }) => this.#load(cell).seconds),
      performance.now() / 1000,
    );
    const load = tasks.reduce((sum, { cell }) => sum + this.#load(cell).cores, 0) / tasks.length;
    this.#waiting = batchesOf(tasks, (cell) => this.#load(cell).seconds, this.#planner.budget / load);
    if (options.signal?.aborted) this.#interrupt();
    else options.signal?.addEventListener('abort', () => this.#interrupt(), { once: true });
  }

  async *results(): AsyncGenerator<SweepResult> {
    const timer = setInterval(() => this.#wake(), 250);
    try {
      for (;;) {
        this.#start();
        for (let next = this.#finished.shift(); next !== undefined; next = this.#finished.shift()) yield next;
        if (this.#failure !== undefined && this.#running.size === 0) throw this.#failure;
        if (this.#running.size === 0 && this.#waiting.length === 0) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#options.onProgress?.(this.#progress.snapshot(performance.now() / 1000));
      }
    } finally {
      clearInterval(timer);
    }
  }

  /** Ends what runs and removes every testbed. */
  async close(): Promise<void> {
    this.#interrupt();
    await Promise.allSettled(this.#running);
    await this.#traffic.close();
    this.#scratch.remove();
  }

  #interrupt(): void {
    this.#failure ??= new OmniError(
      'OMNI_INTERRUPTED',
      'interrupted; the results so far are kept, every testbed is removed',
    );
    this.#abort.abort();
    this.#wake();
  }

  #load(cell: Cell): ReturnType<typeof loadOf> {
    const known = this.#loads.get(cell.id) ?? loadOf(cell);
    this.#loads.set(cell.id, known);
    return known;
  }

  /** Starts what the planner admits; testbeds are built a core's worth at a time. */
  #start(): void {
    while (this.#failure === undefined && this.#building < cores()) {
      const at = this.#waiting.findIndex((batch) => this.#admits(batch));
      if (at < 0) return;
      const [batch] = this.#waiting.splice(at, 1);
      const work = this.#run(batch!)
        .catch((error: unknown) => {
          this.#failure ??= error;
          this.#abort.abort();
        })
        .finally(() => {
          this.#running.delete(work);
          this.#wake();
        });
      this.#running.add(work);
    }
  }

  #admits({ cell, tasks }: Batch): boolean {
    return this.#planner.admits(this.#load(cell).cores, this.#isLast(tasks[0]!));
  }

  /** A run that was late again and again gets the machine to itself. */
  #isLast(task: Task): boolean {
    return task.attempt > 1 && task.attempt % this.#attempts === 0;
  }

  async #run({ cell, tasks }: Batch): Promise<void> {
    const { cores: load, seconds } = this.#load(cell);
    const { signal } = this.#abort;
    const directory = join(this.#scratch.directory, String(++this.#batches));
    this.#planner.begin(load, this.#isLast(tasks[0]!));
    let bed: Bed | undefined;
    try {
      mkdirSync(directory);
      for (const [i, task] of tasks.entries()) {
        if (signal.aborted) return;
        if (bed === undefined) {
          this.#building++;
          bed = await Bed.build(cell, task.seed, signal).finally(() => {
            this.#building--;
            this.#wake();
          });
        }
        this.#progress.begin();
        const began = performance.now();
        const result = await this.#runOnce(bed, task, directory);
        if (signal.aborted) return;
        this.#journal?.append(result);
        const again = !settles(result) && this.#mayRepeat(task);
        this.#progress.end(seconds, again);
        this.#planner.learn(result.lateness.late, began, performance.now());
        this.#finished.push(result);
        if (again) this.#putBack({ cell, tasks: [{ ...task, attempt: task.attempt + 1 }] });
        this.#wake();
        const fresh = result.outcome !== 'complete' || !bed.reusable || i === tasks.length - 1;
        if (fresh || !(await bed.settle(QUIET_MILLISECONDS))) {
          const used = bed;
          bed = undefined;
          await used.remove();
        }
      }
    } finally {
      this.#planner.end(load);
      await bed?.remove();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** Before what is shorter: a long run that began last would hold up the end. */
  #putBack(batch: Batch): void {
    const { seconds } = this.#load(batch.cell);
    const before = this.#waiting.findIndex(({ cell, tasks }) => this.#load(cell).seconds * tasks.length < seconds);
    this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, batch);
  }

  #mayRepeat(task: Task): boolean {
    return task.attempt % this.#attempts !== 0;
  }

  #runOnce(bed: Bed, task: Task, directory: string): Promise<SweepResult> {
    const { captures, latenessBound } = this.#options;
    return runCell({
      sweep: this.#name,
      bed,
      traffic: this.#traffic,
      repetition: task.repetition,
      attempt: task.attempt,
      seed: task.seed,
      latenessBound,
      directory,
      captures: captures === undefined ? undefined : resolve(captures),
      signal: this.#abort.signal,
    });
  }
}

const QUIET_MILLISECONDS = 200;
