/**
 * The foreign agent of a ground station: advertises on its links, relays registrations, keeps the visitor list.
 *
 * Standards: RFC 5944 sections 2.3 and 3.7, RFC 1256, RFC 3024 section 4.2, RFC 3543 section 4.2, RFC 3519 section 4.5, RFC 4721,
 * RFC 2794. Left out: regional registration, GRE and minimal encapsulation, AAA.
 *
 * It never makes a registration of its own (section 3.7); what it says itself are denials, at most one a second to a mobile node.
 */
import {
  Counters,
  type Deadline,
  earliest,
  type Instant,
  type Machine,
  NEVER,
  plus,
  seconds,
  Writer,
} from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { Advertiser } from './advertiser.ts';
import { isAgentSolicitation } from './agent-discovery.ts';
import { Challenges } from './challenges.ts';
import type { UdpDatagram } from './datagram.ts';
import { endOfAuthorization, ofKind, writeExtension } from './extension.ts';
import { isFromHomeAgent, isFromMobileNode } from './foreign-agent-authentication.ts';
import type { ForeignAgentEvent, ForeignAgentInput, ForeignAgentTransmit } from './foreign-agent-events.ts';
import { advertisementOf, type ForeignAgentOptions, foreignDenial } from './foreign-agent-policy.ts';
import { ForeignAgentRevocations } from './foreign-agent-revocations.ts';
import { low32, revocationTimestamp } from './identification.ts';
import {
  ALL_MOBILITY_AGENTS,
  ALL_SYSTEMS,
  EXTENSION,
  INFINITE_LIFETIME,
  isAccepted,
  LIMITED_BROADCAST,
  MESSAGE,
  MOBILE_IP_PORT,
  REPLY_CODE,
} from './numbers.ts';
import {
  emitRegistrationReply,
  parseRegistrationReply,
  parseRegistrationRequest,
  REPLY_OCTETS,
  REQUEST_OCTETS,
  type RegistrationReply,
  type RegistrationRequest,
} from './registration.ts';
import { authenticate } from './security.ts';
import { type PendingRequest, type Visitor, VisitorList } from './visitor-list.ts';

export class ForeignAgent implements Machine<ForeignAgentInput, ForeignAgentTransmit, ForeignAgentEvent> {
  readonly options: ForeignAgentOptions;
  readonly visitors = new VisitorList();
  readonly counters = new Counters();
  readonly #advertisers = new Map<string, Advertiser>();
  readonly #challenges: Challenges;
  readonly #revocations: ForeignAgentRevocations;
  readonly #lastDenial = new Map<Ipv4Address, Instant>();
  readonly #transmits: ForeignAgentTransmit[] = [];
  readonly #events: ForeignAgentEvent[] = [];
  #draining = false;
  /** Set by the adapter while it cannot route to visitors: requests are denied with 64. */
  forwardingFailed = false;

