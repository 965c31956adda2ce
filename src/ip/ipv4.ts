/**
 * The IPv4 header (RFC 791 section 3.1; the type of service octet as RFC 2474 and RFC 3168 redefine it).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   |Version|  IHL  |    DSCP   |ECN|         Total Length          |
 *   |         Identification        |0|D|M|     Fragment Offset     |
 *   |  Time to Live |    Protocol   |        Header Checksum        |
 *   |                         Source Address                        |
 *   |                      Destination Address                      |
 *   |                    Options                    |    Padding    |
 *
 * The accessors read (octets, start) and check nothing: `checkIpv4` does, once. The Repr is for cold paths.
 */
import { ok, type Result } from '../core/result.ts';
import type { Ipv4Address } from './address.ts';
import { internetChecksum, onesComplementSum, updateChecksum } from './checksum.ts';

// Specification constants
export const IPV4_HEADER_OCTETS = 20;
export const IPV4_MAX_HEADER_OCTETS = 60;
/** Every link must carry this much without fragmenting (RFC 791 section 3.2). */
export const IPV4_MIN_MTU_OCTETS = 68;
/** Every destination must be able to receive this much (RFC 791 section 3.1). */
export const IPV4_MIN_REASSEMBLY_OCTETS = 576;
export const IPV4_TTL_OFFSET = 8;
export const IPV4_CHECKSUM_OFFSET = 10;
export const IPV4_SOURCE_OFFSET = 12;
export const IPV4_DESTINATION_OFFSET = 16;

export type Ipv4Fault = 'short-header' | 'bad-version' | 'bad-header-length' | 'bad-total-length' | 'bad-checksum';

