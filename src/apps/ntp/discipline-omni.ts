/**
 * The rule that UoSAT-12 followed on 14 April 2000 (Criscuolo, Hogie, Parise, IEEE Aerospace 2001; FCW, 1 May 2000): nothing is
 * changed before two successive offsets of at least 15 ms; then, when the clock is off by more than a second, the second is set
 * first and the fraction after it. The clock can only be set in whole ticks. No frequency is learned. This is not RFC 5905.
 */
import type { Instant } from '../../core/index.ts';
import type { AdjustableClock } from './clock-model.ts';
import type { Discipline, Sample, Verdict } from './discipline.ts';

export const OMNI_THRESHOLD_SECONDS = 0.015;

export class OmniDiscipline implements Discipline {
  readonly name = 'omni';
  readonly pollIntervalSeconds: number;
  readonly #clock: AdjustableClock;
  #large = 0;
  #steps = 0;

  constructor(clock: AdjustableClock, pollSeconds: number) {
    this.#clock = clock;
    this.pollIntervalSeconds = pollSeconds;
  }

  handleSample(sample: Sample, now: Instant): Verdict {
    if (Math.abs(sample.offset) < OMNI_THRESHOLD_SECONDS) {
      this.#large = 0;
      return { kind: 'ignored', why: 'below 15 ms' };
    }
    if (++this.#large < 2) return { kind: 'ignored', why: 'first of two' };
    this.#large = 0;
    this.#steps++;
    const whole = Math.trunc(sample.offset);
    if (whole !== 0) this.#clock.step(now, whole);
    const tick = this.#clock.tick;
    const rest = sample.offset - whole;
    const fraction = tick > 0 ? Math.round(rest / tick) * tick : rest;
    this.#clock.step(now, fraction);
    return { kind: 'stepped', seconds: whole + fraction };
  }

  handleContact(): void {
    // Two successive offsets may well be on both sides of a pass: the rule of 2000 knew nothing of passes.
  }
  handleClockSet(): void {
    this.#large = 0;
  }
  handleTimeout(): void {}
  pollTimeout(): undefined {
    return undefined;
  }
  status(): Record<string, number | string> {
    return { steps: this.#steps };
  }
}
