/**
 * The cure for asymmetric serial links: what a link did to an NTP packet, told to those who compute the offset.
 *
 * NTP assumes equal delays both ways; on serial lines of unequal rates it is wrong by half the difference and cannot know it.
 * The link knows: how long the packet queued and how long it took to serialise. As a transparent clock does (IEEE 1588), it adds
 * that to a field of the packet, or, for stock programs that carry no such field, shifts the server's two timestamps.
 *
 * The field is an extension field in RFC 7822's form, type 0xF50C (of the range that IANA keeps for experiments), 28 octets, so
 * that it may be the last of a packet without a MAC:
 *
 *  |      Field Type 0xF50C        |          Length = 28          |
 *  |             magic "OMNI" (0x4F4D4E49), format 1               |
 *  |        request correction, nanoseconds, unsigned 64           |
 *  |         reply correction, nanoseconds, unsigned 64            |
 *  |                      reserved, zero                           |
 *
 * A client puts it in its request with zeros; links on the way up add to the first number; our server copies the field into its
 * reply; links on the way down add to the second. The field never grows or shrinks in flight. A MAC takes the numbers as zero.
 * A link's word is not authenticated: the client believes it only as far as the round trip it measured itself.
 */
import { Reader, Writer } from '../../core/index.ts';
import { PROTOCOL, updateChecksum } from '../../ip/index.ts';
import type { CorrectionMode } from './config.ts';
import { type ExtensionField, HEADER_OCTETS, MODE, NTP_PORT } from './packet.ts';

export const CORRECTION_FIELD_TYPE = 0xf50c;
const MAGIC = 0x4f4d4e49;
const FIELD_OCTETS = 28;
const REQUEST_AT = 8;
const REPLY_AT = 16;

export interface Correction {
  /** Queueing and serialisation that links added on the way to the server and back, in seconds. */
  readonly requestSeconds: number;
  readonly replySeconds: number;
}

export function correctionField(correction: Correction = { requestSeconds: 0, replySeconds: 0 }): ExtensionField {
  const value = new Writer(24)
    .uint32(MAGIC)
    .uint64(BigInt(Math.round(correction.requestSeconds * 1e9)))
    .uint64(BigInt(Math.round(correction.replySeconds * 1e9)))
    .uint32(0)
    .finish();
  return { type: CORRECTION_FIELD_TYPE, value };
}

/** The correction a packet carries; undefined when it has no such field or not in our form. */
export function readCorrection(extensions: readonly ExtensionField[]): Correction | undefined {
  const field = extensions.find((e) => e.type === CORRECTION_FIELD_TYPE);
  if (field === undefined || field.value.length !== FIELD_OCTETS - 4) return undefined;
  const reader = new Reader(field.value);
  if (reader.uint32() !== MAGIC) return undefined;
  return { requestSeconds: Number(reader.uint64()) / 1e9, replySeconds: Number(reader.uint64()) / 1e9 };
}

/** Where in an NTP packet's octets the numbers of correction fields lie. */
export function correctionSpans(ntp: Uint8Array): { at: number; length: number }[] {
  const spans: { at: number; length: number }[] = [];
  if (ntp.length < HEADER_OCTETS + FIELD_OCTETS) return spans;
  const view = new DataView(ntp.buffer, ntp.byteOffset, ntp.byteLength);
  let at = HEADER_OCTETS;
  while (at + FIELD_OCTETS <= ntp.length) {
    const length = view.getUint16(at + 2);
    if (length < 16 || length % 4 !== 0) break;
    if (view.getUint16(at) === CORRECTION_FIELD_TYPE && length === FIELD_OCTETS && view.getUint32(at + 4) === MAGIC)
      spans.push({ at: at + REQUEST_AT, length: 16 });
    at += length;
  }
  return spans;
}

/** What the link did with a datagram; counted by these names. */
export type CorrectionOutcome =
  | 'stamped'
  | 'remembered'
  | 'rewritten'
  | 'notNtp'
  | 'fragment'
  | 'authenticated'
  | 'unknownExchange'
  | 'off';

/** Exchanges remembered between request and reply; the oldest give way. */
const REMEMBERED_EXCHANGES = 1024;

/**
 * In the link's hands. Called once per link that an IP datagram has crossed, when its last bit has arrived, with the time it
 * waited in the output queue and took to serialise (not the propagation delay, which is the same both ways). Changes octets in
 * place and keeps the UDP checksum right; never changes a length. One corrector serves both directions of one link.
 */
export class LinkCorrector {
  readonly #mode: CorrectionMode;
  readonly #requests = new Map<string, number>();

  constructor(mode: CorrectionMode) {
    this.#mode = mode;
  }

