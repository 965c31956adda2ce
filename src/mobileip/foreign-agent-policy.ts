/**
 * What a foreign agent is configured with, and whether it relays a request: RFC 5944 sections 3.7.2 and 3.7.2.3, RFC 3024 section
 * 4.2.1, RFC 2794, RFC 4721. Pure: the request in, a denial's code or undefined out.
 */

import type { Instant, WallTime } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { AdvertisementMode } from './advertiser.ts';
import { CODE_MOBILITY_ONLY, emitAgentAdvertisement } from './agent-discovery.ts';
import { contains, type NetworkPrefix } from './binding-table.ts';
import type { UdpDatagram } from './datagram.ts';
import { authenticationsOf, ofKind } from './extension.ts';
import type { Permission } from './home-agent-policy.ts';
import { ALL_MOBILITY_AGENTS, EXTENSION, INFINITE_LIFETIME, REPLY_CODE } from './numbers.ts';
import type { RegistrationRequest } from './registration.ts';
import type { Hmac, SecurityAssociations } from './security.ts';

export interface ForeignAgentOptions {
  /** The agent's address on its links: source of advertisements, destination of requests. */
  readonly address: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  /** Every address of the node, to refuse a request that names one of them as home agent (194). */
  readonly ownAddresses: readonly Ipv4Address[];
  readonly advertisement: AdvertisementMode;
  /** Seconds between periodic advertisements. */
  readonly advertisementInterval: number;
  /** Seconds for which an advertisement is valid. */
  readonly advertisementLifetime: number;
  /** One for the agent's address, or none. */
  readonly prefixLength?: number;
  /** Seconds. */
  readonly maximumLifetime: number;
  /** R: co-located mobile nodes must register here as well. */
  readonly registrationRequired: boolean;
  readonly maximumVisitors: number;
  /** RFC 5944 section 3.7.1: typically 5. */
  readonly maximumPending: number;
  /** Seconds until a request that was relayed is given up with 78. */
  readonly pendingSeconds: number;
  readonly reverseTunnel: Permission;
  readonly encapsulatingDelivery: boolean;
  readonly challenge: boolean;
  /** Whether a mobile node without a home address is served (RFC 2794). */
  readonly zeroHomeAddress: boolean;
  /** Home agents that are served; empty for all. */
  readonly homeAgentNetworks: readonly NetworkPrefix[];
  readonly revocation: boolean;
  /** Asks for UDP tunnels: the agent is behind a NAT (RFC 3519 section 4.5). */
  readonly behindNat: boolean;
  /** Stations whose return link brings requests for this agent, by care-of address (asymmetric stations). */
  readonly returnStations: readonly Ipv4Address[];
  /** With mobile nodes, by home address or NAI. */
  readonly mobileAssociations: SecurityAssociations;
  /** With home agents, by address. */
  readonly homeAssociations: SecurityAssociations;
  readonly wallTime: (now: Instant) => WallTime;
  readonly hmac: Hmac;
  readonly random: () => number;
}

export const FOREIGN_AGENT_DEFAULTS = {
  advertisement: 'link-up' as AdvertisementMode,
  advertisementInterval: 600,
  advertisementLifetime: 1800,
  maximumLifetime: 1800,
  registrationRequired: false,
  maximumVisitors: 64,
  maximumPending: 5,
  pendingSeconds: 7,
  reverseTunnel: 'allowed' as Permission,
  encapsulatingDelivery: true,
  challenge: false,
  zeroHomeAddress: true,
  homeAgentNetworks: [],
  revocation: true,
  behindNat: false,
  returnStations: [],
};

export interface ForeignCircumstances {
  readonly datagram: UdpDatagram;
  /** The station whose return link it came by, or undefined when it came by a link of this one. */
  readonly returnStation: Ipv4Address | undefined;
  readonly isVisitor: boolean;
  readonly visitors: number;
  readonly pending: number;
  readonly forwardingFailed: boolean;
  readonly checkChallenge: () => number | undefined;
  readonly authentic: () => boolean;
}

