/**
 * The receiving side of bit-synchronous HDLC: bits in, frames out (RFC 1662 section 5; section numbers below are its).
 *
 * It hunts for a flag, removes inserted zeros, finds the closing flag and judges the frame. Any bits are legal input: noise
 * yields outcomes, never an exception, and memory is bounded by the largest frame allowed. The result depends on the bits
 * alone, not on how they were cut into `push` calls.
 *
 * Octets without a flag or an abort in them, which is nearly all, are one look-up each; the others go bit by bit. The octets of
 * a frame are known only when its flag has passed: the flag's first zero and five ones look like contents until then.
 *
 * Not here: NRZI, scrambling (section 5.5), octet stuffing (section 4).
 */
import { type FcsWidth, fcsIsGood } from './fcs.ts';
import { STUFFING_RUN } from './stuffing.ts';

/**
 * What became of the bits between two flags:
 * `good` the FCS is right; `fcs` it is wrong; `abort` seven or more ones in a row, discarded, not an FCS error (5.3);
 * `runt` too short, not an FCS error either (5.3); `giant` longer than allowed; `unaligned` not a whole number of octets.
 */
export type DeframeOutcome = 'good' | 'fcs' | 'abort' | 'runt' | 'giant' | 'unaligned';

export interface DeframedFrame {
  readonly outcome: DeframeOutcome;
  /** Header to FCS; memory that is not written again. The whole octets up to the damage if the outcome is abort, giant or unaligned. */
  readonly octets: Uint8Array;
  /** Index, counted from the first bit ever pushed, of the first bit after the opening flag. */
  readonly firstBit: number;
  /** Index one past the last bit of the closing flag, or past the seventh one of an abort. */
  readonly endBit: number;
}

export interface DeframerOptions {
  readonly fcs: FcsWidth;
  /** Largest frame accepted, header to FCS, in octets. */
  readonly maximumFrameOctets?: number;
  /**
   * Shorter frames are runts. Default: 4 with FCS-16 (section 5.3) and 6 with FCS-32: the RFC's four are two octets and
   * the FCS, and an FCS-32 is two octets longer.
   */
  readonly minimumFrameOctets?: number;
}

/** 1600 octets of contents (RFC 2427 section 3), the longest header (Frame Relay with SNAP, 10) and an FCS-32. */
export const DEFAULT_MAXIMUM_FRAME_OCTETS = 1614;

export interface DeframerCounters {
  readonly goodFrames: number;
  readonly fcsErrors: number;
  readonly aborts: number;
  readonly runts: number;
  readonly giants: number;
  readonly unaligned: number;
}

export class Deframer {
  readonly #fcs: FcsWidth;
  readonly #minimumBits: number;
  readonly #maximumBits: number;
  readonly #frames: DeframedFrame[] = [];
  #nextFrame = 0;
  readonly #counters = { goodFrames: 0, fcsErrors: 0, aborts: 0, runts: 0, giants: 0, unaligned: 0 };

  #bitsSeen = 0;
  /** The last 16 bits from the line, newest highest. */
  #line = 0xffff;
  /** Ones since the last zero; HUNTING from an abort or the start until the next zero. */
  #run = HUNTING;
  /** Whether a flag has been seen and no abort since. */
  #inFrame = false;
  #firstBit = 0;
  /**
   * Contents so far: whole octets in #store[#start, #stored), then #partialBits in #partial. #limit leaves room for one octet
   * more than the largest frame: when it is reached the frame is a giant, also after the bits of the closing flag are taken
   * off, and further octets are not kept. Frames handed out stay where they are and #start moves on, into a new #store when
   * this one is used up: allocating and copying each frame took a quarter of the receiver's time.
   */
  #store: Uint8Array;
  #start = 0;
  #stored = 0;
  #limit: number;
  #partial = 0;
  #partialBits = 0;

