/** The foreign agent's part in registration revocation: RFC 3543 section 4.2. Both ways need a key shared with the home agent. */
import { type Counters, type Instant, plus, seconds } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf } from './extension.ts';
import type { ForeignAgentOptions } from './foreign-agent-policy.ts';
import { revocationTimestamp, revocationTimestampDifference } from './identification.ts';
import { EXTENSION, MOBILE_IP_PORT } from './numbers.ts';
import {
  emitRevocation,
  emitRevocationAcknowledgement,
  parseRevocation,
  parseRevocationAcknowledgement,
} from './revocation.ts';
import { Revoker } from './revoker.ts';
import { authenticate, isAuthentic } from './security.ts';
import type { Visitor, VisitorList } from './visitor-list.ts';

/** What revocations want of the agent. */
export interface ForeignAgentRevocationPort {
  send(destination: Ipv4Address, port: number, payload: Uint8Array): void;
  depart(visitor: Visitor, moved: boolean): void;
  /** By an advertisement on the link that starts again from 0. */
  inform(link: string, now: Instant): void;
  discard(reason: string, source: Ipv4Address): void;
}

export class ForeignAgentRevocations {
  readonly #options: ForeignAgentOptions;
  readonly #visitors: VisitorList;
  readonly #counters: Counters;
  readonly #port: ForeignAgentRevocationPort;
  readonly #revoker = new Revoker();
  /** Ended by a revocation, to acknowledge its repetitions; by home address and home agent. */
  readonly #revoked = new Map<string, Instant>();

  constructor(
    options: ForeignAgentOptions,
    visitors: VisitorList,
    counters: Counters,
    port: ForeignAgentRevocationPort,
  ) {
    this.#options = options;
    this.#visitors = visitors;
    this.#counters = counters;
    this.#port = port;
  }

  get outstanding(): number {
    return this.#revoker.outstanding;
  }
  nextAt(): Instant {
    return this.#revoker.nextAt();
  }

  /** Tells the home agent that the visit ended, if it wanted to be told. */
  start(visitor: Visitor, now: Instant): void {
    if (visitor.revocation === undefined) return;
    this.#revoker.start(
      {
        homeAddress: visitor.homeAddress,
        homeDomainAddress: visitor.homeAgent,
        foreignDomainAddress: visitor.careOfAddress,
        inform: visitor.revocation.inform,
        peer: visitor.homeAgent,
        expiresAt: visitor.expiresAt,
      },
      now,
    );
  }

  handleTimeout(now: Instant): void {
    const identifier = () => revocationTimestamp(this.#options.wallTime(now));
    for (const { revocation, identifier: value } of this.#revoker.due(now, identifier)) {
      const association = this.#options.homeAssociations.preferred(revocation.peer);
      if (association === undefined) continue;
      const writer = emitRevocation({ ...revocation, fromHomeAgent: false, identifier: value });
      authenticate(writer, EXTENSION.foreignHomeAuthentication, association, this.#options.hmac);
      this.#counters.add('revocations.sent');
      this.#port.send(revocation.peer, MOBILE_IP_PORT, writer.finish());
    }
    for (const [key, until] of this.#revoked) if (until <= now) this.#revoked.delete(key);
  }

  handleRevocation(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRevocation(datagram.payload);
    if (!parsed.ok) {
      this.#port.discard(parsed.reason, datagram.source);
      return;
    }
    const { homeAddress, foreignDomainAddress, identifier, fromHomeAgent, extensions, inform } = parsed.value;
    const [extension] = authenticationsOf(extensions, EXTENSION.foreignHomeAuthentication);
    const association = extension && this.#options.homeAssociations.find(datagram.source, extension.spi);
    if (!extension || !association || !isAuthentic(datagram.payload, extension, association, this.#options.hmac)) {
      this.#port.discard('revocation-authentication', datagram.source);
      return;
    }
    if (!fromHomeAgent || foreignDomainAddress !== this.#options.careOfAddress) {
      this.#port.discard('revocation-direction', datagram.source);
      return;
    }
    const visitor = this.#visitors.find(homeAddress);
    const key = `${homeAddress}/${datagram.source}`;
    if (visitor === undefined ? !this.#revoked.has(key) : visitor.homeAgent !== datagram.source) {
      this.#port.discard('revocation-unknown-binding', datagram.source);
      return;
    }
    if (visitor !== undefined) {
      const registered = visitor.revocation?.timestamp;
      if (registered === undefined || revocationTimestampDifference(identifier, registered) < 0) {
        this.#port.discard('revocation-replay', datagram.source);
        return;
      }
      this.#port.depart(visitor, !inform);
      this.#revoked.set(key, plus(now, seconds(60)));
      // RFC 3543 section 4.1: the mobile node is told by an advertisement that starts again from 0.
      if (inform) this.#port.inform(visitor.link, now);
    }
    const writer = emitRevocationAcknowledgement({ inform, homeAddress, identifier });
    authenticate(writer, EXTENSION.foreignHomeAuthentication, association, this.#options.hmac);
    this.#port.send(datagram.source, datagram.sourcePort, writer.finish());
  }

  handleAcknowledgement(datagram: UdpDatagram): void {
    const parsed = parseRevocationAcknowledgement(datagram.payload);
    const association = this.#options.homeAssociations.preferred(datagram.source);
    const extension = parsed.ok
      ? authenticationsOf(parsed.value.extensions, EXTENSION.foreignHomeAuthentication)[0]
      : undefined;
    if (
      !parsed.ok ||
      !extension ||
      !association ||
      !isAuthentic(datagram.payload, extension, association, this.#options.hmac)
    )
      this.#port.discard('acknowledgement-authentication', datagram.source);
    else if (
      this.#revoker.acknowledge(datagram.source, parsed.value.homeAddress, parsed.value.identifier) === undefined
    )
      this.#port.discard('acknowledgement-unexpected', datagram.source);
    else this.#counters.add('revocations.acknowledged');
  }
}
