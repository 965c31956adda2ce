/**
 * Filters that pick packets out of a recorder's capture, in the words of Wireshark's display filters where it has one:
 *
 *   ip.id==0x4b1f    tcp.seq==1025 && tcp.srcport==20    packet==1234    link==downlink and outcome==fcs
 *
 * Only equality and `and`. `tcp.seq` counts from the connection's first segment, as Wireshark does; `tcp.seq_raw` is the header's.
 */
import { fail, ok, type Result } from '../core/index.ts';
import {
  destinationPort,
  formatAddress,
  ipVersion,
  ipv4Destination,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4Protocol,
  ipv4Source,
  PROTOCOL,
  sourcePort,
} from '../ip/index.ts';
import { ipPacket, type RecordedPacket } from './recorded-packets.ts';
import { parseSegment, type TcpSegment } from './trace/index.ts';

export type PacketFilter = (packet: RecordedPacket) => boolean;

type Values = (packet: RecordedPacket, segment: () => TcpSegment | undefined) => (number | string | undefined)[];

/** Field → its values in a packet; the filter matches when one is equal. */
function fields(relative: (segment: TcpSegment) => number): Record<string, Values> {
  return {
    packet: (p) => [p.packetId],
    'frame.packet_id': (p) => [p.packetId],
    'frame.number': (p) => [p.number],
    'frame.len': (p) => [p.originalOctets],
    link: (p) => [p.link],
    direction: (p) => [p.direction],
    tap: (p) => [p.tap],
    outcome: (p) => [p.facts.get('outcome')],
    drop: (p) => [p.facts.get('drop')],
    'ip.id': (p) => [ipv4(p, ipv4Identification)],
    'ip.proto': (p) => [ipv4(p, ipv4Protocol)],
    'ip.src': (p) => [address(p, ipv4Source)],
    'ip.dst': (p) => [address(p, ipv4Destination)],
    'ip.addr': (p) => [address(p, ipv4Source), address(p, ipv4Destination)],
    'tcp.seq': (_, segment) => [map(segment(), relative)],
    'tcp.seq_raw': (_, segment) => [segment()?.sequence],
    'tcp.len': (_, segment) => [segment()?.payloadOctets],
    'tcp.srcport': (_, segment) => [map(segment(), (s) => portOf(s.source))],
    'tcp.dstport': (_, segment) => [map(segment(), (s) => portOf(s.destination))],
    'tcp.port': (_, segment) => [map(segment(), (s) => portOf(s.source)), map(segment(), (s) => portOf(s.destination))],
    'udp.srcport': (p) => [udp(p, sourcePort)],
    'udp.dstport': (p) => [udp(p, destinationPort)],
    'udp.port': (p) => [udp(p, sourcePort), udp(p, destinationPort)],
  };
}

/**
 * The filter that `text` describes. `all` is the capture: the first sequence number of each connection is found in it.
 * On failure the reason is a sentence.
 */
export function parsePacketFilter(text: string, all: Iterable<RecordedPacket>): Result<PacketFilter, string> {
  let first: Map<string, number> | undefined;
  const relative = (segment: TcpSegment): number => {
    first ??= firstSequences(all);
    return (segment.sequence - (first.get(flowOf(segment)) ?? 0)) >>> 0;
  };
  const known = fields(relative);
  const tests: PacketFilter[] = [];
  for (const term of text.split(/&&|\band\b/)) {
    const [, field, value] = /^\s*([\w.]+)\s*(?:==?|\beq\b)\s*([^\s=]\S*)\s*$/.exec(term) ?? [];
    if (field === undefined || value === undefined)
      return fail(`'${term.trim()}' is not FIELD==VALUE; join several with &&`);
    const values = Object.hasOwn(known, field) ? known[field] : undefined;
    if (values === undefined)
      return fail(`there is no field '${field}'; the fields are ${Object.keys(known).join(', ')}`);
    const wanted = /^(0x[0-9a-f]+|\d+)$/i.test(value) ? Number(value) : value;
    tests.push((packet) => {
      let parsed: TcpSegment | undefined | null = null;
      const segment = (): TcpSegment | undefined => {
        if (parsed === null) parsed = parseSegment(ipPacket(packet), 0);
        return parsed;
      };
      return values(packet, segment).some((v) => v !== undefined && (v === wanted || String(v) === value));
    });
  }
  return ok((packet) => tests.every((test) => test(packet)));
}

export const flowOf = (segment: TcpSegment): string => `${segment.source} ${segment.destination}`;

/** Of each flow, at the taps that see packets whole. */
export function firstSequences(all: Iterable<RecordedPacket>): Map<string, number> {
  const first = new Map<string, number>();
  for (const packet of all) {
    if (packet.tap !== 'ip-in') continue;
    const segment = parseSegment(packet.octets, 0);
    if (segment !== undefined && !first.has(flowOf(segment))) first.set(flowOf(segment), segment.sequence);
  }
  return first;
}

function ipv4<Value>(packet: RecordedPacket, read: (octets: Uint8Array, at: number) => Value): Value | undefined {
  const octets = ipPacket(packet);
  return octets.length >= 20 && ipVersion(octets, 0) === 4 ? read(octets, 0) : undefined;
}

const address = (packet: RecordedPacket, read: (octets: Uint8Array, at: number) => number): string | undefined =>
  map(ipv4(packet, read), formatAddress);

function udp(packet: RecordedPacket, read: (octets: Uint8Array, at: number) => number): number | undefined {
  if (ipv4(packet, ipv4Protocol) !== PROTOCOL.udp) return undefined;
  const octets = ipPacket(packet);
  const at = ipv4HeaderOctets(octets, 0);
  return at + 8 <= octets.length ? read(octets, at) : undefined;
}

const map = <In, Out>(value: In | undefined, to: (value: In) => Out): Out | undefined =>
  value === undefined ? undefined : to(value);
const portOf = (endpoint: string): number => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
