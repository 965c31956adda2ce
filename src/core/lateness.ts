/**
 * How late a driver did what was due: a histogram with buckets of powers of two of a microsecond, the largest value, and the
 * count of those above the bound past which results are no longer to be trusted without a remark.
 */
import { type Duration, milliseconds } from './time.ts';

export const LATENESS_BOUND: Duration = milliseconds(1);
const BUCKETS = 24;

export interface LatenessSnapshot {
  readonly count: number;
  /** Above the bound of 1 ms. */
  readonly overdue: number;
  readonly maximumMicroseconds: number;
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  /** Cumulative counts at or below 1, 2, 4 … microseconds. */
  readonly buckets: readonly { readonly atMostMicroseconds: number; readonly count: number }[];
}

export class Lateness {
  readonly #buckets = new Float64Array(BUCKETS + 1);
  #count = 0;
  #overdue = 0;
  #maximum = 0;

  add(late: number): void {
    this.#count++;
    if (late > this.#maximum) this.#maximum = late;
    if (late > LATENESS_BOUND) this.#overdue++;
    const microseconds = Math.ceil(late / 1000);
    this.#buckets[microseconds <= 1 ? 0 : Math.min(BUCKETS, 32 - Math.clz32(microseconds - 1))]!++;
  }

  get overdue(): number {
    return this.#overdue;
  }

  snapshot(): LatenessSnapshot {
    const buckets = [];
    let cumulative = 0;
    for (let i = 0; i < BUCKETS; i++) {
      cumulative += this.#buckets[i]!;
      buckets.push({ atMostMicroseconds: 2 ** i, count: cumulative });
    }
    return {
      count: this.#count,
      overdue: this.#overdue,
      maximumMicroseconds: Math.round(this.#maximum / 1000),
      p50Microseconds: quantile(buckets, this.#count, 0.5),
      p99Microseconds: quantile(buckets, this.#count, 0.99),
      buckets,
    };
  }
}

/** Upper bound of the bucket that holds the quantile. */
function quantile(buckets: LatenessSnapshot['buckets'], count: number, q: number): number {
  if (count === 0) return 0;
  return buckets.find((b) => b.count >= q * count)?.atMostMicroseconds ?? Number.POSITIVE_INFINITY;
}