  constructor(options: DeframerOptions) {
    const maximum = options.maximumFrameOctets ?? DEFAULT_MAXIMUM_FRAME_OCTETS;
    const minimum = options.minimumFrameOctets ?? (options.fcs === 16 ? 4 : 6);
    if (!(Number.isInteger(minimum) && minimum > options.fcs / 8))
      throw new RangeError(`minimumFrameOctets ${minimum}`);
    if (!(Number.isInteger(maximum) && maximum >= minimum && maximum <= 0xfffff)) {
      throw new RangeError(`maximumFrameOctets ${maximum}`);
    }
    this.#fcs = options.fcs;
    this.#minimumBits = 8 * minimum;
    this.#maximumBits = 8 * maximum;
    this.#limit = maximum + 1;
    this.#store = new Uint8Array(FRAMES_PER_STORE * this.#limit);
  }

  /**
   * Takes `bitCount` bits, packed least significant first, from bit `firstBit` of the array on. Then take the frames with
   * `pollFrame()` until it yields none: they wait in memory.
   */
  push(bits: Uint8Array, bitCount: number, firstBit = 0): void {
    let at = firstBit;
    const end = firstBit + bitCount;
    if (!(firstBit >= 0 && bitCount >= 0 && end <= 8 * bits.length)) {
      throw new RangeError(`bits ${firstBit} to ${end} of ${8 * bits.length}`);
    }
    while (end - at >= 8) {
      at = this.#pushPlainOctets(bits, at, end);
      if (end - at < 8) break;
      const octet = octetAt(bits, at);
      for (let i = 0; i < 8; i++) this.#pushBit((octet >>> i) & 1);
      at += 8;
      if (!FLAG_ROTATIONS.includes(octet) || this.#line !== ((octet << 8) | octet)) continue;
      // Flags back to back, on any bit boundary: after one more octet of them all is as it was eight bits before, only later.
      const fillFrom = at;
      while (end - at >= 8 && octetAt(bits, at) === octet) at += 8;
      this.#bitsSeen += at - fillFrom;
      this.#firstBit += at - fillFrom;
    }
    for (; at < end; at++) this.#pushBit((bits[at >>> 3]! >>> (at & 7)) & 1);
  }

  /** The next frame or fragment in line order, or undefined: push more bits. */
  pollFrame(): DeframedFrame | undefined {
    const frame = this.#frames[this.#nextFrame];
    if (frame === undefined) {
      this.#frames.length = 0;
      this.#nextFrame = 0;
    } else {
      this.#nextFrame++;
    }
    return frame;
  }

  get counters(): DeframerCounters {
    return this.#counters;
  }

  /** Bits taken since construction, also across `reset()`. */
  get bitsSeen(): number {
    return this.#bitsSeen;
  }

  /**
   * The last eight bits were a flag: nothing of what came before matters any more, and whole frames between flags may pass
   * by another way (`skipBetweenFlags`).
   */
  get atFlag(): boolean {
    return this.#line >>> 8 === 0x7e;
  }

  /** Counts bits as seen that did not come through here and that began after a flag and ended with one. Only when `atFlag`. */
  skipBetweenFlags(bitCount: number): void {
    if (!this.atFlag) throw new RangeError('skip while not at a flag');
    if (!(Number.isSafeInteger(bitCount) && bitCount >= 0)) throw new RangeError(`skip ${bitCount} bits`);
    this.#bitsSeen += bitCount;
    this.#startFrame();
  }

  /** Hunts anew, as after a loss of the carrier. Frames not yet polled are dropped; the counters and `bitsSeen` go on. */
  reset(): void {
    this.#frames.length = 0;
    this.#nextFrame = 0;
    this.#line = 0xffff;
    this.#run = HUNTING;
    this.#inFrame = false;
  }

  /**
   * Takes whole octets from bit `from` on, up to one that a flag or an abort may end in, and returns where that one begins.
   * Its variables live in locals: this loop is the receiver's speed.
   */
  #pushPlainOctets(bits: Uint8Array, from: number, end: number): number {
    const store = this.#store;
    const limit = this.#limit;
    const shift = from & 7;
    const first = from >>> 3;
    const last = first + ((end - from) >>> 3);
    const inFrame = this.#inFrame;
    let run = this.#run;
    let line = this.#line;
    let stored = this.#stored;
    let partial = this.#partial;
    let partialBits = this.#partialBits;
    let index = first;
    // Two at a time: their look-ups do not wait for each other, and there is no branch on how many bits they yield.
    if (inFrame) {
      for (const lastPair = Math.min(last, bits.length - 1) - 2; index <= lastPair && stored + 2 <= limit; index += 2) {
        const word = (bits[index]! | (bits[index + 1]! << 8) | (bits[index + 2]! << 16)) >>> shift;
        const octet = word & 0xff;
        const second = (word >>> 8) & 0xff;
        const plain = DESTUFFED[(run << 8) | octet]!;
        const plainSecond = DESTUFFED[(RUN_AFTER[octet]! << 8) | second]!;
        if ((plain | plainSecond) < 0) break;
        const count = plain >>> 8;
        partial |= ((plain & 0xff) | ((plainSecond & 0xff) << count)) << partialBits;
        partialBits += count + (plainSecond >>> 8);
        store[stored] = partial;
        store[stored + 1] = partial >>> 8;
        stored += partialBits >>> 3;
        partial >>>= partialBits & 0x18;
        partialBits &= 7;
        run = RUN_AFTER[second]!;
        line = word & 0xffff;
      }
    }
    for (; index < last; index++) {
      let octet = bits[index]!;
      if (shift > 0) octet = (octet >>> shift) | ((bits[index + 1]! << (8 - shift)) & 0xff);
      const plain = DESTUFFED[(run << 8) | octet]!;
      if (plain < 0) break;
      run = RUN_AFTER[octet]!;
      line = (line >>> 8) | (octet << 8);
      if (!inFrame) continue;
      partial |= (plain & 0xff) << partialBits;
      partialBits += plain >>> 8;
      if (partialBits < 8) continue;
      if (stored < limit) store[stored++] = partial;
      partial >>>= 8;
      partialBits -= 8;
    }
    this.#run = run;
    this.#line = line;
    this.#stored = stored;
    this.#partial = partial;
    this.#partialBits = partialBits;
    this.#bitsSeen += 8 * (index - first);
    return from + 8 * (index - first);
  }

