/** Whether what a foreign agent hears is from whom it says: RFC 5944 sections 3.7.2.1 and 3.7.3.1. Without a shared key, it is taken for it. */
import type { Ipv4Address } from '../ip/index.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf, ofKind, type PlacedExtension } from './extension.ts';
import type { ForeignAgentOptions } from './foreign-agent-policy.ts';
import { EXTENSION } from './numbers.ts';
import type { RegistrationReply, RegistrationRequest } from './registration.ts';
import { isAuthentic } from './security.ts';

export function isFromMobileNode(
  payload: Uint8Array,
  { homeAddress, extensions: all }: RegistrationRequest,
  { mobileAssociations, hmac }: ForeignAgentOptions,
): boolean {
  const peer = mobilePeer(homeAddress, all, mobileAssociations);
  if (!mobileAssociations.has(peer)) return true;
  const extensions = authenticationsOf(all, EXTENSION.mobileForeignAuthentication);
  const [extension] = extensions;
  if (extension === undefined || extensions.length > 1) return false;
  const association = mobileAssociations.find(peer, extension.spi);
  return association !== undefined && isAuthentic(payload, extension, association, hmac);
}

export function isFromHomeAgent(
  { source, payload }: UdpDatagram,
  reply: RegistrationReply,
  { homeAssociations, hmac }: ForeignAgentOptions,
): boolean {
  if (!homeAssociations.has(source)) return true;
  const extensions = authenticationsOf(reply.extensions, EXTENSION.foreignHomeAuthentication);
  const [extension] = extensions;
  if (extension === undefined || extensions.length > 1) return false;
  const association = homeAssociations.find(source, extension.spi);
  return association !== undefined && isAuthentic(payload, extension, association, hmac);
}

/** A node without a home address, or known by its name only, goes by its NAI (RFC 2794). */
function mobilePeer(
  homeAddress: Ipv4Address,
  extensions: readonly PlacedExtension[],
  associations: ForeignAgentOptions['mobileAssociations'],
): Ipv4Address | string {
  const nai = ofKind(extensions, 'networkAccessIdentifier')[0]?.identifier;
  return homeAddress === 0 || !associations.has(homeAddress) ? (nai ?? homeAddress) : homeAddress;
}
