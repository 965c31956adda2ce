/**
 * ICMP (RFC 792, RFC 1191 for the next-hop MTU) and ICMPv6 (RFC 4443): error messages, echo, and when an error may be sent.
 *
 * Errors quote as much of the offending datagram as fits 576 octets (RFC 1812 section 4.3.2.3) or 1280 (RFC 4443 section 3).
 * Redirects, source quench (RFC 6633 deprecates it) and router discovery are left out.
 */
import { type IpAddress, type Ipv4Address, isIpv4 } from './address.ts';
import { internetChecksum, onesComplementSum, pseudoHeaderSum6 } from './checksum.ts';
import {
  IPV4_HEADER_OCTETS,
  IPV4_MIN_REASSEMBLY_OCTETS,
  ipv4Destination,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Protocol,
  ipv4Source,
  putUint16,
  putUint32,
  writeIpv4Header,
} from './ipv4.ts';
import {
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_OCTETS,
  IPV6_MIN_MTU_OCTETS,
  IPV6_SOURCE_OFFSET,
  type Ipv6UpperLayer,
  ipv6UpperLayer,
  writeIpv6Header,
} from './ipv6.ts';
import { DSCP, PROTOCOL } from './protocol.ts';

export const ICMP_HEADER_OCTETS = 8;

export const ICMP4 = {
  echoReply: 0,
  destinationUnreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echo: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;

export const ICMP6 = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
} as const;

/** An error as both families name it; `parameter` is the rest of the header: a next-hop MTU, a pointer, or 0. */
export interface IcmpError {
  readonly type: number;
  readonly code: number;
  readonly parameter: number;
}

export const icmp4NetUnreachable: IcmpError = { type: 3, code: 0, parameter: 0 };
export const icmp4HostUnreachable: IcmpError = { type: 3, code: 1, parameter: 0 };
export const icmp4ProtocolUnreachable: IcmpError = { type: 3, code: 2, parameter: 0 };
export const icmp4PortUnreachable: IcmpError = { type: 3, code: 3, parameter: 0 };
export const icmp4FragmentationNeeded = (mtu: number): IcmpError => ({ type: 3, code: 4, parameter: mtu });
export const icmp4SourceRouteFailed: IcmpError = { type: 3, code: 5, parameter: 0 };
export const icmp4TimeExceeded: IcmpError = { type: 11, code: 0, parameter: 0 };
export const icmp4ReassemblyTimeExceeded: IcmpError = { type: 11, code: 1, parameter: 0 };
export const icmp4ParameterProblem = (pointer: number): IcmpError => ({
  type: 12,
  code: 0,
  parameter: pointer * 0x1000000,
});
export const icmp6NoRoute: IcmpError = { type: 1, code: 0, parameter: 0 };
export const icmp6BeyondScope: IcmpError = { type: 1, code: 2, parameter: 0 };
export const icmp6AddressUnreachable: IcmpError = { type: 1, code: 3, parameter: 0 };
export const icmp6PacketTooBig = (mtu: number): IcmpError => ({ type: 2, code: 0, parameter: mtu });
export const icmp6TimeExceeded: IcmpError = { type: 3, code: 0, parameter: 0 };
export const icmp6ReassemblyTimeExceeded: IcmpError = { type: 3, code: 1, parameter: 0 };
export const icmp6UnrecognisedNextHeader = (pointer: number): IcmpError => ({ type: 4, code: 1, parameter: pointer });

/** A unicast address that an error may be sent to: not 0/8, 127/8, multicast, class E or broadcast. */
export function isIpv4UnicastSource(address: Ipv4Address): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/**
 * Whether an ICMP error may be sent about this (valid) IPv4 datagram: RFC 1812 section 4.3.2.7. Never about an ICMP error,
 * a fragment that is not the first, a multicast or broadcast, or a source that names no single host.
 */
