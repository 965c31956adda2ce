/**
 * The mobile node on the spacecraft: finds agents, registers, refreshes, hands over.
 *
 * Standards: RFC 5944 sections 2.4, 3.6 and 5.7, RFC 3024 section 4.1, RFC 5177 section 5, RFC 3519 section 4.4, RFC 3543 section
 * 4.2.2.3, RFC 4721, RFC 2794. Left out: GRE and minimal encapsulation, broadcasts, ARP at home (a spacecraft is never there on
 * a LAN).
 *
 * Make before break: while the old station is in view the node registers through the new one, and moves its own traffic only
 * when the reply is in; the old visitor entry stays as long as it lives, so what is under way arrives. The attachment outlives
 * the link: when the same station comes back within the lifetime, traffic flows at once and the registration is only renewed.
 */
import {
  Counters,
  type Deadline,
  type Duration,
  type Instant,
  type Machine,
  NEVER,
  plus,
  seconds,
  TimerTable,
} from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { chooseAgent, isHome } from './agent-choice.ts';
import { emitAgentSolicitation, parseAgentAdvertisement } from './agent-discovery.ts';
import { type HeardAgent, LinkState } from './agent-list.ts';
import type { IcmpMessage, UdpDatagram } from './datagram.ts';
import { ofKind } from './extension.ts';
import { IdentificationSource, low32 } from './identification.ts';
import type { MobileNodeEvent, MobileNodeInput, MobileNodeTransmit, Registration } from './mobile-node-events.ts';
import { Negotiation } from './mobile-node-negotiation.ts';
import type { MobileNodeOptions } from './mobile-node-options.ts';
import { replyAuthenticationFault } from './mobile-node-reply.ts';
import { type Pending, registrationRequestOctets } from './mobile-node-request.ts';
import { answerRevocation } from './mobile-node-revocation.ts';
import {
  ALL_MOBILITY_AGENTS,
  INFINITE_LIFETIME,
  isAccepted,
  isFromHomeAgent,
  MESSAGE,
  MOBILE_IP_PORT,
  REPLY_CODE,
} from './numbers.ts';
import { parseRegistrationReply, type RegistrationReply } from './registration.ts';

// Implementation constants
/** Section 3.6.3. */
const MINIMUM_SPACING: Duration = seconds(1);
/** How long an agent that denied for a reason that may pass is left alone. */
const DENIAL_PAUSE: Duration = seconds(10);
const HOME_AGENT_AWAY: ReadonlySet<number> = new Set([
  REPLY_CODE.registrationTimeout,
  REPLY_CODE.homeNetworkUnreachable,
  REPLY_CODE.homeAgentHostUnreachable,
  REPLY_CODE.homeAgentPortUnreachable,
  REPLY_CODE.homeAgentUnreachable,
]);
/** How long after a denial that only people can repair. */
const CONFIGURATION_PAUSE: Duration = seconds(60);

export class MobileNode implements Machine<MobileNodeInput, MobileNodeTransmit, MobileNodeEvent> {
  readonly options: MobileNodeOptions;
  readonly counters = new Counters();
  readonly identification: IdentificationSource;
  readonly #links = new Map<string, LinkState>();
  readonly #timers = new TimerTable<'retransmit' | 'register' | 'refresh' | 'expiry' | 'keepalive'>();
  readonly #transmits: MobileNodeTransmit[] = [];
  readonly #events: MobileNodeEvent[] = [];
  #registration: Registration | undefined;
  #pending: Pending | undefined;
  #lastSentAt: Instant | undefined;
  readonly #negotiation: Negotiation;
  #lastRevocation: number | undefined;
  #atHome = false;
  /** The present registration is to be renewed; stays until a reply accepts. */
  #renewalWanted = false;
  #stopping = false;
  /** In a row, that say that the home agent is out of reach. */
  #awayDenials = 0;

