/**
 * The frame check sequences of HDLC: FCS-16 and FCS-32 (RFC 1662 Appendix C; ISO/IEC 13239).
 *
 * Both are bit-reflected CRCs, initialised to ones and complemented, sent low octet first. FCS-16 is CRC-16/X-25
 * (polynomial 1021), FCS-32 is CRC-32/ISO-HDLC (polynomial 04C11DB7, as in Ethernet). FCS-16 is *not* the CRC of CCSDS
 * frames: that one has the same polynomial but is neither reflected nor complemented.
 *
 * Eight octets a step with eight tables ("slicing by 8", Kounavis and Berry, 2005): the eight look-ups do not wait for
 * each other. Nothing is allocated.
 */

export type FcsWidth = 16 | 32;

/** CRC register after a good frame *including* its FCS (RFC 1662 C.2 and C.3). */
export const GOOD_FCS_16 = 0xf0b8;
export const GOOD_FCS_32 = 0xdebb20e3;

/** The FCS-16 of octets[start, end): 0 … 0xFFFF, to be sent low octet first. "123456789" gives 0x906E. */
export function fcs16(octets: Uint8Array, start: number, end: number): number {
  return register(TABLES_16, 0xffff, octets, start, end) ^ 0xffff;
}

/** The FCS-32 of octets[start, end): 0 … 2^32 − 1, to be sent low octet first. "123456789" gives 0xCBF43926. */
export function fcs32(octets: Uint8Array, start: number, end: number): number {
  return ~register(TABLES_32, -1, octets, start, end) >>> 0;
}

/** Octets that an FCS of this width takes. */
export function fcsOctets(width: FcsWidth): 2 | 4 {
  return width === 16 ? 2 : 4;
}

/**
 * Writes the FCS of octets[start, end) at `end` and returns the new end.
 * @throws RangeError when the array has no room for it
 */
export function writeFcs(width: FcsWidth, octets: Uint8Array, start: number, end: number): number {
  const newEnd = end + fcsOctets(width);
  if (newEnd > octets.length)
    throw new RangeError(`no room for ${width} bits of FCS at ${end} of ${octets.length} octets`);
  let fcs = width === 16 ? fcs16(octets, start, end) : fcs32(octets, start, end);
  for (let at = end; at < newEnd; at++, fcs >>>= 8) octets[at] = fcs & 0xff;
  return newEnd;
}

/** Whether octets[start, end), a frame with its FCS, is undamaged: the register must end at the constant residue. */
export function fcsIsGood(width: FcsWidth, octets: Uint8Array, start: number, end: number): boolean {
  return width === 16
    ? register(TABLES_16, 0xffff, octets, start, end) === GOOD_FCS_16
    : register(TABLES_32, -1, octets, start, end) >>> 0 === GOOD_FCS_32;
}

// Signed 32-bit throughout: unsigned values above 2^31 would leave the engine's small integers.
function register(tables: Int32Array, initial: number, octets: Uint8Array, start: number, end: number): number {
  if (!(start >= 0 && start <= end && end <= octets.length)) {
    throw new RangeError(`octets ${start} to ${end} of ${octets.length}`);
  }
  let crc = initial;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    crc =
      tables[1792 + ((crc ^ octets[at]!) & 0xff)]! ^
      tables[1536 + (((crc >>> 8) ^ octets[at + 1]!) & 0xff)]! ^
      tables[1280 + (((crc >>> 16) ^ octets[at + 2]!) & 0xff)]! ^
      tables[1024 + ((crc >>> 24) ^ octets[at + 3]!)]! ^
      tables[768 + octets[at + 4]!]! ^
      tables[512 + octets[at + 5]!]! ^
      tables[256 + octets[at + 6]!]! ^
      tables[octets[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ octets[at]!) & 0xff]!;
  return crc;
}

/** Table k (at 256 k) advances an octet followed by k octets of zeros. `polynomial` is bit-reflected. */
function slicingTables(polynomial: number): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let octet = 0; octet < 256; octet++) {
    let crc = octet;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    tables[octet] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256]!;
    tables[i] = (before >>> 8) ^ tables[before & 0xff]!;
  }
  return tables;
}

export const TABLES_16 = slicingTables(0x8408);
export const TABLES_32 = slicingTables(0xedb88320);
