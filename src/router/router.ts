/**
 * The router of a node: receives packets from its interfaces, checks, routes, classifies and queues them.
 *
 * Standards: RFC 1812 section 5 (forwarding), RFC 8200 (IPv6), RFC 792 and RFC 4443 (errors), RFC 1624 (checksum updates).
 * Left out: source routing (refused, as RFC 7126 section 4.3 advises), redirects, multicast and other routing protocols.
 *
 * The node's kernel and this router are one hop: a packet between the host interface and a link keeps its TTL, for whichever
 * of the two is a router has decremented it or is the packet's end; from link to link it is decremented here.
 *
 * Ownership: `receive` takes the packet. It then lies in one output queue or in the reassembler, or `#drop` or `#consume` has
 * released it. `imbalance()` counts that, and must always be 0.
 */
import type { PacketBuffer, PacketPool, PacketSource } from '../core/packet.ts';
import { type Deadline, earliest, type Instant, NEVER, toMilliseconds } from '../core/time.ts';
import {
  checkIpv4,
  checkIpv4Options,
  checkIpv6,
  equalAddresses,
  type IcmpError,
  IPV6_HEADER_OCTETS,
  type IpAddress,
  icmp4FragmentationNeeded,
  icmp4HostUnreachable,
  icmp4NetUnreachable,
  icmp4ParameterProblem,
  icmp4ReassemblyTimeExceeded,
  icmp4SourceRouteFailed,
  icmp4TimeExceeded,
  icmp6AddressUnreachable,
  icmp6BeyondScope,
  icmp6NoRoute,
  icmp6PacketTooBig,
  icmp6TimeExceeded,
  ipVersion,
  ipv4DecrementTimeToLive,
  ipv4DontFragment,
  ipv4IsFragment,
  ipv4TimeToLive,
  ipv4TotalLength,
  ipv6HopLimit,
  ipv6PayloadLength,
  isIpv4,
  prefixOf,
  recordInIpv4Options,
} from '../ip/index.ts';
import type { DropReason } from './drop.ts';
import { fragmentIpv4 } from './fragmentation.ts';
import { IcmpReporter } from './icmp-reporter.ts';
import { type InterfaceOptions, RouterInterface } from './interface.ts';
import { handleLocal } from './local.ts';
import { OwnAddresses, scopeOfIpv4, scopeOfIpv6 } from './martian.ts';
import { Reassembler } from './reassembly.ts';
import { LOCAL, type Route, RouteTable, WITHDRAWN } from './route-table.ts';
import { type RouterSnapshot, snapshotRouter } from './snapshot.ts';

export interface RouterOptions {
  readonly pool: PacketPool;
  readonly interfaces: readonly InterfaceOptions[];
  /** Besides those to the node's own addresses, which follow from the interfaces. */
  readonly routes?: readonly RouteOptions[];
  /** ICMP errors the router sends: so many a second, so many at once. Default 5 and 10: each can take half a second on a slow line. */
  readonly icmpErrorsPerSecond?: number;
  readonly icmpErrorBurst?: number;
  /** Told of every drop before the packet is released, with the interface whose queue drops or −1. It must not keep the packet. */
  readonly onDrop?: (packet: PacketBuffer, reason: DropReason, now: Instant, output: number) => void;
  /** Told of every packet on its way into an interface's output queue, which may still drop it. It must not keep the packet. */
  readonly onOffer?: (packet: PacketBuffer, output: number, now: Instant) => void;
}

/** Preference 10 unless given; lower wins. */
export type RouteOptions = Omit<Route, 'preference'> & { readonly preference?: number };

export class Router {
  readonly interfaces: readonly RouterInterface[];
  readonly routes: RouteTable;
  readonly icmp: IcmpReporter;
  readonly reassembler: Reassembler;
  readonly #pool: PacketPool;
  readonly #onDrop: RouterOptions['onDrop'];
  readonly #onOffer: RouterOptions['onOffer'];
  readonly #own: OwnAddresses;
  readonly #ready: number[] = [];
  /** Interfaces whose queues changed since `pollTimeout` last looked at them. */
  readonly #changed: number[] = [];
  readonly #isChanged: Uint8Array;
  /** Not after the first expiry of the queues that did not change since. */
  #expiresAt: Instant = NEVER;
  /** Packets that the node made: ICMP messages, later fragments, copies, whole datagrams from fragments. */
  originatedPackets = 0;
  /** Packets that became part of another or were answered. */
  consumedPackets = 0;
  /** Drops of packets that no interface brought. */
  droppedOwnPackets = 0;