export const uint16 = (octets: Uint8Array, at: number): number => (octets[at]! << 8) | octets[at + 1]!;
export const uint32 = (octets: Uint8Array, at: number): number =>
  ((octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!) >>> 0;
export function putUint16(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 8;
  octets[at + 1] = value;
}
export function putUint32(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 24;
  octets[at + 1] = value >>> 16;
  octets[at + 2] = value >>> 8;
  octets[at + 3] = value;
}

export const ipVersion = (octets: Uint8Array, start: number): number => octets[start]! >>> 4;
export const ipv4HeaderOctets = (octets: Uint8Array, start: number): number => (octets[start]! & 15) << 2;
export const ipv4TrafficClass = (octets: Uint8Array, start: number): number => octets[start + 1]!;
export const ipv4TotalLength = (octets: Uint8Array, start: number): number => uint16(octets, start + 2);
export const ipv4Identification = (octets: Uint8Array, start: number): number => uint16(octets, start + 4);
export const ipv4DontFragment = (octets: Uint8Array, start: number): boolean => (octets[start + 6]! & 0x40) !== 0;
export const ipv4MoreFragments = (octets: Uint8Array, start: number): boolean => (octets[start + 6]! & 0x20) !== 0;
/** In octets, a multiple of 8. */
export const ipv4FragmentOffset = (octets: Uint8Array, start: number): number =>
  (uint16(octets, start + 6) & 0x1fff) << 3;
export const ipv4IsFragment = (octets: Uint8Array, start: number): boolean =>
  (uint16(octets, start + 6) & 0x3fff) !== 0;
export const ipv4TimeToLive = (octets: Uint8Array, start: number): number => octets[start + IPV4_TTL_OFFSET]!;
export const ipv4Protocol = (octets: Uint8Array, start: number): number => octets[start + 9]!;
export const ipv4Source = (octets: Uint8Array, start: number): Ipv4Address => uint32(octets, start + 12);
export const ipv4Destination = (octets: Uint8Array, start: number): Ipv4Address => uint32(octets, start + 16);

/**
 * What is wrong with the header of a datagram of `length` octets, or undefined: the checks of RFC 1812 section 5.2.2. After
 * it, every accessor above is within bounds and `ipv4TotalLength` ≤ length (the rest is the link's padding).
 */
export function checkIpv4(octets: Uint8Array, start: number, length: number): Ipv4Fault | undefined {
  if (length < IPV4_HEADER_OCTETS) return 'short-header';
  const first = octets[start]!;
  if (first >>> 4 !== 4) return 'bad-version';
  const header = (first & 15) << 2;
  if (header < IPV4_HEADER_OCTETS || header > length) return 'bad-header-length';
  const total = (octets[start + 2]! << 8) | octets[start + 3]!;
  if (total < header || total > length) return 'bad-total-length';
  return ipv4HeaderSum(octets, start, header) === 0xffff ? undefined : 'bad-checksum';
}

/** Unrolled for the common header without options: 20 octets do not repay the word loop's set-up. */
function ipv4HeaderSum(octets: Uint8Array, at: number, header: number): number {
  if (header !== IPV4_HEADER_OCTETS) return onesComplementSum(octets, at, header);
  const sum =
    ((octets[at]! + octets[at + 2]! + octets[at + 4]! + octets[at + 6]! + octets[at + 8]!) << 8) +
    ((octets[at + 10]! + octets[at + 12]! + octets[at + 14]! + octets[at + 16]! + octets[at + 18]!) << 8) +
    (octets[at + 1]! + octets[at + 3]! + octets[at + 5]! + octets[at + 7]! + octets[at + 9]!) +
    (octets[at + 11]! + octets[at + 13]! + octets[at + 15]! + octets[at + 17]! + octets[at + 19]!);
  const folded = (sum & 0xffff) + (sum >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

/** Decrements the TTL (which the caller knows to be above 0) and updates the checksum by RFC 1624 equation 3. */
export function ipv4DecrementTimeToLive(octets: Uint8Array, start: number): void {
  const word = uint16(octets, start + IPV4_TTL_OFFSET);
  putUint16(octets, start + IPV4_TTL_OFFSET, word - 0x100);
  const at = start + IPV4_CHECKSUM_OFFSET;
  putUint16(octets, at, updateChecksum(uint16(octets, at), word, word - 0x100));
}

/** Sets the two ECN bits and updates the checksum. */
export function ipv4SetEcn(octets: Uint8Array, start: number, ecn: number): void {
  const word = uint16(octets, start);
  const changed = (word & ~3) | ecn;
  octets[start + 1] = changed;
  const at = start + IPV4_CHECKSUM_OFFSET;
  putUint16(octets, at, updateChecksum(uint16(octets, at), word, changed));
}

/** Writes the header checksum of a header that is complete otherwise. */
export function ipv4FillChecksum(octets: Uint8Array, start: number): void {
  putUint16(octets, start + IPV4_CHECKSUM_OFFSET, 0);
  const checksum = internetChecksum(octets, start, ipv4HeaderOctets(octets, start));
  putUint16(octets, start + IPV4_CHECKSUM_OFFSET, checksum);
}

export interface Ipv4Repr {
  readonly dscp: number;
  readonly ecn: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** Octets, a multiple of 8. */
  readonly fragmentOffset: number;
  readonly timeToLive: number;
  readonly protocol: number;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  /** As on the wire, padded to a multiple of 4 octets. */
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

export function parseIpv4Packet(octets: Uint8Array): Result<Ipv4Repr, Ipv4Fault> {
  const fault = checkIpv4(octets, 0, octets.length);
  if (fault !== undefined) return { ok: false, reason: fault };
  const header = ipv4HeaderOctets(octets, 0);
  return ok({
    dscp: octets[1]! >>> 2,
    ecn: octets[1]! & 3,
    identification: ipv4Identification(octets, 0),
    dontFragment: ipv4DontFragment(octets, 0),
    moreFragments: ipv4MoreFragments(octets, 0),
    fragmentOffset: ipv4FragmentOffset(octets, 0),
    timeToLive: ipv4TimeToLive(octets, 0),
    protocol: ipv4Protocol(octets, 0),
    source: ipv4Source(octets, 0),
    destination: ipv4Destination(octets, 0),
    options: octets.slice(IPV4_HEADER_OCTETS, header),
    payload: octets.slice(header, ipv4TotalLength(octets, 0)),
  });
}

export type Ipv4Fields = Pick<Ipv4Repr, 'source' | 'destination' | 'protocol'> & Partial<Ipv4Repr>;

/** A datagram; what is not given is 0, false or empty, the TTL 64. Throws RangeError when it would exceed 65,535 octets. */
export function emitIpv4Packet(fields: Ipv4Fields): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const payload = fields.payload ?? new Uint8Array(0);
  const header = IPV4_HEADER_OCTETS + ((options.length + 3) & ~3);
  const total = header + payload.length;
  if (header > IPV4_MAX_HEADER_OCTETS || total > 0xffff) throw new RangeError(`an IPv4 datagram of ${total} octets`);
  const octets = new Uint8Array(total);
  octets.set(options, IPV4_HEADER_OCTETS);
  octets.set(payload, header);
  writeIpv4Header(octets, 0, header, total, fields);
  return octets;
}

/** Writes the fixed part of a header of `header` octets in place, and its checksum; options must be there already. */
export function writeIpv4Header(
  octets: Uint8Array,
  start: number,
  header: number,
  total: number,
  fields: Omit<Ipv4Fields, 'options' | 'payload'>,
): void {
  octets[start] = 0x40 | (header >>> 2);
  octets[start + 1] = ((fields.dscp ?? 0) << 2) | (fields.ecn ?? 0);
  putUint16(octets, start + 2, total);
  putUint16(octets, start + 4, fields.identification ?? 0);
  const flags = (fields.dontFragment === true ? 0x4000 : 0) | (fields.moreFragments === true ? 0x2000 : 0);
  putUint16(octets, start + 6, flags | ((fields.fragmentOffset ?? 0) >>> 3));
  octets[start + IPV4_TTL_OFFSET] = fields.timeToLive ?? 64;
  octets[start + 9] = fields.protocol;
  putUint32(octets, start + IPV4_SOURCE_OFFSET, fields.source);
  putUint32(octets, start + IPV4_DESTINATION_OFFSET, fields.destination);
  ipv4FillChecksum(octets, start);
}