  /** @param links names of the links it serves; all are down at first. */
  constructor(options: ForeignAgentOptions, links: readonly string[]) {
    this.options = options;
    this.#challenges = new Challenges(options.random);
    this.#revocations = new ForeignAgentRevocations(options, this.visitors, this.counters, {
      send: (destination, port, payload) => this.#sendHome(destination, port, payload),
      depart: (visitor, moved) => this.#depart(visitor, moved ? 'moved' : 'revoked'),
      inform: (link, now) => this.#advertisers.get(link)?.restartSequence(now),
      discard: (reason, source) => this.#discard(reason, source),
    });
    for (const link of links) {
      this.#advertisers.set(
        link,
        new Advertiser({
          mode: options.advertisement,
          maximumInterval: options.advertisementInterval,
          minimumSpacing: seconds(1),
          uniform: () => (options.random() >>> 0) / 4294967296,
        }),
      );
    }
  }

  handleInput(input: ForeignAgentInput, now: Instant): void {
    switch (input.kind) {
      case 'link':
        if (input.up) this.#advertisers.get(input.link)?.linkUp(now);
        else this.#advertisers.get(input.link)?.linkDown();
        break;
      case 'solicitation':
        if (isAgentSolicitation(input.message.payload)) this.#advertisers.get(input.link)?.solicited(now);
        else this.#discard('solicitation', input.message.source);
        break;
      case 'request':
        this.#handleRequest(input, now);
        break;
      case 'unreachable':
        this.#handleUnreachable(input.homeAgent, input.code, now);
        break;
      case 'datagram':
        this.#handleDatagram(input.datagram, now);
    }
    this.handleTimeout(now);
  }

  handleTimeout(now: Instant): void {
    for (const pending of this.visitors.takeExpiredPending(now))
      this.#denyPending(pending, REPLY_CODE.registrationTimeout, now);
    for (const visitor of this.visitors.expired(now)) this.#depart(visitor, 'expired');
    for (const [link, advertiser] of this.#advertisers) {
      const sequence = advertiser.take(now);
      if (sequence !== undefined) this.#advertise(link, sequence);
    }
    this.#revocations.handleTimeout(now);
  }

  pollTransmit(): ForeignAgentTransmit | undefined {
    return this.#transmits.shift();
  }
  pollEvent(): ForeignAgentEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Deadline | undefined {
    let at = earliest(this.visitors.nextDeadline(), this.#revocations.nextAt());
    let why = 'a visitor or a pending request ends';
    for (const { nextAt } of this.#advertisers.values()) {
      if (nextAt >= at) continue;
      at = nextAt;
      why = 'an advertisement is due';
    }
    return at === NEVER ? undefined : { at, why };
  }

  get outstandingRevocations(): number {
    return this.#revocations.outstanding;
  }

  /** Before an orderly stop: tells home agents, and visitors by an advertisement that begins anew and is busy. */
  drain(now: Instant): void {
    this.#draining = true;
    for (const visitor of [...this.visitors.all()]) {
      this.#depart(visitor, 'revoked');
      this.#revocations.start(visitor, now);
    }
    for (const advertiser of this.#advertisers.values()) advertiser.restartSequence(now);
    this.handleTimeout(now);
  }

  #advertise(link: string, sequence: number): void {
    const { options } = this;
    const busy = this.#draining || this.visitors.size >= options.maximumVisitors;
    const challenge = options.challenge ? this.#challenges.issue() : undefined;
    const payload = advertisementOf(options, sequence, busy, challenge);
    const message = { source: options.address, destination: ALL_SYSTEMS, timeToLive: 1, payload };
    this.counters.add('advertisements');
    this.#transmits.push({ kind: 'icmp', link, message });
    this.#events.push({ kind: 'advertised', link, sequence });
  }

  #handleRequest(
    { link, returnStation, datagram }: Extract<ForeignAgentInput, { kind: 'request' }>,
    now: Instant,
  ): void {
    this.counters.add('requests');
    if (returnStation !== undefined && !this.options.returnStations.includes(returnStation)) {
      this.#discard('return-station', returnStation);
      return;
    }
    const parsed = parseRegistrationRequest(datagram.payload);
    if (!parsed.ok) {
      this.#discard(parsed.reason, datagram.source);
      // Section 1.8 has an extension that is not understood discard the message in silence; the rest is 70.
      const fixed = parseRegistrationRequest(datagram.payload.subarray(0, REQUEST_OCTETS));
      if (fixed.ok && parsed.reason !== 'unknown-extension' && parsed.reason !== 'wrong-type')
        this.#deny(REPLY_CODE.foreignPoorlyFormedRequest, fixed.value, datagram, link, now);
      return;
    }
    const request = parsed.value;
    const { options } = this;
    const code = foreignDenial(
      request,
      {
        datagram,
        returnStation,
        isVisitor: this.visitors.find(request.homeAddress) !== undefined,
        visitors: this.visitors.size,
        pending: this.visitors.pendingRequests.filter((each) => each.homeAddress !== request.homeAddress).length,
        forwardingFailed: this.forwardingFailed,
        checkChallenge: () =>
          options.challenge
            ? this.#challenges.check(ofKind(request.extensions, 'challenge')[0]?.challenge, request.homeAddress)
            : undefined,
        authentic: () => isFromMobileNode(datagram.payload, request, options),
      },
      options,
    );
    if (code === undefined) this.#relay(request, datagram, link, now);
    else this.#deny(code, request, datagram, link, now);
  }

  /** Section 3.7.2.2: nothing up to the mobile node's authenticator changes; what follows it was for us. */
  #relay(request: RegistrationRequest, datagram: UdpDatagram, link: string, now: Instant): void {
    const { options } = this;
    const end = endOfAuthorization(request.extensions, datagram.payload.length);
    const writer = new Writer(160).octets(datagram.payload.subarray(0, end));
    const association = options.homeAssociations.preferred(request.homeAgent);
    const registration = request.lifetime !== 0;
    if (registration && !request.decapsulationByMobileNode) {
      if (options.revocation && association !== undefined) {
        const timestamp = revocationTimestamp(options.wallTime(now));
        writeExtension(writer, { kind: 'revocationSupport', inform: true, timestamp });
      }
      if (options.behindNat) {
        const fields = { force: false, registrationThroughForeignAgent: false, encapsulation: 0, reserved3: 0 };
        writeExtension(writer, { kind: 'udpTunnelRequest', ...fields });
      }
    }
    if (registration && association !== undefined)
      authenticate(writer, EXTENSION.foreignHomeAuthentication, association, options.hmac);
    const delivery = ofKind(request.extensions, 'encapsulatingDelivery').length > 0 ? 'encapsulating' : 'direct';
    this.visitors.addPending({
      homeAddress: request.homeAddress,
      homeAgent: request.homeAgent,
      careOfAddress: request.careOfAddress,
      link,
      replySource: this.#replySource(datagram),
      replyPort: datagram.sourcePort,
      identification: request.identification,
      lifetime: request.lifetime,
      reverseTunnel: request.reverseTunnel,
      delivery,
      relayedAt: now,
      expiresAt: plus(now, seconds(options.pendingSeconds)),
    });
    this.counters.add('relayed');
    this.#events.push({ kind: 'relayed', link, homeAddress: request.homeAddress, homeAgent: request.homeAgent });
    this.#sendHome(request.homeAgent, MOBILE_IP_PORT, writer.finish());
  }

  #replySource(datagram: UdpDatagram): Ipv4Address {
    const multicast = datagram.destination === ALL_MOBILITY_AGENTS || datagram.destination === LIMITED_BROADCAST;
    return multicast ? this.options.address : datagram.destination;
  }

  #deny(code: number, request: RegistrationRequest, datagram: UdpDatagram, link: string, now: Instant): void {
    const { homeAddress, homeAgent, identification, lifetime } = request;
    this.#denyPending(
      {
        homeAddress,
        homeAgent,
        identification,
        lifetime: code === REPLY_CODE.lifetimeTooLong ? this.options.maximumLifetime : lifetime,
        link,
        replySource: this.#replySource(datagram),
        replyPort: datagram.sourcePort,
      },
      code,
      now,
    );
  }

  #denyPending(
    request: Pick<
      PendingRequest,
      'homeAddress' | 'homeAgent' | 'identification' | 'lifetime' | 'link' | 'replySource' | 'replyPort'
    >,
    code: number,
    now: Instant,
  ): void {
    this.counters.add(`denied.${code}`);
    this.#events.push({ kind: 'denied', code, homeAddress: request.homeAddress });
    // Section 3.7.2: not more than one a second to the same mobile node.
    const last = this.#lastDenial.get(request.homeAddress);
    if (last !== undefined && now - last < seconds(1)) {
      this.counters.add('denials.suppressed');
      return;
    }
    if (this.#lastDenial.size >= 1024) this.#lastDenial.clear();
    this.#lastDenial.set(request.homeAddress, now);
    const writer = emitRegistrationReply({ ...request, code });
    this.#finishReply(writer, request.homeAddress);
    this.#sendToMobileNode(request, writer.finish());
  }

  /** A new challenge, and the mobile-foreign authenticator when there is an association. */
  #finishReply(writer: Writer, homeAddress: Ipv4Address): void {
    const { options } = this;
    if (options.challenge) writeExtension(writer, { kind: 'challenge', challenge: this.#challenges.issue() });
    const association = options.mobileAssociations.preferred(homeAddress);
    if (association !== undefined)
      authenticate(writer, EXTENSION.mobileForeignAuthentication, association, options.hmac);
  }

  #sendToMobileNode(
    to: Pick<PendingRequest, 'homeAddress' | 'link' | 'replySource' | 'replyPort'>,
    payload: Uint8Array,
    homeAddress = to.homeAddress,
  ): void {
    this.#transmits.push({
      kind: 'datagram',
      link: to.link,
      datagram: {
        source: to.replySource,
        sourcePort: MOBILE_IP_PORT,
        // Section 3.7.2.3: there may be no home address yet.
        destination: homeAddress === 0 ? LIMITED_BROADCAST : homeAddress,
        destinationPort: to.replyPort,
        timeToLive: 64,
        payload,
      },
    });
  }

  #handleDatagram(datagram: UdpDatagram, now: Instant): void {
    switch (datagram.payload[0]) {
      case MESSAGE.registrationReply:
        this.#handleReply(datagram, now);
        break;
      case MESSAGE.revocation:
        this.#revocations.handleRevocation(datagram, now);
        break;
      case MESSAGE.revocationAcknowledgement:
        this.#revocations.handleAcknowledgement(datagram);
        break;
      default:
        this.#discard('message-type', datagram.source);
    }
  }

  #handleReply(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRegistrationReply(datagram.payload);
    const fixed = parsed.ok ? parsed : parseRegistrationReply(datagram.payload.subarray(0, REPLY_OCTETS));
    if (!fixed.ok) {
      this.#discard(fixed.reason, datagram.source);
      return;
    }
    const { homeAddress, identification } = fixed.value;
    const pending = this.visitors.takePending(homeAddress, low32(identification));
    // Section 3.7.3.1, and a reply from elsewhere than where the request went is nobody's reply.
    if (pending === undefined || pending.homeAgent !== datagram.source) {
      if (pending !== undefined) this.visitors.addPending(pending);
      this.#discard('unexpected-reply', datagram.source);
      return;
    }
    if (!parsed.ok) {
      this.#discard(parsed.reason, datagram.source);
      if (parsed.reason !== 'unknown-extension') this.#denyPending(pending, REPLY_CODE.poorlyFormedReply, now);
      return;
    }
    const reply = parsed.value;
    if (pending.lifetime !== 0 && !isFromHomeAgent(datagram, reply, this.options)) {
      this.#discard('home-authentication', datagram.source);
      this.#denyPending(pending, REPLY_CODE.homeFailedAuthentication, now);
      return;
    }
    this.#forwardReply(pending, datagram.payload, reply, now);
  }

  /** Section 3.7.3.2. */
  #forwardReply(pending: PendingRequest, payload: Uint8Array, reply: RegistrationReply, now: Instant): void {
    const writer = new Writer(128).octets(payload.subarray(0, endOfAuthorization(reply.extensions, payload.length)));
    this.#finishReply(writer, reply.homeAddress);
    this.#sendToMobileNode(pending, writer.finish(), reply.homeAddress);
    if (!isAccepted(reply.code)) {
      this.counters.add(`home-denied.${reply.code}`);
      return;
    }
    const known = this.visitors.find(reply.homeAddress);
    const lifetime = Math.min(reply.lifetime, pending.lifetime);
    if (lifetime === 0) {
      if (known !== undefined && endsHere(pending, known)) this.#depart(known, 'deregistered');
      return;
    }
    if (pending.careOfAddress !== this.options.careOfAddress) return;
    const revocation = ofKind(reply.extensions, 'revocationSupport')[0];
    const udpTunnel = ofKind(reply.extensions, 'udpTunnelReply').some(({ code }) => code < 64);
    const visitor: Visitor = {
      homeAddress: reply.homeAddress,
      homeAgent: pending.homeAgent,
      careOfAddress: pending.careOfAddress,
      link: pending.link,
      lifetime,
      registeredAt: now,
      // It begins when the reply is forwarded, so that it does not end before the mobile node's.
      expiresAt: lifetime === INFINITE_LIFETIME ? NEVER : plus(now, seconds(lifetime)),
      reverseTunnel: pending.reverseTunnel,
      delivery: pending.delivery,
      udpTunnel,
      ...(revocation === undefined
        ? {}
        : { revocation: { inform: revocation.inform, timestamp: revocation.timestamp } }),
    };
    if (known !== undefined && known.link !== visitor.link) this.#depart(known, 'moved-link');
    this.visitors.put(visitor);
    this.counters.add('registered');
    const change = known === undefined ? 'arrived' : 'refreshed';
    this.#events.push({ kind: 'visitor', change, visitor, latency: now - pending.relayedAt });
  }

  #depart(visitor: Visitor, why: Extract<ForeignAgentEvent, { kind: 'departed' }>['why']): void {
    this.visitors.remove(visitor.homeAddress);
    this.counters.add(`departed.${why}`);
    this.#events.push({ kind: 'departed', why, visitor });
  }

  /** Section 3.7.3: an ICMP error came back in place of a reply. */
  #handleUnreachable(homeAgent: Ipv4Address, icmpCode: number, now: Instant): void {
    const codes: Record<number, number> = {
      0: REPLY_CODE.homeNetworkUnreachable,
      1: REPLY_CODE.homeAgentHostUnreachable,
      3: REPLY_CODE.homeAgentPortUnreachable,
    };
    for (const pending of this.visitors.takePendingWhere((each) => each.homeAgent === homeAgent))
      this.#denyPending(pending, codes[icmpCode] ?? REPLY_CODE.homeAgentUnreachable, now);
  }

  #sendHome(destination: Ipv4Address, destinationPort: number, payload: Uint8Array): void {
    const source = this.options.careOfAddress;
    const datagram = { source, sourcePort: MOBILE_IP_PORT, destination, destinationPort, timeToLive: 64, payload };
    this.#transmits.push({ kind: 'datagram', datagram });
  }

  #discard(reason: string, source: Ipv4Address): void {
    this.counters.add(`discarded.${reason}`);
    this.#events.push({ kind: 'discarded', reason, source });
  }
}

/** Whether an accepted deregistration ends the visit here: of all care-of addresses, or of ours. */
const endsHere = (pending: PendingRequest, visitor: Visitor): boolean =>
  pending.careOfAddress === pending.homeAddress || pending.careOfAddress === visitor.careOfAddress;
