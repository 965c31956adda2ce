/**
 * The foreign agent's data path: out of the home agent's tunnel to the visitor, and from the visitor into the reverse tunnel.
 *
 * Standards: RFC 5944 section 4.2.2, RFC 3024 section 5 (direct and encapsulating delivery), RFC 2003. What is for nobody in the
 * visitor list is dropped without a word, or it would loop.
 *
 * Handover without loss: when the link goes down, what arrives for its visitors is held, within limits. If the visitor comes
 * back it gets it; if the home agent says (by a revocation) that it has moved, it goes back through the tunnel, and the home
 * agent sends it after the mobile node.
 *
 * A visitor that has moved is served for a few seconds more: the home agent knows of the move before the mobile node does, and what it
 * sends by this station until the reply reaches it still goes into the reverse tunnel. A visitor to be is served as soon as the
 * home agent tunnels to it: datagrams may overtake the reply.
 *
 * Asymmetric stations: one station transmits, another receives. The receiving one passes what it hears, untouched, through a
 * tunnel to the transmitting one (`returnTo`), whose visitor it is.
 */
import { Counters, type Duration, type Instant, type PacketBuffer, plus, seconds } from '../core/index.ts';
import {
  checkIpv4,
  type Ipv4Address,
  ipv4Destination,
  ipv4Protocol,
  ipv4Source,
  ipv4TotalLength,
  PROTOCOL,
} from '../ip/index.ts';
import { decapsulate, encapsulate, TUNNEL_HEADER_OCTETS } from './encapsulation.ts';
import { MOBILE_IP_PORT } from './numbers.ts';
import { TunnelEntrance, type TunnelEntranceOptions } from './tunnel-entrance.ts';
import { decapsulateFromUdp } from './udp-tunnel.ts';
import type { Visitor, VisitorList } from './visitor-list.ts';

export interface ForeignAgentTunnelOptions extends Omit<TunnelEntranceOptions, 'counters'> {
  readonly visitors: VisitorList;
  /** Where encapsulating delivery is addressed to; default the care-of address. */
  readonly agentAddress?: Ipv4Address;
  /** Towards a visitor, by its link. Takes ownership. */
  readonly deliver: (packet: PacketBuffer, visitor: Pick<Visitor, 'homeAddress' | 'link'>, now: Instant) => void;
  /** Station that a mobile node on our return link is registered with: its care-of address. */
  readonly returnTo?: Ipv4Address;
  /** A datagram that another station heard. Takes ownership. */
  readonly fromReturnStation?: (packet: PacketBuffer, station: Ipv4Address, now: Instant) => void;
  readonly returnStations: readonly Ipv4Address[];
  /** For one visitor. */
  readonly holdOctets: number;
  readonly holdTime: Duration;
}

/** As long as a reply may take to the mobile node, with two repetitions. Implementation constant. */
export const DEPARTURE_GRACE: Duration = seconds(4);

export const HOLD_DEFAULTS = { holdOctets: 262_144, holdTime: seconds(60) };

interface Held {
  readonly visitor: Visitor;
  readonly packets: PacketBuffer[];
  octets: number;
  readonly until: Instant;
}

export class ForeignAgentTunnel {
  readonly counters = new Counters();
  readonly #options: ForeignAgentTunnelOptions;
  readonly #address: Ipv4Address;
  readonly #agentAddress: Ipv4Address;
  readonly #entrance: TunnelEntrance;
  readonly #downLinks = new Set<string>();
  readonly #held = new Map<Ipv4Address, Held>();
  readonly #moved = new Map<Ipv4Address, { readonly visitor: Visitor; readonly until: Instant }>();

  constructor(options: ForeignAgentTunnelOptions) {
    this.#options = options;
    this.#address = options.address;
    this.#agentAddress = options.agentAddress ?? options.address;
    this.#entrance = new TunnelEntrance({ ...options, counters: this.counters });
  }

