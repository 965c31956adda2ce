/**
 * IPv4 options (RFC 791 section 3.1) as a router meets them: are they well formed, is there a source route, and Record Route
 * and Timestamp, which a router must fill in (RFC 1812 sections 5.3.13.5 and 5.3.13.6). All others pass unchanged.
 */
import { IPV4_HEADER_OCTETS, ipv4FillChecksum, ipv4HeaderOctets, putUint32, uint32 } from './ipv4.ts';

// Specification constants
const END = 0;
const NO_OPERATION = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;
const COPIED = 0x80;
/** A time that is not milliseconds since midnight UT has its high bit set. */
const NON_STANDARD_TIME = 0x80000000;

export type OptionsVerdict =
  | { readonly kind: 'good' }
  | { readonly kind: 'source-route' }
  /** `pointer`: the octet of the header at fault, for a parameter problem. */
  | { readonly kind: 'bad'; readonly pointer: number };

/** Judges the options of a header that `checkIpv4` has passed. */
export function checkIpv4Options(octets: Uint8Array, start: number): OptionsVerdict {
  const end = start + ipv4HeaderOctets(octets, start);
  for (let at = start + IPV4_HEADER_OCTETS; at < end; ) {
    const type = octets[at]!;
    if (type === END) break;
    if (type === NO_OPERATION) {
      at++;
      continue;
    }
    const length = at + 1 < end ? octets[at + 1]! : 0;
    if (length < 2 || at + length > end) return { kind: 'bad', pointer: Math.min(at + 1, end - 1) - start };
    if (type === LOOSE_SOURCE_ROUTE || type === STRICT_SOURCE_ROUTE) return { kind: 'source-route' };
    if (type === RECORD_ROUTE || type === TIMESTAMP) {
      const shortest = type === RECORD_ROUTE ? 4 : 5;
      if (length < shortest - 1 || octets[at + 2]! < shortest) return { kind: 'bad', pointer: at + 2 - start };
    }
    at += length;
  }
  return { kind: 'good' };
}

/**
 * Adds this router to Record Route and Timestamp options, and renews the header checksum. `address` is that of the outgoing
 * interface, `milliseconds` any monotonic time. Only for a datagram that `checkIpv4Options` found good.
 */
export function recordInIpv4Options(octets: Uint8Array, start: number, address: number, milliseconds: number): void {
  const end = start + ipv4HeaderOctets(octets, start);
  for (let at = start + IPV4_HEADER_OCTETS; at < end; ) {
    const type = octets[at]!;
    if (type === END) break;
    if (type === NO_OPERATION) {
      at++;
      continue;
    }
    if (type === RECORD_ROUTE) recordRoute(octets, at, address);
    else if (type === TIMESTAMP) recordTimestamp(octets, at, address, milliseconds);
    at += octets[at + 1]!;
  }
  ipv4FillChecksum(octets, start);
}

function recordRoute(octets: Uint8Array, at: number, address: number): void {
  const pointer = octets[at + 2]!;
  if (pointer + 3 > octets[at + 1]!) return; // full
  putUint32(octets, at + pointer - 1, address);
  octets[at + 2] = pointer + 4;
}

function recordTimestamp(octets: Uint8Array, at: number, address: number, milliseconds: number): void {
  const length = octets[at + 1]!;
  const pointer = octets[at + 2]!;
  const flag = octets[at + 3]! & 15;
  const entry = flag === 0 ? 4 : 8;
  if (pointer + entry - 1 > length) {
    // Full: count the routers that could not register; 15 stays 15.
    const overflow = octets[at + 3]! >>> 4;
    if (overflow < 15) octets[at + 3] = ((overflow + 1) << 4) | flag;
    return;
  }
  if (flag === 3 && uint32(octets, at + pointer - 1) !== address) return;
  const time = (NON_STANDARD_TIME + (Math.floor(milliseconds) % NON_STANDARD_TIME)) >>> 0;
  if (flag !== 0) putUint32(octets, at + pointer - 1, address);
  putUint32(octets, at + pointer - 1 + entry - 4, time);
  octets[at + 2] = pointer + entry;
}

/** The options that fragments after the first carry: those with the copied flag, padded to a multiple of 4 octets. */
export function copiedIpv4Options(octets: Uint8Array, start: number): Uint8Array {
  const end = start + ipv4HeaderOctets(octets, start);
  const kept: number[] = [];
  for (let at = start + IPV4_HEADER_OCTETS; at < end; ) {
    const type = octets[at]!;
    if (type === END) break;
    const length = type === NO_OPERATION ? 1 : Math.max(2, octets[at + 1]!);
    if ((type & COPIED) !== 0) kept.push(...octets.subarray(at, Math.min(end, at + length)));
    at += length;
  }
  while (kept.length % 4 !== 0) kept.push(END);
  return Uint8Array.from(kept);
}