/** The code to deny a request with, or undefined when it is to be relayed. */
export function foreignDenial(
  request: RegistrationRequest,
  at: ForeignCircumstances,
  options: ForeignAgentOptions,
): number | undefined {
  const deregistration = request.lifetime === 0;
  if (request.reservedBit) return REPLY_CODE.foreignPoorlyFormedRequest;
  const authorizing =
    authenticationsOf(request.extensions, EXTENSION.mobileHomeAuthentication).length > 0 ||
    request.extensions.some((each) => each.kind === 'skipped' && each.type === EXTENSION.generalizedAuthentication);
  const delivery = ofKind(request.extensions, 'encapsulatingDelivery').length > 0;
  if (!authorizing || (delivery && !request.reverseTunnel)) return REPLY_CODE.foreignPoorlyFormedRequest;
  if (request.reverseTunnel && !isFromNeighbour(at)) return REPLY_CODE.mobileNodeTooDistant;
  const challenge = at.checkChallenge();
  if (challenge !== undefined) return challenge;
  if (!at.authentic()) return REPLY_CODE.mobileFailedForeignAuthentication;
  if (request.homeAddress === 0) {
    if (!options.zeroHomeAddress) return REPLY_CODE.nonzeroHomeAddressRequired;
    if (ofKind(request.extensions, 'networkAccessIdentifier').length === 0)
      return REPLY_CODE.missingNetworkAccessIdentifier;
  }
  if (options.ownAddresses.includes(request.homeAgent)) return REPLY_CODE.invalidHomeAgentAddress;
  const { homeAgentNetworks } = options;
  if (homeAgentNetworks.length > 0 && !homeAgentNetworks.some((prefix) => contains(prefix, request.homeAgent)))
    return REPLY_CODE.foreignProhibited;
  // Deregistrations MUST be relayed (section 3.7): what follows would only keep a mobile node from leaving.
  if (deregistration) return undefined;
  if (!request.decapsulationByMobileNode && request.careOfAddress !== options.careOfAddress)
    return REPLY_CODE.invalidCareOfAddress;
  if (isLonger(request.lifetime, options.maximumLifetime)) return REPLY_CODE.lifetimeTooLong;
  if (request.minimalEncapsulation || request.greEncapsulation) return REPLY_CODE.foreignEncapsulationUnavailable;
  if (delivery && !options.encapsulatingDelivery) return REPLY_CODE.deliveryStyleNotSupported;
  if (request.reverseTunnel && options.reverseTunnel === 'refused') return REPLY_CODE.foreignReverseTunnelUnavailable;
  if (!request.reverseTunnel && options.reverseTunnel === 'required') return REPLY_CODE.foreignReverseTunnelMandatory;
  if (at.forwardingFailed) return REPLY_CODE.foreignUnspecified;
  const full = !at.isVisitor && at.visitors >= options.maximumVisitors;
  return full || at.pending >= options.maximumPending ? REPLY_CODE.foreignInsufficientResources : undefined;
}

const isLonger = (lifetime: number, maximum: number): boolean => maximum !== INFINITE_LIFETIME && lifetime > maximum;

/**
 * RFC 3024 section 4.2.1 wants TTL 255, so that nobody further away can hijack the reverse tunnel; RFC 5944 section 3.6.1.1 wants
 * TTL 1 towards 224.0.0.11, which nobody further away can reach either. Both are neighbours. A station whose return link
 * brought the request has forwarded it once.
 */
function isFromNeighbour({ datagram, returnStation }: ForeignCircumstances): boolean {
  if (datagram.destination === ALL_MOBILITY_AGENTS) return datagram.timeToLive === 1 || datagram.timeToLive === 255;
  return datagram.timeToLive === 255 || (returnStation !== undefined && datagram.timeToLive === 254);
}

/** What it says of itself on a link: RFC 5944 section 2.3. */
export function advertisementOf(
  options: ForeignAgentOptions,
  sequence: number,
  busy: boolean,
  challenge: Uint8Array | undefined,
): Uint8Array {
  return emitAgentAdvertisement({
    code: CODE_MOBILITY_ONLY,
    lifetime: options.advertisementLifetime,
    routers: [{ address: options.address, preference: 0 }],
    agent: {
      sequence,
      registrationLifetime: options.maximumLifetime,
      registrationRequired: options.registrationRequired,
      busy,
      homeAgent: false,
      foreignAgent: true,
      minimalEncapsulation: false,
      greEncapsulation: false,
      reverseTunnel: options.reverseTunnel !== 'refused',
      udpTunnel: options.behindNat,
      revocation: options.revocation,
      careOfAddresses: [options.careOfAddress],
    },
    prefixLengths: options.prefixLength === undefined ? [] : [options.prefixLength],
    ...(challenge === undefined ? {} : { challenge }),
  });
}
