/**
 * What the transmitter does to every frame, in one pass over its octets: the FCS behind it (RFC 1662 Appendix C) and the number of
 * bits that it will have with its inserted zeros (section 5.2). The same as `writeFcs` and then `countInsertedZeros`, in half the
 * time: each eight octets are loaded once, as two words, and serve eight look-ups of either kind.
 */
import { LITTLE_ENDIAN, wordsOf } from '../core/words.ts';
import { type FcsWidth, fcsOctets, TABLES_16, TABLES_32, writeFcs } from './fcs.ts';
import { AFTER_ALL_ONES, ALL_ONES, countInsertedZeros, ZEROS } from './stuffing.ts';

export type SealFrame = (width: FcsWidth, octets: Uint8Array, start: number, end: number) => number;

/**
 * Writes the FCS of octets[start, end) at `end`.
 * @returns the bits of header, payload and FCS with inserted zeros, without flags
 * @throws RangeError when the array has no room for the FCS
 */
export function sealFrame(width: FcsWidth, octets: Uint8Array, start: number, end: number): number {
  const trailer = fcsOctets(width);
  if (!(start >= 0 && start <= end && end + trailer <= octets.length))
    throw new RangeError(`a frame from ${start} to ${end} and its FCS in ${octets.length} octets`);
  if (!LITTLE_ENDIAN) {
    const sealed = writeFcs(width, octets, start, end);
    return (sealed - start) * 8 + countInsertedZeros(octets, start, sealed);
  }
  const tables = width === 16 ? TABLES_16 : TABLES_32;
  const words = wordsOf(octets);
  const base = octets.byteOffset;
  let crc = width === 16 ? 0xffff : -1;
  let zeros = 0;
  let previous = 0; // a flag also ends in a 0
  let at = start;
  const misalignment = (base + start) & 3;
  const wordsFrom = misalignment === 0 ? start : Math.min(end, start + 4 - misalignment);
  // Octets before the first whole word, the words, those in which an FF needs care, and the rest: by turns.
  for (let until = wordsFrom; ; until = Math.min(at + 8, end)) {
    for (; at < until; at++) {
      const octet = octets[at]!;
      crc = (crc >>> 8) ^ tables[(crc ^ octet) & 0xff]!;
      zeros += ZEROS[(octet << 8) | previous]! & (ALL_ONES - 1);
      previous = octet !== 0xff ? octet : AFTER_ALL_ONES[previous]!;
    }
    if (at === end) break;
    let word = (base + at) >>> 2;
    for (const last = word + ((end - at) >>> 3) * 2; word < last; word += 2) {
      const x = words[word]!;
      const y = words[word + 1]!;
      const sum =
        ZEROS[((x << 8) & 0xff00) | previous]! +
        ZEROS[x & 0xffff]! +
        ZEROS[(x >>> 8) & 0xffff]! +
        ZEROS[x >>> 16]! +
        ZEROS[((y << 8) & 0xff00) | (x >>> 24)]! +
        ZEROS[y & 0xffff]! +
        ZEROS[(y >>> 8) & 0xffff]! +
        ZEROS[y >>> 16]!;
      if (sum >= ALL_ONES) break;
      zeros += sum;
      previous = y >>> 24;
      const z = x ^ crc;
      crc =
        tables[1792 + (z & 0xff)]! ^
        tables[1536 + ((z >>> 8) & 0xff)]! ^
        tables[1280 + ((z >>> 16) & 0xff)]! ^
        tables[1024 + (z >>> 24)]! ^
        tables[768 + (y & 0xff)]! ^
        tables[512 + ((y >>> 8) & 0xff)]! ^
        tables[256 + ((y >>> 16) & 0xff)]! ^
        tables[y >>> 24]!;
    }
    at = word * 4 - base;
  }
  let fcs = width === 16 ? crc ^ 0xffff : ~crc;
  for (const sealed = end + trailer; at < sealed; at++, fcs >>>= 8) {
    const octet = fcs & 0xff;
    octets[at] = octet;
    zeros += ZEROS[(octet << 8) | previous]! & (ALL_ONES - 1);
    previous = octet !== 0xff ? octet : AFTER_ALL_ONES[previous]!;
  }
  return (end + trailer - start) * 8 + zeros;
}
