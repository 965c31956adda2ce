/**
 * IP in IP in place: RFC 2003 section 3, ECN by RFC 6040 section 4 (normal mode), identification by RFC 6864.
 *
 *     outer header (20 octets, no options) | inner header | payload
 *
 * The outer datagram always has DF set: it is atomic, its identification is of no account (RFC 6864 section 4.1) and 65,536
 * packets within two minutes cannot collide. What is too long is fragmented, or refused, before it is encapsulated.
 * GRE and minimal encapsulation (RFC 2004) are left out: requests for them are denied with 72 and 139.
 */
import type { PacketBuffer } from '../core/index.ts';
import {
  checkIpv4,
  ECN,
  IPV4_HEADER_OCTETS,
  type Ipv4Address,
  ipv4HeaderOctets,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4SetEcn,
  ipv4TotalLength,
  PROTOCOL,
  writeIpv4Header,
} from '../ip/index.ts';

export const TUNNEL_HEADER_OCTETS = IPV4_HEADER_OCTETS;
/** RFC 2003 section 3.1: "an appropriate value for delivery to the tunnel exit point". */
export const TUNNEL_TIME_TO_LIVE = 64;

/** Puts the tunnel's header in front of a valid IPv4 datagram, in the packet's headroom. */
export function encapsulate(packet: PacketBuffer, source: Ipv4Address, destination: Ipv4Address): void {
  const { arena, start: inner } = packet;
  const trafficClass = arena[inner + 1]!;
  packet.start -= TUNNEL_HEADER_OCTETS;
  packet.length += TUNNEL_HEADER_OCTETS;
  writeIpv4Header(arena, packet.start, IPV4_HEADER_OCTETS, packet.length, {
    dscp: trafficClass >>> 2,
    // RFC 6040 section 4.1, normal mode: a copy.
    ecn: trafficClass & 3,
    dontFragment: true,
    timeToLive: TUNNEL_TIME_TO_LIVE,
    protocol: PROTOCOL.ipInIp,
    source,
    destination,
  });
}

export type DecapsulationFault = 'outer-malformed' | 'outer-fragment' | 'not-ip-in-ip' | 'inner-malformed' | 'ecn';

/**
 * Strips the tunnel's header. The inner TTL stays as it is (RFC 2003 section 3.1). On a fault the packet is unchanged.
 * RFC 6040 section 4.2: a congestion mark on the outer header moves to the inner, or drops what cannot carry one.
 */
export function decapsulate(packet: PacketBuffer): DecapsulationFault | undefined {
  const { arena, start, length } = packet;
  if (checkIpv4(arena, start, length) !== undefined) return 'outer-malformed';
  if (ipv4Protocol(arena, start) !== PROTOCOL.ipInIp) return 'not-ip-in-ip';
  if (ipv4IsFragment(arena, start)) return 'outer-fragment';
  const header = ipv4HeaderOctets(arena, start);
  const inner = start + header;
  if (checkIpv4(arena, inner, ipv4TotalLength(arena, start) - header) !== undefined) return 'inner-malformed';
  const ecn = combinedEcn(arena[inner + 1]! & 3, arena[start + 1]! & 3);
  if (ecn < 0) return 'ecn';
  if (ecn !== (arena[inner + 1]! & 3)) ipv4SetEcn(arena, inner, ecn);
  packet.start = inner;
  packet.length = ipv4TotalLength(arena, inner);
  return undefined;
}

/** The inner ECN field at the exit, or −1 to drop: the table of RFC 6040 section 4.2. */
export function combinedEcn(inner: number, outer: number): number {
  if (outer === ECN.ce) return inner === ECN.notEct ? -1 : ECN.ce;
  if (outer === ECN.ect1 && inner === ECN.ect0) return ECN.ect1;
  return inner;
}
