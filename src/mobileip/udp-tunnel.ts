/**
 * IP in UDP for tunnels through a NAT: RFC 3519 sections 3.3 and 4.2.
 *
 *    | IP header | UDP header, port 434 at the home agent | Type = 4, Next Header, Reserved | inner datagram |
 *
 * The keepalive that holds the NAT's mapping open is an ICMP echo request inside the tunnel (section 4.9).
 */
import { type PacketBuffer, Writer } from '../core/index.ts';
import {
  checkIpv4,
  emitIpv4Packet,
  IPV4_HEADER_OCTETS,
  type Ipv4Address,
  internetChecksum,
  ipv4HeaderOctets,
  ipv4TotalLength,
  PROTOCOL,
  putUint16,
  sourcePort,
  UDP_HEADER_OCTETS,
  udpChecksumGood4,
  udpLength,
  uint32,
  writeIpv4Header,
  writeUdp4,
} from '../ip/index.ts';
import { TUNNEL_TIME_TO_LIVE } from './encapsulation.ts';
import { MESSAGE, MOBILE_IP_PORT } from './numbers.ts';

const ICMP_ECHO_REQUEST = 8;
const MESSAGE_HEADER_OCTETS = 4;
export const UDP_TUNNEL_HEADER_OCTETS = IPV4_HEADER_OCTETS + UDP_HEADER_OCTETS + MESSAGE_HEADER_OCTETS;

export interface UdpTunnelAddresses {
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
}

export function encapsulateInUdp(packet: PacketBuffer, addresses: UdpTunnelAddresses): void {
  const { arena, start: inner } = packet;
  const payload = MESSAGE_HEADER_OCTETS + packet.length;
  const message = inner - MESSAGE_HEADER_OCTETS;
  arena[message] = MESSAGE.tunnelData;
  arena[message + 1] = PROTOCOL.ipInIp;
  putUint16(arena, message + 2, 0);
  writeUdp4(arena, message - UDP_HEADER_OCTETS, payload, addresses);
  packet.start -= UDP_TUNNEL_HEADER_OCTETS;
  packet.length += UDP_TUNNEL_HEADER_OCTETS;
  const trafficClass = arena[inner + 1]!;
  writeIpv4Header(arena, packet.start, IPV4_HEADER_OCTETS, packet.length, {
    dscp: trafficClass >>> 2,
    ecn: trafficClass & 3,
    dontFragment: true,
    timeToLive: TUNNEL_TIME_TO_LIVE,
    protocol: PROTOCOL.udp,
    source: addresses.source,
    destination: addresses.destination,
  });
}

export type UdpTunnelFault = 'outer-malformed' | 'udp-checksum' | 'next-header' | 'inner-malformed';

/**
 * Strips the headers of a datagram that is known to be UDP with message type 4. Returns the outer source port, or a fault;
 * the caller compares address and port with the binding's (section 4.3). Reserved is ignored.
 */
export function decapsulateFromUdp(packet: PacketBuffer): number | UdpTunnelFault {
  const { arena, start, length } = packet;
  if (checkIpv4(arena, start, length) !== undefined) return 'outer-malformed';
  const udp = start + ipv4HeaderOctets(arena, start);
  const end = start + ipv4TotalLength(arena, start);
  if (udp + UDP_HEADER_OCTETS + MESSAGE_HEADER_OCTETS > end || udp + udpLength(arena, udp) > end)
    return 'outer-malformed';
  const source = uint32(arena, start + 12);
  if (!udpChecksumGood4(arena, udp, source, uint32(arena, start + 16))) return 'udp-checksum';
  const message = udp + UDP_HEADER_OCTETS;
  if (arena[message] !== MESSAGE.tunnelData || arena[message + 1] !== PROTOCOL.ipInIp) return 'next-header';
  const inner = message + MESSAGE_HEADER_OCTETS;
  if (checkIpv4(arena, inner, udp + udpLength(arena, udp) - inner) !== undefined) return 'inner-malformed';
  packet.start = inner;
  packet.length = ipv4TotalLength(arena, inner);
  return sourcePort(arena, udp);
}

/** The ICMP echo request that goes through the tunnel to keep a NAT's mapping open: section 4.9. */
export function keepaliveDatagram(homeAddress: Ipv4Address, homeAgent: Ipv4Address, sequence: number): Uint8Array {
  const payload = new Writer(8)
    .uint8(ICMP_ECHO_REQUEST)
    .uint8(0)
    .uint16(0)
    .uint16(MOBILE_IP_PORT)
    .uint16(sequence & 0xffff)
    .finish();
  putUint16(payload, 2, internetChecksum(payload, 0, payload.length));
  return emitIpv4Packet({ source: homeAddress, destination: homeAgent, protocol: PROTOCOL.icmp, payload });
}
