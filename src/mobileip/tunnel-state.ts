/**
 * Tunnel soft state and the relaying of ICMP errors from inside a tunnel: RFC 2003 sections 4 and 5, RFC 1191 for the MTU.
 *
 * A router inside the tunnel may return only 8 octets of what it could not deliver, which is not enough to find the original
 * sender. So an error changes the tunnel's soft state, and the next datagrams that would meet it again are answered from here.
 * When the whole inner header came back, the original sender is told at once. What is relayed as what: section 4's list.
 *
 * Two things go further than the text. What arrives out of the tunnel proves that its exit is there, and ends what was believed
 * to the contrary. And "protocol unreachable" says that the exit's host lives while its agent does not, which is what an agent
 * that starts again looks like: nobody is told before it has gone on for a while (section 4.1 has a SHOULD). A kernel that gets
 * "host unreachable" for its SYN-ACK forgets the connection and resets what the client, which has the SYN-ACK, sends next.
 */
import { type Duration, type Instant, minutes, plus, seconds } from '../core/index.ts';
import {
  checkIpv4,
  type IcmpError,
  IPV4_HEADER_OCTETS,
  IPV4_MIN_MTU_OCTETS,
  type Ipv4Address,
  icmp4FragmentationNeeded,
  icmp4HostUnreachable,
  icmp4NetUnreachable,
  icmpChecksumGood,
  ipv4Destination,
  ipv4HeaderOctets,
  ipv4Protocol,
  ipv4Source,
  ipv4TotalLength,
  PROTOCOL,
  uint16,
} from '../ip/index.ts';
import { TUNNEL_HEADER_OCTETS } from './encapsulation.ts';

