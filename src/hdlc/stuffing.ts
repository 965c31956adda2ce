/**
 * Zero insertion of bit-synchronous HDLC (RFC 1662 section 5.2): a 0 after every five contiguous 1s of the frame, its FCS
 * included, so that no flag appears in it. Bits go least significant first (section 5.5).
 *
 * Here: what stuffing makes of one octet, and the number of zeros that a whole frame will need, which is all that a channel
 * wants to know of a frame that crosses undamaged. `framer.ts` makes the bits.
 */

/** Ones in a row after which the sender inserts a zero. */
export const STUFFING_RUN = 5;

/**
 * STUFFED[run << 8 | octet]: the octet as sent when `run` (0 … 4) ones went before it.
 * Bits 0–9: the stuffed bits, first one lowest; bits 10–13: how many (8 … 10); bits 14–16: the run after it.
 */
export const STUFFED: Int32Array = Int32Array.from({ length: STUFFING_RUN * 256 }, (_, index) => {
  let run = index >>> 8;
  let bits = 0;
  let count = 0;
  for (let i = 0; i < 8; i++) {
    const bit = (index >>> i) & 1;
    bits |= bit << count++;
    run = bit ? run + 1 : 0;
    if (run === STUFFING_RUN) {
      count++;
      run = 0;
    }
  }
  return bits | (count << 10) | (run << 14);
});

/**
 * How many zero bits stuffing inserts into octets[start, end), a frame with its FCS sent right after a flag. A fifth one
 * that is the last bit of the FCS is followed by an inserted zero too.
 */
export function countInsertedZeros(octets: Uint8Array, start: number, end: number): number {
  if (!(start >= 0 && start <= end && end <= octets.length)) {
    throw new RangeError(`octets ${start} to ${end} of ${octets.length}`);
  }
  let zeros = 0;
  let previous = 0; // a flag also ends in a 0
  let at = start;
  while (at < end) {
    for (const last = end - 4; at <= last; at += 4) {
      const a = octets[at]!;
      const b = octets[at + 1]!;
      const c = octets[at + 2]!;
      const d = octets[at + 3]!;
      const sum = ZEROS[(a << 8) | previous]! + ZEROS[(b << 8) | a]! + ZEROS[(c << 8) | b]! + ZEROS[(d << 8) | c]!;
      if (sum >= ALL_ONES) break;
      zeros += sum;
      previous = d;
    }
    for (const stop = Math.min(at + 4, end); at < stop; at++) {
      const octet = octets[at]!;
      zeros += ZEROS[(octet << 8) | previous]! & (ALL_ONES - 1);
      previous = octet !== 0xff ? octet : AFTER_ALL_ONES[previous]!;
    }
  }
  return zeros;
}

/**
 * The run that an octet hands on is its own high ones whatever went before it, unless it is all ones. So an octet's zeros are
 * one look-up with its predecessor, and the look-ups of a frame do not wait for each other; FF goes another way.
 */
const runAfter = (octet: number): number => STUFFED[octet]! >>> 14;

/** Marks FF in ZEROS: more than the zeros of eight octets. */
export const ALL_ONES = 128;

/**
 * ZEROS[octet << 8 | previous]: zeros inserted within the octet, plus ALL_ONES if that is FF; `previous` is not FF. Two octets as
 * they lie in memory are such an index on a little-endian machine.
 */
export const ZEROS = Uint8Array.from({ length: 0x10000 }, (_, pair) => {
  const octet = pair >>> 8;
  return ((STUFFED[(runAfter(pair & 0xff) << 8) | octet]! >>> 10) & 15) - 8 + (octet === 0xff ? ALL_ONES : 0);
});

/** AFTER_ALL_ONES[previous]: an octet that hands on the same run as FF does after `previous`: that many high ones. */
export const AFTER_ALL_ONES = Uint8Array.from({ length: 255 }, (_, previous) => {
  return (0xff << (8 - (STUFFED[(runAfter(previous) << 8) | 0xff]! >>> 14))) & 0xff;
});