  get heldPackets(): number {
    let packets = 0;
    for (const held of this.#held.values()) packets += held.packets.length;
    return packets;
  }

  /** An IP-in-IP datagram addressed to the care-of address. Takes ownership. */
  receive(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const ours = ipv4Destination(packet.arena, packet.start) === this.#address;
    const fault = ours ? decapsulate(packet) : 'not-ours';
    if (fault !== undefined) this.#entrance.drop(packet, fault);
    else if (this.#options.returnStations.includes(outerSource) && this.#options.fromReturnStation !== undefined)
      this.#options.fromReturnStation(packet, outerSource, now);
    else this.#deliver(packet, outerSource, false, now);
  }

  receiveUdp(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const port = decapsulateFromUdp(packet);
    if (typeof port === 'string') this.#entrance.drop(packet, port);
    else if (port !== MOBILE_IP_PORT) this.#entrance.drop(packet, 'udp-port');
    else this.#deliver(packet, outerSource, true, now);
  }

  /** A datagram from a link, whose source may be a visitor. Takes ownership. */
  fromLink(packet: PacketBuffer, now: Instant): void {
    const { arena, start } = packet;
    if (checkIpv4(arena, start, packet.length) !== undefined) {
      this.#entrance.drop(packet, 'malformed');
      return;
    }
    packet.length = ipv4TotalLength(arena, start);
    const visitor = this.#served(ipv4Source(arena, start), now);
    if (visitor === undefined) {
      if (this.#options.returnTo === undefined) this.#entrance.drop(packet, 'no-visitor');
      else this.#entrance.enter(packet, this.#options.returnTo, now);
      return;
    }
    // RFC 3024 section 5.2: addressed to us and encapsulated, it wants the reverse tunnel; else, with this style, it does not.
    const addressedToUs =
      ipv4Protocol(arena, start) === PROTOCOL.ipInIp && ipv4Destination(arena, start) === this.#agentAddress;
    if (addressedToUs) {
      const fault = visitor.delivery === 'encapsulating' ? decapsulate(packet) : 'delivery-style';
      if (fault !== undefined) {
        this.#entrance.drop(packet, fault);
        return;
      }
    } else if (!visitor.reverseTunnel || visitor.delivery === 'encapsulating') {
      this.counters.add('direct.packets');
      this.#options.send(packet, now);
      return;
    }
    this.#reverse(packet, visitor, now);
  }

  handleIcmp(datagram: Uint8Array, now: Instant): void {
    this.#entrance.handleIcmp(datagram, now, (address) => {
      for (const visitor of this.#options.visitors.all()) if (visitor.homeAgent === address) return true;
      return address === this.#options.returnTo;
    });
  }

  linkDown(link: string): void {
    this.#downLinks.add(link);
  }

  /** What was held for the link's visitors goes out. */
  linkUp(link: string, now: Instant): void {
    this.#downLinks.delete(link);
    for (const [home, held] of this.#held) {
      if (held.visitor.link !== link) continue;
      this.#held.delete(home);
      for (const packet of held.packets) this.#options.deliver(packet, held.visitor, now);
    }
  }

  /** The visitor's entry ended. What is held goes back to the home agent when the visitor has moved, else nowhere. */
  departed(visitor: Visitor, moved: boolean, now: Instant): void {
    if (moved) this.#moved.set(visitor.homeAddress, { visitor, until: plus(now, DEPARTURE_GRACE) });
    const held = this.#held.get(visitor.homeAddress);
    this.#held.delete(visitor.homeAddress);
    for (const packet of held?.packets ?? []) {
      if (moved) this.#return(packet, visitor, now);
      else this.#entrance.drop(packet, 'departed');
    }
  }

  /** Drops what was held for too long. */
  handleTimeout(now: Instant): void {
    for (const [home, { until }] of this.#moved) if (until <= now) this.#moved.delete(home);
    for (const [home, held] of this.#held) {
      if (held.until > now) continue;
      this.#held.delete(home);
      for (const packet of held.packets) this.#entrance.drop(packet, 'hold-age');
    }
  }

  #deliver(packet: PacketBuffer, outerSource: Ipv4Address, udp: boolean, now: Instant): void {
    this.#options.state.heardFrom(outerSource);
    const home = ipv4Destination(packet.arena, packet.start);
    const visitor = this.#served(home, now);
    if (visitor === undefined) this.#deliverEarly(packet, home, outerSource, now);
    else if (visitor.homeAgent !== outerSource || visitor.udpTunnel !== udp)
      this.#entrance.drop(packet, 'not-home-agent');
    else if (!this.#downLinks.has(visitor.link)) this.#pass(packet, visitor, now);
    else if (this.#options.visitors.find(home) !== undefined) this.#hold(packet, visitor, now);
    else this.#return(packet, visitor, now);
  }

  /** The home agent has bound it, or it would not tunnel; its reply is behind this datagram. */
  #deliverEarly(packet: PacketBuffer, home: Ipv4Address, outerSource: Ipv4Address, now: Instant): void {
    const { pendingRequests } = this.#options.visitors;
    const expected = pendingRequests.find((each) => each.homeAddress === home && each.homeAgent === outerSource);
    // Section 4.2.2: no ICMP error, and nothing is forwarded by its inner address.
    if (expected === undefined || expected.lifetime === 0) this.#entrance.drop(packet, 'no-visitor');
    else this.#pass(packet, expected, now);
  }

  #pass(packet: PacketBuffer, to: Pick<Visitor, 'homeAddress' | 'link'>, now: Instant): void {
    this.counters.add('delivered.packets');
    this.counters.add('delivered.octets', packet.length);
    this.#options.deliver(packet, to, now);
  }

  /** A visitor, or one that has moved a moment ago. */
  #served(home: Ipv4Address, now: Instant): Visitor | undefined {
    const visitor = this.#options.visitors.find(home);
    if (visitor !== undefined) return visitor;
    const moved = this.#moved.get(home);
    return moved !== undefined && moved.until > now ? moved.visitor : undefined;
  }

  #hold(packet: PacketBuffer, visitor: Visitor, now: Instant): void {
    let held = this.#held.get(visitor.homeAddress);
    if (held === undefined) {
      held = { visitor, packets: [], octets: 0, until: plus(now, this.#options.holdTime) };
      this.#held.set(visitor.homeAddress, held);
    }
    if (held.octets + packet.length > this.#options.holdOctets) {
      this.#entrance.drop(packet, 'hold-full');
      return;
    }
    held.packets.push(packet);
    held.octets += packet.length;
    this.counters.add('held.packets');
  }

  #reverse(packet: PacketBuffer, visitor: Visitor, now: Instant): void {
    this.counters.add('reverse.packets');
    if (visitor.udpTunnel) {
      this.#entrance.enter(packet, visitor.homeAgent, now, 0, {
        source: this.#address,
        sourcePort: MOBILE_IP_PORT,
        destination: visitor.homeAgent,
        destinationPort: MOBILE_IP_PORT,
      });
    } else this.#entrance.enter(packet, visitor.homeAgent, now);
  }

  /** Straight into the tunnel: it fitted the tunnel on its way here. */
  #return(packet: PacketBuffer, visitor: Visitor, now: Instant): void {
    this.counters.add('returned.packets');
    if (packet.start - TUNNEL_HEADER_OCTETS < packet.slotOffset) {
      this.#entrance.drop(packet, 'no-headroom');
      return;
    }
    encapsulate(packet, this.#address, visitor.homeAgent);
    this.#options.send(packet, now);
  }
}
