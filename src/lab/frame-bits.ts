/**
 * Where in a frame a bit on the wire lies. Bits leave least significant first, and after five ones in a row a zero is put in
 * (RFC 1662 section 5), so a position counted on the wire must be walked back.
 */
import { countInsertedZeros } from '../hdlc/index.ts';

export interface WireBit {
  /** Octet of the frame (header … FCS), and bit in it, 0 the least significant; an inserted zero has the octet it follows. */
  readonly octet: number;
  readonly bit: number;
  readonly kind: 'data' | 'inserted zero' | 'closing flag' | 'beyond';
}

/** @param position counted in stuffed bits from the first bit after the opening flag. */
export function locateWireBit(frame: Uint8Array, position: number): WireBit {
  let at = 0;
  let ones = 0;
  for (let octet = 0; octet < frame.length; octet++)
    for (let bit = 0; bit < 8; bit++) {
      if (at === position) return { octet, bit, kind: 'data' };
      at++;
      ones = (frame[octet]! >>> bit) & 1 ? ones + 1 : 0;
      if (ones < 5) continue;
      if (at === position) return { octet, bit, kind: 'inserted zero' };
      at++;
      ones = 0;
    }
  return { octet: frame.length, bit: position - at, kind: position < at + 8 ? 'closing flag' : 'beyond' };
}

export const wireBits = (frame: Uint8Array): number => frame.length * 8 + countInsertedZeros(frame, 0, frame.length);

/** What lies at an octet of a frame: a name for people. `ipAt` is where the IP packet begins, `fcsOctets` what ends the frame. */
export function fieldAt(frame: Uint8Array, octet: number, ipAt: number, fcsOctets: number): string {
  if (octet < ipAt) return 'link header';
  if (octet >= frame.length - fcsOctets) return 'FCS';
  const ip = octet - ipAt;
  const first = frame[ipAt]!;
  const header = first >>> 4 === 6 ? 40 : (first & 15) << 2;
  if (ip < header) return 'IP header';
  const protocol = first >>> 4 === 6 ? frame[ipAt + 6] : frame[ipAt + 9];
  if (protocol === 6) return ip < header + ((frame[ipAt + header + 12]! >>> 4) << 2) ? 'TCP header' : 'TCP payload';
  if (protocol === 17) return ip < header + 8 ? 'UDP header' : 'UDP payload';
  return 'IP payload';
}
