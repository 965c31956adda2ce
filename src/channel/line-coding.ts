/**
 * Line codes between framer and channel. All are linear over GF(2) up to a constant, so what a channel error becomes after
 * decoding does not depend on the data: the lazy path moves error positions, the eager path codes the bits, and both agree.
 *
 *   NRZI (a zero is a transition):   one channel error → two decoded errors, at k and k + 1
 *   G3RUH, 1 + x^12 + x^17, self-synchronising:  → three, at k, k + 12 and k + 17
 *   CCSDS pseudo-randomiser (131.0-B: 1 + x^3 + x^5 + x^7 + x^8, all ones, 255 bits):  → one
 *
 * Two errors at a code's distance cancel. The randomiser runs freely from bit 0 of the line here, without a sync marker per
 * block; both ends are taken to be in phase.
 */
import type { BitErrors } from './noise.ts';

export type LineCode = 'nrzi' | 'g3ruh' | 'ccsds-randomizer';

const TAPS: Readonly<Record<LineCode, readonly number[]>> = {
  nrzi: [0, 1],
  g3ruh: [0, 12, 17],
  'ccsds-randomizer': [0],
};

/** Where one channel error shows after the decoders of these codes (applied in order by the sender), as distances in bits. */
export function errorTaps(codes: readonly LineCode[]): readonly number[] {
  let taps = new Set([0]);
  for (const code of codes) {
    const product = new Set<number>();
    for (const a of taps)
      for (const b of TAPS[code]) {
        if (!product.delete(a + b)) product.add(a + b);
      }
    taps = product;
  }
  return [...taps].sort((a, b) => a - b);
}

/** Channel errors as the receiver's deframer sees them, behind the line decoders. */
export function decodedErrors(channel: BitErrors, codes: readonly LineCode[]): BitErrors {
  const taps = errorTaps(codes);
  return taps.length === 1 ? channel : new TappedErrors(channel, taps);
}

class TappedErrors implements BitErrors {
  readonly #channel: BitErrors;
  readonly #taps: readonly number[];
  /** Decoded errors not yet consumed, rising. At most (taps) × (channel errors within the longest tap). */
  readonly #pending: number[] = [];

  constructor(channel: BitErrors, taps: readonly number[]) {
    this.#channel = channel;
    this.#taps = taps;
  }

  next(limit: number): number {
    for (;;) {
      const first = this.#pending[0] ?? Number.POSITIVE_INFINITY;
      // A channel error at or before the first pending one may still cancel it or come before it.
      const error = this.#channel.next(Math.min(limit, first + 1));
      if (error < 0) return first < limit ? first : -1;
      this.#channel.consume();
      for (const tap of this.#taps) this.#toggle(error + tap);
    }
  }

  consume(): void {
    this.#pending.shift();
  }

  skipTo(bit: number): void {
    while (this.next(bit) >= 0) this.consume();
  }

  #toggle(position: number): void {
    const pending = this.#pending;
    let i = pending.length;
    while (i > 0 && pending[i - 1]! > position) i--;
    if (i > 0 && pending[i - 1] === position) pending.splice(i - 1, 1);
    else pending.splice(i, 0, position);
  }
}

/** A line encoder or decoder, bit by bit, for the eager path. */
export interface BitCoder {
  code(bit: number): number;
}

export function lineEncoder(codes: readonly LineCode[]): BitCoder {
  return chain(codes.map((code) => ENCODERS[code]()));
}

export function lineDecoder(codes: readonly LineCode[]): BitCoder {
  return chain(codes.map((code) => DECODERS[code]()).reverse());
}

function chain(coders: readonly BitCoder[]): BitCoder {
  return {
    code(bit) {
      let value = bit;
      for (const coder of coders) value = coder.code(value);
      return value;
    },
  };
}

class NrziEncoder implements BitCoder {
  #level = 1;
  code(bit: number): number {
    if (bit === 0) this.#level ^= 1;
    return this.#level;
  }
}

class NrziDecoder implements BitCoder {
  #level = 1;
  code(bit: number): number {
    const same = bit === this.#level ? 1 : 0;
    this.#level = bit;
    return same;
  }
}

/** Shift registers hold the last 17 line bits; bit n − 1 is in position 0. Both ends start from zero. */
class G3ruhScrambler implements BitCoder {
  #register = 0;
  code(bit: number): number {
    const out = bit ^ ((this.#register >>> 11) & 1) ^ ((this.#register >>> 16) & 1);
    this.#register = ((this.#register << 1) | out) & 0x1ffff;
    return out;
  }
}

class G3ruhDescrambler implements BitCoder {
  #register = 0;
  code(bit: number): number {
    const out = bit ^ ((this.#register >>> 11) & 1) ^ ((this.#register >>> 16) & 1);
    this.#register = ((this.#register << 1) | bit) & 0x1ffff;
    return out;
  }
}

/** The 255-bit sequence; its first 40 bits are 1111 1111 0100 1000 0000 1110 1100 0000 1001 1010. */
export function ccsdsRandomizerSequence(): Uint8Array {
  const sequence = new Uint8Array(255);
  let register = 0xff;
  for (let i = 0; i < 255; i++) {
    sequence[i] = register & 1;
    const feedback = (register ^ (register >>> 3) ^ (register >>> 5) ^ (register >>> 7)) & 1;
    register = (register >>> 1) | (feedback << 7);
  }
  return sequence;
}

class CcsdsRandomizer implements BitCoder {
  readonly #sequence = ccsdsRandomizerSequence();
  #index = 0;
  code(bit: number): number {
    const out = bit ^ this.#sequence[this.#index]!;
    this.#index = this.#index === 254 ? 0 : this.#index + 1;
    return out;
  }
}

const ENCODERS: Readonly<Record<LineCode, () => BitCoder>> = {
  nrzi: () => new NrziEncoder(),
  g3ruh: () => new G3ruhScrambler(),
  'ccsds-randomizer': () => new CcsdsRandomizer(),
};
const DECODERS: Readonly<Record<LineCode, () => BitCoder>> = {
  nrzi: () => new NrziDecoder(),
  g3ruh: () => new G3ruhDescrambler(),
  'ccsds-randomizer': () => new CcsdsRandomizer(),
};
