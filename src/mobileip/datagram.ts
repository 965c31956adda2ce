/**
 * What the machines exchange with their adapters: UDP datagrams and ICMP messages, with the IP fields that the protocol looks at;
 * and both as whole IP datagrams, for adapters that send and receive those.
 */
import {
  DSCP,
  destinationPort,
  emitIpv4Packet,
  type Ipv4Address,
  PROTOCOL,
  parseIpv4Packet,
  sourcePort,
  UDP_HEADER_OCTETS,
  udpChecksumGood4,
  udpLength,
  writeUdp4,
} from '../ip/index.ts';

export interface UdpDatagram {
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  readonly destination: Ipv4Address;
  readonly destinationPort: number;
  readonly timeToLive: number;
  readonly payload: Uint8Array;
}

/** An ICMP message with its IP addresses; `payload` begins with the ICMP type. */
export interface IcmpMessage {
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly timeToLive: number;
  readonly payload: Uint8Array;
}

/** As a whole IP datagram, in the class of network control (a registration must not wait behind a file). */
export function emitUdpDatagram(datagram: UdpDatagram, identification = 0): Uint8Array {
  const payload = new Uint8Array(UDP_HEADER_OCTETS + datagram.payload.length);
  payload.set(datagram.payload, UDP_HEADER_OCTETS);
  writeUdp4(payload, 0, datagram.payload.length, datagram);
  const { source, destination, timeToLive } = datagram;
  return emitIpv4Packet({
    source,
    destination,
    timeToLive,
    identification,
    dscp: DSCP.cs6,
    protocol: PROTOCOL.udp,
    payload,
  });
}

/** A UDP datagram in one unfragmented IP datagram with good checksums (RFC 5944 section 3.1: MUST be checked; zero is none). */
export function parseUdpDatagram(octets: Uint8Array): UdpDatagram | undefined {
  const parsed = parseIpv4Packet(octets);
  if (!parsed.ok || parsed.value.protocol !== PROTOCOL.udp) return undefined;
  const { source, destination, timeToLive, payload, moreFragments, fragmentOffset } = parsed.value;
  if (moreFragments || fragmentOffset !== 0 || payload.length < UDP_HEADER_OCTETS) return undefined;
  const length = udpLength(payload, 0);
  if (length < UDP_HEADER_OCTETS || length > payload.length) return undefined;
  if (!udpChecksumGood4(payload, 0, source, destination)) return undefined;
  return {
    source,
    sourcePort: sourcePort(payload, 0),
    destination,
    destinationPort: destinationPort(payload, 0),
    timeToLive,
    payload: payload.slice(UDP_HEADER_OCTETS, length),
  };
}

export function emitIcmpDatagram({ source, destination, timeToLive, payload }: IcmpMessage): Uint8Array {
  return emitIpv4Packet({ source, destination, timeToLive, dscp: DSCP.cs6, protocol: PROTOCOL.icmp, payload });
}

export function parseIcmpDatagram(octets: Uint8Array): IcmpMessage | undefined {
  const parsed = parseIpv4Packet(octets);
  if (!parsed.ok || parsed.value.protocol !== PROTOCOL.icmp || parsed.value.payload.length < 8) return undefined;
  const { source, destination, timeToLive, payload } = parsed.value;
  return { source, destination, timeToLive, payload };
}
