/** Parameters to octets and back, by their description. */
import { fail, invariant, ok, Reader, type Result, Writer } from '../../core/index.ts';
import type { Parameter } from './dictionary.ts';

export type Value = number | bigint | string | boolean;
export type LimitState = 'within' | 'watch' | 'alarm';

export interface DecodedField {
  readonly parameter: Parameter;
  readonly raw: Value;
  /** Calibrated; the same as raw without a calibration. NaN stands for "not known". */
  readonly value: Value;
  readonly state: LimitState;
}

/**
 * Values are in engineering units, by name. What is missing is NaN in a float and zero elsewhere; numbers beyond the field's range
 * are clamped, because telemetry that shows a full scale is better than none.
 */
export function encodeFields(
  parameters: readonly Parameter[],
  values: Readonly<Record<string, Value | undefined>>,
): Uint8Array {
  const writer = new Writer(64);
  for (const parameter of parameters) writeField(writer, parameter, values[parameter.name]);
  return writer.finish();
}

/** Undefined lengths do not occur: the octets must be exactly as long as the description. */
export function decodeFields(
  parameters: readonly Parameter[],
  octets: Uint8Array,
): Result<readonly DecodedField[], 'length' | 'value'> {
  const reader = new Reader(octets);
  const fields: DecodedField[] = [];
  let legal = true;
  for (const parameter of parameters) {
    const raw = readField(reader, parameter);
    if (raw === undefined) legal = false;
    else fields.push(decoded(parameter, raw));
  }
  if (!reader.ok || reader.remaining !== 0) return fail('length');
  return legal ? ok(fields) : fail('value');
}

function decoded(parameter: Parameter, raw: Value): DecodedField {
  const { calibration } = parameter;
  const value =
    calibration !== undefined && typeof raw === 'number' ? calibration.offset + calibration.slope * raw : raw;
  return { parameter, raw, value, state: limitState(parameter, value) };
}

export function limitState({ limits }: Parameter, value: Value): LimitState {
  if (limits === undefined || (typeof value !== 'number' && typeof value !== 'bigint')) return 'within';
  const outside = (range?: readonly [number, number]) => range !== undefined && (value < range[0] || value > range[1]);
  return outside(limits.alarm) ? 'alarm' : outside(limits.watch) ? 'watch' : 'within';
}

function writeField(writer: Writer, parameter: Parameter, value: Value | undefined): void {
  const { type, calibration } = parameter;
  switch (type.kind) {
    case 'boolean':
      writer.uint8(value ? 1 : 0);
      return;
    case 'enumerated': {
      const index = typeof value === 'number' ? value : Math.max(0, type.labels.indexOf(String(value ?? '')));
      if (type.bits === 8) writer.uint8(index);
      else writer.uint16(index);
      return;
    }
    case 'text': {
      const octets = new Uint8Array(type.octets);
      octets.set(wholeCharacters(new TextEncoder().encode(String(value ?? '')), type.octets));
      writer.octets(octets);
      return;
    }
    case 'float': {
      const view = new DataView(new ArrayBuffer(type.bits / 8));
      const number =
        value === undefined ? Number.NaN : (Number(value) - (calibration?.offset ?? 0)) / (calibration?.slope ?? 1);
      if (type.bits === 32) view.setFloat32(0, number);
      else view.setFloat64(0, number);
      writer.octets(new Uint8Array(view.buffer));
      return;
    }
    default: {
      const raw =
        typeof value === 'bigint'
          ? value
          : BigInt(finite(Math.round((Number(value ?? 0) - (calibration?.offset ?? 0)) / (calibration?.slope ?? 1))));
      writeInteger(writer, clampInteger(raw, type.bits, type.kind === 'signed'), type.bits);
    }
  }
}

const finite = (value: number): number => (Number.isFinite(value) ? value : value > 0 ? Number.MAX_VALUE : 0);

function clampInteger(value: bigint, bits: number, signed: boolean): bigint {
  const highest = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  const lowest = signed ? -highest - 1n : 0n;
  return BigInt.asUintN(bits, value < lowest ? lowest : value > highest ? highest : value);
}

function writeInteger(writer: Writer, value: bigint, bits: 8 | 16 | 32 | 64): void {
  if (bits === 64) writer.uint64(value);
  else if (bits === 32) writer.uint32(Number(value));
  else if (bits === 16) writer.uint16(Number(value));
  else writer.uint8(Number(value));
}

/** Undefined when the octets are no legal value: an enumeration's unknown number, text that is not UTF-8. */
function readField(reader: Reader, { type }: Parameter): Value | undefined {
  switch (type.kind) {
    case 'boolean':
      return reader.uint8() !== 0;
    case 'enumerated':
      return type.labels[type.bits === 8 ? reader.uint8() : reader.uint16()];
    case 'text': {
      const octets = reader.octets(type.octets);
      const end = octets.indexOf(0);
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? octets : octets.subarray(0, end));
      } catch {
        return undefined;
      }
    }
    case 'float': {
      const octets = reader.octets(type.bits / 8);
      if (octets.length !== type.bits / 8) return Number.NaN;
      const view = new DataView(octets.buffer, octets.byteOffset);
      return type.bits === 32 ? view.getFloat32(0) : view.getFloat64(0);
    }
    default: {
      const unsigned = type.bits === 64 ? reader.uint64() : BigInt(readUnsigned(reader, type.bits));
      const value = type.kind === 'signed' ? BigInt.asIntN(type.bits, unsigned) : unsigned;
      return type.bits === 64 ? value : Number(value);
    }
  }
}

function readUnsigned(reader: Reader, bits: 8 | 16 | 32): number {
  return bits === 32 ? reader.uint32() : bits === 16 ? reader.uint16() : reader.uint8();
}

/** UTF-8 cut at `limit` octets without splitting a character. */
function wholeCharacters(octets: Uint8Array, limit: number): Uint8Array {
  if (octets.length <= limit) return octets;
  let end = limit;
  while (end > 0 && (octets[end]! & 0xc0) === 0x80) end--;
  invariant(end >= 0, 'UTF-8 has a first octet');
  return octets.subarray(0, end);
}
