/**
 * The mobile node's data path, where it has one: with a foreign agent's care-of address and direct delivery, plain routing does.
 *
 * It encapsulates when the care-of address is its own (RFC 3024 section 4.1.2), when it asked for encapsulating delivery
 * (section 5.2), and, as a mobile router behind a foreign agent, what comes from its mobile network (RFC 5177 section 7).
 * It decapsulates what the home agent tunnels to the care-of address or, for the mobile network, to the home address.
 */
import { Counters, type Instant, type PacketBuffer } from '../core/index.ts';
import { checkIpv4, type Ipv4Address, ipv4Destination, ipv4Source, ipv4TotalLength } from '../ip/index.ts';
import { contains, type NetworkPrefix } from './binding-table.ts';
import { decapsulate } from './encapsulation.ts';
import { MOBILE_IP_PORT } from './numbers.ts';
import { TunnelEntrance, type TunnelEntranceOptions } from './tunnel-entrance.ts';
import { decapsulateFromUdp } from './udp-tunnel.ts';

/** How the node is attached, as its machine says. */
export interface Attachment {
  readonly agent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly coLocated: boolean;
  readonly delivery: 'direct' | 'encapsulating';
  readonly reverseTunnel: boolean;
  /** Towards the home agent in UDP, from this port. */
  readonly udpTunnel: boolean;
}

export interface MobileNodeTunnelOptions extends Omit<TunnelEntranceOptions, 'counters'> {
  /** `address` is the home address. */
  readonly homeAgent: Ipv4Address;
  readonly networks: readonly NetworkPrefix[];
}

export class MobileNodeTunnel {
  readonly counters = new Counters();
  readonly #options: MobileNodeTunnelOptions;
  readonly #entrance: TunnelEntrance;
  attachment: Attachment | undefined;

  constructor(options: MobileNodeTunnelOptions) {
    this.#options = options;
    this.#entrance = new TunnelEntrance({ ...options, counters: this.counters });
  }

  /** A datagram that leaves the node or its mobile network. Takes ownership. */
  output(packet: PacketBuffer, now: Instant): void {
    const { arena, start } = packet;
    const { attachment } = this;
    if (checkIpv4(arena, start, packet.length) !== undefined || attachment === undefined) {
      this.#entrance.drop(packet, attachment === undefined ? 'unattached' : 'malformed');
      return;
    }
    packet.length = ipv4TotalLength(arena, start);
    const source = ipv4Source(arena, start);
    const own = source === this.#options.address;
    // RFC 5177 section 10: nothing from a source that is not on the mobile network.
    if (!own && !this.#options.networks.some((prefix) => contains(prefix, source))) {
      this.#entrance.drop(packet, 'source');
      return;
    }
    if (!attachment.reverseTunnel) {
      this.#options.send(packet, now);
      return;
    }
    this.counters.add('output.packets');
    const { homeAgent } = this.#options;
    const { agent, careOfAddress, coLocated, delivery, udpTunnel } = attachment;
    this.#entrance.source = coLocated ? careOfAddress : this.#options.address;
    if (coLocated && udpTunnel) {
      const ports = { sourcePort: MOBILE_IP_PORT, destinationPort: MOBILE_IP_PORT };
      this.#entrance.enter(packet, homeAgent, now, 0, { source: careOfAddress, destination: homeAgent, ...ports });
    } else if (coLocated) this.#entrance.enter(packet, homeAgent, now);
    // Behind a foreign agent only the home address is a visitor: the mobile network's datagrams go in a tunnel of their own.
    else if (delivery === 'encapsulating') this.#entrance.enter(packet, agent, now, own ? 0 : homeAgent);
    else if (!own) this.#entrance.enter(packet, homeAgent, now);
    else this.#options.send(packet, now);
  }

  /** A datagram of protocol 4 for the home or care-of address. Takes ownership. */
  receive(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const fault = outerSource === this.#options.homeAgent ? decapsulate(packet) : 'not-home-agent';
    if (fault !== undefined) this.#entrance.drop(packet, fault);
    else this.#inward(packet, now);
  }

  receiveUdp(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const port = outerSource === this.#options.homeAgent ? decapsulateFromUdp(packet) : 'not-home-agent';
    if (typeof port === 'string') this.#entrance.drop(packet, port);
    else this.#inward(packet, now);
  }

  handleIcmp(datagram: Uint8Array, now: Instant): void {
    this.#entrance.handleIcmp(datagram, now, (address) => address === this.#options.homeAgent);
  }

  #inward(packet: PacketBuffer, now: Instant): void {
    this.#options.state.heardFrom(this.#options.homeAgent);
    const destination = ipv4Destination(packet.arena, packet.start);
    const { address, networks } = this.#options;
    if (destination !== address && !networks.some((prefix) => contains(prefix, destination))) {
      this.#entrance.drop(packet, 'not-ours');
      return;
    }
    this.counters.add('received.packets');
    this.#options.send(packet, now);
  }
}
