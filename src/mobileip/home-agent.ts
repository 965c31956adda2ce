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
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import { type Binding, BindingTable } from './binding-table.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf, type OtherExtension, ofKind, writeExtension } from './extension.ts';
import { type Denial, decide, type Grant, type HomeAgentOptions, type MobileNodeAccount } from './home-agent-policy.ts';
import {
  checkIdentification,
  joined,
  low32,
  newReplayRecord,
  type ReplayRecord,
  revocationTimestamp,
  revocationTimestampDifference,
} from './identification.ts';
import { EXTENSION, INFINITE_LIFETIME, MESSAGE, MOBILE_IP_PORT, REPLY_CODE, replyCodeText } from './numbers.ts';
import { emitRegistrationReply, parseRegistrationRequest, type RegistrationRequest } from './registration.ts';
import {
  emitRevocation,
  emitRevocationAcknowledgement,
  parseRevocation,
  parseRevocationAcknowledgement,
} from './revocation.ts';
import { type OutstandingRevocation, Revoker } from './revoker.ts';
import { authenticate, isAuthentic, type SecurityAssociation } from './security.ts';

export type RemovalReason = 'expired' | 'deregistered' | 'moved' | 'revoked';

export type HomeAgentEvent =
  | {
      readonly kind: 'bound';
      readonly change: 'created' | 'refreshed';
      readonly binding: Binding;
      readonly replay: ReplayRecord;
    }
  | { readonly kind: 'unbound'; readonly why: RemovalReason; readonly binding: Binding; readonly replay: ReplayRecord }
  | { readonly kind: 'denied'; readonly code: number; readonly homeAddress: Ipv4Address; readonly source: Ipv4Address }
  | { readonly kind: 'discarded'; readonly reason: string; readonly source: Ipv4Address };

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
  readonly #revoker = new Revoker();
  /** Ended by a revocation, to acknowledge its repetitions; by home and care-of address. */
  readonly #revoked = new Map<string, Instant>();
  readonly #transmits: UdpDatagram[] = [];
  readonly #events: HomeAgentEvent[] = [];
  #unauthenticTokens = UNAUTHENTIC_REPLIES_PER_SECOND;
  #unauthenticAt = 0 as Instant;
  /** Set by the adapter while bindings cannot be stored: new ones are denied with 128. */
  storageFailed = false;

  constructor(options: HomeAgentOptions) {
    this.options = options;
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
        this.#handleRevocation(datagram, now);
        break;
      case MESSAGE.revocationAcknowledgement:
        this.#handleAcknowledgement(datagram);
        break;
      default:
        this.#discard('message-type', datagram);
    }
  }

  handleTimeout(now: Instant): void {
    for (const binding of this.bindings.expired(now)) this.#remove(binding, 'expired', now);
    const identifier = () => revocationTimestamp(this.options.wallTime(now));
    for (const { revocation, identifier: value } of this.#revoker.due(now, identifier))
      this.#sendRevocation(revocation, value);
    for (const [key, until] of this.#revoked) if (until <= now) this.#revoked.delete(key);
  }

  pollTransmit(): UdpDatagram | undefined {
    return this.#transmits.shift();
  }
  pollEvent(): HomeAgentEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Deadline | undefined {
    const expiry = this.bindings.nextExpiry;
    const revocation = this.#revoker.nextAt();
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
      this.#startRevocation(binding, true, now);
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
    const revocation = this.#negotiateRevocation(datagram, request, grant, now);
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
        this.#startRevocation(other, false, now);
      }
    }
    this.bindings.put(binding);
    this.#revoked.delete(`${binding.homeAddress}/${binding.careOfAddress}`);
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
      if (binding.requestSource !== source) this.#startRevocation(binding, false, now);
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

  /** RFC 3543 section 3.2: only with whom the revocations could be authenticated, and only when asked. */
  #negotiateRevocation(
    datagram: UdpDatagram,
    request: RegistrationRequest,
    grant: Grant,
    now: Instant,
  ): { inform: boolean; timestamp: number; direct: boolean; extension: OtherExtension } | undefined {
    const asked = ofKind(request.extensions, 'revocationSupport')[0];
    if (asked === undefined || grant.lifetime === 0) return undefined;
    const direct = request.decapsulationByMobileNode && datagram.source === request.careOfAddress;
    if (!direct && !this.options.foreignAssociations.has(datagram.source)) return undefined;
    const timestamp = revocationTimestamp(this.options.wallTime(now));
    const extension = { kind: 'revocationSupport', inform: asked.inform, timestamp } as const;
    return { inform: asked.inform, timestamp: asked.timestamp, direct, extension };
  }

  #startRevocation(binding: Binding, inform: boolean, now: Instant): void {
    if (binding.revocation === undefined || binding.expiresAt <= now) return;
    this.#revoker.start(
      {
        homeAddress: binding.homeAddress,
        homeDomainAddress: this.options.address,
        foreignDomainAddress: binding.careOfAddress,
        inform: inform && binding.revocation.inform,
        peer: binding.requestSource,
        expiresAt: binding.expiresAt,
      },
      now,
    );
  }

  #sendRevocation(revocation: OutstandingRevocation, identifier: number): void {
    const secured = this.#securedWith(revocation.peer, revocation.homeAddress);
    if (secured === undefined) return;
    const writer = emitRevocation({ ...revocation, fromHomeAgent: true, identifier });
    authenticate(writer, secured.type, secured.association, this.options.hmac);
    this.counters.add('revocations.sent');
    this.#send(revocation.peer, MOBILE_IP_PORT, writer.finish());
  }

  /** Towards a foreign agent its own association, else the mobile node's (section 3.3). */
  #securedWith(
    peer: Ipv4Address,
    homeAddress: Ipv4Address,
  ): { type: number; association: SecurityAssociation } | undefined {
    const foreign = this.options.foreignAssociations.preferred(peer);
    if (foreign !== undefined) return { type: EXTENSION.foreignHomeAuthentication, association: foreign };
    const mobile = this.options.mobileAssociations.preferred(homeAddress);
    return mobile === undefined ? undefined : { type: EXTENSION.mobileHomeAuthentication, association: mobile };
  }

  #handleRevocation(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRevocation(datagram.payload);
    if (!parsed.ok) {
      this.#discard(parsed.reason, datagram);
      return;
    }
    const revocation = parsed.value;
    const authentications = authenticationsOf(revocation.extensions, EXTENSION.foreignHomeAuthentication);
    const [extension] = authentications;
    const association =
      extension && authentications.length === 1
        ? this.options.foreignAssociations.find(datagram.source, extension.spi)
        : undefined;
    if (!extension || !association || !isAuthentic(datagram.payload, extension, association, this.options.hmac)) {
      this.#discard('revocation-authentication', datagram);
      return;
    }
    const { homeAddress, foreignDomainAddress, identifier } = revocation;
    const key = `${homeAddress}/${foreignDomainAddress}`;
    const binding = this.bindings.find(homeAddress, foreignDomainAddress);
    const known = binding?.revocation;
    // Section 3.5: a reflection of our own, a replay, or older than the registration that it would end.
    const current =
      known !== undefined &&
      binding?.requestSource === datagram.source &&
      revocationTimestampDifference(identifier, known.timestamp) >= 0;
    if (revocation.fromHomeAgent || revocation.homeDomainAddress !== this.options.address) {
      this.#discard('revocation-direction', datagram);
      return;
    }
    if (binding !== undefined && !current) {
      this.#discard('revocation-replay', datagram);
      return;
    }
    if (binding === undefined && !this.#revoked.has(key)) {
      this.#discard('revocation-unknown-binding', datagram);
      return;
    }
    if (binding !== undefined) {
      this.#remove(binding, 'revoked', now);
      this.#revoked.set(key, plus(now, seconds(60)));
    }
    const inform = revocation.inform && (known?.inform ?? false);
    const writer = emitRevocationAcknowledgement({ inform, homeAddress, identifier });
    authenticate(writer, EXTENSION.foreignHomeAuthentication, association, this.options.hmac);
    this.#send(datagram.source, datagram.sourcePort, writer.finish());
  }

  #handleAcknowledgement(datagram: UdpDatagram): void {
    const parsed = parseRevocationAcknowledgement(datagram.payload);
    if (!parsed.ok) {
      this.#discard(parsed.reason, datagram);
      return;
    }
    const { homeAddress, identifier, extensions } = parsed.value;
    const secured = this.#securedWith(datagram.source, homeAddress);
    const extension = secured && authenticationsOf(extensions, secured.type)[0];
    if (!secured || !extension || !isAuthentic(datagram.payload, extension, secured.association, this.options.hmac)) {
      this.#discard('acknowledgement-authentication', datagram);
      return;
    }
    if (this.#revoker.acknowledge(datagram.source, homeAddress, identifier) === undefined)
      this.#discard('acknowledgement-unexpected', datagram);
    else this.counters.add('revocations.acknowledged');
  }

  #send(destination: Ipv4Address, destinationPort: number, payload: Uint8Array): void {
    const { address } = this.options;
    const sourcePort = MOBILE_IP_PORT;
    this.#transmits.push({ source: address, sourcePort, destination, destinationPort, timeToLive: 64, payload });
  }
}

/** For a log. */
export function describeHomeAgentEvent(event: HomeAgentEvent): string {
  switch (event.kind) {
    case 'bound':
      return `event=${event.change} home=${formatIpv4(event.binding.homeAddress)} care-of=${formatIpv4(event.binding.careOfAddress)} lifetime=${event.binding.lifetime}`;
    case 'unbound':
      return `event=unbound why=${event.why} home=${formatIpv4(event.binding.homeAddress)} care-of=${formatIpv4(event.binding.careOfAddress)}`;
    case 'denied':
      return `event=denied code="${replyCodeText(event.code)}" home=${formatIpv4(event.homeAddress)} from=${formatIpv4(event.source)}`;
    case 'discarded':
      return `event=discarded reason=${event.reason} from=${formatIpv4(event.source)}`;
  }
}
