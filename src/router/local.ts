/**
 * Packets for the router itself: addresses of links and tunnels that the node's kernel does not have. It answers echo
 * (RFC 1812 section 4.3.3.6, RFC 4443 section 4) and says of everything else that nobody listens.
 */
import type { PacketBuffer } from '../core/packet.ts';
import {
  ICMP4,
  ICMP6,
  type IcmpError,
  IPV6_HEADER_OCTETS,
  IPV6_SOURCE_OFFSET,
  icmp4PortUnreachable,
  icmp4ProtocolUnreachable,
  icmp6UnrecognisedNextHeader,
  icmpChecksumGood,
  internetChecksum,
  ipVersion,
  ipv4FillChecksum,
  ipv4HeaderOctets,
  ipv4Protocol,
  ipv6NextHeader,
  PROTOCOL,
  pseudoHeaderSum6,
  putUint16,
} from '../ip/index.ts';

const REPLY_TIME_TO_LIVE = 64;

/** What becomes of the packet: it was turned into its own reply, an error is due about it, or it is ignored. */
export type LocalVerdict = 'reply' | 'ignore' | IcmpError;

/** A whole datagram to an address of the router's own. */
export function handleLocal(packet: PacketBuffer): LocalVerdict {
  return ipVersion(packet.arena, packet.start) === 4 ? handleLocal4(packet) : handleLocal6(packet);
}

function handleLocal4(packet: PacketBuffer): LocalVerdict {
  const { arena, start, length } = packet;
  const protocol = ipv4Protocol(arena, start);
  if (protocol === PROTOCOL.udp || protocol === PROTOCOL.tcp) return icmp4PortUnreachable;
  if (protocol !== PROTOCOL.icmp) return icmp4ProtocolUnreachable;
  const icmp = start + ipv4HeaderOctets(arena, start);
  const octets = start + length - icmp;
  if (!icmpChecksumGood(arena, icmp, octets) || arena[icmp] !== ICMP4.echo) return 'ignore';
  arena[icmp] = ICMP4.echoReply;
  putUint16(arena, icmp + 2, 0);
  putUint16(arena, icmp + 2, internetChecksum(arena, icmp, octets));
  swap(arena, start + 12, start + 16, 4);
  arena[start + 8] = REPLY_TIME_TO_LIVE;
  ipv4FillChecksum(arena, start);
  return 'reply';
}

function handleLocal6(packet: PacketBuffer): LocalVerdict {
  const { arena, start, length } = packet;
  // Fragments and other extension headers before an echo are left out.
  if (ipv6NextHeader(arena, start) !== PROTOCOL.icmpv6) return icmp6UnrecognisedNextHeader(6);
  const icmp = start + IPV6_HEADER_OCTETS;
  const octets = length - IPV6_HEADER_OCTETS;
  const sum = pseudoHeaderSum6(arena, start + IPV6_SOURCE_OFFSET, PROTOCOL.icmpv6, octets);
  if (!icmpChecksumGood(arena, icmp, octets, sum) || arena[icmp] !== ICMP6.echoRequest) return 'ignore';
  arena[icmp] = ICMP6.echoReply;
  putUint16(arena, icmp + 2, 0);
  // Swapping the addresses does not change the sum.
  putUint16(arena, icmp + 2, internetChecksum(arena, icmp, octets, sum));
  swap(arena, start + IPV6_SOURCE_OFFSET, start + IPV6_SOURCE_OFFSET + 16, 16);
  arena[start + 7] = REPLY_TIME_TO_LIVE;
  return 'reply';
}

function swap(octets: Uint8Array, a: number, b: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const kept = octets[a + i]!;
    octets[a + i] = octets[b + i]!;
    octets[b + i] = kept;
  }
}
