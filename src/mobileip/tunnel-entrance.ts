/**
 * The entrance of tunnels: what every datagram goes through on its way in, whoever the agent is.
 *
 * RFC 2003 section 3.2 (loops), section 5 (soft state), section 5.1 (MTU): too long and DF, the sender is told the MTU that fits;
 * too long and no DF, it is fragmented first. Packets that are sent, and ICMP errors, go to one port that routes by destination.
 */
import { type Counters, type Instant, type PacketBuffer, type PacketPool, toSeconds } from '../core/index.ts';
import {
  type IcmpError,
  type Ipv4Address,
  icmp4FragmentationNeeded,
  ipv4DontFragment,
  ipv4Source,
  mayReportIpv4,
  writeIcmpError,
} from '../ip/index.ts';
import { encapsulate, TUNNEL_HEADER_OCTETS } from './encapsulation.ts';
import { fragmentIpv4 } from './fragment.ts';
import type { TunnelState } from './tunnel-state.ts';
import { encapsulateInUdp, UDP_TUNNEL_HEADER_OCTETS, type UdpTunnelAddresses } from './udp-tunnel.ts';

/** ICMP errors that an entrance sends, a second and at once (RFC 1812 section 4.3.2.8). */
const ICMP_ERRORS_PER_SECOND = 20;

export interface TunnelEntranceOptions {
  /** The tunnel's source, and the source of ICMP errors. */
  readonly address: Ipv4Address;
  readonly pool: PacketPool;
  readonly state: TunnelState;
  readonly counters: Counters;
  /** Takes ownership of a complete datagram, to be routed by its destination. */
  readonly send: (packet: PacketBuffer, now: Instant) => void;
}

export class TunnelEntrance {
  readonly options: TunnelEntranceOptions;
  /** The outer header's source; a co-located care-of address changes. */
  source: Ipv4Address;
  #icmpTokens = ICMP_ERRORS_PER_SECOND;
  #icmpAt = 0 as Instant;
  #identification = 0;

  constructor(options: TunnelEntranceOptions) {
    this.options = options;
    this.source = options.address;
  }

  /**
   * Sends a datagram, which is valid IPv4, through the tunnel to `exit`. Takes ownership.
   * @param middle the destination of a second header within the first (RFC 5177 section 7), or 0 for none.
   * @param udp addresses of a UDP tunnel in place of IP in IP.
   */
  enter(packet: PacketBuffer, exit: Ipv4Address, now: Instant, middle = 0, udp?: UdpTunnelAddresses): void {
    const { state, counters } = this.options;
    const source = ipv4Source(packet.arena, packet.start);
    // Section 3.2: it came from the exit, so it would come back.
    if (source === exit) {
      this.drop(packet, 'loop');
      return;
    }
    let room = state.innerMtu(exit, now);
    if (middle !== 0) room -= TUNNEL_HEADER_OCTETS;
    if (udp !== undefined) room -= UDP_TUNNEL_HEADER_OCTETS - TUNNEL_HEADER_OCTETS;
    const unreachable = state.unreachable(exit, now);
    // Section 5: told to the sender, and sent all the same, or nobody would ever notice that the exit is back.
    if (unreachable !== undefined) this.report(packet, unreachable, now);
    if (packet.length > room) {
      this.#tooLong(packet, exit, room, now, middle, udp);
      return;
    }
    counters.add('tunnelled.packets');
    counters.add('tunnelled.octets', packet.length);
    if (middle !== 0) encapsulate(packet, this.options.address, middle);
    if (udp === undefined) encapsulate(packet, this.source, exit);
    else encapsulateInUdp(packet, udp);
    this.options.send(packet, now);
  }

  drop(packet: PacketBuffer, reason: string): void {
    this.options.counters.add(`drop.${reason}`);
    this.options.pool.release(packet);
  }

  /** Tells the packet's source of an error; the packet stays the caller's. */
  report(packet: PacketBuffer, error: IcmpError, now: Instant): void {
    const { arena, start, length } = packet;
    if (mayReportIpv4(arena, start, length)) this.#sendError(error, arena, start, length, now);
  }

  /** An ICMP datagram addressed to this entrance; whatever follows from it is sent. */
  handleIcmp(datagram: Uint8Array, now: Instant, isExit: (address: Ipv4Address) => boolean): void {
    const relayed = this.options.state.handleIcmp(datagram, now, isExit);
    if (relayed === undefined) return;
    this.options.counters.add('icmp.relayed');
    const { inner, error } = relayed;
    this.#sendError(error, inner, 0, inner.length, now);
  }

  #tooLong(
    packet: PacketBuffer,
    exit: Ipv4Address,
    room: number,
    now: Instant,
    middle: number,
    udp: UdpTunnelAddresses | undefined,
  ): void {
    const { pool, counters } = this.options;
    if (ipv4DontFragment(packet.arena, packet.start)) {
      this.report(packet, icmp4FragmentationNeeded(room), now);
      this.drop(packet, 'too-big');
      return;
    }
    const fragments = fragmentIpv4(packet.arena, packet.start, room);
    pool.release(packet);
    counters.add('fragmented.packets');
    for (const fragment of fragments ?? []) {
      const part = pool.copyOf(fragment);
      if (part === undefined) counters.add('drop.no-buffer');
      else this.enter(part, exit, now, middle, udp);
    }
  }

  #sendError(error: IcmpError, octets: Uint8Array, start: number, length: number, now: Instant): void {
    const { pool, address, counters, send } = this.options;
    this.#icmpTokens += toSeconds((now - this.#icmpAt) as Instant) * ICMP_ERRORS_PER_SECOND;
    this.#icmpTokens = Math.min(this.#icmpTokens, ICMP_ERRORS_PER_SECOND);
    this.#icmpAt = now;
    if (this.#icmpTokens < 1) {
      counters.add('icmp.suppressed');
      return;
    }
    const message = pool.acquire();
    if (message === undefined) return;
    this.#icmpTokens -= 1;
    this.#identification = (this.#identification + 1) & 0xffff;
    const { arena } = message;
    message.length = writeIcmpError(arena, message.start, error, address, octets, start, length, this.#identification);
    counters.add('icmp.sent');
    send(message, now);
  }
}
