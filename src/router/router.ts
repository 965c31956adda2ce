/**
 * The router of a node: receives packets from its interfaces, checks, routes, classifies and queues them.
 *
 * Standards: RFC 1812 section 5 (forwarding), RFC 8200 (IPv6), RFC 792 and RFC 4443 (errors), RFC 1624 (checksum updates).
 * Left out: source routing (refused, as RFC 7126 advises), IP timestamps, redirects, routing protocols.
 *
 * The node's kernel and this router are one hop: a packet between the host interface and a link keeps its TTL, for whichever
 * of the two is a router has decremented it or is the packet's end; from link to link it is decremented here.
 *
 * Ownership: `receive` takes the packet. It then lies in exactly one output queue, or was released by `#drop` or `#consume`.
 * The balance of these is `imbalance()`, which must always be 0.
 */

import { invariant } from '../core/errors.ts';
import type { PacketBuffer, PacketPool, PacketSource } from '../core/packet.ts';
import { type Deadline, earliest, type Instant, NEVER } from '../core/time.ts';
import {
  checkIpv4,
  checkIpv6,
  type IcmpError,
  IPV6_HEADER_OCTETS,
  type IpAddress,
  icmp4FragmentationNeeded,
  icmp4HostUnreachable,
  icmp4NetUnreachable,
  icmp4TimeExceeded,
  icmp6AddressUnreachable,
  icmp6NoRoute,
  icmp6PacketTooBig,
  icmp6TimeExceeded,
  icmpErrorOctets,
  ipVersion,
  ipv4DecrementTimeToLive,
  ipv4DontFragment,
  ipv4TimeToLive,
  ipv4TotalLength,
  ipv6HopLimit,
  ipv6PayloadLength,
  isIpv4,
  mayReportIpv4,
  mayReportIpv6,
  prefixOf,
  writeIcmpError,
} from '../ip/index.ts';
import { Classifier, type ClassRule } from './classifier.ts';
import type { DropReason } from './drop.ts';
import { type InterfaceOptions, RouterInterface } from './interface.ts';
import { LOCAL, type Route, RouteTable, WITHDRAWN } from './route-table.ts';
import { type RouterSnapshot, snapshotRouter } from './snapshot.ts';
import { TokenBucket } from './token-bucket.ts';
import { DEFAULT_TRAFFIC_CLASSES, type TrafficClass } from './traffic-class.ts';

export interface RouterOptions {
  readonly pool: PacketPool;
  readonly interfaces: readonly InterfaceOptions[];
  /** Besides those to the node's own addresses, which follow from the interfaces. */
  readonly routes?: readonly RouteOptions[];
  readonly classes?: readonly TrafficClass[];
  /** ICMP errors the router sends: so many a second, so many at once. Default 5 and 10. */
  readonly icmpErrorsPerSecond?: number;
  readonly icmpErrorBurst?: number;
  /** Told of every drop before the packet is released. It must not keep the packet. */
  readonly onDrop?: (packet: PacketBuffer, reason: DropReason, now: Instant) => void;
}

export type RouteOptions = Omit<Route, 'preference'> & { readonly preference?: number };

export class Router {
  readonly interfaces: readonly RouterInterface[];
  readonly classes: readonly TrafficClass[];
  readonly routes: RouteTable;
  readonly #pool: PacketPool;
  readonly #classifier: Classifier;
  readonly #onDrop: RouterOptions['onDrop'];
  readonly #icmpErrors: TokenBucket;
  readonly #ready: number[] = [];
  /** The node's IPv4 addresses as int32, for the martian check; a handful. */
  readonly #ownIpv4: Int32Array;
  #identification = 0;
  originatedPackets = 0;
  consumedPackets = 0;
  suppressedIcmpErrors = 0;

