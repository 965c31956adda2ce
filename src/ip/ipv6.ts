/**
 * The IPv6 header (RFC 8200 section 3) and the walk over extension headers (section 4).
 *
 *   |Version| Traffic Class |           Flow Label                  |
 *   |         Payload Length        |  Next Header  |   Hop Limit   |
 *   |                     Source Address (16)                       |
 *   |                   Destination Address (16)                    |
 *
 * Jumbograms (RFC 2675) are left out: a payload length of 0 means no payload.
 */
import { ok, type Result } from '../core/result.ts';
import type { Ipv6Address } from './address.ts';
import { putUint16, uint16 } from './ipv4.ts';
import { PROTOCOL } from './protocol.ts';

// Specification constants
export const IPV6_HEADER_OCTETS = 40;
export const IPV6_MIN_MTU_OCTETS = 1280;
export const IPV6_SOURCE_OFFSET = 8;
export const IPV6_DESTINATION_OFFSET = 24;
export const IPV6_FRAGMENT_HEADER_OCTETS = 8;
// Implementation constant: longer chains are dropped, so that a hostile packet costs a bounded walk.
const MAX_EXTENSION_HEADERS = 8;

export type Ipv6Fault = 'short-header' | 'bad-version' | 'bad-total-length';

export const ipv6TrafficClass = (octets: Uint8Array, start: number): number =>
  ((octets[start]! & 15) << 4) | (octets[start + 1]! >>> 4);
export const ipv6FlowLabel = (octets: Uint8Array, start: number): number =>
  ((octets[start + 1]! & 15) << 16) | uint16(octets, start + 2);
export const ipv6PayloadLength = (octets: Uint8Array, start: number): number => uint16(octets, start + 4);
export const ipv6NextHeader = (octets: Uint8Array, start: number): number => octets[start + 6]!;
export const ipv6HopLimit = (octets: Uint8Array, start: number): number => octets[start + 7]!;

/** What is wrong with the header of a packet of `length` octets, or undefined. */
export function checkIpv6(octets: Uint8Array, start: number, length: number): Ipv6Fault | undefined {
  if (length < IPV6_HEADER_OCTETS) return 'short-header';
  if (octets[start]! >>> 4 !== 6) return 'bad-version';
  return IPV6_HEADER_OCTETS + ipv6PayloadLength(octets, start) > length ? 'bad-total-length' : undefined;
}

export function ipv6SetEcn(octets: Uint8Array, start: number, ecn: number): void {
  octets[start + 1] = (octets[start + 1]! & ~0x30) | (ecn << 4);
}

/** Where the upper-layer header begins and which it is; one object that each walk overwrites, so that none allocates. */
export interface Ipv6UpperLayer {
  protocol: number;
  /** Its first octet's position in the same octets; −1 when the chain is cut short or too long. */
  at: number;
  /** Not the first fragment: there is no upper-layer header in it. */
  laterFragment: boolean;
}

/** Walks the extension headers. `into` is filled in and returned. */
export function ipv6UpperLayer(
  octets: Uint8Array,
  start: number,
  length: number,
  into: Ipv6UpperLayer,
): Ipv6UpperLayer {
  let protocol = octets[start + 6]!;
  let at = start + IPV6_HEADER_OCTETS;
  const end = start + length;
  into.laterFragment = false;
  for (let i = 0; i < MAX_EXTENSION_HEADERS; i++) {
    const fragment = protocol === PROTOCOL.ipv6Fragment;
    const extension =
      fragment ||
      protocol === PROTOCOL.hopByHopOptions ||
      protocol === PROTOCOL.ipv6Routing ||
      protocol === PROTOCOL.ipv6DestinationOptions;
    if (!extension) {
      into.protocol = protocol;
      into.at = at;
      return into;
    }
    if (at + 8 > end) break;
    const headerOctets = fragment ? IPV6_FRAGMENT_HEADER_OCTETS : (octets[at + 1]! + 1) << 3;
    const laterFragment = fragment && (uint16(octets, at + 2) & 0xfff8) !== 0;
    protocol = octets[at]!;
    at += headerOctets;
    if (laterFragment) {
      into.protocol = protocol;
      into.at = at;
      into.laterFragment = true;
      return into;
    }
    if (at > end) break;
  }
  into.protocol = protocol;
  into.at = -1;
  return into;
}

export interface Ipv6Repr {
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  /** All that follows the fixed header, extension headers included. */
  readonly payload: Uint8Array;
}

export function parseIpv6Packet(octets: Uint8Array): Result<Ipv6Repr, Ipv6Fault> {
  const fault = checkIpv6(octets, 0, octets.length);
  if (fault !== undefined) return { ok: false, reason: fault };
  return ok({
    trafficClass: ipv6TrafficClass(octets, 0),
    flowLabel: ipv6FlowLabel(octets, 0),
    nextHeader: ipv6NextHeader(octets, 0),
    hopLimit: ipv6HopLimit(octets, 0),
    source: octets.slice(8, 24),
    destination: octets.slice(24, 40),
    payload: octets.slice(IPV6_HEADER_OCTETS, IPV6_HEADER_OCTETS + ipv6PayloadLength(octets, 0)),
  });
}

export type Ipv6Fields = Pick<Ipv6Repr, 'source' | 'destination' | 'nextHeader'> & Partial<Ipv6Repr>;

/** A packet; what is not given is 0 or empty, the hop limit 64. Throws RangeError when the payload exceeds 65,535 octets. */
export function emitIpv6Packet(fields: Ipv6Fields): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  if (payload.length > 0xffff) throw new RangeError(`an IPv6 payload of ${payload.length} octets`);
  const octets = new Uint8Array(IPV6_HEADER_OCTETS + payload.length);
  writeIpv6Header(octets, 0, payload.length, fields);
  octets.set(payload, IPV6_HEADER_OCTETS);
  return octets;
}

export function writeIpv6Header(
  octets: Uint8Array,
  start: number,
  payloadLength: number,
  fields: Omit<Ipv6Fields, 'payload'>,
): void {
  const trafficClass = fields.trafficClass ?? 0;
  const flowLabel = fields.flowLabel ?? 0;
  octets[start] = 0x60 | (trafficClass >>> 4);
  octets[start + 1] = ((trafficClass & 15) << 4) | (flowLabel >>> 16);
  putUint16(octets, start + 2, flowLabel & 0xffff);
  putUint16(octets, start + 4, payloadLength);
  octets[start + 6] = fields.nextHeader;
  octets[start + 7] = fields.hopLimit ?? 64;
  octets.set(fields.source, start + IPV6_SOURCE_OFFSET);
  octets.set(fields.destination, start + IPV6_DESTINATION_OFFSET);
}
