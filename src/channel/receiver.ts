/**
 * The receiving end of a line: told what the transmitter put on it, bit range by bit range, it decides what arrives.
 *
 * `LazyReceiver` is the one that runs. While no bit error falls into a frame or a flag it knows the outcome without making a
 * bit. From an error on it makes the real bits, flips them and feeds the real deframer, until that stands behind an intact flag
 * again with nothing pending; there both ways of working are in the same state, so it may stop making bits.
 *
 * `EagerReceiver` makes, line-codes, flips, decodes and deframes every bit from the beginning. A property test holds the two
 * to the same frames, counters and bit positions.
 */
import {
  appendFlags,
  appendStuffed,
  BitBuffer,
  type DeframedFrame,
  Deframer,
  type DeframerCounters,
  FLAG,
  FLAG_BITS,
} from '../hdlc/index.ts';
import { type BitCoder, decodedErrors, type LineCode, lineDecoder, lineEncoder } from './line-coding.ts';
import type { BitErrors } from './noise.ts';

export interface ReceiverOptions {
  readonly errors: BitErrors;
  readonly lineCoding: readonly LineCode[];
  readonly fcs: 16 | 32;
  readonly maximumFrameOctets: number;
}

export interface Receiver {
  /** Flags from bit `from` to bit `to` (a multiple of 8 apart). */
  fill(from: number, to: number): void;
  /**
   * A frame (header … FCS) whose `stuffedBits` start at bit `firstBit`, and the flag that closes it. True: it arrived intact
   * and no event was made of it. False: `pollFrame` tells what came of it, now or after more bits.
   */
  frame(octets: Uint8Array, start: number, end: number, firstBit: number, stuffedBits: number): boolean;
  /**
   * Whether the frame with these bits, and its closing flag, arrived as sent; then it counts as received. False: hand its octets
   * to `frame`.
   */
  intact(firstBit: number, stuffedBits: number): boolean;
  /** Only the first `sentBits` of a frame went out before the carrier was lost. */
  cutFrame(octets: Uint8Array, start: number, end: number, firstBit: number, sentBits: number): void;
  /** The carrier is gone at `bit`: what was pending is lost, and the deframer hunts for a flag. */
  carrierLost(bit: number): void;
  /** The carrier is back with bit `bit`; errors before it hit nothing. */
  carrierFound(bit: number): void;
  pollFrame(): DeframedFrame | undefined;
  /** Whether a damaged stretch is still open: the next flags decide it, so tell of them soon. */
  readonly pending: boolean;
  readonly counters: DeframerCounters;
  /** Where errors fell in the damaged stretch that is open or was the last, absolute decoded bit indices. */
  readonly flipped: readonly number[];
  /** Decoded bits that differed from what was sent, while the carrier was there. */
  readonly flippedBits: number;
}

export class LazyReceiver implements Receiver {
  readonly #errors: BitErrors;
  readonly #options: ReceiverOptions;
  /** Made with the first error: most links of a large scenario never see one, and its store is what a link costs most. */
  #deframer: Deframer | undefined;
  readonly #bits = new BitBuffer();
  readonly #frames: DeframedFrame[] = [];
  #intactFrames = 0;
  /** No flag since the carrier came. */
  #hunting = true;
  #dirty = true;
  #flipped: number[] = [];
  flippedBits = 0;

  constructor(options: ReceiverOptions) {
    this.#errors = decodedErrors(options.errors, options.lineCoding);
    this.#options = options;
  }

  get pending(): boolean {
    return this.#dirty;
  }

  get flipped(): readonly number[] {
    return this.#flipped;
  }