  correct(datagram: Uint8Array, heldSeconds: number): CorrectionOutcome {
    if (this.#mode === 'off') return 'off';
    const udp = findNtp(datagram);
    if (typeof udp === 'string') return udp;
    const ntp = datagram.subarray(udp.payloadAt, udp.payloadAt + udp.payloadLength);
    const isRequest = (ntp[0]! & 7) === MODE.client;
    const held = BigInt(Math.max(0, Math.round(heldSeconds * 1e9)));
    const spans = correctionSpans(ntp);
    if (spans.length > 0) {
      for (const { at } of spans)
        addUnsigned64(datagram, udp.payloadAt + at + (isRequest ? 0 : REPLY_AT - REQUEST_AT), held, udp);
      return 'stamped';
    }
    if (this.#mode !== 'rewrite') return 'notNtp';
    // A MAC would no longer fit the packet.
    if (ntp.length > HEADER_OCTETS) return 'authenticated';
    return isRequest ? this.#remember(ntp, heldSeconds) : this.#rewrite(datagram, ntp, heldSeconds, udp);
  }

  #remember(ntp: Uint8Array, heldSeconds: number): CorrectionOutcome {
    const cookie = cookieAt(ntp, 40);
    if (this.#requests.size >= REMEMBERED_EXCHANGES) this.#requests.delete(this.#requests.keys().next().value!);
    this.#requests.set(cookie, heldSeconds);
    return 'remembered';
  }

  /** T2 − (time held up) and T3 + (time held down): the client then computes the offset as if the link had held neither. */
  #rewrite(datagram: Uint8Array, ntp: Uint8Array, heldSeconds: number, udp: UdpSpan): CorrectionOutcome {
    const cookie = cookieAt(ntp, 24);
    const request = this.#requests.get(cookie);
    if (request === undefined) return 'unknownExchange';
    this.#requests.delete(cookie);
    addUnsigned64(datagram, udp.payloadAt + 32, -toUnits(request), udp);
    addUnsigned64(datagram, udp.payloadAt + 40, toUnits(heldSeconds), udp);
    return 'rewritten';
  }
}

const toUnits = (seconds: number): bigint => BigInt(Math.round(seconds * 4294967296));

function cookieAt(ntp: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 8; i++) text += String.fromCharCode(ntp[at + i]!);
  return text;
}

interface UdpSpan {
  readonly udpAt: number;
  readonly payloadAt: number;
  readonly payloadLength: number;
}

/** Cheap enough for every packet of a link: whether `correct` would look further. */
export function looksLikeNtp(octets: Uint8Array, start: number, end: number): boolean {
  const udpAt = findUdp(octets, start, end);
  if (typeof udpAt === 'string') return udpAt === 'fragment';
  return portAt(octets, udpAt) === NTP_PORT || portAt(octets, udpAt + 2) === NTP_PORT;
}

const portAt = (octets: Uint8Array, at: number): number => (octets[at]! << 8) | octets[at + 1]!;

/** Where the UDP header begins: behind an IPv4 or IPv6 header, or two of them (RFC 2003, a Mobile IP tunnel). */
function findUdp(octets: Uint8Array, start: number, end: number, nested = false): number | 'notNtp' | 'fragment' {
  if (end - start < 20) return 'notNtp';
  const version = octets[start]! >>> 4;
  let protocol: number = octets[start + 6]!;
  let payloadAt = start + 40;
  if (version === 4) {
    protocol = octets[start + 9]!;
    payloadAt = start + (octets[start]! & 15) * 4;
    if (payloadAt < start + 20) return 'notNtp';
  } else if (version !== 6) return 'notNtp';
  if (payloadAt + 8 + HEADER_OCTETS > end) return 'notNtp';
  if (protocol !== PROTOCOL.udp && protocol !== PROTOCOL.ipInIp) return 'notNtp';
  if (version === 4 && (portAt(octets, start + 6) & 0x3fff) !== 0) return 'fragment';
  if (protocol === PROTOCOL.udp) return payloadAt;
  return nested ? 'notNtp' : findUdp(octets, payloadAt, end, true);
}

function findNtp(datagram: Uint8Array): UdpSpan | 'notNtp' | 'fragment' {
  const udpAt = findUdp(datagram, 0, datagram.length);
  if (typeof udpAt === 'string') return udpAt;
  const payloadAt = udpAt + 8;
  const mode = datagram[payloadAt]! & 7;
  // RFC 9109: only the server's port is 123.
  const toServer = mode === MODE.client && portAt(datagram, udpAt + 2) === NTP_PORT;
  if (!toServer && !(mode === MODE.server && portAt(datagram, udpAt) === NTP_PORT)) return 'notNtp';
  const payloadLength = portAt(datagram, udpAt + 4) - 8;
  if (payloadLength < HEADER_OCTETS || payloadAt + payloadLength > datagram.length) return 'notNtp';
  return { udpAt, payloadAt, payloadLength };
}

/** Adds to a 64-bit field and updates the UDP checksum by RFC 1624 equation 3. A checksum of zero (none) stays. */
function addUnsigned64(datagram: Uint8Array, at: number, amount: bigint, udp: UdpSpan): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const before = view.getBigUint64(at);
  const after = BigInt.asUintN(64, before + amount);
  const checksumAt = udp.udpAt + 6;
  const checksum = view.getUint16(checksumAt);
  if (checksum !== 0) {
    let updated = checksum;
    for (let shift = 0n; shift < 64n; shift += 16n)
      updated = updateChecksum(updated, Number((before >> shift) & 0xffffn), Number((after >> shift) & 0xffffn));
    // RFC 768: a sum of zero is sent as all ones, for zero means none.
    view.setUint16(checksumAt, updated === 0 ? 0xffff : updated);
  }
  view.setBigUint64(at, after);
}
