/**
 * A ring of records in one preallocated buffer: the newest overwrite the oldest, appending allocates nothing, and any number
 * of cursors read behind the writer at their own pace. A cursor that was overtaken goes on at the oldest record and is told
 * how many it missed. Positions are octets since the start, so they never repeat (2^53 octets are 280 years at 1 Mbyte/s).
 */

/** A record's fixed part; which fields mean what is the recorder's matter. */
export interface RingRecord {
  sequence: number;
  link: number;
  direction: number;
  tap: number;
  outcome: number;
  reason: number;
  at: number;
  packetId: number;
  /** Three more numbers of the tap's. */
  a: number;
  b: number;
  c: number;
  /** Octets of the packet or frame before the snap length cut it. */
  originalOctets: number;
  flippedBits: readonly number[];
  /** A view of the ring, good until the next `append`. */
  octets: Uint8Array;
}

const HEADER_OCTETS = 72;
/** More flipped bits of one frame than these are not listed, only counted. */
export const LISTED_FLIPPED_BITS = 64;
const NO_BITS: readonly number[] = [];

export class PacketRing {
  readonly capacity: number;
  readonly #octets: Uint8Array;
  readonly #words: Uint32Array;
  readonly #doubles: Float64Array;
  /** Position after the newest and of the oldest record. */
  #head = 0;
  #tail = 0;
  #sequence = 0;

  constructor(octets: number) {
    this.capacity = Math.max(1 << 16, octets) & ~7;
    const memory = new ArrayBuffer(this.capacity);
    this.#octets = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
    this.#doubles = new Float64Array(memory);
  }

  get head(): number {
    return this.#head;
  }
  get tail(): number {
    return this.#tail;
  }
  /** Records ever appended. */
  get appended(): number {
    return this.#sequence;
  }

  append(
    link: number,
    direction: number,
    tap: number,
    outcome: number,
    reason: number,
    at: number,
    packetId: number,
    a: number,
    b: number,
    c: number,
    octets: Uint8Array,
    start: number,
    end: number,
    snapOctets: number,
    flippedBits: readonly number[] = NO_BITS,
  ): void {
    const original = end - start;
    const captured = Math.min(original, snapOctets, this.capacity >>> 2);
    const flips = Math.min(flippedBits.length, LISTED_FLIPPED_BITS);
    const need = HEADER_OCTETS + ((flips * 4 + 7) & ~7) + ((captured + 7) & ~7);
    const offset = this.#makeRoom(need);
    const word = offset >>> 2;
    const words = this.#words;
    words[word] = need;
    words[word + 1] = link | (direction << 16) | (tap << 18) | (outcome << 24);
    words[word + 2] = reason | (flips << 16);
    words[word + 3] = captured;
    words[word + 4] = original;
    const double = (offset >>> 3) + 3;
    const doubles = this.#doubles;
    doubles[double] = this.#sequence++;
    doubles[double + 1] = at;
    doubles[double + 2] = packetId;
    doubles[double + 3] = a;
    doubles[double + 4] = b;
    doubles[double + 5] = c;
    let to = offset + HEADER_OCTETS;
    for (let i = 0; i < flips; i++) words[(to >>> 2) + i] = flippedBits[i]!;
    to += (flips * 4 + 7) & ~7;
    // A view costs more than copying a few octets one by one.
    if (captured <= 48) for (let i = 0; i < captured; i++) this.#octets[to + i] = octets[start + i]!;
    else this.#octets.set(octets.subarray(start, start + captured), to);
    this.#head += need;
  }

  /** Where `need` contiguous octets begin, the oldest records given up for them. */
  #makeRoom(need: number): number {
    let offset = this.#head % this.capacity;
    const untilEnd = this.capacity - offset;
    if (need > untilEnd) {
      this.#giveUp(untilEnd);
      this.#words[offset >>> 2] = 0; // a record of length 0 means: go on at the start
      this.#head += untilEnd;
      offset = 0;
    }
    this.#giveUp(need);
    return offset;
  }

  #giveUp(need: number): void {
    while (this.#head + need - this.#tail > this.capacity) {
      const offset = this.#tail % this.capacity;
      this.#tail += this.#words[offset >>> 2]! || this.capacity - offset;
    }
  }

  /** The record at or after `position`, and the position behind it; undefined when the cursor has caught up. */
  read(position: number): { record: RingRecord; next: number } | undefined {
    let at = Math.max(position, this.#tail);
    if (at >= this.#head) return undefined;
    let offset = at % this.capacity;
    if (this.#words[offset >>> 2] === 0) {
      at += this.capacity - offset;
      offset = 0;
      if (at >= this.#head) return undefined;
    }
    const word = offset >>> 2;
    const words = this.#words;
    const doubles = this.#doubles;
    const length = words[word]!;
    const packed = words[word + 1]!;
    const flips = words[word + 2]! >>> 16;
    const double = (offset >>> 3) + 3;
    const body = offset + HEADER_OCTETS;
    const data = body + ((flips * 4 + 7) & ~7);
    const record: RingRecord = {
      sequence: doubles[double]!,
      link: packed & 0xffff,
      direction: (packed >>> 16) & 3,
      tap: (packed >>> 18) & 63,
      outcome: packed >>> 24,
      reason: words[word + 2]! & 0xffff,
      at: doubles[double + 1]!,
      packetId: doubles[double + 2]!,
      a: doubles[double + 3]!,
      b: doubles[double + 4]!,
      c: doubles[double + 5]!,
      originalOctets: words[word + 4]!,
      flippedBits: flips === 0 ? NO_BITS : Array.from(words.subarray(body >>> 2, (body >>> 2) + flips)),
      octets: this.#octets.subarray(data, data + words[word + 3]!),
    };
    return { record, next: at + length };
  }
}
