/**
 * The home agent: answers Registration Requests and keeps the mobility bindings.
 *
 * Standards: RFC 5944 section 3.8, RFC 3024 section 4.3, RFC 3519 section 4.6, RFC 3543 section 4.2, RFC 5177 section 6,
 * RFC 2794 (a home address for a NAI). Left out: broadcasts to mobile nodes (the B bit is ignored, as section 3.8.2 has it),
 * GRE and minimal encapsulation, AAA.
 *
 * The order of the checks is the standard's: authentication, identification, the foreign agent's authentication, then policy.
 * What cannot be authenticated changes nothing and is answered at most a few times a second.
 */
import { Counters, type Deadline, type Instant, type Machine, NEVER, plus, seconds } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { type Binding, BindingTable } from './binding-table.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf, type OtherExtension, ofKind, writeExtension } from './extension.ts';
import type { HomeAgentEvent, RemovalReason } from './home-agent-events.ts';
import { type Denial, decide, type Grant, type HomeAgentOptions, type MobileNodeAccount } from './home-agent-policy.ts';
import { HomeAgentRevocations } from './home-agent-revocations.ts';
import { checkIdentification, joined, low32, newReplayRecord, type ReplayRecord } from './identification.ts';
import { EXTENSION, INFINITE_LIFETIME, MESSAGE, MOBILE_IP_PORT, REPLY_CODE } from './numbers.ts';
import { emitRegistrationReply, parseRegistrationRequest, type RegistrationRequest } from './registration.ts';
import { authenticate, isAuthentic, type SecurityAssociation } from './security.ts';

/** What outlives the process: see `restore`. */
export interface StoredMobileNode {
  readonly homeAddress: Ipv4Address;
  readonly replay: ReplayRecord;
  readonly bindings: readonly Binding[];
}

// Implementation constants
/** Answers to requests that fail authentication, a second and at once: a reflector must not repay. */
const UNAUTHENTIC_REPLIES_PER_SECOND = 10;

export class HomeAgent implements Machine<UdpDatagram, UdpDatagram, HomeAgentEvent> {
  readonly options: HomeAgentOptions;
  readonly bindings = new BindingTable();
  readonly counters = new Counters();
  readonly #accounts = new Map<Ipv4Address | string, MobileNodeAccount>();
  readonly #replay = new Map<Ipv4Address, ReplayRecord>();
  readonly #revocations: HomeAgentRevocations;
  readonly #transmits: UdpDatagram[] = [];
  readonly #events: HomeAgentEvent[] = [];
  #unauthenticTokens = UNAUTHENTIC_REPLIES_PER_SECOND;
  #unauthenticAt = 0 as Instant;
  /** Set by the adapter while bindings cannot be stored: new ones are denied with 128. */
  storageFailed = false;

