/** What a figure of the paper is to the command that makes it: a module in figures/, and a line in figures/index.ts. */
import type { Shard } from '../fidelity/cells.ts';
import type { Totals } from '../fidelity/workers.ts';
import type { SweepResult } from '../sweep/result.ts';
import type { Figure } from './figure.ts';

export interface FigureContext {
  readonly seed: string;
  /** Of the full number of frames, 1 in the paper; smaller for a taste. */
  readonly scale: number;
  /** In place of each cell's own number, when given. */
  readonly repetitions: number | undefined;
  /** Keep what is worth keeping (captures) here. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Counts shards of frames on worker threads. */
  countFrames(shards: readonly Shard[], cells: number, onDone: (share: number) => void): Promise<Totals[]>;
  /** What the progress is of: the name of a figure. */
  working(on: string): void;
  /** 0 to 1. */
  progress(share: number): void;
}

/** One point's conditions, as a sweep takes them, and how often it is run. */
export interface PaperCell {
  /** Scenario keys by dotted path or short name, and `workload`. */
  readonly keys: Readonly<Record<string, unknown>>;
  readonly repetitions: number;
}

/** Sound results of the sweep by cell; in the order of repetitions. */
export type ResultsOf = (cell: PaperCell) => readonly SweepResult[];

export interface FigureModule {
  readonly name: string;
  readonly summary: string;
  readonly needsTestbeds: boolean;
  /** Programs that its testbeds need besides `ip`. */
  readonly programs?: readonly string[];
  /** The runs that it needs; none for figures that make their own. */
  cells?(context: FigureContext): readonly PaperCell[];
  /** What it is made with, for the provenance; a figure whose file has the same, seed and versions included, is not made again. */
  matrix(context: FigureContext): unknown;
  build(context: FigureContext, results: ResultsOf): Promise<Figure>;
}
