/**
 * TYPE A: line ends of the network (CR LF) against those of the file (LF), RFC 959 section 3.1.1.1.
 *
 * Toward the network only a bare LF gains a CR, so a file that already has CR LF goes out unchanged instead of with two CRs.
 * Toward the file every CR LF becomes LF, other CRs stay. Both work on chunks split anywhere.
 */
const LF = 10;
const CR = 13;

export interface Translation {
  /** The translated octets; may keep the last one back until the next call. */
  translate(octets: Uint8Array): Uint8Array;
  /** What is still held back. */
  finish(): Uint8Array;
}

export class ToNetwork implements Translation {
  #afterCr = false;
  #skip: number;

  /** @param skip translated octets to leave out at the start: a restart offset counts them (RFC 3659 section 5.2). */
  constructor(skip = 0) {
    this.#skip = skip;
  }

  translate(octets: Uint8Array): Uint8Array {
    const out = new Uint8Array(octets.length * 2);
    let length = 0;
    for (const octet of octets) {
      if (octet === LF && !this.#afterCr) out[length++] = CR;
      out[length++] = octet;
      this.#afterCr = octet === CR;
    }
    const skipped = Math.min(this.#skip, length);
    this.#skip -= skipped;
    return out.subarray(skipped, length);
  }

  finish(): Uint8Array {
    return new Uint8Array(0);
  }
}

export class FromNetwork implements Translation {
  #heldCr = false;

  translate(octets: Uint8Array): Uint8Array {
    const out = new Uint8Array(octets.length + 1);
    let length = 0;
    for (const octet of octets) {
      if (this.#heldCr && octet !== LF) out[length++] = CR;
      this.#heldCr = octet === CR;
      if (!this.#heldCr) out[length++] = octet;
    }
    return out.subarray(0, length);
  }

  finish(): Uint8Array {
    return this.#heldCr ? Uint8Array.of(CR) : new Uint8Array(0);
  }
}

/** How many octets `ToNetwork` would make of these. */
export class NetworkSize {
  octets = 0;
  #afterCr = false;

  add(chunk: Uint8Array): void {
    this.octets += chunk.length;
    for (const octet of chunk) {
      if (octet === LF && !this.#afterCr) this.octets++;
      this.#afterCr = octet === CR;
    }
  }
}
