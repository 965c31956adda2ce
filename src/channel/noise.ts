/**
 * Where bit errors fall. Each process yields rising bit indices, a pure function of its seed and settings; between errors it
 * costs nothing, because the distance to the next one is drawn at once instead of a coin per bit.
 *
 * Independent errors: hazard h = −ln(1 − p) per bit and an exponential draw E give the next error at floor(E / h) bits on,
 * which is geometric with parameter p exactly; what is left of E carries over a change of p, so a changed or time-varying
 * BER stays exact too (the exponential has no memory).
 */
import { invariant, naturalLogarithm, type Rng } from '../core/index.ts';

export interface BitErrors {
  /** The first error not yet consumed below bit `limit`; −1 when there is none below it. Does not consume. */
  next(limit: number): number;
  /** Consumes the error that `next` returned. */
  consume(): void;
  /** Forgets all errors below `bit` (the receiver was not listening). */
  skipTo(bit: number): void;
}

export type NoiseConfig =
  | { readonly kind: 'independent'; readonly ber: number }
  | {
      readonly kind: 'burst';
      /** Mean sojourn in each state, bits, at least 1. */
      readonly goodBits: number;
      readonly badBits: number;
      readonly goodBer: number;
      readonly badBer: number;
    }
  | {
      readonly kind: 'recorded' /** Rising bit indices. */;
      readonly positions: readonly number[] /** 0: once only. */;
      readonly periodBits: number;
    };

export const NO_NOISE: NoiseConfig = { kind: 'independent', ber: 0 };

export function bitErrors(config: NoiseConfig, fromBit: number, rng: Rng): BitErrors {
  switch (config.kind) {
    case 'independent':
      return new IndependentErrors(config.ber, fromBit, rng);
    case 'burst':
      return new BurstErrors(config, fromBit, rng);
    case 'recorded':
      return new RecordedErrors(config.positions, config.periodBits, fromBit);
  }
}

export class IndependentErrors implements BitErrors {
  readonly #rng: Rng;
  #hazard: number;
  #from: number;
  #remaining: number;
  #position: number;

  constructor(ber: number, fromBit: number, rng: Rng) {
    this.#rng = rng;
    this.#hazard = hazardOf(ber);
    this.#from = fromBit;
    this.#remaining = rng.exponential();
    this.#position = this.#locate();
  }

  next(limit: number): number {
    return this.#position < limit ? this.#position : -1;
  }

  consume(): void {
    this.#from = this.#position + 1;
    this.#remaining = this.#rng.exponential();
    this.#position = this.#locate();
  }

  skipTo(bit: number): void {
    while (this.#position < bit) this.consume();
  }

  /** From bit `bit` on the BER is another. Errors below `bit` must have been consumed. */
  change(ber: number, bit: number): void {
    invariant(this.#position >= bit, 'errors before a change of BER must be consumed first');
    if (bit > this.#from) {
      this.#remaining = Math.max(0, this.#remaining - (bit - this.#from) * this.#hazard);
      this.#from = bit;
    }
    this.#hazard = hazardOf(ber);
    this.#position = this.#locate();
  }

  #locate(): number {
    return this.#hazard === 0 ? Number.POSITIVE_INFINITY : this.#from + Math.floor(this.#remaining / this.#hazard);
  }
}

/** Gilbert–Elliott at bit level: two states with geometric sojourns, independent errors at each state's own BER. */
export class BurstErrors implements BitErrors {
  readonly #config: Extract<NoiseConfig, { kind: 'burst' }>;
  readonly #rng: Rng;
  readonly #errors: IndependentErrors;
  #bad = false;
  #stateEnd: number;

  constructor(config: Extract<NoiseConfig, { kind: 'burst' }>, fromBit: number, rng: Rng) {
    this.#config = config;
    this.#rng = rng;
    // Start in the stationary distribution; a geometric sojourn has no memory, so its rest is geometric too.
    this.#bad = rng.uniform() < config.badBits / (config.goodBits + config.badBits);
    this.#stateEnd = fromBit + this.#sojourn();
    this.#errors = new IndependentErrors(this.#bad ? config.badBer : config.goodBer, fromBit, rng);
  }

  /** The state that bit `stateEnd − 1` is in, and where it ends: for tests of the burst lengths. */
  get state(): { readonly bad: boolean; readonly end: number } {
    return { bad: this.#bad, end: this.#stateEnd };
  }

  next(limit: number): number {
    for (;;) {
      const position = this.#errors.next(Math.min(limit, this.#stateEnd));
      if (position >= 0) return position;
      if (this.#stateEnd >= limit) return -1;
      this.switchState();
    }
  }

  consume(): void {
    this.#errors.consume();
  }

  skipTo(bit: number): void {
    while (this.next(bit) >= 0) this.consume();
  }

  /** Enters the next state; all errors of the present one must be consumed. */
  switchState(): void {
    const start = this.#stateEnd;
    this.#bad = !this.#bad;
    this.#stateEnd = start + this.#sojourn();
    this.#errors.change(this.#bad ? this.#config.badBer : this.#config.goodBer, start);
  }

  #sojourn(): number {
    const mean = this.#bad ? this.#config.badBits : this.#config.goodBits;
    return mean <= 1 ? 1 : 1 + Math.floor(this.#rng.exponential() / -naturalLogarithm(1 - 1 / mean));
  }
}

export class RecordedErrors implements BitErrors {
  readonly #positions: readonly number[];
  readonly #period: number;
  #index = 0;
  #base: number;

  constructor(positions: readonly number[], periodBits: number, fromBit: number) {
    this.#positions = positions;
    this.#period = periodBits;
    this.#base = fromBit;
  }

  next(limit: number): number {
    if (this.#index >= this.#positions.length) {
      if (this.#period === 0 || this.#positions.length === 0) return -1;
      this.#index = 0;
      this.#base += this.#period;
    }
    const position = this.#base + this.#positions[this.#index]!;
    return position < limit ? position : -1;
  }

  consume(): void {
    this.#index++;
  }

  skipTo(bit: number): void {
    while (this.next(bit) >= 0) this.consume();
  }
}

/** −ln(1 − p), to full precision for small p, where 1 − p would lose it. */
function hazardOf(ber: number): number {
  if (!(ber >= 0 && ber <= 0.5)) throw new RangeError(`bit error rate ${ber} is not in 0 … 0.5`);
  if (ber === 0) return 0;
  if (ber > 1e-3) return -naturalLogarithm(1 - ber);
  let term = ber;
  let sum = 0;
  for (let n = 1; n < 8; n++) {
    sum += term / n;
    term *= ber;
  }
  return sum;
}
