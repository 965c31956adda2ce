/**
 * The TypeScript API (docs/sweep.md, "From a program"): sweeps, their results and the statistics over them. Everything that is
 * exported here is stable within a major version; other modules are not.
 */
export { OmniError } from './core/index.ts';
export {
  type BootstrapOptions,
  bootstrap,
  deviation,
  type Interval,
  mean,
  median,
  quantile,
  type Summary,
  summarise,
} from './lab/statistics.ts';
export { SweepError } from './lab/sweep/error.ts';
export { readResults } from './lab/sweep/journal.ts';
export { readJobFile, type SweepMatrix } from './lab/sweep/matrix.ts';
export {
  isSound,
  RESULT_SCHEMA,
  type SweepMeasures,
  type SweepResult,
  type SweepSettings,
  sweepResultSchema,
} from './lab/sweep/result.ts';
export { planSweep, type SweepOptions, type SweepProgress, sweep } from './lab/sweep/run.ts';
export { type CellSummary, cellsCsv, mergeResults, runsCsv, summariseCells } from './lab/sweep/table.ts';
