/** Telemetry packets by their dictionary: secondary header is the CUC time, user data are the parameters in order. */
import { fail, ok, type Result, type WallTime } from '../../core/index.ts';
import { CUC_OCTETS, emitCuc, parseCuc } from './cuc.ts';
import type { Dictionary, PacketDefinition } from './dictionary.ts';
import { type DecodedField, decodeFields, encodeFields, type Value } from './fields.ts';
import { emitSpacePacket, type PacketRefusal, parseSpacePacket, type SpacePacket } from './space-packet.ts';

export interface TelemetryPacket {
  readonly definition: PacketDefinition;
  readonly sequenceCount: number;
  readonly time: WallTime;
  readonly fields: readonly DecodedField[];
}

export type TelemetryRefusal = PacketRefusal | 'telecommand' | 'unknownApid' | 'length' | 'value';

export function encodeTelemetry(
  definition: PacketDefinition,
  sequenceCount: number,
  time: WallTime,
  values: Readonly<Record<string, Value | undefined>>,
): Uint8Array {
  const fields = encodeFields(definition.parameters, values);
  const data = new Uint8Array(CUC_OCTETS + fields.length);
  data.set(emitCuc(time));
  data.set(fields, CUC_OCTETS);
  return emitSpacePacket({ type: 'telemetry', secondaryHeader: true, apid: definition.apid, sequenceCount, data });
}

export function decodeTelemetry(dictionary: Dictionary, octets: Uint8Array): Result<TelemetryPacket, TelemetryRefusal> {
  const parsed = parseSpacePacket(octets);
  if (!parsed.ok) return parsed;
  const { packet, length } = parsed.value;
  if (length !== octets.length) return fail('trailing');
  if (packet.type !== 'telemetry') return fail('telecommand');
  const definition = dictionary.packets.find((p) => p.apid === packet.apid);
  if (definition === undefined) return fail('unknownApid');
  const time = timeOf(packet);
  if (time === undefined) return fail('length');
  const fields = decodeFields(definition.parameters, packet.data.subarray(CUC_OCTETS));
  if (!fields.ok) return fields;
  return ok({ definition, sequenceCount: packet.sequenceCount, time, fields: fields.value });
}

/** The time in a packet's secondary header, whoever's APID it is; undefined when it has none. */
export function timeOf(packet: SpacePacket): WallTime | undefined {
  return packet.secondaryHeader && packet.data.length >= CUC_OCTETS ? parseCuc(packet.data) : undefined;
}