  get counters(): DeframerCounters {
    const counters = this.#deframer?.counters ?? NO_FRAMES;
    return { ...counters, goodFrames: counters.goodFrames + this.#intactFrames };
  }

  fill(from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (!this.#dirty) {
        const error = this.#errors.next(to);
        if (error < 0) return;
        at += Math.floor((error - at) / FLAG_BITS) * FLAG_BITS;
        this.#beginDirty();
      } else if (this.#deframer === undefined && this.#errors.next(at + FLAG_BITS) < 0) {
        // Hunting, and here is a flag.
        this.#hunting = false;
        this.#dirty = false;
        at += FLAG_BITS;
        continue;
      }
      // One flag at a time: the first intact one ends the damaged stretch.
      this.#bits.clear();
      appendFlags(this.#bits, 1);
      this.#feed(at);
      at += FLAG_BITS;
    }
  }

  intact(firstBit: number, stuffedBits: number): boolean {
    if (this.#dirty || this.#errors.next(firstBit + stuffedBits + FLAG_BITS) >= 0) return false;
    this.#intactFrames++;
    return true;
  }

  frame(octets: Uint8Array, start: number, end: number, firstBit: number, stuffedBits: number): boolean {
    if (this.intact(firstBit, stuffedBits)) return true;
    if (!this.#dirty) this.#beginDirty();
    this.#bits.clear();
    appendStuffed(this.#bits, octets, start, end);
    appendFlags(this.#bits, 1);
    this.#feed(firstBit);
    return false;
  }

  cutFrame(octets: Uint8Array, start: number, end: number, firstBit: number, sentBits: number): void {
    if (!this.#dirty) {
      // Without an error before the cut the deframer would have nothing to say of it.
      if (this.#errors.next(firstBit + sentBits) < 0) return;
      this.#beginDirty();
    }
    this.#bits.clear();
    appendStuffed(this.#bits, octets, start, end);
    appendFlags(this.#bits, 1);
    this.#bits.truncate(sentBits);
    this.#feed(firstBit);
  }

  carrierLost(bit: number): void {
    this.#errors.skipTo(bit);
    this.#deframer?.reset();
    this.#hunting = true;
    this.#dirty = true;
  }

  carrierFound(bit: number): void {
    this.#errors.skipTo(bit);
    this.#flipped = [];
  }

  pollFrame(): DeframedFrame | undefined {
    return this.#frames.shift();
  }

  #beginDirty(): void {
    this.#dirty = true;
    this.#flipped = [];
  }

  /** Flips what the noise hits of the bits made for `firstBit` on, and feeds them. */
  #feed(firstBit: number): void {
    const deframer = this.#deframer ?? this.#makeDeframer();
    const bits = this.#bits;
    const limit = firstBit + bits.length;
    for (let error = this.#errors.next(limit); error >= 0; error = this.#errors.next(limit)) {
      bits.flip(error - firstBit);
      this.#flipped.push(error);
      this.flippedBits++;
      this.#errors.consume();
    }
    const offset = firstBit - deframer.bitsSeen;
    deframer.push(bits.octets, bits.length);
    for (let frame = deframer.pollFrame(); frame !== undefined; frame = deframer.pollFrame())
      this.#frames.push({ ...frame, firstBit: frame.firstBit + offset, endBit: frame.endBit + offset });
    if (deframer.atFlag) {
      this.#dirty = false;
      this.#hunting = false;
    }
  }

  #makeDeframer(): Deframer {
    const { fcs, maximumFrameOctets } = this.#options;
    const deframer = new Deframer({ fcs, maximumFrameOctets });
    this.#deframer = deframer;
    // It must stand where this receiver stands: behind a flag, unless none has come yet.
    if (!this.#hunting) deframer.push(ONE_FLAG, FLAG_BITS);
    return deframer;
  }
}

const ONE_FLAG = Uint8Array.of(FLAG);
const NO_FRAMES: DeframerCounters = { goodFrames: 0, fcsErrors: 0, aborts: 0, runts: 0, giants: 0, unaligned: 0 };

export class EagerReceiver implements Receiver {
  readonly #errors: BitErrors;
  readonly #encoder: BitCoder;
  readonly #decoder: BitCoder;
  readonly #deframer: Deframer;
  readonly #frames: DeframedFrame[] = [];
  readonly #flipped: number[] = [];
  #bit = 0;
  flippedBits = 0;

  constructor(options: ReceiverOptions) {
    this.#errors = options.errors;
    this.#encoder = lineEncoder(options.lineCoding);
    this.#decoder = lineDecoder(options.lineCoding);
    this.#deframer = new Deframer({ fcs: options.fcs, maximumFrameOctets: options.maximumFrameOctets });
  }

  get pending(): boolean {
    return !this.#deframer.atFlag;
  }

  get flipped(): readonly number[] {
    return this.#flipped;
  }

  get counters(): DeframerCounters {
    return { ...this.#deframer.counters };
  }

  fill(from: number, to: number): void {
    const bits = new BitBuffer();
    appendFlags(bits, (to - from) / FLAG_BITS);
    this.#send(bits, from);
  }

  intact(): boolean {
    return false;
  }

  frame(octets: Uint8Array, start: number, end: number, firstBit: number): boolean {
    const bits = new BitBuffer();
    appendStuffed(bits, octets, start, end);
    appendFlags(bits, 1);
    this.#send(bits, firstBit);
    return false;
  }

  cutFrame(octets: Uint8Array, start: number, end: number, firstBit: number, sentBits: number): void {
    const bits = new BitBuffer();
    appendStuffed(bits, octets, start, end);
    appendFlags(bits, 1);
    bits.truncate(sentBits);
    this.#send(bits, firstBit);
  }

  carrierLost(bit: number): void {
    this.#noise(bit);
    this.#deframer.reset();
  }

  carrierFound(bit: number): void {
    this.#noise(bit);
  }

  pollFrame(): DeframedFrame | undefined {
    return this.#frames.shift();
  }

  /** Without carrier the decoders go on clocking zeros (and errors), so that their registers stay in phase with the sender's. */
  #noise(bit: number): void {
    for (; this.#bit < bit; this.#bit++) this.#decoder.code(this.#encoder.code(0) ^ this.#error(this.#bit));
  }

  #send(bits: BitBuffer, firstBit: number): void {
    this.#bit = firstBit;
    const decoded = new BitBuffer();
    for (let i = 0; i < bits.length; i++, this.#bit++) {
      const sent = bits.get(i);
      const received = this.#decoder.code(this.#encoder.code(sent) ^ this.#error(this.#bit));
      if (received !== sent) {
        this.flippedBits++;
        this.#flipped.push(this.#bit);
      }
      decoded.append(received);
    }
    const offset = firstBit - this.#deframer.bitsSeen;
    this.#deframer.push(decoded.octets, decoded.length);
    for (let frame = this.#deframer.pollFrame(); frame !== undefined; frame = this.#deframer.pollFrame())
      this.#frames.push({ ...frame, firstBit: frame.firstBit + offset, endBit: frame.endBit + offset });
  }

  #error(bit: number): 0 | 1 {
    if (this.#errors.next(bit + 1) < 0) return 0;
    this.#errors.consume();
    return 1;
  }
}