  constructor(options: RouterOptions) {
    this.#pool = options.pool;
    this.#onDrop = options.onDrop;
    this.#icmpErrors = new TokenBucket(options.icmpErrorsPerSecond ?? 5, options.icmpErrorBurst ?? 10);
    this.classes = options.classes ?? DEFAULT_TRAFFIC_CLASSES;
    const rules = this.classes.flatMap((entry, trafficClass): ClassRule[] =>
      entry.matches.map((match) => ({ trafficClass, ...match })),
    );
    this.#classifier = new Classifier(rules, this.classes.length - 1);
    this.interfaces = options.interfaces.map(
      (settings, index) =>
        new RouterInterface(index, settings, this.classes, {
          drop: (packet, reason, now) => this.#drop(packet, reason, now, index),
          ready: () => this.#ready.push(index),
        }),
    );
    this.routes = new RouteTable((index) => this.interfaces[index]!.availability);
    const own: number[] = [];
    for (const [index, { kind, addresses }] of this.interfaces.entries()) {
      for (const address of addresses) {
        if (isIpv4(address)) own.push(address);
        const prefix = prefixOf(address, isIpv4(address) ? 32 : 128);
        // An address of the host interface is the kernel's; one of a link that the kernel has not is the router's own.
        const shared = kind !== 'host' && this.#hostHas(address);
        if (!shared) this.routes.add({ prefix, interface: kind === 'host' ? index : LOCAL, preference: 0 });
      }
    }
    this.#ownIpv4 = Int32Array.from(own);
    for (const route of options.routes ?? []) this.addRoute(route);
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

  /** A packet that came in by the interface. Takes ownership. */
  receive(packet: PacketBuffer, ingress: number, now: Instant): void {
    const from = this.interfaces[ingress]!;
    packet.ingress = ingress;
    packet.enteredAt = now;
    from.receivedPackets++;
    from.receivedOctets += packet.length;
    if (packet.length === 0) this.#drop(packet, 'short-header', now);
    else if (packet.arena[packet.start]! >>> 4 === 6) this.#receive6(packet, from, now);
    else this.#receive4(packet, from, now);
  }

  /** Where the interface's transmitter takes packets from. */
  output(index: number): PacketSource {
    return this.interfaces[index]!.queue;
  }

  /** An interface whose queue got its first packet since its `dequeue` gave none; undefined when there is none left. */
  pollReady(): number | undefined {
    return this.#ready.shift();
  }

  handleTimeout(now: Instant): void {
    for (const { queue } of this.interfaces) queue.expire(now);
  }

  pollTimeout(): Deadline | undefined {
    let at: Instant = NEVER;
    for (const { queue } of this.interfaces) at = earliest(at, queue.nextExpiryAt());
    return at === NEVER ? undefined : { at, why: 'a queued packet grows too old' };
  }

  /** Contact begins or ends. Queued packets that have another way now take it; of the rest, what a class does not hold is dropped. */
  setInterfaceState(index: number, up: boolean, now: Instant): void {
    const changed = this.interfaces[index]!;
    if (changed.queue.up === up) return;
    changed.queue.setUp(up, now);
    this.routes.refresh();
    for (const other of this.interfaces) if (!other.queue.up) this.#reroute(other, now);
  }

  /** Sends a packet that the node made itself, e.g. a reply. Takes ownership. */
  originate(packet: PacketBuffer, now: Instant): void {
    packet.ingress = -1;
    packet.enteredAt = now;
    this.originatedPackets++;
    const { arena, start } = packet;
    const ipv4 = ipVersion(arena, start) === 4;
    const target = ipv4 ? this.routes.lookup4(arena, start + 16) : this.routes.lookup6(arena, start + 24);
    if (target < 0) this.#drop(packet, target === WITHDRAWN ? 'link-down' : 'no-route', now);
    else this.#enqueue(packet, this.interfaces[target]!, now);
  }

  /** Packets received or made, less those sent, queued, consumed and dropped. Anything but 0 is our bug. */
  imbalance(): number {
    let balance = this.originatedPackets - this.consumedPackets - this.#droppedOwn;
    for (const each of this.interfaces) {
      balance += each.receivedPackets - each.inputDrops.sum('') - each.outputDrops.sum('');
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
    const source = arena[start + 12]!;
    const destination = arena[start + 16]!;
    if (from.kind !== 'host') {
      const martian = source === 127 || source >= 224 || (source === 0 && destination < 224);
      if (martian || this.#isOwnIpv4(arena, start + 12)) {
        this.#drop(packet, martian ? 'martian-source' : 'own-source', now);
        return;
      }
    }
    if (destination === 0 || destination === 127 || (destination >= 240 && !isLimitedBroadcast(arena, start + 16))) {
      this.#drop(packet, 'martian-destination', now);
      return;
    }
    const linkScope = destination >= 240 || (destination === 224 && arena[start + 17] === 0 && arena[start + 18] === 0);
    if (linkScope) this.#deliverOnLink(packet, from, now);
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
    if (arena[start + 8] === 0xff) {
      this.#drop(packet, 'martian-source', now);
      return;
    }
    this.#forward(packet, from, this.routes.lookup6(arena, start + 24), now);
  }

  #forward(packet: PacketBuffer, from: RouterInterface, target: number, now: Instant): void {
    const { arena, start } = packet;
    const ipv4 = ipVersion(arena, start) === 4;
    if (target < 0) {
      this.#unreachable(packet, target, now);
      return;
    }
    const to = this.interfaces[target]!;
    if (from.kind === 'host' || to.kind === 'host') {
      if (from === to) {
        // The kernel sent us what we would send back to it: the specific route is withdrawn or missing.
        this.#report(packet, ipv4 ? icmp4HostUnreachable : icmp6AddressUnreachable, now);
        this.#drop(packet, 'host-loop', now);
        return;
      }
    } else {
      if ((ipv4 ? ipv4TimeToLive(arena, start) : ipv6HopLimit(arena, start)) <= 1) {
        this.#report(packet, ipv4 ? icmp4TimeExceeded : icmp6TimeExceeded, now);
        this.#drop(packet, 'ttl', now);
        return;
      }
      if (ipv4) ipv4DecrementTimeToLive(arena, start);
      else arena[start + 7] = arena[start + 7]! - 1;
    }
    if (packet.length > to.mtuOctets) this.#tooBig(packet, to, ipv4, now);
    else this.#enqueue(packet, to, now);
  }

  #enqueue(packet: PacketBuffer, to: RouterInterface, now: Instant): void {
    packet.trafficClass = this.#classifier.classify(packet.arena, packet.start, packet.length);
    to.offeredPackets++;
    to.offeredOctets += packet.length;
    to.queue.enqueue(packet, now);
  }

