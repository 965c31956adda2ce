/** A packet and its life in words. */
import {
  formatAddress,
  ipVersion,
  ipv4Destination,
  ipv4HeaderOctets,
  ipv4Identification,
  ipv4Protocol,
  ipv4Source,
  PROTOCOL,
  TCP_FLAG,
} from '../ip/index.ts';
import type { HitBit, Hop, PacketLife, Queueing } from './packet-life.ts';
import { ipPacket, type RecordedPacket } from './recorded-packets.ts';
import { parseSegment } from './trace/index.ts';

const LISTED_FRAMES = 6;

/** One line: who to whom and what, e.g. `10.12.0.1:20 → 192.168.12.2:40312 TCP seq 1025 (raw 377481) 512 octets, IP id 0x4b1f`. */
export function describePacket(packet: RecordedPacket, firstSequences?: ReadonlyMap<string, number>): string {
  const octets = ipPacket(packet);
  const segment = parseSegment(octets, 0);
  if (segment !== undefined) {
    const first = firstSequences?.get(`${segment.source} ${segment.destination}`);
    const relative = first === undefined ? '' : `${(segment.sequence - first) >>> 0} (raw ${segment.sequence})`;
    const flags = Object.entries(TCP_FLAG)
      .filter(([, bit]) => (segment.flags & bit) !== 0)
      .map(([name]) => name.toUpperCase());
    const id = segment.ipId < 0 ? '' : `, IP id 0x${segment.ipId.toString(16).padStart(4, '0')}`;
    return `${segment.source} → ${segment.destination} TCP ${flags.join(' ')} seq ${relative || segment.sequence}, ${segment.payloadOctets} octets of data${id}`;
  }
  if (octets.length < 20 || ipVersion(octets, 0) !== 4) return `IP packet of ${packet.originalOctets} octets`;
  const protocol = ipv4Protocol(octets, 0);
  const name = Object.entries(PROTOCOL).find(([, number]) => number === protocol)?.[0] ?? `protocol ${protocol}`;
  const at = ipv4HeaderOctets(octets, 0);
  const port = (offset: number): string =>
    protocol === PROTOCOL.udp && octets.length >= at + 4
      ? `:${(octets[at + offset]! << 8) | octets[at + offset + 1]!}`
      : '';
  const id = ipv4Identification(octets, 0).toString(16).padStart(4, '0');
  return `${formatAddress(ipv4Source(octets, 0))}${port(0)} → ${formatAddress(ipv4Destination(octets, 0))}${port(2)} ${name.toUpperCase()}, ${packet.originalOctets} octets, IP id 0x${id}`;
}

export function describeLife(life: PacketLife, firstSequences?: ReadonlyMap<string, number>): string {
  const any = life.entered ?? life.hops.find((hop) => hop.sent !== undefined)?.sent?.frame;
  const title = `packet ${life.packetId}${any === undefined ? '' : `: ${describePacket(any, firstSequences)}`}`;
  const lines = [title, ...life.hops.flatMap((hop) => describeHop(hop))];
  if (life.sentAgain !== undefined)
    lines.push(
      `  its octets were sent again as packet ${life.sentAgain.packetId}, ${time(life.sentAgain.afterSeconds)} later`,
    );
  return lines.join('\n');
}

