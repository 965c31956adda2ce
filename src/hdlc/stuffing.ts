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
 *
 * The run of ones that an octet hands on is its own high ones, whatever came before it, unless it is all ones. So nearly
 * every octet is one look-up with its predecessor that waits for no other; after FF the stand-in predecessor is an octet
 * that hands on the same run.
 */
export function countInsertedZeros(octets: Uint8Array, start: number, end: number): number {
  if (!(start >= 0 && start <= end && end <= octets.length)) {
    throw new RangeError(`octets ${start} to ${end} of ${octets.length}`);
  }
  let zeros = 0;
  let previous = 0; // a flag also ends in a 0
  for (let at = start; at < end; at++) {
    const octet = octets[at]!;
    zeros += ZEROS[(previous << 8) | octet]!;
    previous = octet !== 0xff ? octet : AFTER_ALL_ONES[previous]!;
  }
  return zeros;
}

/** The run that an octet other than FF hands on. */
const runAfter = (octet: number): number => STUFFED[octet]! >>> 14;

/** ZEROS[previous << 8 | octet]: zeros inserted within the octet; `previous` is never FF. */
const ZEROS = Uint8Array.from({ length: 0xff00 }, (_, pair) => {
  return ((STUFFED[(runAfter(pair >>> 8) << 8) | (pair & 0xff)]! >>> 10) & 15) - 8;
});

/** AFTER_ALL_ONES[previous]: an octet that hands on the same run as FF does after `previous`: that many high ones. */
const AFTER_ALL_ONES = Uint8Array.from({ length: 255 }, (_, previous) => {
  return (0xff << (8 - (STUFFED[(runAfter(previous) << 8) | 0xff]! >>> 14))) & 0xff;
});