  #pushBit(bit: number): void {
    this.#bitsSeen++;
    this.#line = (this.#line >>> 1) | (bit << 15);
    const run = this.#run;
    if (bit === 1) {
      if (run === HUNTING) return;
      this.#run = run + 1;
      if (run < STUFFING_RUN) this.#appendContents(1);
      else if (run === FLAG_RUN) this.#abort();
      return;
    }
    this.#run = 0;
    if (run === FLAG_RUN) this.#flag();
    else if (run < STUFFING_RUN) this.#appendContents(0);
    // Else an inserted zero, or the first zero after an abort: not contents.
  }

  #appendContents(bit: number): void {
    if (!this.#inFrame) return;
    this.#partial |= bit << this.#partialBits;
    if (++this.#partialBits < 8) return;
    if (this.#stored < this.#limit) this.#store[this.#stored++] = this.#partial;
    this.#partial = 0;
    this.#partialBits = 0;
  }

  #abort(): void {
    // Idle ones after a flag count as one abort too: they are not to be told from a first octet whose inserted zero was hit.
    if (this.#inFrame) this.#finish('abort', this.#contentBits() - STUFFING_RUN);
    this.#inFrame = false;
  }

  #flag(): void {
    if (this.#inFrame) {
      // Take the flag's ones, and its first zero, off the contents. That zero is not among them if it was taken for an inserted
      // one (a sender that stuffs nothing after a last fifth one) or is the last zero of the flag before (shared zero, 5.1):
      // in both cases five ones went right before it.
      const zeroIsContents = (this.#line & 0xf8) !== 0xf8;
      const bitCount = this.#contentBits() - STUFFING_RUN - (zeroIsContents ? 1 : 0);
      // Flags back to back enclose an empty frame, which is no error (3.1).
      if (bitCount > 0) this.#finish(this.#judge(bitCount), bitCount);
    }
    this.#startFrame();
  }

  #judge(bitCount: number): DeframeOutcome {
    if (bitCount > this.#maximumBits) return 'giant';
    if (bitCount < this.#minimumBits) return 'runt';
    if ((bitCount & 7) !== 0) return 'unaligned';
    return fcsIsGood(this.#fcs, this.#store, this.#start, this.#start + (bitCount >>> 3)) ? 'good' : 'fcs';
  }

  #finish(outcome: DeframeOutcome, bitCount: number): void {
    this.#counters[COUNTER[outcome]]++;
    const end = this.#start + (Math.min(bitCount, this.#maximumBits) >>> 3);
    const octets = this.#store.subarray(this.#start, end);
    this.#start = end;
    this.#frames.push({ outcome, octets, firstBit: this.#firstBit, endBit: this.#bitsSeen });
  }

  #contentBits(): number {
    return 8 * (this.#stored - this.#start) + this.#partialBits;
  }

  #startFrame(): void {
    this.#inFrame = true;
    this.#firstBit = this.#bitsSeen;
    const room = (this.#maximumBits >>> 3) + 1;
    if (this.#start + room > this.#store.length) {
      this.#store = new Uint8Array(FRAMES_PER_STORE * room);
      this.#start = 0;
    }
    this.#limit = this.#start + room;
    this.#stored = this.#start;
    this.#partial = 0;
    this.#partialBits = 0;
  }
}

/** The eight bits from bit `at` on, which may lie in two octets of the array. */
function octetAt(bits: Uint8Array, at: number): number {
  const shift = at & 7;
  const low = bits[at >>> 3]! >>> shift;
  return shift === 0 ? low : low | ((bits[(at >>> 3) + 1]! << (8 - shift)) & 0xff);
}

const COUNTER = {
  good: 'goodFrames',
  fcs: 'fcsErrors',
  abort: 'aborts',
  runt: 'runts',
  giant: 'giants',
  unaligned: 'unaligned',
} as const satisfies Record<DeframeOutcome, keyof DeframerCounters>;

/** Frames of the largest size that one block of memory takes. */
const FRAMES_PER_STORE = 16;
/** Ones in a flag; one more is an abort. */
const FLAG_RUN = 6;
/** The run of ones from an abort, or the start, to the next zero: a flag needs a zero before its six ones. */
const HUNTING = 7;

const FLAG_ROTATIONS = Array.from({ length: 8 }, (_, by) => ((0x7e7e << by) >>> 8) & 0xff);

/**
 * DESTUFFED[run << 8 | octet]: what an octet from the line adds to the contents after `run` ones (0 … 6, or HUNTING).
 * Bits 0–7: contents, first one lowest; bits 8–11: how many bits (0 … 8). −1: a flag or an abort is complete within it.
 */
const DESTUFFED = Int16Array.from({ length: 8 * 256 }, (_, index) => {
  let run = index >>> 8;
  let contents = 0;
  let count = 0;
  for (let i = 0; i < 8; i++) {
    const bit = (index >>> i) & 1;
    if (run === FLAG_RUN) return -1;
    if (run < STUFFING_RUN) contents |= bit << count++;
    if (bit === 0) run = 0;
    else if (run < FLAG_RUN) run++;
  }
  return contents | (count << 8);
});

/** RUN_AFTER[octet]: the run after such a plain octet: its high ones, whatever went before. FF is plain only while hunting. */
const RUN_AFTER = Uint8Array.from({ length: 256 }, (_, octet) => Math.min(Math.clz32(~(octet << 24)), HUNTING));