function describeHop(hop: Hop): string[] {
  const start = hop.enteredAt ?? hop.sent?.at ?? hop.received?.at ?? hop.leftAt ?? hop.dropped?.at ?? 0n;
  const lines: string[] = [];
  const say = (at: bigint, text: string): void => {
    lines.push(`    ${`+${time(Number(at - start) / 1e9)}`.padStart(14)}  ${text}`);
  };
  lines.push(`  ${hop.link} ${hop.direction}`);
  if (hop.enteredAt !== undefined)
    lines.push(
      `    ${clock(hop.enteredAt)}  entered${hop.trafficClass === undefined ? '' : `, traffic class ${hop.trafficClass}`}`,
    );
  if (hop.queue !== undefined) lines.push(`    ${''.padStart(14)}  ${describeQueue(hop.queue)}`);
  if (hop.sent !== undefined)
    say(
      hop.sent.at,
      `frame of ${hop.sent.octets} octets sent: ${hop.sent.bits} bits on the wire, ${hop.sent.bits - hop.sent.octets * 8} of them stuffed, in ${time(hop.sent.seconds)}`,
    );
  if (hop.frames > 1) lines.push(`    ${''.padStart(14)}  ${describeTrain(hop)}`);
  if (hop.received !== undefined) {
    const { flips, hit, outcome, at } = hop.received;
    say(
      at,
      `received: ${OUTCOMES[outcome] ?? outcome}${flips === 0 ? '' : `; ${flips} bit${flips === 1 ? '' : 's'} hit:`}`,
    );
    for (const bit of hit.slice(0, 8)) lines.push(`    ${''.padStart(14)}    ${describeBit(bit)}`);
    if (flips > 8) lines.push(`    ${''.padStart(14)}    and ${flips - 8} more`);
  }
  if (hop.leftAt !== undefined) say(hop.leftAt, 'handed on at the far end');
  if (hop.dropped !== undefined) say(hop.dropped.at, `dropped: ${hop.dropped.reason}`);
  if (hop.leftAt === undefined && hop.dropped === undefined) lines.push(`    ${''.padStart(14)}  no more recorded yet`);
  return lines;
}

function describeTrain({ frames, frame, outcomes }: Hop): string {
  const fates = Object.entries(outcomes).map(([outcome, count]) => `${count} ${OUTCOMES[outcome] ?? outcome}`);
  return `frame ${frame} of ${frames}, a train of TCP segments; received: ${fates.join('; ') || 'none yet'}`;
}

const OUTCOMES: Readonly<Record<string, string>> = {
  good: 'FCS good',
  fcs: 'FCS wrong, frame discarded',
  abort: 'seven ones in a row, taken for an abort, frame discarded',
  runt: 'too short for a frame, discarded',
  giant: 'longer than any frame, discarded',
  unaligned: 'not a whole number of octets, discarded',
  los: 'the contact ended first',
};

function describeQueue({ seconds, behind, otherSeconds }: Queueing): string {
  // Less than an octet of fill at a slow line's rate: the frame begins where a flag ends.
  if (behind.length === 0 && seconds < 0.002) return 'did not wait';
  const listed = behind
    .slice(0, LISTED_FRAMES)
    .map((f) => `packet ${f.packetId || '?'} (${f.octets} octets, ${time(f.seconds)})`);
  const more = behind.length > LISTED_FRAMES ? ` and ${behind.length - LISTED_FRAMES} more` : '';
  const frames =
    behind.length === 0
      ? ''
      : ` behind ${behind.length} frame${behind.length === 1 ? '' : 's'}: ${listed.join(', ')}${more}`;
  // A frame begins where the last flag ends, so an octet's time is no wait to speak of.
  const other =
    otherSeconds < 0.002 * (1 + behind.length) ? '' : `; ${time(otherSeconds)} of it the line was down or kept free`;
  return `waited ${time(seconds)}${frames}${other}`;
}

function describeBit({ position, octet, bit, kind, field }: HitBit): string {
  if (octet < 0) return `bit ${position}`;
  if (kind === 'data') return `bit ${position}: octet ${octet}, bit ${bit} (${field})`;
  if (kind === 'inserted zero') return `bit ${position}: the zero stuffed after octet ${octet}, bit ${bit} (${field})`;
  return `bit ${position}: ${kind}`;
}

const clock = (at: bigint): string =>
  `${new Date(Number(at / 1_000_000n)).toISOString().slice(11, 19)}.${String(at % 1_000_000_000n)
    .padStart(9, '0')
    .slice(0, 6)}`.padStart(14);

function time(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(3)} s`;
  return seconds >= 0.001 || seconds === 0 ? `${(seconds * 1e3).toFixed(1)} ms` : `${(seconds * 1e6).toFixed(0)} µs`;
}