  constructor(options: HomeAgentOptions) {
    this.options = options;
    this.#revocations = new HomeAgentRevocations(options, this.bindings, this.counters, {
      send: (destination, port, payload) => this.#send(destination, port, payload),
      end: (binding, now) => this.#remove(binding, 'revoked', now),
      discard: (reason, datagram) => this.#discard(reason, datagram),
    });
    for (const account of options.mobileNodes) {
      this.#accounts.set(account.homeAddress, account);
      if (account.networkAccessIdentifier !== undefined) this.#accounts.set(account.networkAccessIdentifier, account);
    }
  }

  handleInput(datagram: UdpDatagram, now: Instant): void {
    switch (datagram.payload[0]) {
      case MESSAGE.registrationRequest:
        this.#handleRequest(datagram, now);
        break;
      case MESSAGE.revocation:
        this.#revocations.handleRevocation(datagram, now);
        break;
      case MESSAGE.revocationAcknowledgement:
        this.#revocations.handleAcknowledgement(datagram);
        break;
      default:
        this.#discard('message-type', datagram);
    }
  }

  handleTimeout(now: Instant): void {
    for (const binding of this.bindings.expired(now)) this.#remove(binding, 'expired', now);
    this.#revocations.handleTimeout(now);
  }

  pollTransmit(): UdpDatagram | undefined {
    return this.#transmits.shift();
  }
  pollEvent(): HomeAgentEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Deadline | undefined {
    const expiry = this.bindings.nextExpiry;
    const revocation = this.#revocations.nextAt();
    if (expiry === NEVER && revocation === NEVER) return undefined;
    return expiry <= revocation
      ? { at: expiry, why: 'a binding ends' }
      : { at: revocation, why: 'a revocation is repeated' };
  }

  /** Ends a mobile node's bindings by the operator's will, and tells foreign agents that support it (RFC 3543). */
  revoke(homeAddress: Ipv4Address, now: Instant): number {
    const bindings = [...this.bindings.of(homeAddress)];
    for (const binding of bindings) {
      this.#remove(binding, 'revoked', now);
      this.#revocations.start(binding, true, now);
    }
    this.handleTimeout(now);
    return bindings.length;
  }

  /** What was stored by an earlier process. Bindings whose lifetime has ended meanwhile are left out. */
  restore(stored: readonly StoredMobileNode[], now: Instant): void {
    for (const { homeAddress, replay, bindings } of stored) {
      if (!this.#accounts.has(homeAddress)) continue;
      this.#replay.set(homeAddress, { ...replay });
      for (const binding of bindings) if (binding.expiresAt > now) this.bindings.put(binding);
    }
  }

  #handleRequest(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRegistrationRequest(datagram.payload);
    if (!parsed.ok) {
      this.#discard(parsed.reason, datagram);
      return;
    }
    const request = parsed.value;
    this.counters.add('requests');
    const authentication = authenticationsOf(request.extensions, EXTENSION.mobileHomeAuthentication)[0];
    const account = this.#accountOf(request);
    // Section 3.8.2.1 (a): no authenticator, or nobody we know: silence.
    if (authentication === undefined || account === undefined) {
      this.#discard(authentication === undefined ? 'no-authenticator' : 'unknown-mobile-node', datagram);
      return;
    }
    const associations = this.options.mobileAssociations;
    const peer = associations.has(account.homeAddress) ? account.homeAddress : (account.networkAccessIdentifier ?? 0);
    const association = associations.find(peer, authentication.spi);
    if (association === undefined || !isAuthentic(datagram.payload, authentication, association, this.options.hmac)) {
      this.#denyUnauthentic(datagram, request, associations.preferred(peer), now);
      return;
    }
    const record = this.#recordOf(account.homeAddress);
    const reply = (code: number, lifetime: number, identification: bigint, grant?: Partial<Grant>): void =>
      this.#reply(datagram, request, account, association, { code, lifetime, identification, ...grant });

    const repeated = this.#repetition(request, account, association, now);
    if (repeated !== undefined) {
      const identification = joined(record.nonce, low32(request.identification));
      reply(REPLY_CODE.accepted, repeated, identification);
      return;
    }
    if (association.replay === 'nonce' && record.nonce === 0) record.nonce = this.#newNonce(0);
    const { wallTime, timestampTolerance } = this.options;
    const corrected = checkIdentification(
      association.replay,
      request.identification,
      record,
      wallTime(now),
      timestampTolerance,
    );
    const refuse = (denial: Denial, identification = request.identification): void => {
      this.counters.add(`denied.${denial.code}`);
      this.#events.push({
        kind: 'denied',
        code: denial.code,
        homeAddress: account.homeAddress,
        source: datagram.source,
      });
      reply(denial.code, request.lifetime, identification, { extensions: denial.extensions });
    };
    if (corrected !== undefined) {
      refuse({ code: REPLY_CODE.identificationMismatch, extensions: [] }, corrected);
      return;
    }
    // The identification is spent, whatever policy says of the request: the same octets must not be judged twice.
    const identification = this.#spend(association, record, request);
    const foreign = this.#checkForeign(datagram, request);
    if (foreign === 'discard') {
      this.#discard('unexpected-foreign-authenticator', datagram);
      return;
    }
    if (foreign === 'deny') {
      refuse({ code: REPLY_CODE.foreignFailedAuthentication, extensions: [] }, identification);
      return;
    }
    const decision = decide(
      request,
      {
        source: datagram.source,
        sourcePort: datagram.sourcePort,
        account,
        bindings: this.bindings.of(account.homeAddress),
        totalBindings: this.bindings.size,
        storageFailed: this.storageFailed,
      },
      this.options,
    );
    if ('denial' in decision) {
      refuse(decision.denial, identification);
      return;
    }
    const { grant } = decision;
    this.counters.add('accepted');
    const revocation = this.#revocations.negotiate(datagram, request, grant, now);
    if (grant.lifetime === 0) this.#deregister(request, account, datagram.source, now);
    else this.#bind(datagram, request, account, grant, identification, revocation, now);
    // RFC 3543 section 3.2: under the authenticator of whoever asked, the mobile node's or the foreign agent's.
    const extensions = [...grant.extensions, ...(revocation?.direct === true ? [revocation.extension] : [])];
    const foreignExtensions = [
      ...grant.foreignExtensions,
      ...(revocation?.direct === false ? [revocation.extension] : []),
    ];
    reply(grant.code, grant.lifetime, identification, { extensions, foreignExtensions });
    this.handleTimeout(now);
  }

  #accountOf(request: RegistrationRequest): MobileNodeAccount | undefined {
    if (request.homeAddress !== 0) return this.#accounts.get(request.homeAddress);
    const nai = ofKind(request.extensions, 'networkAccessIdentifier')[0];
    return nai === undefined ? undefined : this.#accounts.get(nai.identifier);
  }

  /**
   * Seconds left when this request repeats, with a nonce, one that was accepted and whose reply was lost: section 3.8.2.2 lets
   * it be accepted again as long as its lifetime does not grow. With timestamps a repetition is a replay.
   */
  #repetition(
    request: RegistrationRequest,
    account: MobileNodeAccount,
    association: SecurityAssociation,
    now: Instant,
  ): number | undefined {
    if (association.replay !== 'nonce' || request.lifetime === 0) return undefined;
    const binding = this.bindings.find(account.homeAddress, request.careOfAddress);
    if (binding === undefined || low32(binding.identification) !== low32(request.identification)) return undefined;
    if (binding.expiresAt === NEVER) return INFINITE_LIFETIME;
    return Math.max(1, Math.floor((binding.expiresAt - now) / 1e9));
  }

  #denyUnauthentic(
    datagram: UdpDatagram,
    request: RegistrationRequest,
    association: SecurityAssociation | undefined,
    now: Instant,
  ): void {
    this.#discard('mobile-authentication', datagram);
    const elapsed = (now - this.#unauthenticAt) / 1e9;
    this.#unauthenticAt = now;
    this.#unauthenticTokens = Math.min(
      UNAUTHENTIC_REPLIES_PER_SECOND,
      this.#unauthenticTokens + elapsed * UNAUTHENTIC_REPLIES_PER_SECOND,
    );
    const account = this.#accountOf(request);
    if (association === undefined || account === undefined || this.#unauthenticTokens < 1) return;
    this.#unauthenticTokens -= 1;
    const code = REPLY_CODE.mobileFailedHomeAuthentication;
    this.counters.add(`denied.${code}`);
    this.#events.push({ kind: 'denied', code, homeAddress: account.homeAddress, source: datagram.source });
    const { identification, lifetime } = request;
    this.#reply(datagram, request, account, association, { code, lifetime, identification });
  }

  /** Section 3.8.2.1 (c) and (d). */
  #checkForeign(datagram: UdpDatagram, request: RegistrationRequest): 'good' | 'deny' | 'discard' {
    const extensions = authenticationsOf(request.extensions, EXTENSION.foreignHomeAuthentication);
    const shared = this.options.foreignAssociations.has(datagram.source);
    if (!shared) return extensions.length === 0 ? 'good' : 'discard';
    if (request.lifetime === 0) return 'good';
    const [extension] = extensions;
    if (extension === undefined || extensions.length > 1) return 'deny';
    const association = this.options.foreignAssociations.find(datagram.source, extension.spi);
    if (association === undefined) return 'deny';
    return isAuthentic(datagram.payload, extension, association, this.options.hmac) ? 'good' : 'deny';
  }

  /** Marks the identification as used and returns the one that the reply carries. */
  #spend(association: SecurityAssociation, record: ReplayRecord, request: RegistrationRequest): bigint {
    if (association.replay === 'timestamp') {
      record.accepted = request.identification;
      return request.identification;
    }
    record.nonce = this.#newNonce(record.nonce);
    return joined(record.nonce, low32(request.identification));
  }

  #newNonce(previous: number): number {
    for (;;) {
      const nonce = this.options.random() >>> 0;
      if (nonce !== 0 && nonce !== previous) return nonce;
    }
  }

  #recordOf(homeAddress: Ipv4Address): ReplayRecord {
    let record = this.#replay.get(homeAddress);
    if (record === undefined) {
      record = newReplayRecord();
      this.#replay.set(homeAddress, record);
    }
    return record;
  }

  #bind(
    datagram: UdpDatagram,
    request: RegistrationRequest,
    account: MobileNodeAccount,
    grant: Grant,
    identification: bigint,
    revocation: { inform: boolean; timestamp: number } | undefined,
    now: Instant,
  ): void {
    const binding: Binding = {
      homeAddress: account.homeAddress,
      careOfAddress: grant.careOfAddress,
      homeAgent: this.options.address,
      requestSource: datagram.source,
      requestPort: datagram.sourcePort,
      identification,
      lifetime: grant.lifetime,
      registeredAt: now,
      expiresAt: grant.lifetime === INFINITE_LIFETIME ? NEVER : plus(now, seconds(grant.lifetime)),
      coLocated: request.decapsulationByMobileNode,
      reverseTunnel: request.reverseTunnel,
      broadcasts: request.broadcasts,
      networks: grant.networks,
      ...(grant.udpTunnel === undefined ? {} : { udpTunnel: grant.udpTunnel }),
      ...(revocation === undefined
        ? {}
        : { revocation: { inform: revocation.inform, timestamp: revocation.timestamp } }),
    };
    const known = this.bindings.find(account.homeAddress, binding.careOfAddress) !== undefined;
    if (!(request.simultaneousBindings && this.options.simultaneousBindings)) {
      for (const other of [...this.bindings.of(account.homeAddress)]) {
        if (other.careOfAddress === binding.careOfAddress) continue;
        this.#remove(other, 'moved', now);
        this.#revocations.start(other, false, now);
      }
    }
    this.bindings.put(binding);
    this.#revocations.bound(binding);
    const replay = { ...this.#recordOf(account.homeAddress) };
    this.#events.push({ kind: 'bound', change: known ? 'refreshed' : 'created', binding, replay });
  }

  /** Section 3.8.2.2: the home address as care-of address ends all bindings, another only its own. */
  #deregister(request: RegistrationRequest, account: MobileNodeAccount, source: Ipv4Address, now: Instant): void {
    const all = [...this.bindings.of(account.homeAddress)];
    const one =
      all.find((binding) => binding.careOfAddress === request.careOfAddress) ??
      // Behind a NAT the binding's care-of address is the NAT's.
      all.find((binding) => binding.udpTunnel !== undefined && binding.careOfAddress === source);
    const ended = request.careOfAddress === account.homeAddress ? all : one === undefined ? [] : [one];
    for (const binding of ended) {
      this.#remove(binding, 'deregistered', now);
      // The foreign agent that relays this request sees the reply; others are told.
      if (binding.requestSource !== source) this.#revocations.start(binding, false, now);
    }
  }

  #remove(binding: Binding, why: RemovalReason, now: Instant): void {
    this.bindings.remove(binding, plus(now, this.options.departureGrace));
    this.counters.add(`unbound.${why}`);
    this.#events.push({ kind: 'unbound', why, binding, replay: { ...this.#recordOf(binding.homeAddress) } });
  }

  #reply(
    datagram: UdpDatagram,
    request: RegistrationRequest,
    account: MobileNodeAccount,
    association: SecurityAssociation,
    fields: { code: number; lifetime: number; identification: bigint } & Partial<
      Pick<Grant, 'extensions' | 'foreignExtensions'>
    >,
  ): void {
    const { hmac, foreignAssociations, address } = this.options;
    const nai = ofKind(request.extensions, 'networkAccessIdentifier')[0];
    const identity: OtherExtension[] =
      nai === undefined ? [] : [{ kind: 'networkAccessIdentifier', identifier: nai.identifier }];
    const writer = emitRegistrationReply(
      {
        code: fields.code,
        lifetime: fields.lifetime,
        homeAddress: request.homeAddress === 0 ? account.homeAddress : request.homeAddress,
        homeAgent: address,
        identification: fields.identification,
      },
      [...identity, ...(fields.extensions ?? [])],
    );
    authenticate(writer, EXTENSION.mobileHomeAuthentication, association, hmac);
    for (const extension of fields.foreignExtensions ?? []) writeExtension(writer, extension);
    // Section 3.5.4: by source address of the request; never on a deregistration.
    const foreign = request.lifetime === 0 ? undefined : foreignAssociations.preferred(datagram.source);
    if (foreign !== undefined) authenticate(writer, EXTENSION.foreignHomeAuthentication, foreign, hmac);
    this.#transmits.push({
      source: address,
      sourcePort: datagram.destinationPort,
      destination: datagram.source,
      destinationPort: datagram.sourcePort,
      timeToLive: 64,
      payload: writer.finish(),
    });
  }

  #discard(reason: string, datagram: UdpDatagram): void {
    this.counters.add(`discarded.${reason}`);
    this.#events.push({ kind: 'discarded', reason, source: datagram.source });
  }

  #send(destination: Ipv4Address, destinationPort: number, payload: Uint8Array): void {
    const { address } = this.options;
    const sourcePort = MOBILE_IP_PORT;
    this.#transmits.push({ source: address, sourcePort, destination, destinationPort, timeToLive: 64, payload });
  }
}
