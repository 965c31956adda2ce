/**
 * The home agent's data path: intercepts datagrams for mobile nodes that are away and tunnels them to the care-of address;
 * takes reverse-tunnelled datagrams out again.
 *
 * Standards: RFC 5944 section 4.2.3, RFC 3024 section 4.3.2, RFC 5177 section 7, RFC 3519 section 4.3. The reverse path believes
 * a datagram only when outer and inner source belong to one binding. Two things come in addition, for handovers without loss:
 * for a short while after a move the former care-of address is still believed (packets on their way), and a former foreign
 * agent may return, in a tunnel, what it could not deliver; that is tunnelled on to where the mobile node is now.
 */
import { Counters, type Instant, type PacketBuffer } from '../core/index.ts';
import {
  checkIpv4,
  type Ipv4Address,
  icmp4HostUnreachable,
  ipv4Destination,
  ipv4HeaderOctets,
  ipv4Protocol,
  ipv4Source,
  ipv4TimeToLive,
  ipv4TotalLength,
  PROTOCOL,
} from '../ip/index.ts';
import type { Binding, BindingTable } from './binding-table.ts';
import { contains } from './binding-table.ts';
import { decapsulate } from './encapsulation.ts';
import { MOBILE_IP_PORT } from './numbers.ts';
import { TunnelEntrance, type TunnelEntranceOptions } from './tunnel-entrance.ts';
import { decapsulateFromUdp } from './udp-tunnel.ts';

export interface HomeAgentTunnelOptions extends Omit<TunnelEntranceOptions, 'counters'> {
  readonly bindings: BindingTable;
  /** Whether datagrams that the home agent's own host sends come this way too; else its address as source is a loop. */
  readonly carriesOwnDatagrams: boolean;
  /** RFC 3024 section 4.3.2: somebody used the reverse tunnel who may not; `source` is the inner one. */
  readonly onException?: (reason: string, careOfAddress: Ipv4Address, source: Ipv4Address) => void;
}

export class HomeAgentTunnel {
  readonly counters = new Counters();
  readonly #bindings: BindingTable;
  readonly #address: Ipv4Address;
  readonly #carriesOwn: boolean;
  readonly #options: HomeAgentTunnelOptions;
  readonly #entrance: TunnelEntrance;

  constructor(options: HomeAgentTunnelOptions) {
    this.#options = options;
    this.#bindings = options.bindings;
    this.#address = options.address;
    this.#carriesOwn = options.carriesOwnDatagrams;
    this.#entrance = new TunnelEntrance({ ...options, counters: this.counters });
  }

  /** A datagram for the home network or a mobile network. Takes ownership. */
  intercept(packet: PacketBuffer, now: Instant): void {
    const { arena, start } = packet;
    if (checkIpv4(arena, start, packet.length) !== undefined) {
      this.#entrance.drop(packet, 'malformed');
      return;
    }
    packet.length = ipv4TotalLength(arena, start);
    const destination = ipv4Destination(arena, start);
    const bindings = this.#bindings.lookup(destination);
    if (bindings.length === 0) {
      // A virtual home network has no link on which the mobile node could be at home.
      this.#entrance.report(packet, icmp4HostUnreachable, now);
      this.#entrance.drop(packet, 'no-binding');
      return;
    }
    // RFC 2003 section 3.1: no datagram with TTL 0 enters a tunnel; section 3.2: nor one of our own that came back.
    if (ipv4TimeToLive(arena, start) === 0) {
      this.#entrance.drop(packet, 'ttl');
      return;
    }
    if (!this.#carriesOwn && ipv4Source(arena, start) === this.#address) {
      this.#entrance.drop(packet, 'loop');
      return;
    }
    if (this.#comesFromItsOwnTunnel(packet, destination)) {
      this.#entrance.drop(packet, 'loop');
      return;
    }
    for (let i = 1; i < bindings.length; i++) {
      const copy = this.#options.pool.copyOf(packet.view());
      if (copy === undefined) this.counters.add('drop.no-buffer');
      else this.#tunnel(copy, bindings[i]!, destination, now);
    }
    this.#tunnel(packet, bindings[0]!, destination, now);
  }

  /** An IP-in-IP datagram addressed to the home agent. Takes ownership. */
  receive(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const outerDestination = ipv4Destination(packet.arena, packet.start);
    const fault = decapsulate(packet);
    if (fault !== undefined) this.#entrance.drop(packet, fault);
    else if (outerDestination !== this.#address) this.#entrance.drop(packet, 'not-ours');
    else this.#accept(packet, outerSource, undefined, now);
  }

  /** A UDP datagram to port 434 that holds tunnel data. Takes ownership. */
  receiveUdp(packet: PacketBuffer, now: Instant): void {
    const outerSource = ipv4Source(packet.arena, packet.start);
    const port = decapsulateFromUdp(packet);
    if (typeof port === 'string') this.#entrance.drop(packet, port);
    else this.#accept(packet, outerSource, port, now);
  }

  /** An ICMP error that came back from inside a tunnel. */
  handleIcmp(datagram: Uint8Array, now: Instant): void {
    this.#entrance.handleIcmp(datagram, now, (address) => {
      for (const binding of this.#bindings.all()) if (binding.careOfAddress === address) return true;
      return false;
    });
  }

