/**
 * The telecommand: a CCSDS space packet (133.0-B-2) whose data field is authenticated. Blind (UDP) and reliable (TCP) commands, and
 * those in files, all have this one form.
 *
 *  | primary header 6 | format 1 | key identifier 4 | counter 8 | execution time 6 | opcode 2 | arguments | HMAC-SHA-256 32 |
 *
 * The HMAC (RFC 2104, FIPS 198-1) covers everything before it, the primary header too. The counter is the key's own and never used
 * twice; the packet's sequence count is its low 14 bits. Execution time is CUC by the spacecraft clock; zero means at once.
 * The hash is a port (OpenSSL through src/io): it is constant in time and kept by others.
 */
import { fail, ok, Reader, type Result, type WallTime, Writer } from '../../core/index.ts';
import {
  type CommandDefinition,
  CUC_OCTETS,
  type Dictionary,
  decodeFields,
  emitCuc,
  emitSpacePacket,
  encodeFields,
  PRIMARY_HEADER_OCTETS,
  parseCuc,
  parseSpacePacket,
  SEQUENCE_MODULUS,
  type Value,
} from '../telemetry/index.ts';

/** HMAC-SHA-256 under one key that the function holds. */
export type Hmac = (octets: Uint8Array) => Uint8Array;

// Implementation constants
export const COMMAND_FORMAT = 1;
export const HMAC_OCTETS = 32;
export const LARGEST_COMMAND_OCTETS = 1024;
const FIXED_OCTETS = 1 + 4 + 8 + CUC_OCTETS + 2;

export interface Telecommand {
  readonly keyId: number;
  readonly counter: bigint;
  /** Undefined: at once. */
  readonly executeAt: WallTime | undefined;
  readonly opcode: number;
  readonly argumentOctets: Uint8Array;
}

export type TelecommandRefusal = 'malformed' | 'oversized' | 'unknownKey' | 'forged';

export function emitTelecommand(dictionary: Dictionary, command: Telecommand, hmac: Hmac): Uint8Array {
  const body = new Writer(FIXED_OCTETS + command.argumentOctets.length)
    .uint8(COMMAND_FORMAT)
    .uint32(command.keyId)
    .uint64(command.counter)
    .octets(command.executeAt === undefined ? new Uint8Array(CUC_OCTETS) : emitCuc(command.executeAt))
    .uint16(command.opcode)
    .octets(command.argumentOctets)
    .octets(new Uint8Array(HMAC_OCTETS))
    .finish();
  const packet = emitSpacePacket({
    type: 'telecommand',
    secondaryHeader: true,
    apid: dictionary.commandApid,
    sequenceCount: Number(command.counter % BigInt(SEQUENCE_MODULUS)),
    data: body,
  });
  if (packet.length > LARGEST_COMMAND_OCTETS) throw new RangeError(`a telecommand of ${packet.length} octets`);
  packet.set(hmac(packet.subarray(0, packet.length - HMAC_OCTETS)), packet.length - HMAC_OCTETS);
  return packet;
}

/** An authentic command, or why it is refused. Exactly one packet must fill the octets. */
export function parseTelecommand(
  dictionary: Dictionary,
  octets: Uint8Array,
  keys: ReadonlyMap<number, Hmac>,
): Result<Telecommand, TelecommandRefusal> {
  if (octets.length > LARGEST_COMMAND_OCTETS) return fail('oversized');
  const parsed = parseSpacePacket(octets);
  if (!parsed.ok || parsed.value.length !== octets.length) return fail('malformed');
  const { packet } = parsed.value;
  if (packet.type !== 'telecommand' || packet.apid !== dictionary.commandApid || !packet.secondaryHeader)
    return fail('malformed');
  if (packet.data.length < FIXED_OCTETS + HMAC_OCTETS) return fail('malformed');
  const reader = new Reader(packet.data);
  if (reader.uint8() !== COMMAND_FORMAT) return fail('malformed');
  const keyId = reader.uint32();
  const hmac = keys.get(keyId);
  if (hmac === undefined) return fail('unknownKey');
  const end = octets.length - HMAC_OCTETS;
  if (!sameInConstantTime(hmac(octets.subarray(0, end)), octets.subarray(end))) return fail('forged');
  const counter = reader.uint64();
  const time = reader.octets(CUC_OCTETS);
  const opcode = reader.uint16();
  const argumentOctets = octets.slice(PRIMARY_HEADER_OCTETS + FIXED_OCTETS, end);
  const immediate = time.every((octet) => octet === 0);
  return ok({ keyId, counter, executeAt: immediate ? undefined : parseCuc(time), opcode, argumentOctets });
}

