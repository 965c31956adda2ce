/**
 * Numbers of Mobile IP for IPv4: message types, extension types and reply codes.
 *
 * Standards: RFC 5944 section 6, RFC 2794 (NAI), RFC 3024 (reverse tunnels), RFC 3519 (NAT traversal), RFC 3543 (revocation),
 * RFC 4721 (challenge), RFC 5177 (mobile networks). The numbers of RFC 2794 and RFC 4721 are IANA's.
 */

// Specification constants
export const MOBILE_IP_PORT = 434;
/** All Mobility Agents, RFC 5944 section 3.6.1.1. */
export const ALL_MOBILITY_AGENTS = 0xe000000b;
export const ALL_SYSTEMS = 0xe0000001;
export const LIMITED_BROADCAST = 0xffffffff;
/** In a Lifetime field: no end. */
export const INFINITE_LIFETIME = 0xffff;

export const MESSAGE = {
  registrationRequest: 1,
  registrationReply: 3,
  tunnelData: 4,
  revocation: 7,
  revocationAcknowledgement: 15,
} as const;

/** Extensions of messages on UDP port 434. Types up to 127 must be understood, 128 and up may be skipped (section 1.8). */
export const EXTENSION = {
  mobileHomeAuthentication: 32,
  mobileForeignAuthentication: 33,
  foreignHomeAuthentication: 34,
  generalizedAuthentication: 36,
  udpTunnelReply: 44,
  encapsulatingDelivery: 130,
  networkAccessIdentifier: 131,
  challenge: 132,
  revocationSupport: 137,
  udpTunnelRequest: 144,
  mobileNetwork: 148,
} as const;

/** Extensions of ICMP router advertisements, a number space of their own. */
export const ADVERTISEMENT_EXTENSION = { padding: 0, mobilityAgent: 16, prefixLengths: 19, challenge: 24 } as const;

/** Every code of a Registration Reply that these agents send or understand. 64 to 127 and 194 are a foreign agent's. */
export const REPLY_CODE = {
  accepted: 0,
  acceptedOneBindingOnly: 1,
  foreignUnspecified: 64,
  foreignProhibited: 65,
  foreignInsufficientResources: 66,
  mobileFailedForeignAuthentication: 67,
  homeFailedAuthentication: 68,
  lifetimeTooLong: 69,
  foreignPoorlyFormedRequest: 70,
  poorlyFormedReply: 71,
  foreignEncapsulationUnavailable: 72,
  foreignReverseTunnelUnavailable: 74,
  foreignReverseTunnelMandatory: 75,
  mobileNodeTooDistant: 76,
  invalidCareOfAddress: 77,
  registrationTimeout: 78,
  deliveryStyleNotSupported: 79,
  homeNetworkUnreachable: 80,
  homeAgentHostUnreachable: 81,
  homeAgentPortUnreachable: 82,
  homeAgentUnreachable: 88,
  nonzeroHomeAddressRequired: 96,
  missingNetworkAccessIdentifier: 97,
  unknownChallenge: 104,
  missingChallenge: 105,
  staleChallenge: 106,
  homeUnspecified: 128,
  homeProhibited: 129,
  homeInsufficientResources: 130,
  mobileFailedHomeAuthentication: 131,
  foreignFailedAuthentication: 132,
  identificationMismatch: 133,
  homePoorlyFormedRequest: 134,
  tooManyBindings: 135,
  unknownHomeAgent: 136,
  homeReverseTunnelUnavailable: 137,
  homeReverseTunnelMandatory: 138,
  homeEncapsulationUnavailable: 139,
  udpEncapsulationUnavailable: 142,
  mobileNetworkError: 147,
  mobileNetworkDisallowed: 148,
  invalidHomeAgentAddress: 194,
} as const;
export type ReplyCodeName = keyof typeof REPLY_CODE;

const names = new Map<number, string>(
  Object.entries(REPLY_CODE).map(([name, code]) => [code, name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`)]),
);

/** A code in words, for logs and status: `133 identification mismatch`. */
export const replyCodeText = (code: number): string => `${code} ${names.get(code) ?? 'unknown'}`;

export const isAccepted = (code: number): boolean => code === 0 || code === 1;
/** Whether the home agent made the reply (accepted or denied), so that it must carry the mobile-home authenticator. */
export const isFromHomeAgent = (code: number): boolean => isAccepted(code) || (code >= 128 && code !== 194);

/** Codes of a Mobile Network Acknowledgement, RFC 5177 section 4.2. */
export const MOBILE_NETWORK_CODE = {
  success: 0,
  invalidPrefixLength: 1,
  unauthorized: 2,
  forwardingFailed: 3,
} as const;
