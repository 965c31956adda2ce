/**
 * Regression of offset and frequency over the samples of many contacts, as chrony's sourcestats does it, with holdover: between
 * contacts the clock runs on at the learned frequency, and the next pass's samples join the same line.
 *
 * Samples are kept as the offset of the *uncorrected* oscillator (measured offset plus all corrections made up to then), so
 * steering does not disturb them. The slope has a prior (an oscillator is within some tens of ppm), which keeps the first short
 * burst from being read as a wild frequency. When the residuals' signs come in too few runs, the oldest samples are dropped:
 * the oscillator has wandered off the line. Runs test: Wald and Wolfowitz, in the normal approximation.
 */
import { type Instant, since, toSeconds } from '../../core/index.ts';
import type { AdjustableClock } from './clock-model.ts';
import type { Discipline, Sample, Verdict } from './discipline.ts';

// Implementation constants
const MOST_SAMPLES = 1024;
const FEWEST_SAMPLES = 8;
/** Standard deviation that a fresh oscillator's frequency is believed to have. */
const PRIOR_FREQUENCY = 30e-6;
/** Above this a correction is a step; below it is slewed. */
const STEP_SECONDS = 0.1;
/** A residual beyond this many standard deviations, and this much, is a spike; two that agree are a jump of the clock. */
const SPIKE_DEVIATIONS = 6;
const SPIKE_SECONDS = 0.03;
/** z below which the runs are too few (about 1 in 1000 by chance). */
const FEW_RUNS_Z = -3.1;
const LEAST_DEVIATION = 1e-6;

interface Point {
  readonly at: Instant;
  /** Offset of the uncorrected oscillator, seconds. */
  readonly raw: number;
  readonly delay: number;
}

interface Line {
  readonly reference: Instant;
  readonly intercept: number;
  readonly slope: number;
  readonly deviation: number;
  readonly slopeDeviation: number;
}

export class RegressionDiscipline implements Discipline {
  readonly name = 'regression';
  readonly pollIntervalSeconds: number;
  readonly #clock: AdjustableClock;
  #points: Point[] = [];
  #line: Line | undefined;
  #spike: Point | undefined;
  /** The corrections made so far: at instant `#correctedAt` their sum, growing at `#frequency`. */
  #corrected = 0;
  #correctedAt: Instant = 0 as Instant;
  #frequency = 0;

  constructor(clock: AdjustableClock, pollSeconds: number) {
    this.#clock = clock;
    this.pollIntervalSeconds = pollSeconds;
  }

