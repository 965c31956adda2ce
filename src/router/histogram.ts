/**
 * A latency histogram with logarithmic buckets: four to the octave from 1 µs up, so any quantile is right within 19 %, and
 * recording is a few integer operations. Sums and the maximum are exact.
 */
import type { Duration } from '../core/time.ts';

const PER_OCTAVE = 4;
const OCTAVES = 34; // 1 µs … 2^34 µs = 4.8 h: longer than any hold
const BUCKETS = 1 + PER_OCTAVE * OCTAVES;

export interface HistogramSnapshot {
  readonly count: number;
  readonly sumMicroseconds: number;
  readonly maxMicroseconds: number;
  readonly p50Microseconds: number;
  readonly p90Microseconds: number;
  readonly p99Microseconds: number;
  /** Pairs of upper bound (µs) and the count at or below it, only where the count grows. */
  readonly cumulative: readonly (readonly [number, number])[];
}

export class LatencyHistogram {
  /** A kilobyte, made with the first record: of a link's many classes most stay empty. */
  #buckets: Float64Array | undefined;
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }
  /** Nanoseconds. */
  get max(): Duration {
    return this.#max as Duration;
  }

  record(wait: Duration): void {
    this.#count++;
    this.#sum += wait;
    if (wait > this.#max) this.#max = wait;
    this.#buckets ??= new Float64Array(BUCKETS);
    this.#buckets[bucketOf(wait)]!++;
  }

  /** The upper bound of the bucket that the quantile lies in, at most the maximum; 0 when nothing was recorded. */
  quantile(fraction: number): Duration {
    const buckets = this.#buckets ?? [];
    const rank = Math.max(1, Math.ceil(fraction * this.#count));
    let seen = 0;
    for (let i = 0; i < buckets.length; i++) {
      seen += buckets[i]!;
      if (seen >= rank) return Math.min(this.#max, upperBound(i) * 1000) as Duration;
    }
    return this.#max as Duration;
  }

  snapshot(): HistogramSnapshot {
    const buckets = this.#buckets ?? [];
    const cumulative: [number, number][] = [];
    let seen = 0;
    for (let i = 0; i < buckets.length; i++) {
      if (buckets[i] === 0) continue;
      seen += buckets[i]!;
      cumulative.push([upperBound(i), seen]);
    }
    return {
      count: this.#count,
      sumMicroseconds: Math.round(this.#sum / 1000),
      maxMicroseconds: Math.round(this.#max / 1000),
      p50Microseconds: Math.round(this.quantile(0.5) / 1000),
      p90Microseconds: Math.round(this.quantile(0.9) / 1000),
      p99Microseconds: Math.round(this.quantile(0.99) / 1000),
      cumulative,
    };
  }
}

/** Bucket 0 holds all below 1 µs; then four linear steps in each octave, as a floating point number with 2 mantissa bits. */
function bucketOf(wait: Duration): number {
  const us = wait / 1000;
  if (us < 1) return 0;
  if (us >= 2 ** OCTAVES) return BUCKETS - 1;
  // Math.clz32 needs 32 bits: scale long waits down, which keeps the two leading bits that matter.
  const long = us >= 2 ** 28;
  const scaled = (long ? us / 64 : us * 4) | 0; // at least 4, so that the two bits below the leading one exist
  const top = 31 - Math.clz32(scaled);
  const octave = long ? top + 6 : top - 2;
  return 1 + octave * PER_OCTAVE + ((scaled >>> (top - 2)) & 3);
}

function upperBound(bucket: number): number {
  if (bucket === 0) return 1;
  const octave = Math.floor((bucket - 1) / PER_OCTAVE);
  return 2 ** octave * (1 + (((bucket - 1) % PER_OCTAVE) + 1) / PER_OCTAVE);
}
