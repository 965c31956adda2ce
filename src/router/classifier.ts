/**
 * Which traffic class a packet belongs to, by protocol, port, DSCP or address. Rules are tried in order and the first that
 * matches decides; a packet that none matches is in the default class.
 *
 * Each rule is a bit. A table per field gives the set of rules that the field's value allows, and the lowest bit of their
 * intersection is the first matching rule, so the cost does not grow with the number of rules. A later fragment has no
 * ports: it takes the class that its first fragment was given, as long as that is remembered.
 */
import {
  destinationPort,
  IPV6_DESTINATION_OFFSET,
  IPV6_SOURCE_OFFSET,
  type IpAddress,
  type Ipv6UpperLayer,
  ipVersion,
  ipv4Destination,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4Source,
  ipv4TrafficClass,
  ipv6TrafficClass,
  ipv6UpperLayer,
  PROTOCOL,
  type Prefix,
  prefixContains,
  sourcePort,
} from '../ip/index.ts';

/** A packet matches when it meets every condition that is given; a list is met by any of its members. */
export interface ClassRule {
  /** The index of the class. */
  readonly trafficClass: number;
  readonly protocols?: readonly number[];
  /** Source or destination port of UDP or TCP. */
  readonly ports?: readonly number[];
  readonly dscps?: readonly number[];
  /** The source or the destination lies in one of them. */
  readonly prefixes?: readonly Prefix[];
}

export const MAX_CLASS_RULES = 31;
const FRAGMENTS_REMEMBERED = 64;

export class Classifier {
  readonly #classOfRule: Uint8Array;
  readonly #defaultClass: number;
  readonly #byProtocol: Int32Array;
  readonly #byDscp: Int32Array;
  readonly #byPort: Int32Array;
  readonly #anyPort: number;
  readonly #anyAddress: number;
  readonly #addressRules: readonly { readonly bit: number; readonly prefixes: readonly Prefix[] }[];
  readonly #fragmentKeys = new Int32Array(FRAGMENTS_REMEMBERED).fill(-1);
  readonly #fragmentClasses = new Uint8Array(FRAGMENTS_REMEMBERED);
  readonly #upper: Ipv6UpperLayer = { protocol: 0, at: 0, laterFragment: false };

  constructor(rules: readonly ClassRule[], defaultClass: number) {
    if (rules.length > MAX_CLASS_RULES) throw new RangeError(`${rules.length} class rules; at most ${MAX_CLASS_RULES}`);
    this.#classOfRule = Uint8Array.from(rules, (rule) => rule.trafficClass);
    this.#defaultClass = defaultClass;
    const { byProtocol, byDscp, byPort } = tablesFor(rules);
    this.#byProtocol = byProtocol;
    this.#byDscp = byDscp;
    this.#byPort = byPort;
    let anyPort = 0;
    let anyAddress = 0;
    const addressRules: { bit: number; prefixes: readonly Prefix[] }[] = [];
    for (const [i, rule] of rules.entries()) {
      const bit = 1 << i;
      if (rule.ports === undefined) anyPort |= bit;
      if (rule.prefixes === undefined) anyAddress |= bit;
      else addressRules.push({ bit, prefixes: rule.prefixes });
    }
    this.#anyPort = anyPort;
    this.#anyAddress = anyAddress;
    this.#addressRules = addressRules;
  }

  /** The class of a packet whose header was checked. */
  classify(octets: Uint8Array, start: number, length: number): number {
    return ipVersion(octets, start) === 4
      ? this.#classify4(octets, start, length)
      : this.#classify6(octets, start, length);
  }

