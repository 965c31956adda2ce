/**
 * The mobility binding list of a home agent: RFC 5944 section 3.8.1, mobile networks by RFC 5177 section 6.2.1.
 *
 * Read by the home agent's tunnel for every packet, so the look-ups allocate nothing. `departed` remembers for a short while
 * which care-of addresses a mobile node has left: what is still on its way from there is genuine (see home-agent-tunnel.ts).
 */
import { type Instant, NEVER } from '../core/index.ts';
import { type Ipv4Address, ipv4Mask } from '../ip/index.ts';

export interface NetworkPrefix {
  readonly address: Ipv4Address;
  readonly length: number;
}

/** RFC 3519: the tunnel's other end as the NAT shows it. */
export interface UdpTunnelEnd {
  readonly address: Ipv4Address;
  /** 0 until the first keepalive has shown it (section 4.6, the R flag). */
  readonly port: number;
}

export interface Binding {
  readonly homeAddress: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  /** The address that the request was sent to: source of the tunnel (section 4.2.3). */
  readonly homeAgent: Ipv4Address;
  /** Where the request came from, and where a revocation goes. */
  readonly requestSource: Ipv4Address;
  readonly requestPort: number;
  readonly identification: bigint;
  /** Seconds, as granted. */
  readonly lifetime: number;
  readonly registeredAt: Instant;
  /** NEVER for an infinite lifetime. */
  readonly expiresAt: Instant;
  /** D: the care-of address is the mobile node's own. */
  readonly coLocated: boolean;
  readonly reverseTunnel: boolean;
  readonly broadcasts: boolean;
  readonly networks: readonly NetworkPrefix[];
  readonly udpTunnel?: UdpTunnelEnd;
  /** RFC 3543: negotiated, with the timestamp that the foreign agent's extension carried. */
  readonly revocation?: { readonly inform: boolean; readonly timestamp: number };
}

export const contains = (prefix: NetworkPrefix, address: Ipv4Address): boolean =>
  (address & ipv4Mask(prefix.length)) >>> 0 === prefix.address;

interface Departure {
  readonly careOfAddress: Ipv4Address;
  readonly until: Instant;
}

const NONE: readonly Binding[] = [];

export class BindingTable {
  readonly #byHome = new Map<Ipv4Address, Binding[]>();
  /** Mobile networks by prefix length, longest first: few lengths, so a scan of maps. */
  readonly #networks: { readonly length: number; readonly homes: Map<Ipv4Address, Ipv4Address> }[] = [];
  readonly #departed = new Map<Ipv4Address, Departure[]>();
  #nextExpiry: Instant = NEVER;
  #size = 0;

  get size(): number {
    return this.#size;
  }
  get mobileNodes(): number {
    return this.#byHome.size;
  }
  /** Not later than the first expiry; may be earlier. */
  get nextExpiry(): Instant {
    return this.#nextExpiry;
  }
  *all(): IterableIterator<Binding> {
    for (const list of this.#byHome.values()) yield* list;
  }

  of(homeAddress: Ipv4Address): readonly Binding[] {
    return this.#byHome.get(homeAddress) ?? NONE;
  }

  find(homeAddress: Ipv4Address, careOfAddress: Ipv4Address): Binding | undefined {
    const list = this.#byHome.get(homeAddress);
    if (list === undefined) return undefined;
    for (const binding of list) if (binding.careOfAddress === careOfAddress) return binding;
    return undefined;
  }

  /** The bindings that a packet to this address is tunnelled by: a home address, or the mobile network it lies in. */
  lookup(destination: Ipv4Address): readonly Binding[] {
    const direct = this.#byHome.get(destination);
    if (direct !== undefined) return direct;
    for (const { length, homes } of this.#networks) {
      const home = homes.get((destination & ipv4Mask(length)) >>> 0);
      if (home !== undefined) return this.of(home);
    }
    return NONE;
  }

  /** Adds, or replaces the one with the same care-of address. */
  put(binding: Binding): void {
    const list = this.#byHome.get(binding.homeAddress);
    const rest = (list ?? []).filter((each) => each.careOfAddress !== binding.careOfAddress);
    this.#size += rest.length + 1 - (list?.length ?? 0);
    this.#byHome.set(binding.homeAddress, [...rest, binding]);
    if (binding.expiresAt < this.#nextExpiry) this.#nextExpiry = binding.expiresAt;
    this.#refreshNetworks(binding.homeAddress);
  }

  /** @param rememberUntil how long packets from the care-of address are still believed. */
  remove(binding: Binding, rememberUntil: Instant): void {
    const list = this.#byHome.get(binding.homeAddress);
    const rest = list?.filter((each) => each.careOfAddress !== binding.careOfAddress) ?? [];
    if (list === undefined || rest.length === list.length) return;
    this.#size -= 1;
    if (rest.length === 0) this.#byHome.delete(binding.homeAddress);
    else this.#byHome.set(binding.homeAddress, rest);
    const departed = (this.#departed.get(binding.homeAddress) ?? []).filter(
      (each) => each.careOfAddress !== binding.careOfAddress,
    );
    // Four stations back is as far as anything can still be on its way.
    this.#departed.set(
      binding.homeAddress,
      [...departed, { careOfAddress: binding.careOfAddress, until: rememberUntil }].slice(-4),
    );
    this.#refreshNetworks(binding.homeAddress);
  }

  /** Whether the mobile node left this care-of address a short while ago. */
  departedFrom(homeAddress: Ipv4Address, careOfAddress: Ipv4Address, now: Instant): boolean {
    const list = this.#departed.get(homeAddress);
    return list?.some((each) => each.careOfAddress === careOfAddress && each.until > now) ?? false;
  }

  /** The bindings whose lifetime has ended; the caller removes them. */
  expired(now: Instant): Binding[] {
    if (now < this.#nextExpiry) return [];
    const due: Binding[] = [];
    let next: Instant = NEVER;
    for (const binding of this.all()) {
      if (binding.expiresAt <= now) due.push(binding);
      else if (binding.expiresAt < next) next = binding.expiresAt;
    }
    this.#nextExpiry = next;
    for (const [home, departures] of this.#departed) {
      const kept = departures.filter(({ until }) => until > now);
      if (kept.length === 0) this.#departed.delete(home);
      else this.#departed.set(home, kept);
    }
    return due;
  }

  #refreshNetworks(homeAddress: Ipv4Address): void {
    const current = new Set<string>();
    for (const { networks } of this.of(homeAddress)) {
      for (const { address, length } of networks) {
        current.add(`${address}/${length}`);
        this.#homesOfLength(length).set(address, homeAddress);
      }
    }
    for (const { length, homes } of this.#networks)
      for (const [address, home] of homes)
        if (home === homeAddress && !current.has(`${address}/${length}`)) homes.delete(address);
  }

  #homesOfLength(length: number): Map<Ipv4Address, Ipv4Address> {
    const known = this.#networks.find((each) => each.length === length);
    if (known !== undefined) return known.homes;
    const homes = new Map<Ipv4Address, Ipv4Address>();
    this.#networks.push({ length, homes });
    this.#networks.sort((a, b) => b.length - a.length);
    return homes;
  }
}
