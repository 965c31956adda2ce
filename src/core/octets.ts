/**
 * Reading and writing octets in network order. The `Reader` is sticky: past the end it yields zeros and stays not `ok`,
 * so a parser reads all its fields and asks once.
 */
export class Reader {
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #ok = true;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
    this.#view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  }

  get ok(): boolean {
    return this.#ok;
  }
  get position(): number {
    return this.#at;
  }
  get remaining(): number {
    return this.#octets.length - this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (!this.#ok || count < 0 || at + count > this.#octets.length) {
      this.#ok = false;
      return -1;
    }
    this.#at = at + count;
    return at;
  }

  uint8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }
  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at);
  }
  uint24(): number {
    const high = this.uint8();
    return high * 65536 + this.uint16();
  }
  uint32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at);
  }
  int32(): number {
    return this.uint32() | 0;
  }
  uint64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigUint64(at);
  }
  /** A copy: the parser keeps no reference to the caller's buffer. */
  octets(count: number): Uint8Array {
    const at = this.#take(count);
    return at < 0 ? new Uint8Array(0) : this.#octets.slice(at, at + count);
  }
  rest(): Uint8Array {
    return this.octets(this.remaining);
  }
  skip(count: number): void {
    this.#take(count);
  }
}

export class Writer {
  #octets: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 64) {
    this.#octets = new Uint8Array(capacity);
    this.#view = new DataView(this.#octets.buffer);
  }

  get length(): number {
    return this.#at;
  }

  #grow(count: number): number {
    const at = this.#at;
    const need = at + count;
    if (need > this.#octets.length) {
      const bigger = new Uint8Array(Math.max(need, this.#octets.length * 2));
      bigger.set(this.#octets);
      this.#octets = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.#at = need;
    return at;
  }

  uint8(value: number): this {
    // The octets first: `#grow` may replace the view, and the receiver of a call is evaluated before its arguments.
    const at = this.#grow(1);
    this.#octets[at] = value;
    return this;
  }
  uint16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }
  uint24(value: number): this {
    return this.uint8(value >>> 16).uint16(value & 0xffff);
  }
  uint32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }
  uint64(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value);
    return this;
  }
  octets(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#octets.set(value, at);
    return this;
  }
  /** Overwrites a 16-bit field written before, e.g. a length or a checksum. */
  patchUint16(at: number, value: number): this {
    this.#view.setUint16(at, value);
    return this;
  }
  finish(): Uint8Array {
    return this.#octets.slice(0, this.#at);
  }
}

const HEX = '0123456789abcdef';
export function toHex(octets: Uint8Array): string {
  let text = '';
  for (const octet of octets) text += HEX[octet >>> 4]! + HEX[octet & 15]!;
  return text;
}

/** Octets from hexadecimal text; white space and colons are ignored. Throws RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) throw new RangeError('not hexadecimal octets');
  const octets = new Uint8Array(digits.length / 2);
  for (let i = 0; i < octets.length; i++) octets[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return octets;
}

export function equalOctets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
