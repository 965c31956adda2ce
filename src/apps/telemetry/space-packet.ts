/**
 * CCSDS Space Packets (CCSDS 133.0-B-2 §4.1), telemetry and telecommand.
 *
 *  | version 3 | type 1 | secondary header flag 1 | APID 11 | sequence flags 2 | sequence count 14 | data length 16 |
 *
 * Data length is the octets of the packet data field minus one, so a packet has 7 to 65542 octets. Not here: segmentation by
 * sequence flags (always "unsegmented"), idle packets other than by their APID.
 */
import { fail, ok, Reader, type Result, Writer } from '../../core/index.ts';

// Specification constants
export const PRIMARY_HEADER_OCTETS = 6;
export const IDLE_APID = 0x7ff;
export const SEQUENCE_MODULUS = 16_384;
export const LONGEST_PACKET_OCTETS = 65_542;
const UNSEGMENTED = 3;

export interface SpacePacket {
  readonly type: 'telemetry' | 'telecommand';
  readonly secondaryHeader: boolean;
  /** 0 … 2047. */
  readonly apid: number;
  readonly sequenceFlags: number;
  /** 0 … 16383. */
  readonly sequenceCount: number;
  /** Secondary header and user data: 1 … 65536 octets. */
  readonly data: Uint8Array;
}

export type PacketRefusal = 'truncated' | 'version' | 'trailing';

/** The packet at the start of `octets` and how many octets it has. The data is a view of the caller's octets. */
export function parseSpacePacket(octets: Uint8Array): Result<{ packet: SpacePacket; length: number }, PacketRefusal> {
  const reader = new Reader(octets.subarray(0, PRIMARY_HEADER_OCTETS));
  const identification = reader.uint16();
  const sequence = reader.uint16();
  const length = PRIMARY_HEADER_OCTETS + reader.uint16() + 1;
  if (!reader.ok || octets.length < length) return fail('truncated');
  if (identification >>> 13 !== 0) return fail('version');
  return ok({
    packet: {
      type: (identification & 0x1000) === 0 ? 'telemetry' : 'telecommand',
      secondaryHeader: (identification & 0x0800) !== 0,
      apid: identification & 0x07ff,
      sequenceFlags: sequence >>> 14,
      sequenceCount: sequence & 0x3fff,
      data: octets.subarray(PRIMARY_HEADER_OCTETS, length),
    },
    length,
  });
}

/** All packets of a datagram, which must hold whole packets and nothing else. */
export function parseSpacePackets(
  octets: Uint8Array,
): Result<readonly { packet: SpacePacket; octets: Uint8Array }[], PacketRefusal> {
  const packets: { packet: SpacePacket; octets: Uint8Array }[] = [];
  let at = 0;
  while (at < octets.length) {
    const parsed = parseSpacePacket(octets.subarray(at));
    if (!parsed.ok) return at > 0 && parsed.reason === 'truncated' ? fail('trailing') : parsed;
    packets.push({ packet: parsed.value.packet, octets: octets.subarray(at, at + parsed.value.length) });
    at += parsed.value.length;
  }
  return packets.length === 0 ? fail('truncated') : ok(packets);
}

/** Throws RangeError when a field is out of its range. */
export function emitSpacePacket(packet: Omit<SpacePacket, 'sequenceFlags'> & { sequenceFlags?: number }): Uint8Array {
  const { apid, sequenceCount, data } = packet;
  if (!(Number.isInteger(apid) && apid >= 0 && apid <= 0x7ff)) throw new RangeError(`APID ${apid}`);
  if (!(Number.isInteger(sequenceCount) && sequenceCount >= 0 && sequenceCount < SEQUENCE_MODULUS))
    throw new RangeError(`sequence count ${sequenceCount}`);
  if (data.length < 1 || data.length > 65_536) throw new RangeError(`a packet data field of ${data.length} octets`);
  return new Writer(PRIMARY_HEADER_OCTETS + data.length)
    .uint16((packet.type === 'telecommand' ? 0x1000 : 0) | (packet.secondaryHeader ? 0x0800 : 0) | apid)
    .uint16(((packet.sequenceFlags ?? UNSEGMENTED) << 14) | sequenceCount)
    .uint16(data.length - 1)
    .octets(data)
    .finish();
}
