/**
 * What a home agent is configured with, and its decision about an authentic request: RFC 5944 sections 3.8.2.2 and 3.8.2.3,
 * RFC 3024 section 4.3.1, RFC 3519 section 4.6, RFC 5177 section 6.3. Pure: the request in, a denial or a grant out.
 */
import { type Duration, type Instant, seconds, type WallTime } from '../core/index.ts';
import { type Ipv4Address, ipv4Mask, PROTOCOL } from '../ip/index.ts';
import { type Binding, contains, type NetworkPrefix, type UdpTunnelEnd } from './binding-table.ts';
import { authenticationsOf, type Extension, type OtherExtension, ofKind } from './extension.ts';
import { DEFAULT_TIMESTAMP_TOLERANCE } from './identification.ts';
import { EXTENSION, MOBILE_NETWORK_CODE, REPLY_CODE } from './numbers.ts';
import type { RegistrationRequest } from './registration.ts';
import type { Hmac, SecurityAssociations } from './security.ts';

/** A mobile node that the home agent serves. */
export interface MobileNodeAccount {
  readonly homeAddress: Ipv4Address;
  /** RFC 2794: names the node when its request carries no home address. */
  readonly networkAccessIdentifier?: string;
  /** Prefixes that the node may move as a mobile router (RFC 5177's prefix table). */
  readonly networks: readonly NetworkPrefix[];
  /** Whether the prefixes are served without being asked for (implicit mode). */
  readonly implicitNetworks: boolean;
  /** Whether the node may be a mobile router at all. */
  readonly mobileRouter: boolean;
  readonly enabled: boolean;
}

export type Permission = 'required' | 'allowed' | 'refused';

export interface HomeAgentOptions {
  readonly address: Ipv4Address;
  readonly homeNetwork: NetworkPrefix;
  readonly mobileNodes: readonly MobileNodeAccount[];
  /** With mobile nodes, by home address or NAI. */
  readonly mobileAssociations: SecurityAssociations;
  /** With foreign agents, by care-of address. */
  readonly foreignAssociations: SecurityAssociations;
  /** Seconds. */
  readonly maximumLifetime: number;
  readonly simultaneousBindings: boolean;
  /** Of one mobile node, with simultaneous bindings. */
  readonly maximumBindingsPerNode: number;
  readonly maximumBindings: number;
  readonly reverseTunnel: Permission;
  readonly udpTunnel: Exclude<Permission, 'required'>;
  /** Whether a mobile node may force a UDP tunnel although no NAT was seen. */
  readonly forcedUdpTunnel: boolean;
  readonly keepaliveSeconds: number;
  /** Care-of addresses that are served; empty for all. */
  readonly careOfNetworks: readonly NetworkPrefix[];
  readonly timestampTolerance: Duration;
  /** How long packets from a care-of address that was left are still believed. */
  readonly departureGrace: Duration;
  /** What time the home agent believes it is. */
  readonly wallTime: (now: Instant) => WallTime;
  readonly hmac: Hmac;
  /** 32 random bits, not guessable. */
  readonly random: () => number;
}

export const HOME_AGENT_DEFAULTS = {
  maximumLifetime: 1800,
  simultaneousBindings: true,
  maximumBindingsPerNode: 4,
  maximumBindings: 100_000,
  reverseTunnel: 'allowed' as Permission,
  udpTunnel: 'allowed' as const,
  forcedUdpTunnel: false,
  /** RFC 3519 section 4.9. */
  keepaliveSeconds: 110,
  careOfNetworks: [],
  timestampTolerance: DEFAULT_TIMESTAMP_TOLERANCE,
  departureGrace: seconds(30),
};

export interface Denial {
  readonly code: number;
  readonly extensions: readonly OtherExtension[];
}

export interface Grant {
  readonly code: number;
  readonly lifetime: number;
  readonly careOfAddress: Ipv4Address;
  readonly networks: readonly NetworkPrefix[];
  readonly udpTunnel?: UdpTunnelEnd;
  /** For the mobile node: before its authenticator. */
  readonly extensions: readonly OtherExtension[];
  /** For the foreign agent: after it. */
  readonly foreignExtensions: readonly OtherExtension[];
}