  #classify4(octets: Uint8Array, start: number, length: number): number {
    const protocol = ipv4Protocol(octets, start);
    const rules = this.#byProtocol[protocol]! & this.#byDscp[ipv4TrafficClass(octets, start) >>> 2]!;
    const fragment = ipv4IsFragment(octets, start);
    if (fragment && ipv4FragmentOffset(octets, start) !== 0) {
      const slot = this.#fragmentSlot(octets, start);
      if (slot >= 0) return this.#fragmentClasses[slot]!;
    }
    const at = fragment && ipv4FragmentOffset(octets, start) !== 0 ? -1 : start + ipv4HeaderOctets(octets, start);
    const trafficClass = this.#decide(rules, protocol, octets, start, at, start + length);
    if (fragment && at >= 0) this.#rememberFragment(octets, start, trafficClass);
    return trafficClass;
  }

  #classify6(octets: Uint8Array, start: number, length: number): number {
    const upper = ipv6UpperLayer(octets, start, length, this.#upper);
    const rules = this.#byProtocol[upper.protocol]! & this.#byDscp[ipv6TrafficClass(octets, start) >>> 2]!;
    return this.#decide(rules, upper.protocol, octets, start, upper.laterFragment ? -1 : upper.at, start + length);
  }

  #decide(rules: number, protocol: number, octets: Uint8Array, start: number, at: number, end: number): number {
    let matching = rules;
    let ports = this.#anyPort;
    if ((protocol === PROTOCOL.udp || protocol === PROTOCOL.tcp) && at >= 0 && at + 4 <= end) {
      ports |= this.#byPort[sourcePort(octets, at)]! | this.#byPort[destinationPort(octets, at)]!;
    }
    matching &= ports;
    if (this.#addressRules.length > 0) matching &= this.#anyAddress | this.#byAddress(octets, start);
    if (matching === 0) return this.#defaultClass;
    return this.#classOfRule[31 - Math.clz32(matching & -matching)]!;
  }

  #byAddress(octets: Uint8Array, start: number): number {
    const ipv4 = ipVersion(octets, start) === 4;
    const source: IpAddress = ipv4 ? ipv4Source(octets, start) : slice16(octets, start + IPV6_SOURCE_OFFSET);
    const destination: IpAddress = ipv4
      ? ipv4Destination(octets, start)
      : slice16(octets, start + IPV6_DESTINATION_OFFSET);
    let bits = 0;
    for (const rule of this.#addressRules) {
      for (const prefix of rule.prefixes) {
        if (prefixContains(prefix, source) || prefixContains(prefix, destination)) bits |= rule.bit;
      }
    }
    return bits;
  }

  #fragmentKey(octets: Uint8Array, start: number): number {
    const addresses = Math.imul(ipv4Source(octets, start), 0x9e3779b1) ^ ipv4Destination(octets, start);
    return (
      (Math.imul(addresses, 0x85ebca6b) ^ (ipv4Identification(octets, start) << 8) ^ ipv4Protocol(octets, start)) | 0
    );
  }

  #fragmentSlot(octets: Uint8Array, start: number): number {
    const key = this.#fragmentKey(octets, start);
    const slot = (key >>> 8) % FRAGMENTS_REMEMBERED;
    return this.#fragmentKeys[slot] === key ? slot : -1;
  }

  #rememberFragment(octets: Uint8Array, start: number, trafficClass: number): void {
    const key = this.#fragmentKey(octets, start);
    const slot = (key >>> 8) % FRAGMENTS_REMEMBERED;
    this.#fragmentKeys[slot] = key;
    this.#fragmentClasses[slot] = trafficClass;
  }
}

const slice16 = (octets: Uint8Array, at: number): Uint8Array => octets.subarray(at, at + 16);

/** Marks the rule in the table at each value, or at every value when the rule does not ask. */
function setBits(table: Int32Array, values: readonly number[] | undefined, bit: number): void {
  if (values === undefined) for (let i = 0; i < table.length; i++) table[i]! |= bit;
  else for (const value of values) table[value]! |= bit;
}

interface RuleTables {
  readonly byProtocol: Int32Array;
  readonly byDscp: Int32Array;
  readonly byPort: Int32Array;
}

/** A thousand links with the same classes share one set: the ports alone take 256 KiB. */
const sharedTables = new Map<string, RuleTables>();

function tablesFor(rules: readonly ClassRule[]): RuleTables {
  const key = JSON.stringify(rules.map(({ protocols, ports, dscps }) => [protocols, ports, dscps]));
  const known = sharedTables.get(key);
  if (known !== undefined) return known;
  const tables = { byProtocol: new Int32Array(256), byDscp: new Int32Array(64), byPort: new Int32Array(65536) };
  for (const [i, rule] of rules.entries()) {
    const bit = 1 << i;
    // Ports exist in UDP and TCP only; without that a protocol 17 fragment's payload would be read as ports.
    const protocols = rule.protocols ?? (rule.ports === undefined ? undefined : [PROTOCOL.udp, PROTOCOL.tcp]);
    setBits(tables.byProtocol, protocols, bit);
    setBits(tables.byDscp, rule.dscps, bit);
    if (rule.ports !== undefined) setBits(tables.byPort, rule.ports, bit);
  }
  sharedTables.set(key, tables);
  return tables;
}