/** RFC 1191 section 6.3: a learned path MTU may be raised again after ten minutes. */
const MTU_LIFETIME: Duration = minutes(10);
/** How long an unreachable exit is believed; a tunnel whose exit answers again is noticed by then. */
const UNREACHABLE_LIFETIME: Duration = seconds(10);
/** For so long an exit without an agent is expected back; longer than a killed process takes to be started again. */
const PROTOCOL_PATIENCE: Duration = seconds(10);
/** RFC 1191 section 7.1: plateaus for routers that do not tell their MTU. */
const PLATEAUS = [65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

interface SoftState {
  mtu: number;
  mtuUntil: Instant;
  unreachable: IcmpError | undefined;
  unreachableUntil: Instant;
  /** "Protocol unreachable" came at these times, and nothing from the exit between them. */
  refusedSince: Instant | undefined;
  refusedAt: Instant;
}

export interface RelayedError {
  readonly error: IcmpError;
  /** The original datagram's beginning, from its own header on, as the router inside the tunnel returned it. */
  readonly inner: Uint8Array;
  readonly to: Ipv4Address;
}

export interface TunnelStateSnapshot {
  readonly mtu: number;
  readonly unreachable: boolean;
}

export class TunnelState {
  readonly #pathMtu: number;
  readonly #exits = new Map<Ipv4Address, SoftState>();
  relayedErrors = 0;

  /** @param pathMtu the largest outer datagram that leaves this node, octets: the MTU of the interface towards the exits. */
  constructor(pathMtu: number) {
    this.#pathMtu = pathMtu;
  }

  /** The largest inner datagram that passes: the tunnel's MTU less its header. */
  innerMtu(exit: Ipv4Address, now: Instant): number {
    const state = this.#exits.get(exit);
    const mtu = state !== undefined && state.mtuUntil > now ? state.mtu : this.#pathMtu;
    return mtu - TUNNEL_HEADER_OCTETS;
  }

  /** The error that a datagram for this exit would meet, besides being encapsulated and sent (section 5). */
  unreachable(exit: Ipv4Address, now: Instant): IcmpError | undefined {
    const state = this.#exits.get(exit);
    return state !== undefined && state.unreachableUntil > now ? state.unreachable : undefined;
  }

  /** A datagram came out of the tunnel: its other end is there. */
  heardFrom(exit: Ipv4Address): void {
    if (this.#exits.size === 0) return;
    const state = this.#exits.get(exit);
    if (state === undefined) return;
    state.unreachable = undefined;
    state.refusedSince = undefined;
  }

  /** Forgets an exit, e.g. when its last binding ends. */
  forget(exit: Ipv4Address): void {
    this.#exits.delete(exit);
  }

  snapshot(exit: Ipv4Address, now: Instant): TunnelStateSnapshot {
    return {
      mtu: this.innerMtu(exit, now) + TUNNEL_HEADER_OCTETS,
      unreachable: this.unreachable(exit, now) !== undefined,
    };
  }

  /**
   * An ICMP datagram that came to a tunnel entrance. Returns what to tell the original sender, if anything.
   * @param isExit whether this address is the exit of a tunnel of ours: errors about anything else are not believed.
   */
  handleIcmp(datagram: Uint8Array, now: Instant, isExit: (address: Ipv4Address) => boolean): RelayedError | undefined {
    const returned = returnedDatagram(datagram);
    if (returned === undefined) return undefined;
    const { type, code, parameter, outer } = returned;
    const exit = ipv4Destination(outer, 0);
    if (!isExit(exit)) return undefined;
    const error = this.#learn(exit, type, code, parameter, ipv4TotalLength(outer, 0), now);
    const inner = outer.subarray(ipv4HeaderOctets(outer, 0));
    // Section 4: relaying needs the inner header; the 8 octets after it name the inner ports.
    if (error === undefined || inner.length < IPV4_HEADER_OCTETS || inner[0]! >>> 4 !== 4) return undefined;
    if (ipv4HeaderOctets(inner, 0) < IPV4_HEADER_OCTETS || inner.length < ipv4HeaderOctets(inner, 0)) return undefined;
    this.relayedErrors++;
    return { error, inner: inner.slice(), to: ipv4Source(inner, 0) };
  }

  #learn(
    exit: Ipv4Address,
    type: number,
    code: number,
    mtu: number,
    sent: number,
    now: Instant,
  ): IcmpError | undefined {
    // Section 4.1 port unreachable and source route failed, 4.2, 4.3: never relayed.
    if (type === 3 && code === 4) {
      const learned = this.#learnMtu(exit, mtu, sent, now);
      return icmp4FragmentationNeeded(learned - TUNNEL_HEADER_OCTETS);
    }
    // The exit is "on the same network" as the home agent (section 4.1), except that a network is named as such.
    if (type === 3 && code === 2 && !this.#refusedForLong(exit, now)) return undefined;
    if (type === 3 && (code === 0 || code === 1 || code === 2)) {
      const error = code === 0 ? icmp4NetUnreachable : icmp4HostUnreachable;
      return this.#learnUnreachable(exit, error, now);
    }
    if (type === 11) return this.#learnUnreachable(exit, icmp4HostUnreachable, now);
    return undefined;
  }

  #learnMtu(exit: Ipv4Address, told: number, sent: number, now: Instant): number {
    const state = this.#state(exit);
    const current = state.mtuUntil > now ? state.mtu : this.#pathMtu;
    const named =
      told >= IPV4_MIN_MTU_OCTETS ? told : (PLATEAUS.find((plateau) => plateau < sent) ?? IPV4_MIN_MTU_OCTETS);
    // A message that would raise the MTU is a mistake or a forgery (RFC 1191 section 6.2 lets only time raise it).
    state.mtu = Math.max(IPV4_MIN_MTU_OCTETS + TUNNEL_HEADER_OCTETS, Math.min(named, current));
    state.mtuUntil = plus(now, MTU_LIFETIME);
    return state.mtu;
  }

  #refusedForLong(exit: Ipv4Address, now: Instant): boolean {
    const state = this.#state(exit);
    if (state.refusedSince === undefined || now - state.refusedAt > UNREACHABLE_LIFETIME) state.refusedSince = now;
    state.refusedAt = now;
    return now - state.refusedSince >= PROTOCOL_PATIENCE;
  }

  #learnUnreachable(exit: Ipv4Address, error: IcmpError, now: Instant): IcmpError {
    const state = this.#state(exit);
    state.unreachable = error;
    state.unreachableUntil = plus(now, UNREACHABLE_LIFETIME);
    return error;
  }

  #state(exit: Ipv4Address): SoftState {
    let state = this.#exits.get(exit);
    if (state === undefined) {
      const never = 0 as Instant;
      state = {
        mtu: this.#pathMtu,
        mtuUntil: never,
        unreachable: undefined,
        unreachableUntil: never,
        refusedSince: undefined,
        refusedAt: never,
      };
      this.#exits.set(exit, state);
    }
    return state;
  }
}

/** The IP-in-IP datagram that an ICMP error returns, at least its outer header. */
function returnedDatagram(
  datagram: Uint8Array,
): { type: number; code: number; parameter: number; outer: Uint8Array } | undefined {
  if (checkIpv4(datagram, 0, datagram.length) !== undefined || ipv4Protocol(datagram, 0) !== PROTOCOL.icmp)
    return undefined;
  const at = ipv4HeaderOctets(datagram, 0);
  const total = ipv4TotalLength(datagram, 0);
  if (!icmpChecksumGood(datagram, at, total - at)) return undefined;
  const type = datagram[at]!;
  if (type !== 3 && type !== 11) return undefined;
  const outer = datagram.subarray(at + 8, total);
  if (outer.length < IPV4_HEADER_OCTETS || outer[0]! >>> 4 !== 4) return undefined;
  if (ipv4HeaderOctets(outer, 0) < IPV4_HEADER_OCTETS || outer.length < ipv4HeaderOctets(outer, 0)) return undefined;
  if (ipv4Protocol(outer, 0) !== PROTOCOL.ipInIp) return undefined;
  return { type, code: datagram[at + 1]!, parameter: uint16(datagram, at + 6), outer };
}