  #tooBig(packet: PacketBuffer, to: RouterInterface, ipv4: boolean, now: Instant): void {
    if (ipv4 && !ipv4DontFragment(packet.arena, packet.start)) {
      this.#drop(packet, 'mtu', now);
      return;
    }
    this.#report(packet, ipv4 ? icmp4FragmentationNeeded(to.mtuOctets) : icmp6PacketTooBig(to.mtuOctets), now);
    this.#drop(packet, 'mtu', now);
  }

  #unreachable(packet: PacketBuffer, target: number, now: Instant): void {
    const ipv4 = ipVersion(packet.arena, packet.start) === 4;
    if (target === LOCAL) {
      this.#drop(packet, 'protocol', now);
      return;
    }
    const down = target === WITHDRAWN;
    if (ipv4) this.#report(packet, down ? icmp4HostUnreachable : icmp4NetUnreachable, now);
    else this.#report(packet, down ? icmp6AddressUnreachable : icmp6NoRoute, now);
    this.#drop(packet, down ? 'link-down' : 'no-route', now);
  }

  /** Multicast of the local network control block and limited broadcast: never forwarded, RFC 1812 section 5.3.5.1. */
  #deliverOnLink(packet: PacketBuffer, from: RouterInterface, now: Instant): void {
    const targets = this.interfaces.filter((each) =>
      from.kind === 'host' ? each.kind === 'link' && each.queue.up : each.kind === 'host',
    );
    for (const to of targets.slice(1)) {
      const copy = this.#pool.copyOf(packet.view());
      if (copy === undefined) continue;
      copy.ingress = packet.ingress;
      copy.enteredAt = now;
      this.originatedPackets++;
      this.#enqueue(copy, to, now);
    }
    const first = targets[0];
    if (first === undefined) this.#drop(packet, 'link-scope', now);
    else this.#enqueue(packet, first, now);
  }

  /** The interface is down: packets in its queue that have another way now take it. */
  #reroute(from: RouterInterface, now: Instant): void {
    for (const queue of from.queue.classes) {
      for (let remaining = queue.packets; remaining > 0; remaining--) {
        const packet = queue.shift();
        if (packet === undefined) break;
        const { arena, start } = packet;
        const ipv4 = ipVersion(arena, start) === 4;
        const target = ipv4 ? this.routes.lookup4(arena, start + 16) : this.routes.lookup6(arena, start + 24);
        const other = target < 0 ? undefined : this.interfaces[target];
        if (other === undefined || other === from || other.kind === 'host' || packet.length > other.mtuOctets) {
          from.queue.adopt(packet, now);
          continue;
        }
        from.reroutedPackets++;
        other.offeredPackets++;
        other.offeredOctets += packet.length;
        other.queue.adopt(packet, now);
      }
    }
  }

  /** Sends an ICMP error about the packet, which stays the caller's. */
  #report(packet: PacketBuffer, error: IcmpError, now: Instant): void {
    const { arena, start, length } = packet;
    const ipv4 = ipVersion(arena, start) === 4;
    const tooBig = !ipv4 && error.type === 2;
    if (!(ipv4 ? mayReportIpv4(arena, start, length) : mayReportIpv6(arena, start, length, tooBig))) return;
    const target = ipv4 ? this.routes.lookup4(arena, start + 12) : this.routes.lookup6(arena, start + 8);
    const source = this.#sourceAddress(target >= 0 ? target : packet.ingress, ipv4);
    if (target < 0 || source === undefined) return;
    if (!this.#icmpErrors.take(now)) {
      this.suppressedIcmpErrors++;
      return;
    }
    const message = this.#pool.acquire();
    if (message === undefined) return;
    invariant(icmpErrorOctets(source) <= this.#pool.largestPacketOctets, 'slots too small for an ICMP error');
    this.#identification = (this.#identification + 1) & 0xffff;
    message.length = writeIcmpError(arena, message.start, error, source, arena, start, length, this.#identification);
    this.originate(message, now);
  }

  /** RFC 1812 section 4.3.2.4: the address of the interface it leaves by; a link without one borrows the node's. */
  #sourceAddress(index: number, ipv4: boolean): IpAddress | undefined {
    const candidates = [
      this.interfaces[index],
      ...this.interfaces.filter((each) => each.kind === 'host'),
      ...this.interfaces,
    ];
    for (const each of candidates) {
      const address = each?.addresses.find((one) => isIpv4(one) === ipv4);
      if (address !== undefined) return address;
    }
    return undefined;
  }

  #hostHas(address: IpAddress): boolean {
    return this.interfaces.some(
      (each) => each.kind === 'host' && each.addresses.some((own) => String(own) === String(address)),
    );
  }

  #isOwnIpv4(octets: Uint8Array, at: number): boolean {
    const own = this.#ownIpv4;
    const address = (octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!;
    for (let i = 0; i < own.length; i++) if (own[i] === address) return true;
    return false;
  }

  #droppedOwn = 0;

  /** Every drop of the router and its queues. `output` is the interface whose queue drops; without it the input drops. */
  #drop(packet: PacketBuffer, reason: DropReason, now: Instant, output = -1): void {
    if (output >= 0) this.interfaces[output]!.outputDrops.add(reason);
    else if (packet.ingress >= 0) this.interfaces[packet.ingress]!.inputDrops.add(reason);
    else this.#droppedOwn++;
    this.#onDrop?.(packet, reason, now);
    this.#pool.release(packet);
  }
}

function isLimitedBroadcast(octets: Uint8Array, at: number): boolean {
  return octets[at] === 255 && octets[at + 1] === 255 && octets[at + 2] === 255 && octets[at + 3] === 255;
}
