/**
 * Trains of TCP segments: what a kernel with segmentation offload hands over as one datagram of up to 64 KiB. On the line each
 * segment is a packet of its own, with its own headers and checksums. They are made in place: the headers of segment i are
 * written over the end of segment i − 1's payload, which is put back afterwards, so that no payload is copied.
 *
 * Fields per segment, as every sender does (and Linux's tcp_gso_segment): length, identification + i, sequence + i × size, FIN
 * and PSH on the last only, CWR on the first only; both checksums computed anew.
 */
import { HEADROOM_OCTETS, type PacketBuffer, type SegmentTrain } from '../core/packet.ts';
import { internetChecksum, pseudoHeaderSum4, pseudoHeaderSum6 } from './checksum.ts';
import { TCP_FLAG } from './tcp.ts';

/** As much as a frame's FCS needs behind a segment. */
const BEHIND_OCTETS = 4;
const TCP_PROTOCOL = 6;

/** Payload octets of segment `index`. */
export function segmentPayloadOctets(packet: PacketBuffer, train: SegmentTrain, index: number): number {
  const payload = packet.length - train.headerOctets;
  return Math.min(train.segmentOctets, payload - index * train.segmentOctets);
}

export function segmentCount(packet: PacketBuffer, train: SegmentTrain): number {
  return Math.max(1, Math.ceil((packet.length - train.headerOctets) / train.segmentOctets));
}

/** Makes one segment at a time visible as the packet it is; `restore` before the next and before the train moves on. */
export class SegmentView {
  readonly #saved = new Uint8Array(HEADROOM_OCTETS + 128 + BEHIND_OCTETS);
  #arena: Uint8Array | undefined;
  #from = 0;
  #front = 0;
  #behind = 0;
  /** Where the visible segment's IP header begins, and one past its payload. */
  start = 0;
  end = 0;

  /**
   * Writes the headers of segment `index` in front of its payload. `room` octets before them and an FCS behind are saved too,
   * for the frame around the segment.
   */
  expose(packet: PacketBuffer, train: SegmentTrain, index: number, room: number): void {
    const { arena } = packet;
    const { headerOctets, segmentOctets } = train;
    const payloadAt = packet.start + headerOctets + index * segmentOctets;
    const payloadOctets = segmentPayloadOctets(packet, train, index);
    const start = payloadAt - headerOctets;
    const end = payloadAt + payloadOctets;
    this.#arena = arena;
    this.#from = start - room;
    this.#front = room + headerOctets;
    this.#behind = end;
    // Loops, not subarray(): this runs for every segment, and a view each would keep the collector busy.
    const saved = this.#saved;
    const from = start - room;
    for (let i = 0; i < room + headerOctets; i++) saved[i] = arena[from + i]!;
    for (let i = 0; i < BEHIND_OCTETS; i++) saved[room + headerOctets + i] = arena[end + i]!;
    if (index > 0) arena.copyWithin(start, packet.start, packet.start + headerOctets);
    writeSegmentHeaders(arena, start, end, index, segmentOctets, index === segmentCount(packet, train) - 1);
    this.start = start;
    this.end = end;
  }

