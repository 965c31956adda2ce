/**
 * Agent Advertisement and Solicitation: ICMP router discovery (RFC 1256 section 3) with RFC 5944 section 2.1's extensions.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    |   Type = 9    |     Code      |           Checksum            |      |   Type = 10   |     Code    |    Checksum |
 *    |   Num Addrs   |Addr Entry Size|           Lifetime            |      |                 Reserved                   |
 *    |  Router Address[i], Preference Level[i] ...                   |
 *    |   Type = 16   |    Length     |        Sequence Number        |
 *    |    Registration Lifetime      |R|B|H|F|M|G|r|T|U|X|I|reserved |
 *    |                  zero or more Care-of Addresses               |
 *
 * An advertisement without the mobility agent extension is only a router's. These codecs work on the ICMP message; the IP
 * header around it (TTL 1, section 2.1) is the caller's. Unknown extensions up to 127 discard the message, as in section 1.8.
 */
import { Reader, type Result, Writer } from '../core/index.ts';
import { type Ipv4Address, internetChecksum } from '../ip/index.ts';
import { ADVERTISEMENT_EXTENSION } from './numbers.ts';

export const ICMP_ROUTER_ADVERTISEMENT = 9;
export const ICMP_ROUTER_SOLICITATION = 10;
/** Code 16: does not route common traffic (section 2.1); 0: is a router as well. */
export const CODE_MOBILITY_ONLY = 16;
/** Specification constants of RFC 1256 section 5.1. */
export const MAX_SOLICITATION_DELAY_SECONDS = 1;
export const MAX_RESPONSE_DELAY_SECONDS = 2;
export const MAX_INITIAL_ADVERTISEMENTS = 3;
export const MAX_INITIAL_ADVERTISEMENT_INTERVAL_SECONDS = 16;

export interface MobilityAgent {
  /** 0 after a start; 65535 is followed by 256 (section 2.3.2). */
  readonly sequence: number;
  /** Seconds; the longest registration that the agent accepts. */
  readonly registrationLifetime: number;
  readonly registrationRequired: boolean;
  readonly busy: boolean;
  readonly homeAgent: boolean;
  readonly foreignAgent: boolean;
  readonly minimalEncapsulation: boolean;
  readonly greEncapsulation: boolean;
  readonly reverseTunnel: boolean;
  readonly udpTunnel: boolean;
  readonly revocation: boolean;
  readonly careOfAddresses: readonly Ipv4Address[];
}

export interface RouterAddress {
  readonly address: Ipv4Address;
  /** Signed; higher is preferred. */
  readonly preference: number;
}

export interface AgentAdvertisement {
  readonly code: number;
  /** Seconds for which the advertisement is valid. */
  readonly lifetime: number;
  readonly routers: readonly RouterAddress[];
  readonly agent: MobilityAgent;
  /** One length per router address, or none. */
  readonly prefixLengths: readonly number[];
  /** RFC 4721. */
  readonly challenge?: Uint8Array;
}

export type AdvertisementFault =
  | 'truncated'
  | 'wrong-type'
  | 'bad-checksum'
  | 'no-agent'
  | 'unknown-extension'
  | 'inconsistent-flags';

export function parseAgentAdvertisement(icmp: Uint8Array): Result<AgentAdvertisement, AdvertisementFault> {
  if (icmp.length < 8) return { ok: false, reason: 'truncated' };
  if (internetChecksum(icmp, 0, icmp.length) !== 0) return { ok: false, reason: 'bad-checksum' };
  const reader = new Reader(icmp);
  const type = reader.uint8();
  const code = reader.uint8();
  reader.skip(2);
  const count = reader.uint8();
  const entryWords = reader.uint8();
  const lifetime = reader.uint16();
  if (type !== ICMP_ROUTER_ADVERTISEMENT || (code !== 0 && code !== CODE_MOBILITY_ONLY))
    return { ok: false, reason: 'wrong-type' };
  // RFC 1256 section 4.2: entries may be longer in the future; two words are known.
  if (entryWords < 2) return { ok: false, reason: 'truncated' };
  const routers: RouterAddress[] = [];
  for (let i = 0; i < count && reader.ok; i++) {
    routers.push({ address: reader.uint32(), preference: reader.int32() });
    reader.skip(4 * (entryWords - 2));
  }
  let agent: MobilityAgent | undefined;
  let prefixLengths: number[] = [];
  let challenge: Uint8Array | undefined;
  while (reader.ok && reader.remaining > 0) {
    const extension = reader.uint8();
    if (extension === ADVERTISEMENT_EXTENSION.padding) continue;
    const data = new Reader(reader.octets(reader.uint8()));
    if (!reader.ok) break;
    if (extension === ADVERTISEMENT_EXTENSION.mobilityAgent) {
      agent = parseMobilityAgent(data);
      if (!data.ok) return { ok: false, reason: 'truncated' };
    } else if (extension === ADVERTISEMENT_EXTENSION.prefixLengths) prefixLengths = [...data.rest()];
    else if (extension === ADVERTISEMENT_EXTENSION.challenge) challenge = data.rest();
    else if (extension < 128) return { ok: false, reason: 'unknown-extension' };
  }
  if (!reader.ok) return { ok: false, reason: 'truncated' };
  if (agent === undefined) return { ok: false, reason: 'no-agent' };
  if (!isConsistent(agent)) return { ok: false, reason: 'inconsistent-flags' };
  const value = { code, lifetime, routers, agent, prefixLengths };
  return { ok: true, value: challenge === undefined ? value : { ...value, challenge } };
}

