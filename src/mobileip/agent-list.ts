/**
 * The agents that a mobile node has heard of, link by link, and the solicitations it sends to hear of more: RFC 5944 sections 2.4
 * and 2.4.2.1 (Algorithm 1: an agent is lost when its advertisement's lifetime ends), RFC 1256 section 5.
 */
import { type Duration, type Instant, NEVER, plus, seconds } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { type AgentAdvertisement, hasRestarted, MAX_SOLICITATION_DELAY_SECONDS } from './agent-discovery.ts';
import type { MobileNodeLink } from './mobile-node-options.ts';

// Implementation constants
/** How long a link may be up without an advertisement before it is asked for: longer than one takes on a 2 kbit/s uplink. */
const ADVERTISEMENT_WAIT_SECONDS = 1;

const NOT_HEARD = -1;

export interface HeardAgent {
  readonly address: Ipv4Address;
  readonly careOfAddresses: readonly Ipv4Address[];
  readonly registrationLifetime: number;
  readonly sequence: number;
  readonly busy: boolean;
  readonly isHomeAgent: boolean;
  readonly reverseTunnel: boolean;
  readonly registrationRequired: boolean;
  readonly behindNat: boolean;
  readonly challenge: Uint8Array | undefined;
  readonly expiresAt: Instant;
}

export class LinkState {
  readonly link: MobileNodeLink;
  up = false;
  upSince = 0 as Instant;
  readonly agents = new Map<Ipv4Address, HeardAgent>();
  /** Denied: not to be tried again before. */
  readonly avoid = new Map<Ipv4Address, Instant>();
  #solicitations = 0;
  #solicitAt: Instant = NEVER;

  constructor(link: MobileNodeLink) {
    this.link = link;
  }

  linkUp(now: Instant, uniform: () => number): void {
    this.up = true;
    this.upSince = now;
    this.avoid.clear();
    const { agent } = this.link;
    if (this.link.discovery === 'link-up' && agent !== undefined) this.agents.set(agent.address, knownAgent(agent));
    if (this.link.discovery === 'solicit') this.beginSoliciting(now, uniform);
    // The agent may have advertised before this node was started, or its advertisement may be lost.
    else if (this.link.discovery === 'advertisement') this.#waitForAdvertisement(now, uniform);
  }

  linkDown(): void {
    this.up = false;
    this.agents.clear();
    this.#solicitAt = NEVER;
  }

  /** A positive sign of a new link: the rate starts anew. On a point-to-point link there is nobody to collide with. */
  beginSoliciting(now: Instant, uniform: () => number): void {
    this.#solicitations = 0;
    const delay = this.link.discovery === 'solicit' ? 0 : MAX_SOLICITATION_DELAY_SECONDS * uniform();
    this.#solicitAt = plus(now, seconds(delay));
  }
  #waitForAdvertisement(now: Instant, uniform: () => number): void {
    this.beginSoliciting(now, uniform);
    this.#solicitAt = plus(now, seconds(ADVERTISEMENT_WAIT_SECONDS + uniform()));
  }
  stopSoliciting(): void {
    this.#solicitAt = NEVER;
  }
  get solicitAt(): Instant {
    return this.#solicitAt;
  }

  /** Section 2.4: three at one a second, then at intervals that double, at random around their nominal values. */
  takeSolicitation(now: Instant, longest: Duration, uniform: () => number): boolean {
    if (this.#solicitAt > now) return false;
    this.#solicitations += 1;
    const nominal = this.#solicitations < 3 ? seconds(1) : seconds(2 ** (this.#solicitations - 2));
    // Never above the maximal rate: later than nominal only, by up to a quarter.
    this.#solicitAt = plus(now, (Math.min(nominal, longest) * (1 + 0.25 * uniform())) as Duration);
    return true;
  }

  /** Returns whether the agent has restarted (section 2.4.4) since it was last heard. */
  heard(source: Ipv4Address, advertisement: AgentAdvertisement, homeAgent: Ipv4Address, now: Instant): boolean {
    const { agent, lifetime, challenge } = advertisement;
    const before = this.agents.get(source);
    this.agents.set(source, {
      address: source,
      careOfAddresses: agent.careOfAddresses,
      registrationLifetime: agent.registrationLifetime,
      sequence: agent.sequence,
      busy: agent.busy,
      isHomeAgent: agent.homeAgent && source === homeAgent,
      reverseTunnel: agent.reverseTunnel,
      registrationRequired: agent.registrationRequired,
      behindNat: agent.udpTunnel,
      challenge,
      expiresAt: plus(now, seconds(lifetime)),
    });
    if (before === undefined) return false;
    // Known from the configuration: number 0 is the first of its life, so it may have begun after we registered.
    if (before.sequence === NOT_HEARD) return agent.sequence === 0;
    return hasRestarted(before.sequence, agent.sequence);
  }

  /** Whether the last agent of the link was lost by that. */
  expire(now: Instant): boolean {
    const before = this.agents.size;
    for (const [address, agent] of this.agents) if (agent.expiresAt <= now) this.agents.delete(address);
    return before > 0 && this.agents.size === 0;
  }

  /** The agents that may be tried now: foreign agents that are not busy, or the home agent. */
  usable(now: Instant, visiting: Ipv4Address | undefined): HeardAgent[] {
    return [...this.agents.values()].filter((agent) => {
      if ((this.avoid.get(agent.address) ?? 0) > now) return false;
      if (agent.isHomeAgent) return true;
      return agent.careOfAddresses.length > 0 && (!agent.busy || agent.address === visiting);
    });
  }

  nextDeadline(): Instant {
    let next = this.#solicitAt;
    for (const { expiresAt } of this.agents.values()) if (expiresAt < next) next = expiresAt;
    for (const at of this.avoid.values()) if (at < next) next = at;
    return next;
  }
  forgetAvoided(now: Instant): void {
    for (const [address, until] of this.avoid) if (until <= now) this.avoid.delete(address);
  }
}

const knownAgent = ({ address, careOfAddress }: { address: Ipv4Address; careOfAddress: Ipv4Address }): HeardAgent => ({
  address,
  careOfAddresses: [careOfAddress],
  registrationLifetime: 0xffff,
  sequence: NOT_HEARD,
  busy: false,
  isHomeAgent: false,
  reverseTunnel: true,
  registrationRequired: false,
  behindNat: false,
  challenge: undefined,
  expiresAt: NEVER,
});