export interface Circumstances {
  readonly source: Ipv4Address;
  readonly sourcePort: number;
  readonly account: MobileNodeAccount;
  readonly bindings: readonly Binding[];
  readonly totalBindings: number;
  /** The binding could not be stored, so a restart would lose it. */
  readonly storageFailed: boolean;
}

const deny = (code: number, extensions: readonly OtherExtension[] = []): { denial: Denial } => ({
  denial: { code, extensions },
});

/** The decision about a request whose authenticators and identification are good. */
export function decide(
  request: RegistrationRequest,
  circumstances: Circumstances,
  options: HomeAgentOptions,
): { denial: Denial } | { grant: Grant } {
  const { account, bindings } = circumstances;
  const deregistration = request.lifetime === 0;
  if (request.reservedBit) return deny(REPLY_CODE.homePoorlyFormedRequest);
  // Section 3.8.3.2: anything but our own unicast address, broadcasts above all (dynamic home agent discovery).
  if (request.homeAgent !== options.address) return deny(REPLY_CODE.unknownHomeAgent);
  if (!account.enabled || (request.homeAddress !== 0 && request.homeAddress !== account.homeAddress))
    return deny(REPLY_CODE.homeProhibited);
  if (deregistration) return { grant: deregistrationGrant(request, options) };
  if (request.careOfAddress === account.homeAddress || !isUnicast(request.careOfAddress))
    return deny(REPLY_CODE.homePoorlyFormedRequest);
  if (options.careOfNetworks.length > 0 && !options.careOfNetworks.some((p) => contains(p, request.careOfAddress)))
    return deny(REPLY_CODE.homeProhibited);
  if (request.minimalEncapsulation || request.greEncapsulation) return deny(REPLY_CODE.homeEncapsulationUnavailable);
  if (request.reverseTunnel && options.reverseTunnel === 'refused')
    return deny(REPLY_CODE.homeReverseTunnelUnavailable);
  if (!request.reverseTunnel && options.reverseTunnel === 'required')
    return deny(REPLY_CODE.homeReverseTunnelMandatory);
  if (circumstances.storageFailed) return deny(REPLY_CODE.homeUnspecified);

  const others = bindings.filter((binding) => binding.careOfAddress !== request.careOfAddress);
  const kept = request.simultaneousBindings && options.simultaneousBindings ? others.length : 0;
  if (kept + 1 > options.maximumBindingsPerNode) return deny(REPLY_CODE.tooManyBindings);
  const growth = kept + 1 - bindings.length;
  if (circumstances.totalBindings + growth > options.maximumBindings) return deny(REPLY_CODE.homeInsufficientResources);

  const tunnel = decideUdpTunnel(request, circumstances, options);
  if (typeof tunnel === 'number') return deny(tunnel);
  const mobility = decideNetworks(request, account);
  if ('code' in mobility) return deny(mobility.code, mobility.extensions);

  const unsupported = request.simultaneousBindings && !options.simultaneousBindings;
  return {
    grant: {
      code: unsupported ? REPLY_CODE.acceptedOneBindingOnly : REPLY_CODE.accepted,
      lifetime: Math.min(request.lifetime, options.maximumLifetime),
      careOfAddress: tunnel.end === undefined ? request.careOfAddress : tunnel.end.address,
      networks: mobility.networks,
      extensions: [...mobility.extensions, ...(tunnel.toMobileNode ? tunnel.reply : [])],
      foreignExtensions: tunnel.toMobileNode ? [] : tunnel.reply,
      ...(tunnel.end === undefined ? {} : { udpTunnel: tunnel.end }),
    },
  };
}

const deregistrationGrant = (request: RegistrationRequest, options: HomeAgentOptions): Grant => ({
  code: options.simultaneousBindings || !request.simultaneousBindings ? REPLY_CODE.accepted : 1,
  lifetime: 0,
  careOfAddress: request.careOfAddress,
  networks: [],
  extensions: [],
  foreignExtensions: [],
});

const isUnicast = (address: Ipv4Address): boolean =>
  address >>> 24 !== 0 && address >>> 24 !== 127 && address < 0xe0000000;

interface TunnelDecision {
  readonly end?: UdpTunnelEnd;
  readonly toMobileNode: boolean;
  readonly reply: readonly OtherExtension[];
}

