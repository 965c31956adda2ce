/**
 * Statistics of repeated runs: mean, median, quantiles and the bootstrap interval of any of them. Pure: the resampling draws
 * from our seeded generator, so that a table, and a figure made of it years later, show the same interval.
 *
 * Interval: the percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3). With fewer
 * than about ten values it is too narrow, as every bootstrap is; the count is always shown beside it.
 */
import { Rng } from '../core/index.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
  /** Sample standard deviation (n − 1); 0 for one value. */
  readonly deviation: number;
  /** 95 % bootstrap intervals. */
  readonly meanInterval: Interval;
  readonly medianInterval: Interval;
}

/** NaN without values. */
export function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Linear between the order statistics (Hyndman and Fan's type 7, R's default); NaN without values. */
export function quantile(values: readonly number[], q: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), q);
}

function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = q * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

/** Sample standard deviation; 0 for fewer than two values. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  let sum = 0;
  for (const value of values) sum += (value - centre) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

export interface BootstrapOptions {
  /** Default 0.95. */
  readonly confidence?: number;
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 1: the same values give the same interval. */
  readonly seed?: number | string;
}

/** The interval of a statistic; from the one value to itself for one value, NaN without values. */
export function bootstrap(
  values: readonly number[],
  statistic: (resample: readonly number[]) => number,
  { confidence = 0.95, resamples = 2000, seed = 1 }: BootstrapOptions = {},
): Interval {
  const count = values.length;
  if (count === 0) return { low: Number.NaN, high: Number.NaN };
  const rng = new Rng(seed, 'bootstrap');
  const resample = new Array<number>(count);
  const statistics = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    for (let j = 0; j < count; j++) resample[j] = values[rng.below(count)]!;
    statistics[i] = statistic(resample);
  }
  statistics.sort();
  const tail = (1 - confidence) / 2;
  return { low: quantileOfSorted(statistics, tail), high: quantileOfSorted(statistics, 1 - tail) };
}

export function summarise(values: readonly number[], options: BootstrapOptions = {}): Summary {
  const sorted = Float64Array.from(values).sort();
  return {
    count: values.length,
    mean: mean(values),
    median: quantileOfSorted(sorted, 0.5),
    least: sorted[0] ?? Number.NaN,
    greatest: sorted.at(-1) ?? Number.NaN,
    deviation: deviation(values),
    ...bothIntervals(sorted, options),
  };
}

/** The intervals of mean and median from the same resamples, counted instead of sorted: tables have thousands of them. */
function bothIntervals(
  sorted: Float64Array,
  { confidence = 0.95, resamples = 2000, seed = 1 }: BootstrapOptions,
): Pick<Summary, 'meanInterval' | 'medianInterval'> {
  const count = sorted.length;
  const least = sorted[0] ?? Number.NaN;
  if (count === 0 || least === sorted[count - 1]) {
    const point = { low: least, high: least };
    return { meanInterval: point, medianInterval: point };
  }
  const rng = new Rng(seed, 'bootstrap');
  const drawn = new Uint32Array(count);
  const means = new Float64Array(resamples);
  const medians = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    drawn.fill(0);
    let sum = 0;
    for (let j = 0; j < count; j++) {
      const index = rng.below(count);
      drawn[index]!++;
      sum += sorted[index]!;
    }
    means[i] = sum / count;
    medians[i] = medianOfDrawn(sorted, drawn);
  }
  const tail = (1 - confidence) / 2;
  const interval = (statistics: Float64Array): Interval => {
    statistics.sort();
    return { low: quantileOfSorted(statistics, tail), high: quantileOfSorted(statistics, 1 - tail) };
  };
  return { meanInterval: interval(means), medianInterval: interval(medians) };
}

/** Of the multiset that has `drawn[i]` times the i-th of the sorted values. */
function medianOfDrawn(sorted: Float64Array, drawn: Uint32Array): number {
  const count = sorted.length;
  const lower = (count - 1) >> 1;
  const upper = count >> 1;
  let below = 0;
  let low = Number.NaN;
  for (let i = 0; i < count; i++) {
    below += drawn[i]!;
    if (Number.isNaN(low) && below > lower) low = sorted[i]!;
    if (below > upper) return (low + sorted[i]!) / 2;
  }
  return low;
}
