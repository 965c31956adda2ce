/**
 * The runs of a paper: the cells of all its figures as one sweep, so that the machine is filled until the last one, and points made
 * of their results. A point knows its cell and its measure (its recipe), from which `omni reproduce` runs it again.
 */
import { summarise } from '../statistics.ts';
import type { SweepMatrix } from '../sweep/matrix.ts';
import type { SweepMeasures, SweepResult } from '../sweep/result.ts';
import { sweep } from '../sweep/run.ts';
import type { Point } from './figure.ts';
import type { FigureContext, FigureModule, PaperCell, ResultsOf } from './module.ts';
import type { Origin } from './provenance.ts';
import { canonicalJson } from './provenance.ts';

/** What can be drawn of a run, in the unit that the axis says. */
export const MEASURES = {
  /** % of the line's bits. */
  utilisation: (m) => 100 * m.utilisation,
  /** kbit/s. */
  goodput: (m) => m.goodputBitPerSecond / 1000,
  fast: (m) => m.retransmissions.fast,
  /** A tail loss probe is a timer's doing too. */
  timeout: (m) => m.retransmissions.timeout + m.retransmissions.probe,
} as const satisfies Readonly<Record<string, (measures: SweepMeasures) => number>>;
export type MeasureName = keyof typeof MEASURES;

export interface SweepRecipe {
  readonly kind: 'sweep';
  readonly keys: PaperCell['keys'];
  readonly repetitions: number;
  readonly measure: MeasureName;
}

export interface PaperRuns {
  readonly counts: Origin['runs'];
  readonly resultsOf: ResultsOf;
  originOf(module: FigureModule): Pick<Origin, 'runs' | 'seeds'>;
}

export interface RunOptions {
  readonly seed: string;
  /** Results are kept here, and runs that it has are not made again. */
  readonly file: string;
  readonly parallel?: number;
  readonly signal: AbortSignal;
  progress(state: {
    what: string;
    done: number;
    total: number;
    running: number;
    repeated: number;
    secondsLeft: number | undefined;
  }): void;
}

/**
 * A fifth of the shortest retransmission time-out that any of the stacks has (Linux: 200 ms). A full line sends on by its own clock
 * while its emulator is late, so what counts is that no timer of TCP's takes the delay for a loss.
 */
export const LATENESS_BOUND_NANOSECONDS = 40e6;
/** The last of a run's attempts has the machine to itself: that must stay rare among hundreds. */
const ATTEMPTS = 6;

const NOTHING: Origin['runs'] = { made: 0, sound: 0, late: 0, failed: 0 };
/** Of a figure that has no cells. */
export const NO_RUNS: PaperRuns = {
  counts: NOTHING,
  resultsOf: () => [],
  originOf: () => ({ runs: NOTHING, seeds: [] }),
};

export async function runCells(
  figures: readonly FigureModule[],
  context: FigureContext,
  options: RunOptions,
): Promise<PaperRuns> {
  const cells = figures.flatMap((figure) => figure.cells?.(context) ?? []);
  const results = await runSweep(cells, options);
  const resultsOf: ResultsOf = (cell) => results.get(keyOf(cell.keys))?.filter(counts) ?? [];
  const tally = (of: readonly PaperCell[]): Pick<Origin, 'runs' | 'seeds'> => {
    const own = [...new Set(of.map(({ keys }) => keyOf(keys)))].flatMap((key) => results.get(key) ?? []);
    const sound = own.filter(counts);
    const late = own.filter(({ lateness }) => lateness.late).length;
    return {
      runs: { made: own.length, sound: sound.length, late, failed: own.length - sound.length - late },
      seeds: sound.map(({ seed }) => seed),
    };
  };
  return {
    counts: cells.length === 0 ? NOTHING : tally(cells).runs,
    resultsOf,
    originOf: (module) => tally(module.cells?.(context) ?? []),
  };
}

/**
 * A timed transfer that noise strangled is a measurement, perhaps of nothing delivered; leaving it out would flatter the link. Only
 * what the emulator was late for, and what never ran, is left out.
 */
const counts = (result: SweepResult): result is SweepResult & { readonly measures: SweepMeasures } =>
  result.measures !== null && !result.lateness.late;

/** All results by the cell's keys. */
export async function runSweep(
  cells: readonly PaperCell[],
  options: RunOptions,
): Promise<ReadonlyMap<string, readonly SweepResult[]>> {
  const found = new Map<string, SweepResult[]>();
  if (cells.length === 0) return found;
  const asked = askedFor(cells);
  const all = sweep(paperMatrix(cells, options.seed), {
    output: options.file,
    attempts: ATTEMPTS,
    latenessBound: LATENESS_BOUND_NANOSECONDS,
    ...(options.parallel === undefined ? {} : { parallel: options.parallel }),
    signal: options.signal,
    onProgress: (state) => options.progress({ what: 'runs', ...state }),
  });
  for await (const result of all) {
    const key = keyOf(result.settings.varied);
    const cell = asked.get(key);
    if (cell === undefined || result.repetition >= cell.repetitions) continue;
    found.set(key, [...(found.get(key) ?? []), result]);
  }
  for (const list of found.values()) list.sort((a, b) => a.repetition - b.repetition || a.attempt - b.attempt);
  return found;
}

/** The same conditions may be asked for by two figures: the greater number of runs serves both. */
function askedFor(cells: readonly PaperCell[]): ReadonlyMap<string, PaperCell> {
  const asked = new Map<string, PaperCell>();
  for (const cell of cells) {
    const before = asked.get(keyOf(cell.keys));
    if (before === undefined || before.repetitions < cell.repetitions) asked.set(keyOf(cell.keys), cell);
  }
  return asked;
}

/** One sweep of all of them. */
export function paperMatrix(cells: readonly PaperCell[], seed: string): SweepMatrix {
  return {
    ...{ name: 'paper', scenario: 'lab', seed },
    cells: [...askedFor(cells).values()].map(({ keys, repetitions }) => ({ ...keys, repetitions })) as never,
  };
}

export const keyOf = (keys: Readonly<Record<string, unknown>>): string => {
  const { repetitions: _, ...rest } = keys as { repetitions?: unknown };
  return canonicalJson(rest);
};

/** Mean over the runs and its interval; nothing where no run counts. */
export function pointsOf(x: number, cell: PaperCell, measure: MeasureName, results: readonly SweepResult[]): Point[] {
  return results.length === 0 ? [] : [pointOf(x, cell, measure, results)];
}

function pointOf(x: number, cell: PaperCell, measure: MeasureName, results: readonly SweepResult[]): Point {
  const values = results.flatMap(({ measures }) => (measures === null ? [] : [MEASURES[measure](measures)]));
  const recipe: SweepRecipe = { kind: 'sweep', keys: cell.keys, repetitions: cell.repetitions, measure };
  const { mean, meanInterval, count } = summarise(values);
  return { x, y: mean, ...meanInterval, runs: count, recipe: { ...recipe } };
}

/** Each run by itself. */
export function samplesOf(x: number, measure: MeasureName, results: readonly SweepResult[]): Point[] {
  return results.flatMap(({ measures }) => (measures === null ? [] : [{ x, y: MEASURES[measure](measures) }]));
}

export async function remeasureSweep(recipes: readonly SweepRecipe[], options: RunOptions): Promise<Point[]> {
  const results = await runSweep(recipes, options);
  return recipes.map((recipe) =>
    pointOf(Number.NaN, recipe, recipe.measure, results.get(keyOf(recipe.keys))?.filter(counts) ?? []),
  );
}
