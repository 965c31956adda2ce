/**
 * What a link to one next hop costs, learned from what was delivered over it: octets a second from large messages, the fixed cost
 * of a message from small ones, the set-up time from sessions. Exponentially weighted, so it follows a link that changes.
 */
import type { WallTime } from '../../core/index.ts';
import type { Arrivals, LinkModel } from './schedule.ts';
import { secondsBetween } from './wall-time.ts';

/** From this size on a transfer tells the rate; below half of it, the fixed cost. */
const LARGE_OCTETS = 4096;
const WEIGHT = 0.25;
/** Arrivals remembered, to foresee what comes before the next contact. */
const ARRIVALS = 200;
/** Fewer tell nothing yet. */
const ARRIVALS_ENOUGH = 5;

export class LinkEstimator {
  #rate: number | undefined;
  #perMessage: number | undefined;
  #setup: number | undefined;

  readonly #arrivals: { readonly at: WallTime; readonly priority: number; readonly octets: number }[] = [];

  get model(): LinkModel {
    return {
      octetsPerSecond: this.#rate,
      secondsPerMessage: this.#perMessage ?? 0.1,
      setupSeconds: this.#setup ?? 0.5,
    };
  }

  arrived(at: WallTime, priority: number, octets: number): void {
    this.#arrivals.push({ at, priority, octets });
    if (this.#arrivals.length > ARRIVALS) this.#arrivals.shift();
  }

  arrivals(now: WallTime): Arrivals {
    const [first] = this.#arrivals;
    const seconds = first === undefined ? 0 : secondsBetween(first.at, now);
    if (this.#arrivals.length < ARRIVALS_ENOUGH || seconds <= 0) return { seconds: 0, messages: [] };
    return { seconds, messages: this.#arrivals };
  }

  setup(seconds: number): void {
    if (seconds >= 0) this.#setup = blend(this.#setup, seconds);
  }

  /** @param seconds from the previous reply, or the envelope's departure, to the final reply. */
  transfer(octets: number, seconds: number): void {
    if (!(seconds > 0)) return;
    const fixed = this.#perMessage ?? 0;
    if (octets >= LARGE_OCTETS && seconds > fixed * 1.5) this.#rate = blend(this.#rate, octets / (seconds - fixed));
    else if (this.#rate !== undefined)
      this.#perMessage = blend(this.#perMessage, Math.max(0, seconds - octets / this.#rate));
    else if (octets < LARGE_OCTETS / 2) this.#perMessage = blend(this.#perMessage, seconds);
  }
}

const blend = (old: number | undefined, value: number): number =>
  old === undefined ? value : old + WEIGHT * (value - old);
