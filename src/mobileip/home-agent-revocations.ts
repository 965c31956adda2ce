/** The home agent's part in registration revocation: RFC 3543 sections 3 and 4.2, with foreign agents and co-located nodes. */
import { type Counters, type Instant, plus, seconds } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { Binding, BindingTable } from './binding-table.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf, type OtherExtension, ofKind } from './extension.ts';
import type { Grant, HomeAgentOptions } from './home-agent-policy.ts';
import { revocationTimestamp, revocationTimestampDifference } from './identification.ts';
import { EXTENSION, MOBILE_IP_PORT } from './numbers.ts';
import type { RegistrationRequest } from './registration.ts';
import {
  emitRevocation,
  emitRevocationAcknowledgement,
  parseRevocation,
  parseRevocationAcknowledgement,
} from './revocation.ts';
import { type OutstandingRevocation, Revoker } from './revoker.ts';
import { authenticate, isAuthentic, type SecurityAssociation } from './security.ts';

/** What revocations want of the agent. */
export interface HomeAgentRevocationPort {
  send(destination: Ipv4Address, port: number, payload: Uint8Array): void;
  end(binding: Binding, now: Instant): void;
  discard(reason: string, datagram: UdpDatagram): void;
}

export class HomeAgentRevocations {
  readonly #options: HomeAgentOptions;
  readonly #bindings: BindingTable;
  readonly #counters: Counters;
  readonly #port: HomeAgentRevocationPort;
  readonly #revoker = new Revoker();
  /** Ended by a revocation, to acknowledge its repetitions; by home and care-of address. */
  readonly #revoked = new Map<string, Instant>();

  constructor(options: HomeAgentOptions, bindings: BindingTable, counters: Counters, port: HomeAgentRevocationPort) {
    this.#options = options;
    this.#bindings = bindings;
    this.#counters = counters;
    this.#port = port;
  }

  nextAt(): Instant {
    return this.#revoker.nextAt();
  }

