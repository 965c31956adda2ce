/** A revocation that the home agent sends to the mobile node itself: RFC 3543 section 4.2.2.3, with a co-located care-of address only. */
import type { Ipv4Address } from '../ip/index.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf } from './extension.ts';
import { revocationTimestampDifference } from './identification.ts';
import type { Registration } from './mobile-node-events.ts';
import type { MobileNodeOptions } from './mobile-node-options.ts';
import { EXTENSION, MOBILE_IP_PORT } from './numbers.ts';
import { emitRevocationAcknowledgement, parseRevocation } from './revocation.ts';
import { authenticate, isAuthentic } from './security.ts';

export type RevocationAnswer =
  | { readonly identifier: number; readonly acknowledgement: UdpDatagram }
  | { readonly fault: 'revocation-authentication' | 'revocation-replay' };

/** @param last the identifier of the last one that was believed */
export function answerRevocation(
  datagram: UdpDatagram,
  registration: Registration | undefined,
  ownAddress: Ipv4Address,
  last: number | undefined,
  { homeAssociation, hmac }: MobileNodeOptions,
): RevocationAnswer {
  const parsed = parseRevocation(datagram.payload);
  const extension = parsed.ok
    ? authenticationsOf(parsed.value.extensions, EXTENSION.mobileHomeAuthentication)[0]
    : undefined;
  if (!parsed.ok || !extension || !isAuthentic(datagram.payload, extension, homeAssociation, hmac))
    return { fault: 'revocation-authentication' };
  const { fromHomeAgent, homeAddress, foreignDomainAddress, identifier } = parsed.value;
  const replayed = last !== undefined && revocationTimestampDifference(identifier, last) <= 0;
  const ours = fromHomeAgent && homeAddress === ownAddress && registration?.coLocated === true;
  if (!ours || foreignDomainAddress !== registration.careOfAddress || replayed) return { fault: 'revocation-replay' };
  const writer = emitRevocationAcknowledgement({ inform: false, homeAddress, identifier });
  authenticate(writer, EXTENSION.mobileHomeAuthentication, homeAssociation, hmac);
  const to = { destination: datagram.source, destinationPort: datagram.sourcePort, timeToLive: 64 };
  const from = { source: registration.careOfAddress, sourcePort: MOBILE_IP_PORT };
  return { identifier, acknowledgement: { ...from, ...to, payload: writer.finish() } };
}
