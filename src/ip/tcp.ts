/** TCP header accessors (RFC 9293 section 3.1) on (octets, at); ports are read as UDP's are. */
import { uint16, uint32 } from './ipv4.ts';

export const TCP_HEADER_OCTETS = 20;
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;
export const tcpSequence = (octets: Uint8Array, at: number): number => uint32(octets, at + 4);
export const tcpAcknowledgment = (octets: Uint8Array, at: number): number => uint32(octets, at + 8);
export const tcpHeaderOctets = (octets: Uint8Array, at: number): number => (octets[at + 12]! >>> 4) << 2;
export const tcpFlags = (octets: Uint8Array, at: number): number => octets[at + 13]!;
export const tcpWindow = (octets: Uint8Array, at: number): number => uint16(octets, at + 14);
export const tcpChecksum = (octets: Uint8Array, at: number): number => uint16(octets, at + 16);