  #tunnel(packet: PacketBuffer, binding: Binding, destination: Ipv4Address, now: Instant): void {
    // RFC 5177 section 7: through a foreign agent, what is for the mobile network needs a header that names the mobile router.
    const middle = destination !== binding.homeAddress && !binding.coLocated ? binding.homeAddress : 0;
    const { udpTunnel } = binding;
    if (udpTunnel === undefined) {
      this.#entrance.enter(packet, binding.careOfAddress, now, middle);
      return;
    }
    if (udpTunnel.port === 0) {
      this.#entrance.drop(packet, 'half-bound');
      return;
    }
    this.#entrance.enter(packet, udpTunnel.address, now, middle, {
      source: this.#address,
      sourcePort: MOBILE_IP_PORT,
      destination: udpTunnel.address,
      destinationPort: udpTunnel.port,
    });
  }

  /** Section 4.2.3: already encapsulated for the mobile node by its own care-of address. */
  #comesFromItsOwnTunnel(packet: PacketBuffer, destination: Ipv4Address): boolean {
    const { arena, start, length } = packet;
    if (ipv4Protocol(arena, start) !== PROTOCOL.ipInIp) return false;
    const inner = start + ipv4HeaderOctets(arena, start);
    if (checkIpv4(arena, inner, start + length - inner) !== undefined) return false;
    return (
      ipv4Destination(arena, inner) === destination &&
      this.#bindings.find(destination, ipv4Source(arena, start)) !== undefined
    );
  }

  /** The inner datagram of a tunnel whose other end is `outerSource`. */
  #accept(packet: PacketBuffer, outerSource: Ipv4Address, port: number | undefined, now: Instant): void {
    const { arena, start } = packet;
    this.#options.state.heardFrom(outerSource);
    const source = ipv4Source(arena, start);
    const destination = ipv4Destination(arena, start);
    // Returned by a foreign agent that the mobile node has left.
    if (this.#bindings.departedFrom(destination, outerSource, now) && this.#bindings.of(destination).length > 0) {
      this.counters.add('returned.packets');
      this.intercept(packet, now);
      return;
    }
    const home = this.#bindings.lookup(source)[0]?.homeAddress ?? source;
    const binding = this.#bindings.find(home, outerSource);
    if (binding === undefined ? !this.#bindings.departedFrom(home, outerSource, now) : !binding.reverseTunnel) {
      this.#refuse(packet, 'reverse-no-binding', outerSource, source);
      return;
    }
    const expectedPort = binding?.udpTunnel?.port;
    if (expectedPort !== port && !(expectedPort === 0 && port !== undefined)) {
      this.#refuse(packet, 'reverse-encapsulation', outerSource, source);
      return;
    }
    if (source !== home && binding !== undefined && !binding.networks.some((prefix) => contains(prefix, source))) {
      this.#refuse(packet, 'reverse-source', outerSource, source);
      return;
    }
    if (expectedPort === 0 && port !== undefined && binding !== undefined) this.#completeHalfBound(binding, port);
    // RFC 5177 section 7: a mobile router's own header inside the foreign agent's.
    if (destination === this.#address && ipv4Protocol(arena, start) === PROTOCOL.ipInIp && source === home) {
      this.#acceptNested(packet, home, now);
      return;
    }
    this.#forward(packet, now);
  }

  #refuse(packet: PacketBuffer, reason: string, outerSource: Ipv4Address, source: Ipv4Address): void {
    this.#options.onException?.(reason, outerSource, source);
    this.#entrance.drop(packet, reason);
  }

  #acceptNested(packet: PacketBuffer, home: Ipv4Address, now: Instant): void {
    const fault = decapsulate(packet);
    if (fault !== undefined) {
      this.#entrance.drop(packet, fault);
      return;
    }
    const source = ipv4Source(packet.arena, packet.start);
    const owned = source === home || this.#bindings.lookup(source)[0]?.homeAddress === home;
    if (owned) this.#forward(packet, now);
    else this.#entrance.drop(packet, 'reverse-source');
  }

  #forward(packet: PacketBuffer, now: Instant): void {
    this.counters.add('reverse.packets');
    this.counters.add('reverse.octets', packet.length);
    this.#options.send(packet, now);
  }

  /** RFC 3519 section 4.6: the first keepalive shows the NAT's port. */
  #completeHalfBound(binding: Binding, port: number): void {
    this.#bindings.put({ ...binding, udpTunnel: { address: binding.careOfAddress, port } });
  }
}