export type Arguments = Readonly<Record<string, Value>>;

/** The command's definition and its arguments, or why they are wrong. */
export function interpret(
  dictionary: Dictionary,
  command: Telecommand,
): Result<{ definition: CommandDefinition; args: Arguments }, 'unknownCommand' | 'arguments'> {
  const definition = dictionary.commands.find((c) => c.opcode === command.opcode);
  if (definition === undefined) return fail('unknownCommand');
  const fields = decodeFields(definition.arguments, command.argumentOctets);
  if (!fields.ok) return fail('arguments');
  for (const { parameter, value } of fields.value) {
    if (parameter.range === undefined) continue;
    // A NaN is in no range.
    if (!(Number(value) >= parameter.range[0] && Number(value) <= parameter.range[1])) return fail('arguments');
  }
  return ok({ definition, args: Object.fromEntries(fields.value.map((f) => [f.parameter.name, f.value])) });
}

export type ArgumentProblem = { readonly argument: string; readonly problem: string };

/** Arguments as an operator writes them, `name=value`, to octets; or what is wrong with which. */
export function encodeArguments(
  definition: CommandDefinition,
  given: Readonly<Record<string, string>>,
):
  | { readonly ok: true; readonly value: Uint8Array }
  | { readonly ok: false; readonly problems: readonly ArgumentProblem[] } {
  const problems: ArgumentProblem[] = [];
  const values: Record<string, Value> = {};
  for (const name of Object.keys(given))
    if (!definition.arguments.some((a) => a.name === name))
      problems.push({ argument: name, problem: `'${definition.name}' has no such argument` });
  for (const parameter of definition.arguments) {
    const text = given[parameter.name];
    const { type, range } = parameter;
    const wrong = (problem: string) => problems.push({ argument: parameter.name, problem });
    if (text === undefined) wrong('is missing');
    else if (type.kind === 'boolean') {
      const value = { true: true, on: true, yes: true, 1: true, false: false, off: false, no: false, 0: false }[
        text.toLowerCase()
      ];
      if (value === undefined) wrong(`'${text}' is neither on nor off`);
      else values[parameter.name] = value;
    } else if (type.kind === 'enumerated') {
      if (!type.labels.includes(text)) wrong(`'${text}' is none of ${type.labels.join(', ')}`);
      values[parameter.name] = text;
    } else if (type.kind === 'text') {
      if (new TextEncoder().encode(text).length > type.octets) wrong(`is longer than ${type.octets} octets`);
      values[parameter.name] = text;
    } else {
      const value = Number(text);
      if (text.trim() === '' || !Number.isFinite(value) || (type.kind !== 'float' && !Number.isInteger(value)))
        wrong(`'${text}' is not a ${type.kind === 'float' ? 'number' : 'whole number'}`);
      else if (range !== undefined && (value < range[0] || value > range[1]))
        wrong(`${text} is not within ${range[0]} to ${range[1]}`);
      else if (type.kind === 'unsigned' && (value < 0 || value >= 2 ** type.bits))
        wrong(`${text} does not fit ${type.bits} bits`);
      values[parameter.name] = value;
    }
  }
  return problems.length > 0 ? { ok: false, problems } : ok(encodeFields(definition.arguments, values));
}

function sameInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0);
  return difference === 0;
}