  handleSample(sample: Sample, now: Instant): Verdict {
    // A slew still under way has been booked but not yet made.
    const raw = sample.offset + this.#correctionAt(now) - this.#clock.slewLeft(now);
    const point: Point = { at: now, raw, delay: sample.delay };
    if (this.#isSpike(point)) return { kind: 'ignored', why: 'spike' };
    this.#points.push(point);
    if (this.#points.length > MOST_SAMPLES) this.#points.shift();
    this.#line = this.#fit();
    return this.#steer(this.#line, now);
  }

  handleContact(): void {}

  handleClockSet(seconds: number, now: Instant): void {
    this.#book(seconds, now);
  }
  handleTimeout(): void {}
  pollTimeout(): undefined {
    return undefined;
  }

  status(): Record<string, number | string> {
    return {
      samples: this.#points.length,
      frequencyPpm: this.#frequency * 1e6,
      skewPpm: (this.#line?.slopeDeviation ?? PRIOR_FREQUENCY) * 1e6,
      deviationSeconds: this.#line?.deviation ?? 0,
    };
  }

  #correctionAt(now: Instant): number {
    return this.#corrected + this.#frequency * toSeconds(since(now, this.#correctedAt));
  }

  #book(seconds: number, now: Instant): void {
    this.#corrected = this.#correctionAt(now) + seconds;
    this.#correctedAt = now;
  }

  #isSpike(point: Point): boolean {
    const line = this.#line;
    if (line === undefined || this.#points.length < FEWEST_SAMPLES) return false;
    const age = toSeconds(since(point.at, this.#points[this.#points.length - 1]!.at));
    const limit = SPIKE_SECONDS + SPIKE_DEVIATIONS * (line.deviation + line.slopeDeviation * age);
    if (Math.abs(point.raw - predict(line, point.at)) <= limit) {
      this.#spike = undefined;
      return false;
    }
    if (this.#spike !== undefined && Math.abs(point.raw - this.#spike.raw) <= limit) {
      // Twice the same: the clock has jumped (set by hand, reset). The frequency is as good as it was; the phase is not.
      const jump = point.raw - predict(line, point.at);
      this.#points = this.#points.map((p) => ({ ...p, raw: p.raw + jump }));
      this.#spike = undefined;
      return false;
    }
    this.#spike = point;
    return true;
  }

  #fit(): Line {
    for (;;) {
      const line = this.#fitOnce();
      if (this.#points.length <= FEWEST_SAMPLES || !tooFewRuns(this.#points, line)) return line;
      this.#points.splice(0, Math.max(1, Math.floor(this.#points.length / 8)));
    }
  }

  #fitOnce(): Line {
    const points = this.#points;
    const reference = points[points.length - 1]!.at;
    const usualDelay = median(points.map((p) => p.delay));
    const spread = Math.max(LEAST_DEVIATION, this.#line?.deviation ?? this.#clock.tick / 3.46, this.#clock.tick / 3.46);
    let w0 = 0;
    let wx = 0;
    let wy = 0;
    const weights = points.map((p) => {
      // What delayed an exchange beyond the usual did so in one direction or the other: at worst half of it is error.
      const excess = Math.max(0, p.delay - usualDelay) / 2;
      return 1 / (spread * spread + excess * excess);
    });
    for (let i = 0; i < points.length; i++) {
      w0 += weights[i]!;
      wx += weights[i]! * toSeconds(since(points[i]!.at, reference));
      wy += weights[i]! * points[i]!.raw;
    }
    const meanX = wx / w0;
    const meanY = wy / w0;
    let sxx = 1 / (PRIOR_FREQUENCY * PRIOR_FREQUENCY);
    let sxy = 0;
    for (let i = 0; i < points.length; i++) {
      const x = toSeconds(since(points[i]!.at, reference)) - meanX;
      sxx += weights[i]! * x * x;
      sxy += weights[i]! * x * (points[i]!.raw - meanY);
    }
    const slope = sxy / sxx;
    let squares = 0;
    for (let i = 0; i < points.length; i++) {
      const x = toSeconds(since(points[i]!.at, reference)) - meanX;
      squares += (points[i]!.raw - meanY - slope * x) ** 2;
    }
    // Few samples say little of their own spread; a millisecond stands for what is not known yet.
    const deviation = Math.sqrt((squares + 4e-6) / (points.length + 2));
    return { reference, intercept: meanY - slope * meanX, slope, deviation, slopeDeviation: 1 / Math.sqrt(sxx) };
  }

  #steer(line: Line, now: Instant): Verdict {
    const wanted = predict(line, now);
    const change = wanted - this.#correctionAt(now);
    this.#book(change, now);
    this.#frequency = line.slope;
    this.#clock.setFrequency(now, line.slope);
    const left = change + this.#clock.slewLeft(now);
    if (Math.abs(left) > STEP_SECONDS) {
      this.#clock.step(now, left);
      return { kind: 'stepped', seconds: left };
    }
    this.#clock.slew(now, left);
    return { kind: 'slewed', seconds: left };
  }
}

const predict = (line: Line, at: Instant): number => line.intercept + line.slope * toSeconds(since(at, line.reference));

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1]!;
}

function tooFewRuns(points: readonly Point[], line: Line): boolean {
  let above = 0;
  let runs = 0;
  let last: boolean | undefined;
  for (const point of points) {
    const sign = point.raw > predict(line, point.at);
    if (sign) above++;
    if (sign !== last) runs++;
    last = sign;
  }
  const below = points.length - above;
  if (above === 0 || below === 0) return points.length > FEWEST_SAMPLES;
  const product = 2 * above * below;
  const expected = product / points.length + 1;
  const variance = (product * (product - points.length)) / (points.length * points.length * (points.length - 1));
  return (runs - expected) / Math.sqrt(Math.max(variance, 1e-9)) < FEW_RUNS_Z;
}