function parseMobilityAgent(data: Reader): MobilityAgent {
  const sequence = data.uint16();
  const registrationLifetime = data.uint16();
  const flags = data.uint16();
  const careOfAddresses: Ipv4Address[] = [];
  while (data.ok && data.remaining > 0) careOfAddresses.push(data.uint32());
  const bit = (index: number): boolean => (flags & (0x8000 >>> index)) !== 0;
  return {
    sequence,
    registrationLifetime,
    registrationRequired: bit(0),
    busy: bit(1),
    homeAgent: bit(2),
    foreignAgent: bit(3),
    minimalEncapsulation: bit(4),
    greEncapsulation: bit(5),
    reverseTunnel: bit(7),
    udpTunnel: bit(8),
    revocation: bit(9),
    careOfAddresses,
  };
}

/** Section 2.1.1: B only with F, R only with F, a care-of address with F, and F or H. */
function isConsistent(agent: MobilityAgent): boolean {
  if (!agent.foreignAgent && (agent.busy || agent.registrationRequired)) return false;
  if (agent.foreignAgent && agent.careOfAddresses.length === 0) return false;
  return agent.foreignAgent || agent.homeAgent;
}

/** Throws RangeError on flags that contradict each other: an agent must not advertise them. */
export function emitAgentAdvertisement(advertisement: AgentAdvertisement): Uint8Array {
  const { agent, routers } = advertisement;
  if (!isConsistent(agent)) throw new RangeError('an advertisement with B or R needs F, F needs a care-of address');
  const writer = new Writer(64);
  writer.uint8(ICMP_ROUTER_ADVERTISEMENT).uint8(advertisement.code).uint16(0);
  writer.uint8(routers.length).uint8(2).uint16(advertisement.lifetime);
  for (const { address, preference } of routers) writer.uint32(address).uint32(preference >>> 0);
  const flags = [
    agent.registrationRequired,
    agent.busy,
    agent.homeAgent,
    agent.foreignAgent,
    agent.minimalEncapsulation,
    agent.greEncapsulation,
    false,
    agent.reverseTunnel,
    agent.udpTunnel,
    agent.revocation,
  ].reduce((bits, set, index) => bits | (set ? 0x8000 >>> index : 0), 0);
  writer.uint8(ADVERTISEMENT_EXTENSION.mobilityAgent).uint8(6 + 4 * agent.careOfAddresses.length);
  writer.uint16(agent.sequence).uint16(agent.registrationLifetime).uint16(flags);
  for (const address of agent.careOfAddresses) writer.uint32(address);
  if (advertisement.prefixLengths.length > 0) {
    writer.uint8(ADVERTISEMENT_EXTENSION.prefixLengths).uint8(advertisement.prefixLengths.length);
    for (const length of advertisement.prefixLengths) writer.uint8(length);
  }
  const { challenge } = advertisement;
  if (challenge !== undefined)
    writer.uint8(ADVERTISEMENT_EXTENSION.challenge).uint8(challenge.length).octets(challenge);
  return withChecksum(writer);
}

export function emitAgentSolicitation(): Uint8Array {
  return withChecksum(new Writer(8).uint8(ICMP_ROUTER_SOLICITATION).uint8(0).uint16(0).uint32(0));
}

export function isAgentSolicitation(icmp: Uint8Array): boolean {
  if (icmp.length < 8 || internetChecksum(icmp, 0, icmp.length) !== 0) return false;
  return icmp[0] === ICMP_ROUTER_SOLICITATION && icmp[1] === 0;
}

function withChecksum(writer: Writer): Uint8Array {
  const octets = writer.finish();
  const checksum = internetChecksum(octets, 0, octets.length);
  octets[2] = checksum >>> 8;
  octets[3] = checksum & 255;
  return octets;
}

/** The sequence number of the advertisement that follows: 65535 → 256, so that 0 to 255 after more means a restart. */
export const nextSequence = (sequence: number): number => (sequence >= 0xffff ? 256 : sequence + 1);

/**
 * Whether `sequence` after `last` means that the agent has restarted (section 2.4.4, which says "less"). The same number again
 * counts too: an agent that advertises once a pass, and restarts, sends its number 0 twice.
 */
export const hasRestarted = (last: number, sequence: number): boolean => sequence <= last && sequence < 256;
