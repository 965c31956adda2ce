/**
 * Addresses that may not be forwarded, and scopes that end at the link: RFC 1812 sections 5.3.5 and 5.3.7 with RFC 6890's
 * table, RFC 4291 sections 2.4 and 2.5, RFC 4007 section 9.
 */
import {
  type IpAddress,
  type Ipv6UpperLayer,
  ipv6UpperLayer,
  isIpv4,
  isLoopback6,
  isZero,
  PROTOCOL,
} from '../ip/index.ts';

export type Scope = 'unicast' | 'martian-source' | 'martian-destination' | 'link' | 'beyond-scope' | 'multicast';

/**
 * Where a (valid) IPv4 datagram may go. Only what a link brings is suspect in its source. 0.0.0.0 is one only in the link's
 * scope: a mobile node that has no address yet asks for one.
 */
export function scopeOfIpv4(octets: Uint8Array, start: number, fromLink: boolean): Scope {
  const source = octets[start + 12]!;
  const destination = octets[start + 16]!;
  const link =
    destination === 255
      ? octets[start + 17] === 255 && octets[start + 18] === 255 && octets[start + 19] === 255
      : destination === 224 && octets[start + 17] === 0 && octets[start + 18] === 0;
  if (fromLink && (source === 127 || source >= 224 || (source === 0 && !link))) return 'martian-source';
  if (link) return 'link';
  if (destination === 0 || destination === 127 || destination >= 240) return 'martian-destination';
  return destination >= 224 ? 'multicast' : 'unicast';
}

const upper: Ipv6UpperLayer = { protocol: 0, at: 0, laterFragment: false };

/** The same for IPv6. */
export function scopeOfIpv6(octets: Uint8Array, start: number, length: number, fromLink: boolean): Scope {
  const source = start + 8;
  const destination = start + 24;
  const multicast = octets[destination] === 0xff;
  const scope = multicast ? octets[destination + 1]! & 15 : 14;
  const linkLocal = octets[destination] === 0xfe && (octets[destination + 1]! & 0xc0) === 0x80;
  const linkScope = linkLocal || (multicast && scope === 2);
  if (octets[source] === 0xff) return 'martian-source';
  if (octets[source] === 0 && (isLoopback6(octets, source) || (isZero(octets, source, 16) && !linkScope)))
    return 'martian-source';
  if (multicast && scope < 2) return 'martian-destination';
  if (octets[destination] === 0 && (isZero(octets, destination, 16) || isLoopback6(octets, destination)))
    return 'martian-destination';
  // The kernel talks of neighbours and listeners on every device. The far end of a line has no use for it, and it costs rate.
  if (linkScope) return fromLink || !isNeighbourTalk(octets, start, length) ? 'link' : 'beyond-scope';
  if (octets[source] === 0xfe && (octets[source + 1]! & 0xc0) === 0x80) return 'beyond-scope';
  return multicast ? 'multicast' : 'unicast';
}

/** Multicast listener discovery (RFC 3810) and neighbour discovery (RFC 4861). */
function isNeighbourTalk(octets: Uint8Array, start: number, length: number): boolean {
  ipv6UpperLayer(octets, start, length, upper);
  if (upper.protocol !== PROTOCOL.icmpv6 || upper.at < 0 || upper.at >= start + length) return false;
  const type = octets[upper.at]!;
  return (type >= 130 && type <= 137) || type === 143;
}

/** The node's own addresses, to see packets that claim to come from here. A handful, so a scan beats a table. */
export class OwnAddresses {
  readonly all: readonly IpAddress[];
  readonly #ipv4: Int32Array;
  readonly #ipv6: readonly Uint8Array[];

  constructor(addresses: readonly IpAddress[]) {
    this.all = addresses;
    this.#ipv4 = Int32Array.from(addresses.filter(isIpv4));
    this.#ipv6 = addresses.filter((address) => !isIpv4(address)) as Uint8Array[];
  }

  hasIpv4(octets: Uint8Array, at: number): boolean {
    const own = this.#ipv4;
    const address = (octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!;
    for (let i = 0; i < own.length; i++) if (own[i] === address) return true;
    return false;
  }

  hasIpv6(octets: Uint8Array, at: number): boolean {
    for (const own of this.#ipv6) {
      let i = 15;
      while (i >= 0 && own[i] === octets[at + i]) i--;
      if (i < 0) return true;
    }
    return false;
  }
}