  restore(): void {
    const arena = this.#arena!;
    for (let i = 0; i < this.#front; i++) arena[this.#from + i] = this.#saved[i]!;
    for (let i = 0; i < BEHIND_OCTETS; i++) arena[this.#behind + i] = this.#saved[this.#front + i]!;
    this.#arena = undefined;
  }
}

/**
 * Turns the headers at `start`, copies of the train's, into those of segment `index`. A train's own checksum field holds the
 * pseudo-header's sum only, so nothing of it can be kept.
 */
function writeSegmentHeaders(
  arena: Uint8Array,
  start: number,
  end: number,
  index: number,
  segmentOctets: number,
  last: boolean,
): void {
  const ipv4 = arena[start]! >>> 4 === 4;
  const ipOctets = ipv4 ? (arena[start]! & 15) * 4 : 40;
  const tcp = start + ipOctets;
  const tcpOctets = end - tcp;
  let pseudo: number;
  if (ipv4) {
    put16(arena, start + 2, end - start);
    put16(arena, start + 4, (get16(arena, start + 4) + index) & 0xffff);
    put16(arena, start + 10, 0);
    put16(arena, start + 10, internetChecksum(arena, start, ipOctets));
    pseudo = pseudoHeaderSum4(get32(arena, start + 12), get32(arena, start + 16), TCP_PROTOCOL, tcpOctets);
  } else {
    put16(arena, start + 4, tcpOctets);
    pseudo = pseudoHeaderSum6(arena, start + 8, TCP_PROTOCOL, tcpOctets);
  }
  advanceTcp(arena, tcp, index, segmentOctets, last);
  put16(arena, tcp + 16, 0);
  put16(arena, tcp + 16, internetChecksum(arena, tcp, end - tcp, pseudo));
}

function advanceTcp(arena: Uint8Array, tcp: number, index: number, segmentOctets: number, last: boolean): void {
  put32(arena, tcp + 4, (get32(arena, tcp + 4) + index * segmentOctets) >>> 0);
  let flags = arena[tcp + 13]!;
  if (!last) flags &= ~(TCP_FLAG.fin | TCP_FLAG.psh);
  if (index > 0) flags &= ~TCP_FLAG.cwr;
  arena[tcp + 13] = flags;
}

/**
 * Makes `into` the train of segments [from, to) of `packet`, headers adjusted for a kernel that will take it as one datagram
 * (checksum field: pseudo-header's sum only, as offload wants it). `into` must have room. At least two segments.
 */
export function copySegments(
  packet: PacketBuffer,
  train: SegmentTrain,
  from: number,
  to: number,
  into: PacketBuffer,
): void {
  const { headerOctets, segmentOctets } = train;
  const last = to === segmentCount(packet, train);
  const payloadAt = packet.start + headerOctets + from * segmentOctets;
  const payloadEnd = last ? packet.end : packet.start + headerOctets + to * segmentOctets;
  const { arena } = into;
  arena.copyWithin(into.start, packet.start, packet.start + headerOctets);
  arena.copyWithin(into.start + headerOctets, payloadAt, payloadEnd);
  into.length = headerOctets + payloadEnd - payloadAt;
  into.train = { headerOctets, segmentOctets };
  const { start } = into;
  const ipv4 = arena[start]! >>> 4 === 4;
  const ipOctets = ipv4 ? (arena[start]! & 15) * 4 : 40;
  const tcpOctets = into.length - ipOctets;
  const tcp = start + ipOctets;
  advanceTcp(arena, tcp, from, segmentOctets, last);
  if (ipv4) {
    put16(arena, start + 2, into.length);
    put16(arena, start + 4, (get16(arena, start + 4) + from) & 0xffff);
    put16(arena, start + 10, 0);
    put16(arena, start + 10, internetChecksum(arena, start, ipOctets));
    put16(
      arena,
      tcp + 16,
      pseudoHeaderSum4(get32(arena, start + 12), get32(arena, start + 16), TCP_PROTOCOL, tcpOctets),
    );
  } else {
    put16(arena, start + 4, tcpOctets);
    put16(arena, tcp + 16, pseudoHeaderSum6(arena, start + 8, TCP_PROTOCOL, tcpOctets));
  }
}

const get16 = (octets: Uint8Array, at: number): number => (octets[at]! << 8) | octets[at + 1]!;
const get32 = (octets: Uint8Array, at: number): number =>
  ((octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!) >>> 0;
function put16(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 8;
  octets[at + 1] = value;
}
function put32(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value >>> 24;
  octets[at + 1] = value >>> 16;
  octets[at + 2] = value >>> 8;
  octets[at + 3] = value;
}
