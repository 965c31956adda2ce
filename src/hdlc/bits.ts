/**
 * A growing sequence of bits in the order they go on the line, packed least significant bit first: bit i is
 * `octets[i >> 3] >> (i & 7) & 1` (RFC 1662 section 5.5). Meant to be reused: `clear()` keeps the memory.
 *
 * The invariant everything here leans on: in the last, partly used octet the bits beyond `length` are zero.
 */
export class BitBuffer {
  #octets: Uint8Array;
  #length = 0;

  constructor(capacityBits = 16_384) {
    this.#octets = new Uint8Array(Math.max(1, Math.ceil(capacityBits / 8)));
  }

  /** In bits. */
  get length(): number {
    return this.#length;
  }

  /**
   * The memory itself, longer than `length` needs and stale behind it; replaced when an append grows it.
   * Fit for `Deframer.push(buffer.octets, buffer.length)`.
   */
  get octets(): Uint8Array {
    return this.#octets;
  }

  append(bit: number): void {
    this.appendBits(bit & 1, 1);
  }

  appendOctet(octet: number): void {
    this.appendBits(octet & 0xff, 8);
  }

  /** Appends the `count` (0 … 24) low bits of `value`, the lowest first. */
  appendBits(value: number, count: number): void {
    if (!(count >= 0 && count <= 24)) throw new RangeError(`${count} bits at once`);
    if (count === 0) return;
    const octets = this.reserve(count);
    let at = this.#length >>> 3;
    const used = this.#length & 7;
    let bits = (value & ((1 << count) - 1)) << used;
    if (used > 0) bits |= octets[at]!;
    for (let left = used + count; left > 0; left -= 8, bits >>>= 8) octets[at++] = bits & 0xff;
    this.#length += count;
  }

  /** Appends the bits from … to − 1 of another buffer (or of this one). */
  appendFrom(other: BitBuffer, from: number, to: number): void {
    if (!(from >= 0 && from <= to && to <= other.#length)) {
      throw new RangeError(`bits ${from} to ${to} of ${other.#length}`);
    }
    this.reserve(to - from);
    let at = from;
    for (; at + 8 <= to; at += 8) {
      const low = at >>> 3;
      const shift = at & 7;
      let octet = other.#octets[low]! >>> shift;
      if (shift > 0) octet |= other.#octets[low + 1]! << (8 - shift);
      this.appendBits(octet & 0xff, 8);
    }
    for (; at < to; at++) this.append(other.get(at));
  }

  /** Bit i, 0 or 1. */
  get(i: number): 0 | 1 {
    this.#check(i);
    return ((this.#octets[i >>> 3]! >>> (i & 7)) & 1) as 0 | 1;
  }

  /** Inverts bit i: a bit error. */
  flip(i: number): void {
    this.#check(i);
    this.#octets[i >>> 3]! ^= 1 << (i & 7);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Forgets all bits from `length` on. */
  truncate(length: number): void {
    if (!(Number.isInteger(length) && length >= 0 && length <= this.#length)) {
      throw new RangeError(`truncate ${this.#length} bits to ${length}`);
    }
    this.extendTo(length);
  }

  /**
   * For writers that fill the memory themselves, as the framer does: makes room for `count` more bits and returns the
   * memory; the writer puts the bits behind `length` and then calls `extendTo`.
   */
  reserve(count: number): Uint8Array {
    const need = Math.ceil((this.#length + count) / 8);
    if (need > this.#octets.length) {
      const bigger = new Uint8Array(Math.max(need, 2 * this.#octets.length));
      bigger.set(this.#octets.subarray(0, (this.#length + 7) >>> 3));
      this.#octets = bigger;
    }
    return this.#octets;
  }

  /** Sets the length within what was reserved. */
  extendTo(length: number): void {
    if (!(length >= 0 && length <= 8 * this.#octets.length)) throw new RangeError(`length ${length} bits`);
    this.#length = length;
    if ((length & 7) > 0) this.#octets[length >>> 3]! &= (1 << (length & 7)) - 1;
  }

  #check(i: number): void {
    if (!(Number.isInteger(i) && i >= 0 && i < this.#length)) throw new RangeError(`bit ${i} of ${this.#length}`);
  }
}
