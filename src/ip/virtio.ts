/**
 * The 10-octet header in front of every packet of a TUN with IFF_VNET_HDR (struct virtio_net_hdr, host byte order; Virtio 1.2
 * section 5.1.6): which checksum the kernel left to be filled in, and how a datagram is to be cut into segments.
 */
import type { PacketBuffer } from '../core/packet.ts';
import { internetChecksum } from './checksum.ts';

export const VIRTIO_HEADER_OCTETS = 10;
const NEEDS_CHECKSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_ECN = 0x80;
const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export type VirtioFault = 'offload-header' | 'offload-kind';

/**
 * Reads the header in front of `packet.start` and makes the packet whole: its checksum filled in, or marked as a train. The
 * answer is a reason to drop it when the header is not one that we asked the kernel for.
 */
export function acceptOffloaded(packet: PacketBuffer): VirtioFault | undefined {
  const { arena, start, length } = packet;
  const at = start - VIRTIO_HEADER_OCTETS;
  const flags = arena[at]!;
  const kind = arena[at + 1]! & ~GSO_ECN;
  if (kind === GSO_NONE) {
    if ((flags & NEEDS_CHECKSUM) === 0) return undefined;
    const from = get(arena, at + 6);
    const field = from + get(arena, at + 8);
    if (field + 2 > length) return 'offload-header';
    // The field holds the pseudo-header's sum already.
    const checksum = internetChecksum(arena, start + from, length - from);
    arena[start + field] = checksum >>> 8;
    arena[start + field + 1] = checksum;
    return undefined;
  }
  if (kind !== GSO_TCPV4 && kind !== GSO_TCPV6) return 'offload-kind';
  const tcp = get(arena, at + 6);
  if (tcp + 20 > length) return 'offload-header';
  const headerOctets = tcp + ((arena[start + tcp + 12]! >>> 4) << 2);
  const segmentOctets = get(arena, at + 4);
  if (segmentOctets === 0 || headerOctets > length || headerOctets > 120) return 'offload-header';
  packet.train = { headerOctets, segmentOctets };
  return undefined;
}

/** Writes the header in front of `packet.start` for the kernel. */
export function describeOffloaded(packet: PacketBuffer): void {
  const { arena, start, train } = packet;
  const at = start - VIRTIO_HEADER_OCTETS;
  arena.fill(0, at, start);
  if (train === undefined) return;
  const ipv4 = arena[start]! >>> 4 === 4;
  const tcp = ipv4 ? (arena[start]! & 15) * 4 : 40;
  const cwr = (arena[start + tcp + 13]! & 0x80) !== 0;
  arena[at] = NEEDS_CHECKSUM;
  arena[at + 1] = (ipv4 ? GSO_TCPV4 : GSO_TCPV6) | (cwr ? GSO_ECN : 0);
  put(arena, at + 2, train.headerOctets);
  put(arena, at + 4, train.segmentOctets);
  put(arena, at + 6, tcp);
  put(arena, at + 8, 16);
}

function get(octets: Uint8Array, at: number): number {
  return littleEndian ? octets[at]! | (octets[at + 1]! << 8) : (octets[at]! << 8) | octets[at + 1]!;
}

function put(octets: Uint8Array, at: number, value: number): void {
  octets[littleEndian ? at : at + 1] = value;
  octets[littleEndian ? at + 1 : at] = value >>> 8;
}