export function mayReportIpv4(octets: Uint8Array, start: number, length: number): boolean {
  if (ipv4FragmentOffset(octets, start) !== 0) return false;
  if (ipv4Destination(octets, start) >= 0xe0000000) return false;
  if (!isIpv4UnicastSource(ipv4Source(octets, start))) return false;
  if (ipv4Protocol(octets, start) !== PROTOCOL.icmp) return true;
  const at = ipv4HeaderOctets(octets, start);
  if (at >= length) return false;
  const type = octets[start + at]!;
  // Only queries and their replies may be reported on; unknown types might be errors.
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

const upper: Ipv6UpperLayer = { protocol: 0, at: 0, laterFragment: false };

/** The same for IPv6: RFC 4443 section 2.4 (e); packet too big may be sent about a multicast (e.3). */
export function mayReportIpv6(octets: Uint8Array, start: number, length: number, tooBig = false): boolean {
  const source = start + IPV6_SOURCE_OFFSET;
  if (octets[source] === 0xff || isZero(octets, source, 16) || isLoopback6(octets, source)) return false;
  if (octets[start + IPV6_DESTINATION_OFFSET] === 0xff && !tooBig) return false;
  ipv6UpperLayer(octets, start, length, upper);
  if (upper.laterFragment) return false;
  if (upper.protocol !== PROTOCOL.icmpv6) return true;
  return upper.at >= 0 && upper.at < start + length && octets[upper.at]! >= 128;
}

export function isZero(octets: Uint8Array, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (octets[at + i] !== 0) return false;
  return true;
}
export const isLoopback6 = (octets: Uint8Array, at: number): boolean => isZero(octets, at, 15) && octets[at + 15] === 1;

/** The most that an error message with its IP header takes, so a caller can see that its buffer is large enough. */
export const icmpErrorOctets = (source: IpAddress): number =>
  isIpv4(source) ? IPV4_MIN_REASSEMBLY_OCTETS : IPV6_MIN_MTU_OCTETS;

/**
 * Writes the datagram that carries `error` about the `length` octets at `offending` of `from`, and returns its length. `out`
 * needs `icmpErrorOctets` from `at`, and may be the same arena. It goes to the offending source, precedence internetwork
 * control (RFC 1812 section 4.3.2.5).
 */
export function writeIcmpError(
  out: Uint8Array,
  at: number,
  error: IcmpError,
  source: IpAddress,
  from: Uint8Array,
  offending: number,
  length: number,
  identification: number,
): number {
  const header = isIpv4(source) ? IPV4_HEADER_OCTETS : IPV6_HEADER_OCTETS;
  const quoted = Math.min(length, icmpErrorOctets(source) - header - ICMP_HEADER_OCTETS);
  const icmp = at + header;
  const icmpOctets = ICMP_HEADER_OCTETS + quoted;
  out[icmp] = error.type;
  out[icmp + 1] = error.code;
  putUint16(out, icmp + 2, 0);
  putUint32(out, icmp + 4, error.parameter);
  if (out === from) out.copyWithin(icmp + ICMP_HEADER_OCTETS, offending, offending + quoted);
  else out.set(from.subarray(offending, offending + quoted), icmp + ICMP_HEADER_OCTETS);
  if (isIpv4(source)) {
    putUint16(out, icmp + 2, internetChecksum(out, icmp, icmpOctets));
    const destination = ipv4Source(from, offending);
    const fields = { dscp: DSCP.cs6, identification, protocol: PROTOCOL.icmp, source, destination };
    writeIpv4Header(out, at, header, header + icmpOctets, fields);
  } else {
    const destination = from.slice(offending + IPV6_SOURCE_OFFSET, offending + IPV6_SOURCE_OFFSET + 16);
    const fields = { trafficClass: DSCP.cs6 << 2, nextHeader: PROTOCOL.icmpv6, source, destination };
    writeIpv6Header(out, at, icmpOctets, fields);
    const sum = pseudoHeaderSum6(out, at + IPV6_SOURCE_OFFSET, PROTOCOL.icmpv6, icmpOctets);
    putUint16(out, icmp + 2, internetChecksum(out, icmp, icmpOctets, sum));
  }
  return header + icmpOctets;
}

/** Whether the `length` octets at `at` are an ICMP message with a good checksum. `initial`: ICMPv6's pseudo-header sum. */
export const icmpChecksumGood = (octets: Uint8Array, at: number, length: number, initial = 0): boolean =>
  length >= ICMP_HEADER_OCTETS && onesComplementSum(octets, at, length, initial) === 0xffff;
