/** What a file in test/fuzz exports as `target`; `scripts/fuzz.mjs` runs it, test/vectors/corpus.test.ts replays what it found. */

/** One input of a run, in order. */
export interface FuzzStep {
  /** The interface it comes by, for targets that have several. */
  readonly ingress: number;
  readonly octets: Uint8Array;
}

export interface FuzzTarget {
  readonly name: string;
  /** The inputs of one run, made from the seed; a buffer may be used again by the next. */
  inputs(seed: string, count: number): Iterable<FuzzStep>;
  /** Feeds the inputs to a fresh machine. Throws when something that must always hold does not. */
  run(steps: Iterable<FuzzStep>): void;
}
