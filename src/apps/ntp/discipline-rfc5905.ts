/**
 * RFC 5905's discipline: clock filter (§10), state machine of Figure 28, PLL and FLL (§11.3, Appendix A.5.5.6), clock adjust once
 * a second (§12). One server, so selection and clustering have nothing to choose. Its 128 ms step threshold and 900 s stepout are
 * why stock NTP cannot do in a 14-minute pass what the OMNI rule did.
 * The appendix prints PLL 65536, a kernel's scaling; Figure 27's TC 16 is what the loop needs in seconds, and what ntpd uses.
 */
import { type Deadline, type Instant, plus, seconds, since, toSeconds } from '../../core/index.ts';
import type { AdjustableClock } from './clock-model.ts';
import type { Discipline, Sample, Verdict } from './discipline.ts';
import { FREQUENCY_TOLERANCE } from './exchange.ts';
import { log2Seconds } from './timestamp.ts';

// Specification constants (RFC 5905 Appendix A.5.5.6, Figure 27)
export const STEP_THRESHOLD = 0.128;
export const STEPOUT = 900;
export const PANIC_THRESHOLD = 1000;
const TIME_CONSTANT_SCALE = 16;
const AVERAGE = 4;
const ALLAN_INTERCEPT = 1500;
const HYSTERESIS_LIMIT = 30;
const MAXIMUM_FREQUENCY = 500e-6;
const POLL_GATE = 4;
const FILTER_STAGES = 8;

type State = 'NSET' | 'FREQ' | 'SYNC' | 'SPIK' | 'PANIC';

interface Stage extends Sample {
  readonly at: Instant;
}

export class Rfc5905Discipline implements Discipline {
  readonly name = 'rfc5905';
  readonly #clock: AdjustableClock;
  readonly #minimumPoll: number;
  readonly #maximumPoll: number;
  readonly #filter: Stage[] = [];
  #state: State = 'NSET';
  #poll: number;
  #updatedAt: Instant | undefined;
  #lastUsed: Instant | undefined;
  #residual = 0;
  #lastOffset = 0;
  #frequency = 0;
  #jitter: number;
  #wander = 0;
  #count = 0;
  #nextAdjust: Instant | undefined;

  constructor(clock: AdjustableClock, polls: { minimum: number; maximum: number }) {
    this.#clock = clock;
    this.#minimumPoll = polls.minimum;
    this.#maximumPoll = polls.maximum;
    this.#poll = polls.minimum;
    this.#jitter = Math.max(clock.tick, 1e-6);
  }