  constructor(options: MobileNodeOptions) {
    this.options = options;
    this.identification = new IdentificationSource(
      options.homeAssociation.replay,
      options.random,
      options.lastIdentification,
    );
    this.#negotiation = new Negotiation(options);
    for (const link of options.links) this.#links.set(link.name, new LinkState(link));
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }
  /** The home address, once it is known. */
  get homeAddress(): Ipv4Address {
    return this.#negotiation.homeAddress;
  }
  get state(): 'home' | 'registered' | 'registering' | 'searching' | 'out of contact' {
    if (this.#atHome) return 'home';
    if (this.#registration !== undefined && this.#links.get(this.#registration.link)?.up === true) return 'registered';
    if (this.#pending !== undefined) return 'registering';
    return [...this.#links.values()].some((each) => each.up) ? 'searching' : 'out of contact';
  }

  handleInput(input: MobileNodeInput, now: Instant): void {
    const state = this.#links.get(input.link);
    if (state === undefined) {
      this.counters.add('discarded.unknown-link');
      return;
    }
    if (input.kind === 'link') this.#handleLink(state, input.up, now);
    else if (input.kind === 'advertisement') this.#handleAdvertisement(state, input.message, now);
    else if (input.datagram.payload[0] === MESSAGE.registrationReply) this.#handleReply(input.datagram, now);
    else if (input.datagram.payload[0] === MESSAGE.revocation) this.#handleRevocation(input, now);
    else this.#discard('message-type', input.datagram.source);
    this.handleTimeout(now);
  }

  handleTimeout(now: Instant): void {
    for (const state of this.#links.values()) {
      // Section 2.4.2.1: the agent's advertisement has run out and none came; ask, the rest follows from the answer.
      if (state.expire(now) && state.up) state.beginSoliciting(now, this.#uniform);
      state.forgetAvoided(now);
      this.#solicit(state, now);
    }
    for (let timer = this.#timers.expired(now); timer !== undefined; timer = this.#timers.expired(now)) {
      if (timer === 'retransmit') this.#retransmit(now);
      else if (timer === 'expiry') this.#detach('expired');
      else if (timer === 'keepalive') this.#keepalive(now);
      else if (timer === 'refresh') this.#renewalWanted = true;
    }
    this.#consider(now);
  }

  pollTransmit(): MobileNodeTransmit | undefined {
    return this.#transmits.shift();
  }
  pollEvent(): MobileNodeEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Deadline | undefined {
    let best = this.#timers.next();
    for (const state of this.#links.values()) {
      if (!state.up) continue;
      const at = state.nextDeadline();
      if (at < (best?.at ?? NEVER)) best = { at, why: `an agent of ${state.link.name} ends or is solicited` };
    }
    return best;
  }

  /** Before an orderly stop: tells the home agent that the binding is no longer wanted. */
  deregister(now: Instant): void {
    const registration = this.#registration;
    const state = registration && this.#links.get(registration.link);
    this.#stopping = true;
    if (registration === undefined || state?.up !== true) return;
    const agent = state.agents.get(registration.agent);
    this.#register(state, agent, registration.coLocated, now, 0);
  }

  #handleLink(state: LinkState, up: boolean, now: Instant): void {
    if (state.up === up) return;
    if (!up) {
      state.linkDown();
      if (this.#pending?.link === state.link.name) this.#abandon();
      return;
    }
    state.linkUp(now, this.#uniform);
    this.#awayDenials = 0;
    const registration = this.#registration;
    if (registration?.link === state.link.name && registration.expiresAt > now)
      this.#events.push({ kind: 'resumed', registration });
  }

  #handleAdvertisement(state: LinkState, message: IcmpMessage, now: Instant): void {
    const parsed = parseAgentAdvertisement(message.payload);
    if (!parsed.ok || !state.up) {
      this.#discard(parsed.ok ? 'link-down' : parsed.reason, message.source);
      return;
    }
    this.counters.add('advertisements');
    const restarted = state.heard(message.source, parsed.value, this.#negotiation.homeAgent, now);
    state.stopSoliciting();
    if (parsed.value.challenge !== undefined) this.#negotiation.challenge = parsed.value.challenge;
    if (restarted && this.#registration?.agent === message.source) {
      this.counters.add('agent-restarts');
      this.#renewalWanted = true;
    }
  }

  #solicit(state: LinkState, now: Instant): void {
    if (!state.up || !state.takeSolicitation(now, this.options.maximumSolicitationInterval, this.#uniform)) return;
    const payload = emitAgentSolicitation();
    this.counters.add('solicitations');
    const message = { source: this.#negotiation.homeAddress, destination: ALL_MOBILITY_AGENTS, timeToLive: 1, payload };
    this.#transmits.push({ kind: 'icmp', link: this.#transmitLink(state), message });
  }

  readonly #uniform = (): number => (this.options.random() >>> 0) / 4294967296;

  #transmitLink(state: LinkState): string {
    return state.link.transmitVia ?? state.link.name;
  }

  /** Decides whether to register, and through whom. */
  #consider(now: Instant): void {
    if (this.#stopping) return;
    const allowed = this.#lastSentAt === undefined ? now : plus(this.#lastSentAt, MINIMUM_SPACING);
    const choice = chooseAgent(
      this.#links,
      this.#registration,
      this.#negotiation.homeAgent,
      this.options.handover,
      now,
    );
    if (choice === undefined) {
      this.#atHome = false;
      return;
    }
    const { state, agent } = choice;
    const coLocated = state.link.discovery === 'co-located';
    const atHome = isHome(choice);
    const target = coLocated || atHome ? this.#negotiation.homeAgent : agent!.address;
    const registration = this.#registration;
    const here = registration?.link === state.link.name && registration.agent === target;
    if (this.#pending !== undefined && this.#pending.link === state.link.name && this.#pending.destination === target)
      return;
    // The registration holds and was made since this link came up: nothing to do.
    if (!this.#renewalWanted && here && registration.sentAt >= state.upSince) return;
    if (atHome && this.#atHome) return;
    if (allowed > now) {
      this.#timers.set('register', allowed);
      return;
    }
    this.#register(state, agent, coLocated, now, this.options.lifetime);
  }

  #register(state: LinkState, agent: HeardAgent | undefined, coLocated: boolean, now: Instant, wanted: number): void {
    const atHome = isHome({ state, agent });
    const careOfAddress = atHome
      ? this.#negotiation.homeAddress
      : coLocated
        ? (state.link.careOfAddress ?? 0)
        : (agent?.careOfAddresses[0] ?? 0);
    const limit = coLocated ? INFINITE_LIFETIME : (agent?.registrationLifetime ?? INFINITE_LIFETIME);
    const lifetime = atHome ? 0 : Math.min(wanted, limit, this.#negotiation.lifetimeLimit);
    const throughAgent = !coLocated && !atHome;
    this.#pending = {
      link: state.link.name,
      agent,
      destination: throughAgent ? agent!.address : this.#negotiation.homeAgent,
      careOfAddress,
      coLocated,
      atHome,
      lifetime,
      firstSentAt: now,
      sentAt: now,
      attempts: 0,
      identification: 0n,
      octets: new Uint8Array(0),
      timeout: Math.max(state.link.registrationTime, MINIMUM_SPACING) as Duration,
    };
    this.#buildRequest(now);
    this.#sendPending(now);
  }

  #buildRequest(now: Instant): void {
    const pending = this.#pending!;
    const { options } = this;
    pending.identification = this.identification.next(now, () => options.wallTime(now));
    pending.octets = registrationRequestOctets(pending, options, this.#negotiation, this.#otherLinkHolds(pending.link));
  }

  /** S keeps the former binding only while its station is still in view. */
  #otherLinkHolds(link: string): boolean {
    const registration = this.#registration;
    return registration !== undefined && registration.link !== link && this.#links.get(registration.link)?.up === true;
  }

  #sendPending(now: Instant): void {
    const pending = this.#pending!;
    const state = this.#links.get(pending.link)!;
    pending.sentAt = now;
    pending.attempts += 1;
    this.#lastSentAt = now;
    this.counters.add('requests');
    this.#events.push({ kind: 'requested', link: pending.link, agent: pending.destination, attempt: pending.attempts });
    this.#transmits.push({
      kind: 'datagram',
      link: this.#transmitLink(state),
      datagram: {
        source: pending.coLocated ? pending.careOfAddress : this.#negotiation.homeAddress,
        sourcePort: MOBILE_IP_PORT,
        destination: pending.destination,
        destinationPort: MOBILE_IP_PORT,
        // RFC 3024 section 4.1.1.
        timeToLive: pending.coLocated ? 64 : 255,
        payload: pending.octets,
      },
    });
    this.#timers.set('retransmit', plus(now, pending.timeout));
  }

  /** Section 3.6.3: each timeout twice the one before, up to the longest. */
  #retransmit(now: Instant): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const longest = Math.max(this.options.maximumRetransmission, this.#links.get(pending.link)!.link.registrationTime);
    pending.timeout = Math.min(2 * pending.timeout, longest) as Duration;
    // A new identification with timestamps; the same octets with nonces, or a lost reply would cost another round trip.
    if (this.identification.style === 'timestamp') this.#buildRequest(now);
    this.#sendPending(now);
  }

  #abandon(): void {
    this.#pending = undefined;
    this.#timers.clear('retransmit');
  }

  #handleReply(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRegistrationReply(datagram.payload);
    const pending = this.#pending;
    if (!parsed.ok || pending === undefined) {
      this.#discard(parsed.ok ? 'unexpected-reply' : parsed.reason, datagram.source);
      return;
    }
    const reply = parsed.value;
    // Section 3.6.2.1: before anything is believed.
    if (low32(reply.identification) !== low32(pending.identification)) {
      this.#discard('identification', datagram.source);
      return;
    }
    const fault = replyAuthenticationFault(
      datagram,
      reply,
      pending.destination,
      this.#negotiation.homeAgent,
      this.options,
    );
    if (fault !== undefined) {
      this.#discard(fault, datagram.source);
      return;
    }
    const challenge = ofKind(reply.extensions, 'challenge')[0];
    if (challenge !== undefined) this.#negotiation.challenge = challenge.challenge;
    if (isAccepted(reply.code)) this.#accept(reply, pending, now);
    else this.#handleDenial(reply, pending, now);
  }

  #accept(reply: RegistrationReply, pending: Pending, now: Instant): void {
    this.identification.accepted(reply.identification);
    this.#abandon();
    this.#renewalWanted = false;
    this.#awayDenials = 0;
    this.counters.add('accepted');
    const before = this.#registration;
    const lifetime = Math.min(reply.lifetime, pending.lifetime);
    if (this.#negotiation.homeAddress === 0) this.#negotiation.homeAddress = reply.homeAddress;
    if (lifetime === 0) {
      this.#atHome = pending.atHome;
      if (this.#atHome)
        this.#events.push({ kind: 'at-home', link: pending.link, latency: (now - pending.firstSentAt) as Duration });
      this.#detach('home');
      return;
    }
    this.#atHome = false;
    // Section 3.6.2.2: counted from when the request was sent.
    const expiresAt = lifetime === INFINITE_LIFETIME ? NEVER : plus(pending.sentAt, seconds(lifetime));
    const udp = ofKind(reply.extensions, 'udpTunnelReply')[0];
    const registration: Registration = {
      link: pending.link,
      agent: pending.destination,
      careOfAddress: pending.careOfAddress,
      coLocated: pending.coLocated,
      delivery: pending.coLocated ? 'direct' : this.#negotiation.delivery,
      reverseTunnel: this.#negotiation.reverseTunnel,
      udpTunnel: udp !== undefined && udp.code < 64,
      keepaliveSeconds: udp === undefined ? 0 : udp.keepaliveSeconds || 110,
      lifetime,
      sentAt: pending.sentAt,
      expiresAt,
      homeAddress: this.#negotiation.homeAddress,
      networks: ofKind(reply.extensions, 'mobileNetworkAcknowledgement').filter(({ code }) => code === 0).length,
    };
    this.#registration = registration;
    const moved = before !== undefined && before.careOfAddress !== registration.careOfAddress;
    const change = before === undefined ? 'attached' : moved ? 'handover' : 'refreshed';
    const latency = (now - pending.firstSentAt) as Duration;
    this.#events.push({ kind: 'registered', change, registration, latency, attempts: pending.attempts });
    this.#armLifetime(registration, now);
  }

  #armLifetime(registration: Registration, now: Instant): void {
    this.#timers.clear('refresh');
    this.#timers.clear('expiry');
    this.#timers.clear('keepalive');
    if (registration.expiresAt !== NEVER) {
      const lifetime = seconds(registration.lifetime);
      // Early enough for four attempts (1 + 2 + 4 s and the answer to the last), or a third of a short lifetime.
      const margin = Math.min(Math.max(seconds(10), lifetime / 10), lifetime / 3);
      this.#timers.set('refresh', plus(registration.expiresAt, -margin as Duration));
      this.#timers.set('expiry', registration.expiresAt);
    }
    if (registration.udpTunnel) this.#timers.setAfter('keepalive', now, seconds(registration.keepaliveSeconds));
  }

  #keepalive(now: Instant): void {
    const registration = this.#registration;
    if (registration?.udpTunnel !== true) return;
    this.#events.push({ kind: 'keepalive', registration });
    this.#timers.setAfter('keepalive', now, seconds(Math.max(1, registration.keepaliveSeconds)));
  }

  #detach(why: 'expired' | 'revoked' | 'home'): void {
    const registration = this.#registration;
    this.#registration = undefined;
    for (const timer of ['refresh', 'expiry', 'keepalive'] as const) this.#timers.clear(timer);
    if (registration !== undefined) this.#events.push({ kind: 'detached', why, registration });
  }