/** RFC 3519 section 4.6: a NAT shows as a source that is not the care-of address. A number is a denial's code. */
function decideUdpTunnel(
  request: RegistrationRequest,
  { source, sourcePort }: Circumstances,
  options: HomeAgentOptions,
): TunnelDecision | number {
  const asked = ofKind(request.extensions, 'udpTunnelRequest')[0];
  if (asked === undefined) return { toMobileNode: true, reply: [] };
  const boundary = authenticationsOf(request.extensions, EXTENSION.mobileHomeAuthentication)[0]!.at;
  const fromMobileNode = asked.at < boundary;
  // Section 4.6.1: D belongs to a mobile node's own request and to no other.
  if (fromMobileNode !== request.decapsulationByMobileNode || asked.reserved3 !== 0)
    return REPLY_CODE.homePoorlyFormedRequest;
  const natSeen = source !== request.careOfAddress;
  const answer = (code: number, forced: boolean): readonly OtherExtension[] => [
    { kind: 'udpTunnelReply', code, forced, keepaliveSeconds: options.keepaliveSeconds },
  ];
  if (!natSeen && !asked.force) return { toMobileNode: fromMobileNode, reply: answer(64, false) };
  if (options.udpTunnel === 'refused' || (!natSeen && !options.forcedUdpTunnel)) return REPLY_CODE.homeProhibited;
  if (asked.encapsulation !== 0 && asked.encapsulation !== PROTOCOL.ipInIp)
    return REPLY_CODE.udpEncapsulationUnavailable;
  const port = asked.registrationThroughForeignAgent ? 0 : sourcePort;
  return {
    toMobileNode: fromMobileNode,
    reply: answer(0, !natSeen),
    end: { address: asked.registrationThroughForeignAgent ? request.careOfAddress : source, port },
  };
}

type NetworkDecision =
  | { readonly networks: readonly NetworkPrefix[]; readonly extensions: readonly OtherExtension[] }
  | { readonly code: number; readonly extensions: readonly OtherExtension[] };

/** RFC 5177 sections 6.3 and 6.6. */
function decideNetworks(request: RegistrationRequest, account: MobileNodeAccount): NetworkDecision {
  const boundary = authenticationsOf(request.extensions, EXTENSION.mobileHomeAuthentication)[0]!.at;
  // Section 10: a prefix that the mobile node's authenticator does not cover is nobody's word.
  const asked = ofKind(request.extensions, 'mobileNetworkRequest').filter((extension) => extension.at < boundary);
  const acknowledge = (
    mode: 'explicit' | 'implicit',
    code: number,
    prefix: Ipv4Address,
    prefixLength: number,
  ): Extension => ({
    kind: 'mobileNetworkAcknowledgement',
    mode,
    code,
    prefix,
    prefixLength,
  });
  if (asked.length === 0) {
    if (!account.mobileRouter || !account.implicitNetworks) return { networks: [], extensions: [] };
    const extensions = account.networks.map(({ address, length }) =>
      acknowledge('implicit', MOBILE_NETWORK_CODE.success, address, length),
    ) as OtherExtension[];
    return { networks: account.networks, extensions };
  }
  if (!account.mobileRouter) return { code: REPLY_CODE.mobileNetworkDisallowed, extensions: [] };
  const networks: NetworkPrefix[] = [];
  const extensions: OtherExtension[] = [];
  for (const { prefix, prefixLength } of asked) {
    let code: number = MOBILE_NETWORK_CODE.success;
    if (prefixLength === 0 || prefixLength > 32) code = MOBILE_NETWORK_CODE.invalidPrefixLength;
    else {
      const address = (prefix & ipv4Mask(prefixLength)) >>> 0;
      const known = account.networks.some((each) => each.address === address && each.length === prefixLength);
      if (known) networks.push({ address, length: prefixLength });
      else code = MOBILE_NETWORK_CODE.unauthorized;
    }
    extensions.push(acknowledge('explicit', code, prefix, prefixLength) as OtherExtension);
  }
  return networks.length === 0 ? { code: REPLY_CODE.mobileNetworkError, extensions } : { networks, extensions };
}
