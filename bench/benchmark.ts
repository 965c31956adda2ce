/** What a file in bench/ exports: `benchmarks()`, a list of these. `scripts/bench.mjs` runs it. */
export interface Benchmark {
  readonly name: string;
  /** What the time is divided by, e.g. `octet`. */
  readonly unit: string;
  readonly unitsPerRun: number;
  /** The yardstick: the others' times are also given as multiples of this one's, which a busy machine moves less. */
  readonly yardstick?: boolean;
  /** Does the work once. The runner adds the results up, so that no work can be optimised away. */
  run(): number;
}
