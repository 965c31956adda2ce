/**
 * The NTP packet (RFC 5905 §7.3, extension fields RFC 7822, MAC RFC 5905 §7.3 and RFC 8573).
 *
 *   0                   1                   2                   3
 *   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *  |LI | VN  |Mode |    Stratum    |     Poll      |   Precision   |
 *  |                          Root Delay                           |
 *  |                        Root Dispersion                        |
 *  |                         Reference ID                          |
 *  |                   Reference Timestamp (64)                    |
 *  |                     Origin Timestamp (64)                     |
 *  |                    Receive Timestamp (64)                     |
 *  |                    Transmit Timestamp (64)                    |
 *  |        Extension fields … then Key Identifier, digest         |
 *
 * What follows the header is ambiguous by design: RFC 7822 §7.5.1 lets a parser decide by what is left (4 octets: a crypto-NAK;
 * 20 or 24: a MAC; more: an extension field first). Not here: Autokey (RFC 5906), NTS fields (RFC 8915; kept as unknown fields).
 */
import { fail, ok, Reader, type Result, Writer } from '../../core/index.ts';
import type { NtpTimestamp } from './timestamp.ts';

// Specification constants (RFC 5905 §7.3)
export const NTP_PORT = 123;
export const NTP_VERSION = 4;
export const HEADER_OCTETS = 48;
export const MODE = { client: 3, server: 4 } as const;
export const LEAP_UNSYNCHRONISED = 3;
export const MAXIMUM_STRATUM = 16;
/** Key identifier and a 128-bit digest. */
export const MAC_OCTETS = 20;
/** With a 160-bit digest (RFC 7822 §7.5.1.3); read, never made. */
const LONGEST_MAC_OCTETS = 24;
/** RFC 7822 §7.5.1.4: the last extension field of a packet without a MAC is at least this long; others 16. */
export const LAST_EXTENSION_OCTETS = 28;
const SHORTEST_EXTENSION_OCTETS = 16;

export interface ExtensionField {
  readonly type: number;
  /** The value with its padding, a multiple of four octets. */
  readonly value: Uint8Array;
  /** Where the field's header begins in the packet; set by the parser. */
  readonly at?: number;
}

export interface NtpPacket {
  readonly leap: number;
  readonly version: number;
  readonly mode: number;
  readonly stratum: number;
  /** log2 seconds, signed. */
  readonly poll: number;
  readonly precision: number;
  /** NTP short format. */
  readonly rootDelay: number;
  readonly rootDispersion: number;
  readonly referenceId: number;
  readonly reference: NtpTimestamp;
  readonly origin: NtpTimestamp;
  readonly receive: NtpTimestamp;
  readonly transmit: NtpTimestamp;
  readonly extensions: readonly ExtensionField[];
  readonly mac?: {
    readonly keyId: number;
    /** Empty in a crypto-NAK. */
    readonly digest: Uint8Array;
    /** How many leading octets of the packet the digest covers. */
    readonly covers: number;
  };
}

export type PacketRefusal = 'truncated' | 'version' | 'extension' | 'trailer';

export function parsePacket(octets: Uint8Array): Result<NtpPacket, PacketRefusal> {
  const reader = new Reader(octets);
  const first = reader.uint8();
  const version = (first >>> 3) & 7;
  const header = {
    leap: first >>> 6,
    version,
    mode: first & 7,
    stratum: reader.uint8(),
    poll: (reader.uint8() << 24) >> 24,
    precision: (reader.uint8() << 24) >> 24,
    rootDelay: reader.uint32(),
    rootDispersion: reader.uint32(),
    referenceId: reader.uint32(),
    reference: reader.uint64(),
    origin: reader.uint64(),
    receive: reader.uint64(),
    transmit: reader.uint64(),
  };
  if (!reader.ok) return fail('truncated');
  // Versions 1 to 3 have the same header and are answered in kind (RFC 5905 §7.3); 0 and 5 and up are not ours.
  if (version < 1 || version > 4) return fail('version');
  const extensions: ExtensionField[] = [];
  while (reader.remaining > LONGEST_MAC_OCTETS) {
    const at = reader.position;
    const type = reader.uint16();
    const length = reader.uint16();
    if (version !== 4 || length < SHORTEST_EXTENSION_OCTETS || length % 4 !== 0) return fail('extension');
    const value = reader.octets(length - 4);
    if (!reader.ok) return fail('extension');
    extensions.push({ type, value, at });
  }
  if (reader.remaining === 0) return ok({ ...header, extensions });
  if (![4, MAC_OCTETS, LONGEST_MAC_OCTETS].includes(reader.remaining)) return fail('trailer');
  const covers = reader.position;
  const keyId = reader.uint32();
  return ok({ ...header, extensions, mac: { keyId, digest: reader.rest(), covers } });
}

/** The packet's octets without a MAC. Throws RangeError when an extension field's value is not a legal length. */
export function emitPacket(packet: Omit<NtpPacket, 'mac'>): Uint8Array {
  const writer = new Writer(96)
    .uint8((packet.leap << 6) | (packet.version << 3) | packet.mode)
    .uint8(packet.stratum)
    .uint8(packet.poll & 0xff)
    .uint8(packet.precision & 0xff)
    .uint32(packet.rootDelay)
    .uint32(packet.rootDispersion)
    .uint32(packet.referenceId)
    .uint64(packet.reference)
    .uint64(packet.origin)
    .uint64(packet.receive)
    .uint64(packet.transmit);
  for (const { type, value } of packet.extensions) {
    const length = value.length + 4;
    if (length < SHORTEST_EXTENSION_OCTETS || length % 4 !== 0)
      throw new RangeError(`extension field of ${length} octets`);
    writer.uint16(type).uint16(length).octets(value);
  }
  return writer.finish();
}

/** Four ASCII characters of a reference identifier or kiss code; anything unprintable becomes a full stop. */
export function referenceText(referenceId: number): string {
  let text = '';
  for (const shift of [24, 16, 8, 0]) {
    const octet = (referenceId >>> shift) & 0xff;
    if (octet !== 0) text += octet >= 0x20 && octet < 0x7f ? String.fromCharCode(octet) : '.';
  }
  return text;
}

export function referenceFromText(text: string): number {
  let value = 0;
  for (let i = 0; i < 4; i++) value = (value << 8) | (i < text.length ? text.charCodeAt(i) & 0x7f : 0);
  return value >>> 0;
}
