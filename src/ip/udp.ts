/**
 * UDP (RFC 768) over IPv4 and IPv6. Accessors read (octets, at) where `at` is the UDP header's first octet.
 * A checksum of 0 means none was made (IPv4 only); a computed 0 is sent as 0xFFFF.
 */
import { internetChecksum, pseudoHeaderSum4, pseudoHeaderSum6 } from './checksum.ts';
import { putUint16, uint16 } from './ipv4.ts';
import { PROTOCOL } from './protocol.ts';

export const UDP_HEADER_OCTETS = 8;
export const sourcePort = (octets: Uint8Array, at: number): number => uint16(octets, at);
export const destinationPort = (octets: Uint8Array, at: number): number => uint16(octets, at + 2);
export const udpLength = (octets: Uint8Array, at: number): number => uint16(octets, at + 4);
export const udpChecksum = (octets: Uint8Array, at: number): number => uint16(octets, at + 6);

/** Writes the header in front of a payload that is in place; checksum over IPv4's pseudo-header. */
export function writeUdp4(
  octets: Uint8Array,
  at: number,
  payloadOctets: number,
  fields: { sourcePort: number; destinationPort: number; source: number; destination: number },
): void {
  const length = writePorts(octets, at, payloadOctets, fields);
  const sum = pseudoHeaderSum4(fields.source, fields.destination, PROTOCOL.udp, length);
  putUint16(octets, at + 6, internetChecksum(octets, at, length, sum) || 0xffff);
}

/** The same over IPv6, whose two addresses begin at `addressesAt`. */
export function writeUdp6(
  octets: Uint8Array,
  at: number,
  payloadOctets: number,
  fields: { sourcePort: number; destinationPort: number; addressesAt: number },
): void {
  const length = writePorts(octets, at, payloadOctets, fields);
  const sum = pseudoHeaderSum6(octets, fields.addressesAt, PROTOCOL.udp, length);
  putUint16(octets, at + 6, internetChecksum(octets, at, length, sum) || 0xffff);
}

function writePorts(
  octets: Uint8Array,
  at: number,
  payloadOctets: number,
  fields: { sourcePort: number; destinationPort: number },
): number {
  const length = UDP_HEADER_OCTETS + payloadOctets;
  putUint16(octets, at, fields.sourcePort);
  putUint16(octets, at + 2, fields.destinationPort);
  putUint16(octets, at + 4, length);
  putUint16(octets, at + 6, 0);
  return length;
}

/** Whether the datagram's checksum is right or absent. `length` is what IP carried from `at`. */
export function udpChecksumGood4(octets: Uint8Array, at: number, source: number, destination: number): boolean {
  if (udpChecksum(octets, at) === 0) return true;
  const length = udpLength(octets, at);
  return internetChecksum(octets, at, length, pseudoHeaderSum4(source, destination, PROTOCOL.udp, length)) === 0;
}