  constructor(options: RouterOptions) {
    this.#pool = options.pool;
    this.#onDrop = options.onDrop;
    this.#onOffer = options.onOffer;
    this.interfaces = options.interfaces.map(
      (settings, index) =>
        new RouterInterface(index, settings, options.pool, {
          drop: (packet, reason, now) => this.#drop(packet, reason, now, index),
          ready: () => this.#ready.push(index),
        }),
    );
    this.#isChanged = new Uint8Array(this.interfaces.length);
    // Packets that were held on disk are there from the start.
    for (const { index } of this.interfaces) this.#change(index);
    this.routes = new RouteTable((index) => this.interfaces[index]!.availability);
    this.#own = new OwnAddresses(this.interfaces.flatMap((each) => each.addresses));
    for (const each of this.interfaces) {
      for (const address of each.addresses) {
        const prefix = prefixOf(address, isIpv4(address) ? 32 : 128);
        if (each.kind === 'host') this.routes.add({ prefix, interface: each.index, preference: 0 });
        else if (!this.#hostHas(address)) this.routes.add({ prefix, interface: LOCAL, preference: 0 });
      }
    }
    for (const route of options.routes ?? []) this.addRoute(route);
    this.icmp = new IcmpReporter({
      pool: options.pool,
      routes: this.routes,
      interfaces: this.interfaces,
      originate: (packet, now) => this.originate(packet, now),
      perSecond: options.icmpErrorsPerSecond ?? 5,
      burst: options.icmpErrorBurst ?? 10,
    });
    this.reassembler = new Reassembler(options.pool, {
      drop: (packet, reason, now) => this.#drop(packet, reason, now),
      timedOut: (first, now) => this.icmp.report(first, icmp4ReassemblyTimeExceeded, now),
    });
  }

  /** Throws RangeError when the interface does not exist. */
  addRoute(route: RouteOptions): void {
    if (route.interface !== LOCAL && this.interfaces[route.interface] === undefined)
      throw new RangeError(`a route to interface ${route.interface}, which does not exist`);
    this.routes.add({ preference: 10, ...route });
  }

  removeRoute(route: RouteOptions): boolean {
    return this.routes.remove({ preference: 10, ...route });
  }

  /** Adds, then removes, so that there is never none. Packets that wait for a link that is down take a new way at once. */
  changeRoutes(added: readonly RouteOptions[], removed: readonly RouteOptions[], now: Instant): void {
    for (const route of added) this.addRoute(route);
    for (const route of removed) this.removeRoute(route);
    this.#rerouteHeld(now);
  }

  /** A packet that came in by the interface. Takes ownership. */
  receive(packet: PacketBuffer, ingress: number, now: Instant): void {
    const from = this.interfaces[ingress]!;
    packet.ingress = ingress;
    packet.enteredAt = now;
    from.receivedPackets++;
    from.receivedOctets += packet.length;
    if (packet.length > 0 && packet.arena[packet.start]! >>> 4 === 6) this.#receive6(packet, from, now);
    else this.#receive4(packet, from, now);
  }

  /** Where the interface's transmitter takes packets from. Header compression will sit between this and the framer. */
  output(index: number): PacketSource {
    return this.interfaces[index]!.queue;
  }

  /** An interface whose queue got its first packet since its `dequeue` gave none; undefined when there is none left. */
  pollReady(): number | undefined {
    return this.#ready.length === 0 ? undefined : this.#ready.shift();
  }

  handleTimeout(now: Instant): void {
    this.#expiresAt = NEVER;
    for (const { queue } of this.interfaces) {
      queue.expire(now);
      this.#expiresAt = earliest(this.#expiresAt, queue.nextExpiryAt());
    }
    this.reassembler.handleTimeout(now);
  }

  /** Not after the first expiry; before it when the packet that would have been too old was sent meanwhile. */
  pollTimeout(): Deadline | undefined {
    for (let index = this.#changed.pop(); index !== undefined; index = this.#changed.pop()) {
      this.#isChanged[index] = 0;
      this.#expiresAt = earliest(this.#expiresAt, this.interfaces[index]!.queue.nextExpiryAt());
    }
    const at = earliest(this.#expiresAt, this.reassembler.nextExpiryAt());
    return at === Number.POSITIVE_INFINITY ? undefined : { at, why: 'a packet that waits grows too old' };
  }

  /**
   * Contact begins or ends. Packets that wait for a link that is down and have another way now take it; of the rest, what its
   * class does not hold is dropped.
   */
  setInterfaceState(index: number, up: boolean, now: Instant): void {
    const { queue } = this.interfaces[index]!;
    if (queue.up === up) return;
    queue.setUp(up, now);
    this.#change(index);
    this.routes.refresh();
    this.#rerouteHeld(now);
  }

  /** Sends a packet that the node made itself, e.g. a reply. Takes ownership. */
  originate(packet: PacketBuffer, now: Instant): void {
    packet.ingress = -1;
    packet.enteredAt = now;
    this.originatedPackets++;
    const target = this.#lookup(packet);
    const to = target < 0 ? undefined : this.interfaces[target];
    if (to === undefined) this.#drop(packet, target === WITHDRAWN ? 'link-down' : 'no-route', now);
    else this.#transmit(packet, to, now);
  }

  /** Packets received or made, less those sent, waiting, consumed and dropped. Anything but 0 is our bug. */
  imbalance(): number {
    let balance = this.originatedPackets - this.consumedPackets - this.droppedOwnPackets - this.reassembler.fragments;
    for (const each of this.interfaces) {
      balance += each.receivedPackets + each.restoredPackets - each.inputDrops.sum('') - each.outputDrops.sum('');
      balance -= each.queue.sentPackets + each.queue.packets;
    }
    return balance;
  }

  snapshot(now: Instant): RouterSnapshot {
    return snapshotRouter(this, now);
  }

  #receive4(packet: PacketBuffer, from: RouterInterface, now: Instant): void {
    const { arena, start } = packet;
    const fault = checkIpv4(arena, start, packet.length);
    if (fault !== undefined) {
      this.#drop(packet, fault, now);
      return;
    }
    // What follows the datagram is the link's padding.
    packet.length = ipv4TotalLength(arena, start);
    const scope = scopeOfIpv4(arena, start, from.kind !== 'host');
    if (scope !== 'unicast') this.#receiveScoped(packet, from, scope, now);
    else if (from.kind !== 'host' && this.#own.hasIpv4(arena, start + 12)) this.#drop(packet, 'own-source', now);
    else if (arena[start] !== 0x45 && this.#refuseOptions(packet, now)) return;
    else this.#forward(packet, from, this.routes.lookup4(arena, start + 16), now);
  }

  #receive6(packet: PacketBuffer, from: RouterInterface, now: Instant): void {
    const { arena, start } = packet;
    const fault = checkIpv6(arena, start, packet.length);
    if (fault !== undefined) {
      this.#drop(packet, fault, now);
      return;
    }
    packet.length = IPV6_HEADER_OCTETS + ipv6PayloadLength(arena, start);
    const scope = scopeOfIpv6(arena, start, packet.length, from.kind !== 'host');
    if (scope !== 'unicast') this.#receiveScoped(packet, from, scope, now);
    else if (from.kind !== 'host' && this.#own.hasIpv6(arena, start + 8)) this.#drop(packet, 'own-source', now);
    else this.#forward(packet, from, this.routes.lookup6(arena, start + 24), now);
  }

  /** What is not plain unicast: martians, the link's own traffic, multicast. */
  #receiveScoped(
    packet: PacketBuffer,
    from: RouterInterface,
    scope: 'martian-source' | 'martian-destination' | 'link' | 'beyond-scope' | 'multicast',
    now: Instant,
  ): void {
    if (scope === 'martian-source' || scope === 'martian-destination') this.#drop(packet, scope, now);
    else if (scope === 'beyond-scope') {
      this.icmp.report(packet, icmp6BeyondScope, now);
      this.#drop(packet, 'link-scope', now);
    } else if (scope === 'link') {
      const toLinks = from.kind === 'host';
      const targets = this.interfaces.filter((each) =>
        toLinks ? each.kind === 'link' && each.queue.up : each.kind === 'host',
      );
      this.#transmitCopies(packet, targets, 'link-scope', now);
    } else {
      const { arena, start } = packet;
      const ipv4 = ipVersion(arena, start) === 4;
      const target = from.kind === 'host' ? this.routes.lookupMulticast(arena, start + (ipv4 ? 16 : 24), ipv4) : -1;
      const targets = this.interfaces.filter((each) =>
        from.kind === 'host' ? each.index === target : each.kind === 'host',
      );
      this.#transmitCopies(packet, targets, 'multicast', now);
    }
  }

  /** True when the datagram was dropped for its options. */
  #refuseOptions(packet: PacketBuffer, now: Instant): boolean {
    const verdict = checkIpv4Options(packet.arena, packet.start);
    if (verdict.kind === 'good') return false;
    const sourceRoute = verdict.kind === 'source-route';
    this.icmp.report(packet, sourceRoute ? icmp4SourceRouteFailed : icmp4ParameterProblem(verdict.pointer), now);
    this.#drop(packet, sourceRoute ? 'source-route' : 'bad-options', now);
    return true;
  }

  #forward(packet: PacketBuffer, from: RouterInterface, target: number, now: Instant): void {
    if (target < 0) {
      this.#undeliverable(packet, target, now);
      return;
    }
    const to = this.interfaces[target]!;
    if (to.kind === 'host' || from.kind === 'host') {
      if (from === to) {
        // The kernel sent us what we would send back to it: the route meant for this is withdrawn or missing.
        this.#reportByFamily(packet, icmp4HostUnreachable, icmp6AddressUnreachable, now);
        this.#drop(packet, 'host-loop', now);
        return;
      }
    } else if (!this.#decrement(packet, to, now)) return;
    this.#transmit(packet, to, now);
  }

  /** From link to link this node is a hop: false when the packet may go no further, and was dropped. */
  #decrement(packet: PacketBuffer, to: RouterInterface, now: Instant): boolean {
    const { arena, start } = packet;
    const ipv4 = ipVersion(arena, start) === 4;
    if ((ipv4 ? ipv4TimeToLive(arena, start) : ipv6HopLimit(arena, start)) <= 1) {
      this.#reportByFamily(packet, icmp4TimeExceeded, icmp6TimeExceeded, now);
      this.#drop(packet, 'ttl', now);
      return false;
    }
    if (!ipv4) arena[start + 7] = arena[start + 7]! - 1;
    else {
      ipv4DecrementTimeToLive(arena, start);
      if (arena[start] !== 0x45) {
        const address = [...to.addresses, ...this.#own.all].find(isIpv4);
        if (address !== undefined) recordInIpv4Options(arena, start, address, toMilliseconds(now));
      }
    }
    return true;
  }

  #transmit(packet: PacketBuffer, to: RouterInterface, now: Instant): void {
    if (packet.largestOctets > to.mtuOctets && to.kind !== 'host') this.#tooBig(packet, to, now);
    else this.#enqueue(packet, to, now);
  }

