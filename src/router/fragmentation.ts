/** IPv4 fragmentation by a router (RFC 791 section 3.2's procedure, RFC 1812 section 5.2.6): as few and as long as fit. */
import type { PacketBuffer, PacketPool } from '../core/packet.ts';
import {
  copiedIpv4Options,
  ipv4FillChecksum,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4MoreFragments,
  ipv4TotalLength,
  putUint16,
} from '../ip/index.ts';

const MORE_FRAGMENTS = 0x2000;

/**
 * Splits a datagram that is longer than `mtuOctets` and may be fragmented. `packet` becomes the first fragment; the result holds
 * the others in order, all the caller's. Undefined, and nothing changed, when the pool has not enough packets or the MTU not
 * enough room for the header and eight octets.
 */
export function fragmentIpv4(packet: PacketBuffer, mtuOctets: number, pool: PacketPool): PacketBuffer[] | undefined {
  const { arena, start } = packet;
  const header = ipv4HeaderOctets(arena, start);
  const total = ipv4TotalLength(arena, start);
  const offset = ipv4FragmentOffset(arena, start);
  const lastFlag = ipv4MoreFragments(arena, start) ? MORE_FRAGMENTS : 0;
  const options = copiedIpv4Options(arena, start);
  const laterHeader = 20 + options.length;
  const firstPayload = (mtuOctets - header) & ~7;
  const laterPayload = (mtuOctets - laterHeader) & ~7;
  if (firstPayload < 8 || laterPayload < 8) return undefined;

  const others: PacketBuffer[] = [];
  for (let at = firstPayload; at < total - header; at += laterPayload) {
    const fragment = pool.acquire();
    if (fragment === undefined) {
      for (const made of others) pool.release(made);
      return undefined;
    }
    const remaining = total - header - at;
    const payload = Math.min(laterPayload, remaining);
    const to = fragment.start;
    arena.copyWithin(to, start, start + 20);
    arena.set(options, to + 20);
    arena.copyWithin(to + laterHeader, start + header + at, start + header + at + payload);
    arena[to] = 0x40 | (laterHeader >>> 2);
    finish(arena, to, laterHeader + payload, (offset + at) >>> 3, payload < remaining ? MORE_FRAGMENTS : lastFlag);
    fragment.length = laterHeader + payload;
    fragment.ingress = packet.ingress;
    fragment.enteredAt = packet.enteredAt;
    others.push(fragment);
  }
  packet.length = header + firstPayload;
  finish(arena, start, packet.length, offset >>> 3, MORE_FRAGMENTS);
  return others;
}

function finish(octets: Uint8Array, start: number, total: number, offsetUnits: number, flags: number): void {
  putUint16(octets, start + 2, total);
  putUint16(octets, start + 6, flags | offsetUnits);
  ipv4FillChecksum(octets, start);
}
