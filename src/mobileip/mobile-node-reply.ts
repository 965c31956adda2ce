/** Whether a Registration Reply is from whom it says: RFC 5944 sections 3.6.2.1 and 3.5.4. */
import type { Ipv4Address } from '../ip/index.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf } from './extension.ts';
import type { MobileNodeOptions } from './mobile-node-options.ts';
import { EXTENSION, isFromHomeAgent } from './numbers.ts';
import type { RegistrationReply } from './registration.ts';
import { isAuthentic } from './security.ts';

/** What is wrong with it; undefined when nothing is. @param agent to whom the request went. */
export function replyAuthenticationFault(
  { payload }: UdpDatagram,
  reply: RegistrationReply,
  agent: Ipv4Address,
  homeAgent: Ipv4Address,
  { foreignAssociations, homeAssociation, hmac }: MobileNodeOptions,
): 'foreign-authentication' | 'home-authentication' | undefined {
  if (agent !== homeAgent && foreignAssociations.has(agent)) {
    const extensions = authenticationsOf(reply.extensions, EXTENSION.mobileForeignAuthentication);
    const [extension] = extensions;
    const association = extension && foreignAssociations.find(agent, extension.spi);
    if (!extension || extensions.length > 1 || !association || !isAuthentic(payload, extension, association, hmac))
      return 'foreign-authentication';
  }
  if (!isFromHomeAgent(reply.code)) return undefined;
  const extensions = authenticationsOf(reply.extensions, EXTENSION.mobileHomeAuthentication);
  const [extension] = extensions;
  if (extension === undefined || extensions.length > 1 || !isAuthentic(payload, extension, homeAssociation, hmac))
    return 'home-authentication';
  return undefined;
}