  /** Section 3.6.2.3 and its extensions: repair what can be repaired, else leave the agent alone for a while. */
  #handleDenial(reply: RegistrationReply, pending: Pending, now: Instant): void {
    this.counters.add(`denied.${reply.code}`);
    this.#events.push({ kind: 'denied', code: reply.code, agent: pending.destination });
    this.#abandon();
    // With nonces every authenticated reply gives the next one.
    if (this.identification.style === 'nonce' && isFromHomeAgent(reply.code))
      this.identification.resynchronize(reply.identification, now);
    if (this.#negotiation.repair(reply, pending.lifetime, this.identification, now)) return;
    const lasting = reply.code === 131 || reply.code === 67 || reply.code === 129 || reply.code === 65;
    const state = this.#links.get(pending.link)!;
    // The home agent is out of reach: it may be back at once, so ask again as if nothing had been answered.
    const away = HOME_AGENT_AWAY.has(reply.code) ? seconds(2 ** this.#awayDenials++) : DENIAL_PAUSE;
    const pause = lasting ? CONFIGURATION_PAUSE : Math.min(away, DENIAL_PAUSE);
    state.avoid.set(pending.destination, plus(now, pause as Duration));
    if (state.link.discovery === 'solicit' && state.agents.size < 2) state.beginSoliciting(now, this.#uniform);
  }

  #handleRevocation({ link, datagram }: Extract<MobileNodeInput, { kind: 'datagram' }>, now: Instant): void {
    const registration = this.#registration;
    const answer = answerRevocation(datagram, registration, this.homeAddress, this.#lastRevocation, this.options);
    if ('fault' in answer) {
      this.#discard(answer.fault, datagram.source);
      return;
    }
    this.#lastRevocation = answer.identifier;
    this.#transmits.push({ kind: 'datagram', link, datagram: answer.acknowledgement });
    this.#links.get(link)?.avoid.set(this.#negotiation.homeAgent, plus(now, DENIAL_PAUSE));
    this.#detach('revoked');
  }

  #discard(reason: string, source: Ipv4Address): void {
    this.counters.add(`discarded.${reason}`);
    this.#events.push({ kind: 'discarded', reason, source });
  }
}
