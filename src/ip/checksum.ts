/**
 * The Internet checksum: RFC 1071 (computing), RFC 1624 (updating).
 *
 * Sums are taken over native 32-bit words, low and high halves apart, and swapped once at the end: RFC 1071 section 2 (B)
 * shows that the sum does not care for octet order as long as it is the same throughout.
 */
import { LITTLE_ENDIAN, wordsOf } from '../core/words.ts';

/**
 * The one's complement sum of the octets as big-endian 16-bit words, folded to 16 bits and not complemented; an odd last octet
 * is padded with zero. `initial` is another such sum, e.g. a pseudo-header's. At most 65,536 octets at a time.
 */
export function onesComplementSum(octets: Uint8Array, start: number, length: number, initial = 0): number {
  let at = start;
  const end = start + length;
  let high = 0;
  let low = 0;
  if (length >= 32 && ((octets.byteOffset + start) & 3) === 0) {
    const words = wordsOf(octets);
    let word = (octets.byteOffset + start) >>> 2;
    const last = word + (length >>> 2);
    const unrolled = last - 3;
    let high2 = 0;
    let low2 = 0;
    for (; word < unrolled; word += 4) {
      const a = words[word]!;
      const b = words[word + 1]!;
      const c = words[word + 2]!;
      const d = words[word + 3]!;
      low += (a & 0xffff) + (b & 0xffff);
      high += (a >>> 16) + (b >>> 16);
      low2 += (c & 0xffff) + (d & 0xffff);
      high2 += (c >>> 16) + (d >>> 16);
    }
    for (; word < last; word++) {
      const w = words[word]!;
      low += w & 0xffff;
      high += w >>> 16;
    }
    low = fold(fold(low + low2) + fold(high + high2));
    if (LITTLE_ENDIAN) low = ((low & 255) << 8) | (low >>> 8);
    high = 0;
    at = start + (length & ~3);
  }
  for (; at + 1 < end; at += 2) low += (octets[at]! << 8) | octets[at + 1]!;
  if (at < end) low += octets[at]! << 8;
  return fold(low + initial);
}

/** The checksum field's value for these octets (their own checksum field taken as zero by the caller). */
export function internetChecksum(octets: Uint8Array, start: number, length: number, initial = 0): number {
  return ~onesComplementSum(octets, start, length, initial) & 0xffff;
}

export function fold(sum: number): number {
  let folded = (sum & 0xffff) + (sum >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/**
 * The new checksum after one 16-bit word went from `from` to `to`: RFC 1624 section 3, equation 3, HC' = ~(~HC + ~m + m').
 * RFC 1141's shorter form would give 0xFFFF where a fresh computation gives 0x0000 (section 4's corner case).
 */
export function updateChecksum(checksum: number, from: number, to: number): number {
  return ~fold((~checksum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/** RFC 768, RFC 9293 section 3.1: source, destination, zero and protocol, length. */
export function pseudoHeaderSum4(source: number, destination: number, protocol: number, length: number): number {
  return fold((source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length);
}

/** RFC 8200 section 8.1: the two addresses lie next to each other in the header, 32 octets from `addressesAt`. */
export function pseudoHeaderSum6(octets: Uint8Array, addressesAt: number, nextHeader: number, length: number): number {
  return onesComplementSum(octets, addressesAt, 32, nextHeader + (length & 0xffff) + (length >>> 16));
}
