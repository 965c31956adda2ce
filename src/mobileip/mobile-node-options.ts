/** What a mobile node is configured with. */
import { type Duration, type Instant, milliseconds, seconds, type WallTime } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { NetworkPrefix } from './binding-table.ts';
import type { Hmac, SecurityAssociation, SecurityAssociations } from './security.ts';

export interface KnownAgent {
  readonly address: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
}

/** A link by which the mobile node can reach an agent. */
export interface MobileNodeLink {
  readonly name: string;
  /**
   * How an agent is found when the link comes up: `advertisement` waits for one, `solicit` asks, `link-up` registers at once with
   * the agent that the configuration names, `co-located` registers with the home agent from an address of the node's own, `home`
   * is the home network itself, and `none` has no agent: it only transmits for another link.
   */
  readonly discovery: 'advertisement' | 'solicit' | 'link-up' | 'co-located' | 'home' | 'none';
  /** For `link-up`. */
  readonly agent?: KnownAgent;
  /** For `co-located`. */
  readonly careOfAddress?: Ipv4Address;
  /** The link that transmits when this one only receives (asymmetric stations); default itself. */
  readonly transmitVia?: string;
  /** Until the home agent's reply can be here: transmission of both messages and two ways to the home agent. */
  readonly registrationTime: Duration;
}

export interface MobileNodeOptions {
  /** 0 when the home agent is to give one (RFC 2794). */
  readonly homeAddress: Ipv4Address;
  readonly networkAccessIdentifier?: string;
  readonly homeAgent: Ipv4Address;
  readonly homeAssociation: SecurityAssociation;
  /** With foreign agents, by address. */
  readonly foreignAssociations: SecurityAssociations;
  readonly links: readonly MobileNodeLink[];
  /** Seconds that are asked for. */
  readonly lifetime: number;
  readonly reverseTunnel: boolean;
  readonly delivery: 'direct' | 'encapsulating';
  /** S: keeps the former binding while two stations are in view, and receives everything twice. */
  readonly simultaneousBindings: boolean;
  /** RFC 3519: asks for UDP tunnels with a co-located care-of address. */
  readonly udpTunnel: 'off' | 'when-needed' | 'forced';
  /** Prefixes that are registered explicitly (RFC 5177). */
  readonly networks: readonly NetworkPrefix[];
  /** `newest` moves to a station as soon as it is in view; `stay` keeps the present one until it is lost. */
  readonly handover: 'newest' | 'stay';
  /** The longest interval between solicitations; section 2.4: at least a minute. */
  readonly maximumSolicitationInterval: Duration;
  /** The last identification that an earlier run had accepted. */
  readonly lastIdentification: bigint;
  /** The longest wait for a reply before the request is repeated; section 3.6.3 bounds it by the lifetime only. */
  readonly maximumRetransmission: Duration;
  readonly wallTime: (now: Instant) => WallTime;
  readonly hmac: Hmac;
  readonly random: () => number;
}

export const MOBILE_NODE_DEFAULTS = {
  lifetime: 1800,
  reverseTunnel: true,
  delivery: 'direct' as const,
  simultaneousBindings: false,
  udpTunnel: 'off' as const,
  networks: [],
  handover: 'newest' as const,
  maximumSolicitationInterval: seconds(60),
  lastIdentification: 0n,
  // A pass lasts minutes: waits that go on doubling would sleep through it.
  maximumRetransmission: seconds(16),
};

/**
 * Section 3.6.3's least timeout: the messages' transmission, two round trips' worth of propagation and 100 ms, not below one second.
 * @param requestOctets with @param replyOctets on the space link, frame included.
 */
export function registrationTime(
  uplinkBitPerSec: number,
  downlinkBitPerSec: number,
  roundTrip: Duration,
  requestOctets = 100,
  replyOctets = 100,
): Duration {
  const transmission = (requestOctets * 8) / uplinkBitPerSec + (replyOctets * 8) / downlinkBitPerSec;
  return (seconds(transmission) + 2 * roundTrip + milliseconds(100)) as Duration;
}
