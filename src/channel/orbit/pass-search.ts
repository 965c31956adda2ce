/**
 * When a quantity that swings (an elevation) is at or above a limit: samples at a step that no swing fits between, then root
 * finding. A peak, or a dip, that lies between two samples is found by its neighbours and looked at closely, so that a pass of
 * a second over the mask is not lost. What was found is kept; nothing is searched twice.
 */
import { type Instant, NEVER } from '../../core/index.ts';
import type { ContactInterval } from '../contacts.ts';
import type { Varying } from '../timeline.ts';

const MILLISECOND = 1e6;
/** Instants are exact up to here: 104 days. */
const LAST_INSTANT = Number.MAX_SAFE_INTEGER;

export class PassSearch {
  readonly #elevation: Varying<number>;
  readonly #mask: number;
  readonly #step: number;
  readonly #found: ContactInterval[] = [];
  /** The last two samples. */
  #beforeTime: number;
  #before: number;
  #lastTime = 0;
  #last: number;
  /** Since when it has been up; negative when it is down. */
  #upSince: number;

  constructor(elevation: Varying<number>, mask: number, stepNanoseconds: number) {
    this.#elevation = elevation;
    this.#mask = mask;
    this.#step = stepNanoseconds;
    this.#last = this.#at(0);
    this.#before = this.#last;
    this.#beforeTime = 0;
    this.#upSince = this.#last >= mask ? 0 : -1;
  }

  /** The first pass that ends after `time`; its end is NEVER when none is in sight. Undefined when there is none. */
  endingAfter(time: Instant): ContactInterval | undefined {
    for (;;) {
      const index = this.#indexEndingAfter(time);
      if (index < this.#found.length) return this.#found[index];
      if (this.#lastTime >= LAST_INSTANT)
        return this.#upSince < 0 ? undefined : { aos: this.#upSince as Instant, los: NEVER };
      this.#advance();
    }
  }

  /** When it is highest within a pass, to the millisecond. */
  culmination({ aos, los }: ContactInterval): Instant {
    const parts = Math.max(2, Math.ceil((los - aos) / this.#step));
    const part = (los - aos) / parts;
    let best = 0;
    for (let i = 1; i <= parts; i++) if (this.#at(aos + i * part) > this.#at(aos + best * part)) best = i;
    const from = aos + Math.max(0, best - 1) * part;
    const peak = this.#extremum(from, aos + Math.min(parts, best + 1) * part, 1);
    return toMillisecond(Math.min(los, Math.max(aos, peak)));
  }

  /** One more sample. */
  #advance(): void {
    const time = Math.min(LAST_INSTANT, this.#lastTime + this.#step);
    const value = this.#at(time);
    const wasUp = this.#last >= this.#mask;
    const isUp = value >= this.#mask;
    if (wasUp === isUp) this.#lookBetween(time, value, wasUp);
    if (wasUp !== isUp) this.#cross(this.#lastTime, time, isUp);
    this.#beforeTime = this.#lastTime;
    this.#before = this.#last;
    this.#lastTime = time;
    this.#last = value;
  }

  /**
   * Three samples on one side of the mask, of which the middle one is the nearest to it: does the curve cross in between?
   * It does so before or after the middle sample; the stretch after it is looked at here, and the one before it as well, which
   * nothing has been said of yet.
   */
  #lookBetween(time: number, value: number, up: boolean): void {
    const sign = up ? -1 : 1;
    const peaks = sign * (this.#last - this.#before) >= 0 && sign * (this.#last - value) > 0;
    if (!peaks || this.#before >= this.#mask !== up) return;
    const peak = this.#extremum(this.#beforeTime, time, sign);
    if (this.#at(peak) >= this.#mask === up) return;
    this.#cross(this.#beforeTime, peak, !up);
    this.#cross(peak, time, up);
  }

  /** The crossing between two times on either side of the mask. */
  #cross(from: number, to: number, rising: boolean): void {
    const at = toMillisecond(this.#root(from, to, rising));
    if (rising) this.#upSince = at;
    else {
      if (at > this.#upSince) this.#found.push({ aos: this.#upSince as Instant, los: at });
      this.#upSince = -1;
    }
  }

  #root(from: number, to: number, rising: boolean): number {
    let a = from;
    let b = to;
    while (b - a > MILLISECOND / 8) {
      const middle = (a + b) / 2;
      if (this.#at(middle) >= this.#mask === rising) b = middle;
      else a = middle;
    }
    return (a + b) / 2;
  }

  /** Where the curve is highest (sign 1) or lowest (−1) between two times that enclose one such place. Golden section. */
  #extremum(from: number, to: number, sign: 1 | -1): number {
    const RATIO = (Math.sqrt(5) - 1) / 2;
    let a = from;
    let b = to;
    let c = b - RATIO * (b - a);
    let d = a + RATIO * (b - a);
    let atC = sign * this.#at(c);
    let atD = sign * this.#at(d);
    while (b - a > MILLISECOND / 8) {
      if (atC > atD) {
        b = d;
        d = c;
        atD = atC;
        c = b - RATIO * (b - a);
        atC = sign * this.#at(c);
      } else {
        a = c;
        c = d;
        atC = atD;
        d = a + RATIO * (b - a);
        atD = sign * this.#at(d);
      }
    }
    return (a + b) / 2;
  }

  #at(time: number): number {
    return this.#elevation.at(time as Instant);
  }

  #indexEndingAfter(time: number): number {
    let low = 0;
    let high = this.#found.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#found[middle]!.los > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

const toMillisecond = (time: number): Instant => (Math.round(time / MILLISECOND) * MILLISECOND) as Instant;
