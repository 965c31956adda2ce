/**
 * The transmit clock of a synchronous line: which bit is on the line when. It never stops; between frames it clocks fill.
 * Bit k occupies [timeOf(k), timeOf(k + 1)). A change of rate takes effect with the first bit that begins at or after it.
 * Exact while bit indices stay below 2^53: 104 days at 1 Gbit/s.
 */
import type { Instant } from '../core/index.ts';

export class BitClock {
  #rate: number;
  #originBit = 0;
  /** When the origin bit begins; a double with a fraction, since bit times are rarely whole nanoseconds. */
  #originTime = 0;

  constructor(rateBitPerSecond: number) {
    this.#rate = checked(rateBitPerSecond);
  }

  get rateBitPerSecond(): number {
    return this.#rate;
  }

  /** When bit `bit` begins, rounded up to a nanosecond. */
  timeOf(bit: number): Instant {
    return Math.ceil(this.#originTime + ((bit - this.#originBit) * 1e9) / this.#rate) as Instant;
  }

  /** The first bit that begins at or after `time`. */
  bitAt(time: Instant): number {
    const bit = this.#originBit + Math.ceil(((time - this.#originTime) * this.#rate) / 1e9);
    // Rounding up twice can overshoot by one bit: timeOf(bit − 1) may be `time` exactly.
    return this.timeOf(bit - 1) >= time ? bit - 1 : bit;
  }

  setRate(rateBitPerSecond: number, time: Instant): void {
    if (rateBitPerSecond === this.#rate) return;
    const bit = this.bitAt(time);
    this.#originTime += ((bit - this.#originBit) * 1e9) / this.#rate;
    this.#originBit = bit;
    this.#rate = checked(rateBitPerSecond);
  }
}

function checked(rate: number): number {
  if (!(rate > 0 && rate <= 1e12)) throw new RangeError(`rate ${rate} bit/s`);
  return rate;
}