  handleTimeout(now: Instant): void {
    const identifier = () => revocationTimestamp(this.#options.wallTime(now));
    for (const { revocation, identifier: value } of this.#revoker.due(now, identifier))
      this.#transmit(revocation, value);
    for (const [key, until] of this.#revoked) if (until <= now) this.#revoked.delete(key);
  }

  /** A binding was made anew: an old revocation of it is history. */
  bound({ homeAddress, careOfAddress }: Binding): void {
    this.#revoked.delete(`${homeAddress}/${careOfAddress}`);
  }

  /** RFC 3543 section 3.2: only with whom the revocations could be authenticated, and only when asked. */
  negotiate(
    datagram: UdpDatagram,
    request: RegistrationRequest,
    grant: Grant,
    now: Instant,
  ): { inform: boolean; timestamp: number; direct: boolean; extension: OtherExtension } | undefined {
    const asked = ofKind(request.extensions, 'revocationSupport')[0];
    if (asked === undefined || grant.lifetime === 0) return undefined;
    const direct = request.decapsulationByMobileNode && datagram.source === request.careOfAddress;
    if (!direct && !this.#options.foreignAssociations.has(datagram.source)) return undefined;
    const timestamp = revocationTimestamp(this.#options.wallTime(now));
    const extension = { kind: 'revocationSupport', inform: asked.inform, timestamp } as const;
    return { inform: asked.inform, timestamp: asked.timestamp, direct, extension };
  }

  start(binding: Binding, inform: boolean, now: Instant): void {
    if (binding.revocation === undefined || binding.expiresAt <= now) return;
    this.#revoker.start(
      {
        homeAddress: binding.homeAddress,
        homeDomainAddress: this.#options.address,
        foreignDomainAddress: binding.careOfAddress,
        inform: inform && binding.revocation.inform,
        peer: binding.requestSource,
        expiresAt: binding.expiresAt,
      },
      now,
    );
  }

  #transmit(revocation: OutstandingRevocation, identifier: number): void {
    const secured = this.#securedWith(revocation.peer, revocation.homeAddress);
    if (secured === undefined) return;
    const writer = emitRevocation({ ...revocation, fromHomeAgent: true, identifier });
    authenticate(writer, secured.type, secured.association, this.#options.hmac);
    this.#counters.add('revocations.sent');
    this.#port.send(revocation.peer, MOBILE_IP_PORT, writer.finish());
  }

  /** Towards a foreign agent its own association, else the mobile node's (section 3.3). */
  #securedWith(
    peer: Ipv4Address,
    homeAddress: Ipv4Address,
  ): { type: number; association: SecurityAssociation } | undefined {
    const foreign = this.#options.foreignAssociations.preferred(peer);
    if (foreign !== undefined) return { type: EXTENSION.foreignHomeAuthentication, association: foreign };
    const mobile = this.#options.mobileAssociations.preferred(homeAddress);
    return mobile === undefined ? undefined : { type: EXTENSION.mobileHomeAuthentication, association: mobile };
  }

  handleRevocation(datagram: UdpDatagram, now: Instant): void {
    const parsed = parseRevocation(datagram.payload);
    if (!parsed.ok) {
      this.#port.discard(parsed.reason, datagram);
      return;
    }
    const revocation = parsed.value;
    const authentications = authenticationsOf(revocation.extensions, EXTENSION.foreignHomeAuthentication);
    const [extension] = authentications;
    const association =
      extension && authentications.length === 1
        ? this.#options.foreignAssociations.find(datagram.source, extension.spi)
        : undefined;
    if (!extension || !association || !isAuthentic(datagram.payload, extension, association, this.#options.hmac)) {
      this.#port.discard('revocation-authentication', datagram);
      return;
    }
    const { homeAddress, foreignDomainAddress, identifier } = revocation;
    const key = `${homeAddress}/${foreignDomainAddress}`;
    const binding = this.#bindings.find(homeAddress, foreignDomainAddress);
    const known = binding?.revocation;
    // Section 3.5: a reflection of our own, a replay, or older than the registration that it would end.
    const current =
      known !== undefined &&
      binding?.requestSource === datagram.source &&
      revocationTimestampDifference(identifier, known.timestamp) >= 0;
    if (revocation.fromHomeAgent || revocation.homeDomainAddress !== this.#options.address) {
      this.#port.discard('revocation-direction', datagram);
      return;
    }
    if (binding !== undefined && !current) {
      this.#port.discard('revocation-replay', datagram);
      return;
    }
    if (binding === undefined && !this.#revoked.has(key)) {
      this.#port.discard('revocation-unknown-binding', datagram);
      return;
    }
    if (binding !== undefined) {
      this.#port.end(binding, now);
      this.#revoked.set(key, plus(now, seconds(60)));
    }
    const inform = revocation.inform && (known?.inform ?? false);
    const writer = emitRevocationAcknowledgement({ inform, homeAddress, identifier });
    authenticate(writer, EXTENSION.foreignHomeAuthentication, association, this.#options.hmac);
    this.#port.send(datagram.source, datagram.sourcePort, writer.finish());
  }

  handleAcknowledgement(datagram: UdpDatagram): void {
    const parsed = parseRevocationAcknowledgement(datagram.payload);
    if (!parsed.ok) {
      this.#port.discard(parsed.reason, datagram);
      return;
    }
    const { homeAddress, identifier, extensions } = parsed.value;
    const secured = this.#securedWith(datagram.source, homeAddress);
    const extension = secured && authenticationsOf(extensions, secured.type)[0];
    if (!secured || !extension || !isAuthentic(datagram.payload, extension, secured.association, this.#options.hmac)) {
      this.#port.discard('acknowledgement-authentication', datagram);
      return;
    }
    if (this.#revoker.acknowledge(datagram.source, homeAddress, identifier) === undefined)
      this.#port.discard('acknowledgement-unexpected', datagram);
    else this.#counters.add('revocations.acknowledged');
  }
}
