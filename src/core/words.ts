/** Octets as 32-bit words, for loops that are too hot to look at every octet. */

export const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

// The arena changes rarely (one per process), so one remembered view serves every packet without allocating.
let buffer: ArrayBufferLike | undefined;
let words: Int32Array = new Int32Array(0);

/** All whole words of the array's buffer; word i is at octet 4 i of the *buffer*, so mind `octets.byteOffset`. */
export function wordsOf(octets: Uint8Array): Int32Array {
  if (buffer !== octets.buffer) {
    buffer = octets.buffer;
    words = new Int32Array(octets.buffer, 0, octets.buffer.byteLength >>> 2);
  }
  return words;
}
