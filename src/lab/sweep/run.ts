/**
 * Runs a sweep: every cell of a matrix, each repetition in a testbed with a seed of its own, as many side by side as the machine
 * carries without being late.
 */
import type { SweepMatrix } from './matrix.ts';
import type { SweepResult } from './result.ts';

export interface SweepOptions {
  /** Results are appended here, and runs that it has already are not made again. Without it they are only yielded. */
  readonly output?: string;
  /** Only every n-th cell and repetition: `{ index: 1, of: 4 }`, from 1. */
  readonly shard?: { readonly index: number; readonly of: number };
  /** Keep each run's packets as pcapng in this directory. */
  readonly captures?: string;
  /** Runs at a time at most. Default: what the planner finds that the machine carries. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SweepProgress) => void;
}

export interface SweepProgress {
  readonly done: number;
  readonly total: number;
  readonly running: number;
  readonly repeated: number;
  readonly secondsLeft: number | undefined;
}

/**
 * Yields the results that the output has already, then each run as it ends, late ones too (`isSound` tells which count).
 * Throws SweepError before anything is built when the matrix is impossible; OmniError OMNI_INTERRUPTED when the signal came.
 */
export async function* sweep(_matrix: SweepMatrix, _options: SweepOptions = {}): AsyncGenerator<SweepResult> {
  yield* [];
}
