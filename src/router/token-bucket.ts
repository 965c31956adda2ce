/** A token bucket on injected time: `take(now)` succeeds at most `burst` times at once and `perSecond` times a second after. */
import type { Instant } from '../core/time.ts';

export class TokenBucket {
  readonly #perNanosecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: Instant | undefined;

  constructor(perSecond: number, burst: number) {
    this.#perNanosecond = perSecond / 1e9;
    this.#burst = burst;
    this.#tokens = burst;
  }

  take(now: Instant): boolean {
    if (this.#at !== undefined) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perNanosecond);
    }
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