  get pollIntervalSeconds(): number {
    return log2Seconds(this.#poll);
  }

  handleSample(sample: Sample, now: Instant): Verdict {
    const best = this.#filtered({ ...sample, at: now }, now);
    if (best === undefined) return { kind: 'ignored', why: 'clock filter' };
    return this.#update(best, now);
  }

  handleContact(): void {
    // The standard's loop does not know contacts.
  }

  handleClockSet(): void {
    this.#filter.length = 0;
  }

  /** The clock-adjust process: frequency plus a fixed share of the residual offset, once a second (§12). */
  handleTimeout(now: Instant): void {
    if (this.#nextAdjust === undefined || this.#nextAdjust > now) return;
    const share = this.#residual / (TIME_CONSTANT_SCALE * Math.min(log2Seconds(this.#poll), ALLAN_INTERCEPT));
    this.#residual -= share;
    this.#clock.setFrequency(now, this.#frequency + share);
    this.#nextAdjust = Math.abs(this.#residual) > 1e-9 ? plus(now, seconds(1)) : undefined;
    if (this.#nextAdjust === undefined) this.#clock.setFrequency(now, this.#frequency);
  }

  pollTimeout(): Deadline | undefined {
    return this.#nextAdjust === undefined ? undefined : { at: this.#nextAdjust, why: 'clock adjust' };
  }

  status(): Record<string, number | string> {
    return {
      state: this.#state,
      frequencyPpm: this.#frequency * 1e6,
      jitterSeconds: this.#jitter,
      wanderPpm: this.#wander * 1e6,
      poll: this.#poll,
    };
  }

  /** §10: of the last eight samples the one with the least delay, dispersion growing with age; each used once. */
  #filtered(stage: Stage, now: Instant): Stage | undefined {
    this.#filter.push(stage);
    if (this.#filter.length > FILTER_STAGES) this.#filter.shift();
    const distance = (s: Stage) => s.delay / 2 + s.dispersion + FREQUENCY_TOLERANCE * toSeconds(since(now, s.at));
    const best = this.#filter.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    if (this.#lastUsed !== undefined && best.at <= this.#lastUsed) return undefined;
    this.#lastUsed = best.at;
    return best;
  }

  #update(sample: Stage, now: Instant): Verdict {
    const offset = sample.offset;
    if (Math.abs(offset) > PANIC_THRESHOLD) {
      this.#state = 'PANIC';
      return { kind: 'panic', seconds: offset };
    }
    const mu = this.#updatedAt === undefined ? 0 : toSeconds(since(sample.at, this.#updatedAt));
    let frequencyChange = 0;
    let verdict: Verdict = { kind: 'slewed', seconds: offset };
    if (Math.abs(offset) > STEP_THRESHOLD) {
      if (this.#state === 'SYNC') {
        this.#state = 'SPIK';
        return { kind: 'ignored', why: 'spike' };
      }
      if ((this.#state === 'FREQ' || this.#state === 'SPIK') && mu < STEPOUT)
        return { kind: 'ignored', why: 'before the stepout' };
      if (this.#state === 'FREQ') frequencyChange = (offset - this.#lastOffset) / mu;
      const initial = this.#state === 'NSET';
      this.#clock.step(now, offset);
      this.#filter.length = 0;
      this.#count = 0;
      this.#poll = this.#minimumPoll;
      this.#enter(initial ? 'FREQ' : 'SYNC', sample.at, 0);
      verdict = { kind: 'stepped', seconds: offset };
    } else {
      this.#jitter = average(this.#jitter, Math.max(Math.abs(offset - this.#lastOffset), this.#clock.tick, 1e-6));
      if (this.#state === 'NSET') {
        this.#enter('FREQ', sample.at, offset);
        this.#residual = 0;
        return { kind: 'ignored', why: 'measuring the frequency' };
      }
      if (this.#state === 'FREQ') {
        if (mu < STEPOUT) return { kind: 'ignored', why: 'measuring the frequency' };
        frequencyChange = (offset - this.#lastOffset) / mu;
      } else frequencyChange = this.#loopFrequency(offset, mu);
      this.#enter('SYNC', sample.at, offset);
    }
    const frequency = this.#frequency + frequencyChange;
    this.#frequency = Math.max(-MAXIMUM_FREQUENCY, Math.min(MAXIMUM_FREQUENCY, frequency));
    this.#wander = average(this.#wander, frequencyChange);
    this.#adjustPoll();
    this.#clock.setFrequency(now, this.#frequency);
    this.#nextAdjust = plus(now, seconds(1));
    return verdict;
  }

  #loopFrequency(offset: number, mu: number): number {
    const interval = log2Seconds(this.#poll);
    let change = 0;
    if (interval > ALLAN_INTERCEPT / 2) {
      const gain = Math.max(AVERAGE, this.#maximumPoll + 1 - this.#poll);
      change += (offset - this.#residual) / (Math.max(mu, ALLAN_INTERCEPT) * gain);
    }
    const loop = 4 * TIME_CONSTANT_SCALE * interval;
    return change + (offset * Math.min(mu, interval)) / (loop * loop);
  }

  #enter(state: State, at: Instant, offset: number): void {
    this.#state = state;
    this.#lastOffset = offset;
    this.#residual = offset;
    this.#updatedAt = at;
  }

  #adjustPoll(): void {
    if (Math.abs(this.#lastOffset) < POLL_GATE * this.#jitter) {
      this.#count += this.#poll;
      if (this.#count <= HYSTERESIS_LIMIT) return;
      this.#count = HYSTERESIS_LIMIT;
      if (this.#poll < this.#maximumPoll) {
        this.#count = 0;
        this.#poll++;
      }
    } else {
      this.#count -= this.#poll * 2;
      if (this.#count >= -HYSTERESIS_LIMIT) return;
      this.#count = -HYSTERESIS_LIMIT;
      if (this.#poll > this.#minimumPoll) {
        this.#count = 0;
        this.#poll--;
      }
    }
  }
}

/** Root of the exponential average of squares. */
const average = (old: number, value: number): number => Math.sqrt(old * old + (value * value - old * old) / AVERAGE);