  #enqueue(packet: PacketBuffer, to: RouterInterface, now: Instant): void {
    if (to.classifier !== undefined)
      packet.trafficClass = to.classifier.classify(packet.arena, packet.start, packet.length);
    to.offeredPackets++;
    to.offeredOctets += packet.length;
    this.#onOffer?.(packet, to.index, now);
    to.queue.enqueue(packet, now);
    this.#change(to.index);
  }

  /** Its queue's first expiry may have come nearer. A hub of a thousand links must not ask them all after every packet. */
  #change(index: number): void {
    if (this.#isChanged[index] === 1) return;
    this.#isChanged[index] = 1;
    this.#changed.push(index);
  }

  /** The packet to the first interface, a copy to each other. */
  #transmitCopies(
    packet: PacketBuffer,
    targets: readonly RouterInterface[],
    otherwise: DropReason,
    now: Instant,
  ): void {
    for (const to of targets.slice(1)) {
      const copy = this.#pool.copyOf(packet.view());
      if (copy === undefined) continue;
      copy.ingress = packet.ingress;
      copy.enteredAt = now;
      this.originatedPackets++;
      this.#transmit(copy, to, now);
    }
    const first = targets[0];
    if (first === undefined) this.#drop(packet, otherwise, now);
    else this.#transmit(packet, first, now);
  }

  /** Longer than the next link carries: fragments, or an error with the size that fits (RFC 1191, RFC 8201). */
  #tooBig(packet: PacketBuffer, to: RouterInterface, now: Instant): void {
    const ipv4 = ipVersion(packet.arena, packet.start) === 4;
    if (!ipv4 || packet.train !== undefined || ipv4DontFragment(packet.arena, packet.start)) {
      this.#reportByFamily(packet, icmp4FragmentationNeeded(to.mtuOctets), icmp6PacketTooBig(to.mtuOctets), now);
      this.#drop(packet, 'mtu', now);
      return;
    }
    const others = fragmentIpv4(packet, to.mtuOctets, this.#pool);
    if (others === undefined) {
      this.#drop(packet, 'no-buffer', now);
      return;
    }
    this.#enqueue(packet, to, now);
    for (const fragment of others) {
      this.originatedPackets++;
      this.#enqueue(fragment, to, now);
    }
  }

  #undeliverable(packet: PacketBuffer, target: number, now: Instant): void {
    if (target === LOCAL) {
      this.#deliverLocally(packet, now);
      return;
    }
    const down = target === WITHDRAWN;
    if (down) this.#reportByFamily(packet, icmp4HostUnreachable, icmp6AddressUnreachable, now);
    else this.#reportByFamily(packet, icmp4NetUnreachable, icmp6NoRoute, now);
    this.#drop(packet, down ? 'link-down' : 'no-route', now);
  }

  #deliverLocally(packet: PacketBuffer, now: Instant): void {
    let whole = packet;
    if (ipVersion(packet.arena, packet.start) === 4 && ipv4IsFragment(packet.arena, packet.start)) {
      const assembled = this.reassembler.add(packet, now);
      if (assembled === undefined) return;
      for (const fragment of assembled.fragments) this.#consume(fragment);
      whole = assembled.datagram;
      this.originatedPackets++;
    }
    const verdict = handleLocal(whole);
    if (verdict === 'reply') {
      // The same buffer goes out again as a packet of our own.
      this.consumedPackets++;
      this.originate(whole, now);
      return;
    }
    if (verdict !== 'ignore') this.icmp.report(whole, verdict, now);
    this.#drop(whole, 'protocol', now);
  }

  #rerouteHeld(now: Instant): void {
    for (const each of this.interfaces) if (!each.queue.up) this.#reroute(each, now);
  }

  /** The interface is down: packets in its queue that have another way take it, at the age they have. */
  #reroute(from: RouterInterface, now: Instant): void {
    for (const queue of from.queue.classes) {
      for (let remaining = queue.packets; remaining > 0; remaining--) {
        const packet = queue.shift(now);
        if (packet === undefined) break;
        const target = this.#lookup(packet);
        const other = target < 0 ? from : this.interfaces[target]!;
        if (other === from || other.kind === 'host' || packet.largestOctets > other.mtuOctets) {
          from.queue.adopt(packet, now);
          this.#change(from.index);
          continue;
        }
        from.reroutedPackets++;
        other.offeredPackets++;
        other.offeredOctets += packet.length;
        packet.trafficClass = other.classifier!.classify(packet.arena, packet.start, packet.length);
        other.queue.adopt(packet, now);
        this.#change(other.index);
      }
    }
  }

  #lookup({ arena, start }: PacketBuffer): number {
    return ipVersion(arena, start) === 4
      ? this.routes.lookup4(arena, start + 16)
      : this.routes.lookup6(arena, start + 24);
  }

  #reportByFamily(packet: PacketBuffer, ipv4: IcmpError, ipv6: IcmpError, now: Instant): void {
    this.icmp.report(packet, ipVersion(packet.arena, packet.start) === 4 ? ipv4 : ipv6, now);
  }

  #hostHas(address: IpAddress): boolean {
    return this.interfaces.some(
      (each) => each.kind === 'host' && each.addresses.some((own) => equalAddresses(own, address)),
    );
  }

  #consume(packet: PacketBuffer): void {
    this.consumedPackets++;
    this.#pool.release(packet);
  }

  /** Every drop of the router and its queues. `output` is the interface whose queue drops; without it the input drops. */
  #drop(packet: PacketBuffer, reason: DropReason, now: Instant, output = -1): void {
    if (output >= 0) this.interfaces[output]!.outputDrops.add(reason);
    else if (packet.ingress >= 0) this.interfaces[packet.ingress]!.inputDrops.add(reason);
    else this.droppedOwnPackets++;
    this.#onDrop?.(packet, reason, now, output);
    this.#pool.release(packet);
  }
}
