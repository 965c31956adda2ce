/**
 * The mobile node's Registration Request: what it asks for, in octets. RFC 5944 section 3.6.1 (the order of the extensions is section
 * 3.6.1.3's), RFC 3024 section 4.1, RFC 5177 section 5, RFC 3519 section 4.4, RFC 4721, RFC 2794.
 */
import type { Duration, Instant } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { HeardAgent } from './agent-list.ts';
import { type OtherExtension, writeExtension } from './extension.ts';
import type { Negotiation } from './mobile-node-negotiation.ts';
import type { MobileNodeOptions } from './mobile-node-options.ts';
import { EXTENSION } from './numbers.ts';
import { emitRegistrationRequest } from './registration.ts';
import { appendAuthentication, authenticate } from './security.ts';

/** A request that waits for its reply. */
export interface Pending {
  readonly link: string;
  readonly agent: HeardAgent | undefined;
  readonly destination: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly coLocated: boolean;
  /** A deregistration on the home network. */
  readonly atHome: boolean;
  readonly lifetime: number;
  readonly firstSentAt: Instant;
  sentAt: Instant;
  attempts: number;
  identification: bigint;
  octets: Uint8Array;
  timeout: Duration;
}

/** @param keepsFormerBinding whether a former station is still in view, if simultaneous bindings are wanted at all */
export function registrationRequestOctets(
  pending: Pending,
  options: MobileNodeOptions,
  negotiated: Negotiation,
  keepsFormerBinding: boolean,
): Uint8Array {
  const { homeAddress, homeAgent, reverseTunnel, challenge } = negotiated;
  const extensions: OtherExtension[] = [];
  const nai = options.networkAccessIdentifier;
  if (nai !== undefined) extensions.push({ kind: 'networkAccessIdentifier', identifier: nai });
  // RFC 5177 section 5: a deregistration carries no prefix.
  if (pending.lifetime !== 0 && negotiated.offersNetworks) {
    for (const { address, length } of options.networks)
      extensions.push({ kind: 'mobileNetworkRequest', prefix: address, prefixLength: length });
  }
  if (pending.coLocated && pending.lifetime !== 0 && options.udpTunnel !== 'off') {
    const force = options.udpTunnel === 'forced';
    const fields = { force, registrationThroughForeignAgent: false, encapsulation: 0, reserved3: 0 };
    extensions.push({ kind: 'udpTunnelRequest', ...fields });
  }
  const writer = emitRegistrationRequest(
    {
      simultaneousBindings: negotiated.simultaneousBindings && keepsFormerBinding,
      decapsulationByMobileNode: pending.coLocated,
      reverseTunnel,
      lifetime: pending.lifetime,
      homeAddress,
      homeAgent,
      careOfAddress: pending.careOfAddress,
      identification: pending.identification,
    },
    extensions,
  );
  authenticate(writer, EXTENSION.mobileHomeAuthentication, options.homeAssociation, options.hmac);
  // Section 3.6.1.3: what only the foreign agent reads comes after the mobile-home authenticator.
  const throughAgent = pending.destination !== homeAgent;
  if (throughAgent && reverseTunnel && negotiated.delivery === 'encapsulating')
    writeExtension(writer, { kind: 'encapsulatingDelivery' });
  if (throughAgent && challenge !== undefined) writeExtension(writer, { kind: 'challenge', challenge });
  const foreign = throughAgent ? options.foreignAssociations.preferred(pending.destination) : undefined;
  return foreign === undefined
    ? writer.finish()
    : appendAuthentication(writer.finish(), EXTENSION.mobileForeignAuthentication, foreign, options.hmac);
}
