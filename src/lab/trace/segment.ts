/**
 * One TCP segment as a trace sees it: RFC 9293 section 3.1, with the options that loss recovery depends on (SACK blocks,
 * RFC 2018). Only headers are needed, so captures cut by a snap length will do. Fragments other than the first are skipped.
 */
import {
  destinationPort,
  formatIpv4,
  formatIpv6,
  IPV4_HEADER_OCTETS,
  IPV6_HEADER_OCTETS,
  ipVersion,
  ipv4Destination,
  ipv4FragmentOffset,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4Protocol,
  ipv4Source,
  ipv4TotalLength,
  ipv6PayloadLength,
  ipv6UpperLayer,
  PROTOCOL,
  sourcePort,
  TCP_FLAG,
  TCP_HEADER_OCTETS,
  tcpAcknowledgment,
  tcpFlags,
  tcpHeaderOctets,
  tcpSequence,
  tcpWindow,
} from '../../ip/index.ts';

export interface TcpSegment {
  /** Seconds since the trace's own origin. */
  readonly at: number;
  /** `10.1.0.1:21`, `[2001:db8::1]:21`. */
  readonly source: string;
  readonly destination: string;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  /** As in the header, not scaled. */
  readonly window: number;
  readonly payloadOctets: number;
  /** Edges of the SACK blocks; empty when there is none. */
  readonly sack: readonly { readonly left: number; readonly right: number }[];
  /** IPv4 identification, −1 for IPv6. */
  readonly ipId: number;
  /** The caller's name for the packet, e.g. its place in the capture. */
  readonly label: number;
}

/** The segment in an IP packet, or undefined when it is not TCP or its headers are not all there. */
export function parseSegment(octets: Uint8Array, at: number, label = 0): TcpSegment | undefined {
  const upper = octets.length < 1 ? undefined : ipVersion(octets, 0) === 4 ? inIpv4(octets) : inIpv6(octets);
  if (upper === undefined || upper.at + TCP_HEADER_OCTETS > octets.length) return undefined;
  const header = tcpHeaderOctets(octets, upper.at);
  const payloadOctets = upper.end - upper.at - header;
  if (header < TCP_HEADER_OCTETS || payloadOctets < 0) return undefined;
  return {
    at,
    source: upper.endpoint(upper.source, sourcePort(octets, upper.at)),
    destination: upper.endpoint(upper.destination, destinationPort(octets, upper.at)),
    sequence: tcpSequence(octets, upper.at),
    acknowledgment: tcpAcknowledgment(octets, upper.at),
    flags: tcpFlags(octets, upper.at),
    window: tcpWindow(octets, upper.at),
    payloadOctets,
    sack: sackBlocks(octets, upper.at + TCP_HEADER_OCTETS, Math.min(upper.at + header, octets.length)),
    ipId: upper.ipId,
    label,
  };
}

/** Octets of sequence space: SYN and FIN take one each. */
export const sequenceLength = ({ payloadOctets, flags }: TcpSegment): number =>
  payloadOctets + ((flags & TCP_FLAG.syn) !== 0 ? 1 : 0) + ((flags & TCP_FLAG.fin) !== 0 ? 1 : 0);

interface UpperLayer {
  readonly at: number;
  readonly end: number;
  readonly source: string;
  readonly destination: string;
  readonly ipId: number;
  endpoint(address: string, port: number): string;
}

function inIpv4(octets: Uint8Array): UpperLayer | undefined {
  if (octets.length < IPV4_HEADER_OCTETS) return undefined;
  const at = ipv4HeaderOctets(octets, 0);
  if (at < IPV4_HEADER_OCTETS || ipv4Protocol(octets, 0) !== PROTOCOL.tcp || ipv4FragmentOffset(octets, 0) !== 0)
    return undefined;
  return {
    at,
    end: ipv4TotalLength(octets, 0),
    source: formatIpv4(ipv4Source(octets, 0)),
    destination: formatIpv4(ipv4Destination(octets, 0)),
    ipId: ipv4Identification(octets, 0),
    endpoint: (address, port) => `${address}:${port}`,
  };
}

function inIpv6(octets: Uint8Array): UpperLayer | undefined {
  if (octets.length < IPV6_HEADER_OCTETS) return undefined;
  const upper = ipv6UpperLayer(octets, 0, octets.length, { protocol: 0, at: -1, laterFragment: false });
  if (upper.at < 0 || upper.laterFragment || upper.protocol !== PROTOCOL.tcp) return undefined;
  return {
    at: upper.at,
    end: IPV6_HEADER_OCTETS + ipv6PayloadLength(octets, 0),
    source: formatIpv6(octets.subarray(8, 24)),
    destination: formatIpv6(octets.subarray(24, 40)),
    ipId: -1,
    endpoint: (address, port) => `[${address}]:${port}`,
  };
}

const OPTION_END = 0;
const OPTION_NO_OPERATION = 1;
const OPTION_SACK = 5;

function sackBlocks(octets: Uint8Array, from: number, end: number): { left: number; right: number }[] {
  const blocks: { left: number; right: number }[] = [];
  for (let at = from; at < end; ) {
    const kind = octets[at]!;
    if (kind === OPTION_END) break;
    if (kind === OPTION_NO_OPERATION) {
      at++;
      continue;
    }
    const length = at + 1 < end ? octets[at + 1]! : 0;
    if (length < 2 || at + length > end) break;
    // A SACK edge lies where a sequence number lies in a header that begins 4 octets earlier.
    if (kind === OPTION_SACK)
      for (let edge = at + 2; edge + 8 <= at + length; edge += 8)
        blocks.push({ left: tcpSequence(octets, edge - 4), right: tcpSequence(octets, edge) });
    at += length;
  }
  return blocks;
}
