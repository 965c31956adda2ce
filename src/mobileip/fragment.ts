/**
 * Fragmentation of an IPv4 datagram before it enters a tunnel: RFC 791 section 3.2. RFC 2003 section 5.1 prefers this to
 * fragments of the outer datagram, which the tunnel's exit would have to reassemble and whose identification would have to be
 * unique (RFC 6864). Options with the copy bit go into every fragment, the rest into the first.
 */
import {
  emitIpv4Packet,
  IPV4_HEADER_OCTETS,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4MoreFragments,
  ipv4TotalLength,
  uint32,
} from '../ip/index.ts';

/** The fragments, none longer than `mtu` octets; undefined when the datagram must not be fragmented. */
export function fragmentIpv4(octets: Uint8Array, start: number, mtu: number): Uint8Array[] | undefined {
  if (ipv4DontFragment(octets, start)) return undefined;
  const header = ipv4HeaderOctets(octets, start);
  const end = start + ipv4TotalLength(octets, start);
  const allOptions = octets.subarray(start + IPV4_HEADER_OCTETS, start + header);
  const copied = copiedOptions(allOptions);
  const fragments: Uint8Array[] = [];
  for (let at = start + header; at < end; ) {
    const options = fragments.length === 0 ? allOptions : copied;
    const room = (mtu - IPV4_HEADER_OCTETS - options.length) & ~7;
    if (room < 8) return undefined;
    const length = Math.min(room, end - at);
    fragments.push(
      emitIpv4Packet({
        dscp: octets[start + 1]! >>> 2,
        ecn: octets[start + 1]! & 3,
        identification: ipv4Identification(octets, start),
        moreFragments: at + length < end || ipv4MoreFragments(octets, start),
        fragmentOffset: ipv4FragmentOffset(octets, start) + (at - start - header),
        timeToLive: octets[start + 8]!,
        protocol: octets[start + 9]!,
        source: uint32(octets, start + 12),
        destination: uint32(octets, start + 16),
        options,
        payload: octets.subarray(at, at + length),
      }),
    );
    at += length;
  }
  return fragments;
}

function copiedOptions(options: Uint8Array): Uint8Array {
  const kept: number[] = [];
  for (let at = 0; at < options.length; ) {
    const type = options[at]!;
    if (type === 0) break;
    const length = type === 1 ? 1 : (options[at + 1] ?? 0);
    if (length < 1 || at + length > options.length) break;
    if ((type & 0x80) !== 0) kept.push(...options.subarray(at, at + length));
    at += length;
  }
  while (kept.length % 4 !== 0) kept.push(0);
  return Uint8Array.from(kept);
}
