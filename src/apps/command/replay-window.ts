/**
 * The anti-replay window of one key (after RFC 4303 §3.4.3): the highest counter accepted and a bitmap of the ones just below it, so
 * that blind commands may arrive out of order but none twice. Its state is what must be on disk before a command is carried out.
 */

/** Counters this far below the highest are still judged; older ones are out of the window. */
export const WINDOW_SIZE = 64;
const MASK = (1n << BigInt(WINDOW_SIZE)) - 1n;

/** As it is saved: hexadecimal, since JSON has no 64-bit integers. */
export interface WindowState {
  readonly highest: string;
  readonly seen: string;
}

export class ReplayWindow {
  #highest = 0n;
  /** Bit i: the counter `highest − i` was accepted. */
  #seen = 0n;

  constructor(state?: WindowState) {
    if (state === undefined) return;
    this.#highest = BigInt(`0x${state.highest}`);
    this.#seen = BigInt(`0x${state.seen}`) & MASK;
  }

  get highest(): bigint {
    return this.#highest;
  }

  check(counter: bigint): 'new' | 'replayed' | 'outOfWindow' {
    // Zero is never sent, so that an empty window needs no flag.
    if (counter === 0n) return 'outOfWindow';
    if (counter > this.#highest) return 'new';
    const below = this.#highest - counter;
    if (below >= BigInt(WINDOW_SIZE)) return 'outOfWindow';
    return (this.#seen >> below) & 1n ? 'replayed' : 'new';
  }

  /** Call only after `check` said `new`. */
  accept(counter: bigint): void {
    if (counter > this.#highest) {
      const ahead = counter - this.#highest;
      this.#seen = ahead >= BigInt(WINDOW_SIZE) ? 1n : ((this.#seen << ahead) | 1n) & MASK;
      this.#highest = counter;
    } else this.#seen |= 1n << (this.#highest - counter);
  }

  save(): WindowState {
    return { highest: this.#highest.toString(16), seen: this.#seen.toString(16) };
  }
}
