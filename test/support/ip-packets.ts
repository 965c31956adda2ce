/** Datagrams for tests, in text addresses. */
import {
  emitIpv4Packet,
  emitIpv6Packet,
  type Ipv4Fields,
  type Ipv6Fields,
  PROTOCOL,
  parseIpv4,
  parseIpv6,
  writeUdp4,
  writeUdp6,
} from '../../src/ip/index.ts';

export const ipv4 = (text: string): number => parseIpv4(text)!;
export const ipv6 = (text: string): Uint8Array => parseIpv6(text)!;

type Addressed<Fields> = Partial<Omit<Fields, 'source' | 'destination'>> & {
  readonly from?: string;
  readonly to?: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** Octets of UDP payload, counting up. */
  readonly payloadOctets?: number;
};

export const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 255);

export function udp4(options: Addressed<Ipv4Fields> = {}): Uint8Array {
  const source = ipv4(options.from ?? '10.0.0.1');
  const destination = ipv4(options.to ?? '10.0.0.2');
  const udp = new Uint8Array(8 + (options.payloadOctets ?? 100));
  udp.set(counting(udp.length - 8), 8);
  const ports = { sourcePort: options.sourcePort ?? 40000, destinationPort: options.destinationPort ?? 9 };
  writeUdp4(udp, 0, udp.length - 8, { ...ports, source, destination });
  return emitIpv4Packet({ protocol: PROTOCOL.udp, payload: udp, ...options, source, destination });
}

export function udp6(options: Addressed<Ipv6Fields> = {}): Uint8Array {
  const source = ipv6(options.from ?? '2001:db8::1');
  const destination = ipv6(options.to ?? '2001:db8::2');
  const udp = new Uint8Array(8 + (options.payloadOctets ?? 100));
  udp.set(counting(udp.length - 8), 8);
  const packet = emitIpv6Packet({ nextHeader: PROTOCOL.udp, payload: udp, ...options, source, destination });
  const ports = { sourcePort: options.sourcePort ?? 40000, destinationPort: options.destinationPort ?? 9 };
  if (options.payload === undefined) writeUdp6(packet, 40, udp.length - 8, { ...ports, addressesAt: 8 });
  return packet;
}

export function echo4(options: Addressed<Ipv4Fields> & { readonly type?: number } = {}): Uint8Array {
  const icmp = new Uint8Array(8 + (options.payloadOctets ?? 56));
  icmp.set(counting(icmp.length - 8), 8);
  icmp.set([options.type ?? 8, 0, 0, 0, 0x12, 0x34, 0, 1]);
  let sum = 0;
  for (let i = 0; i < icmp.length; i += 2) sum += (icmp[i]! << 8) | (icmp[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  icmp[2] = (~sum >>> 8) & 255;
  icmp[3] = ~sum & 255;
  const source = ipv4(options.from ?? '10.0.0.1');
  const destination = ipv4(options.to ?? '10.0.0.2');
  return emitIpv4Packet({ protocol: PROTOCOL.icmp, payload: icmp, ...options, source, destination });
}
