/**
 * Registration Revocation and its Acknowledgement: RFC 3543 sections 3.3 and 3.4.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    |   Type = 7    |   Reserved    |A|I|          Reserved         |      |   Type = 15   |   Reserved  |I|   Reserved  |
 *    |                          Home Address                         |      |                 Home Address                |
 *    |                       Home Domain Address                     |      |             Revocation Identifier           |
 *    |                     Foreign Domain Address                    |      |  Extensions, authenticator
 *    |                      Revocation Identifier                    |
 *    |  Extensions, authenticator
 *
 * The identifier is a 32-bit timestamp of the clock that also fills the revocation support extensions (section 3.5).
 */
import { Reader, type Result, Writer } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { type PlacedExtension, parseExtensions } from './extension.ts';
import { MESSAGE } from './numbers.ts';
import type { MessageFault } from './registration.ts';

const REVOCATION_OCTETS = 20;
const ACKNOWLEDGEMENT_OCTETS = 12;

export interface Revocation {
  /** A: sent by the home agent. Detects reflections. */
  readonly fromHomeAgent: boolean;
  readonly inform: boolean;
  readonly homeAddress: Ipv4Address;
  readonly homeDomainAddress: Ipv4Address;
  readonly foreignDomainAddress: Ipv4Address;
  readonly identifier: number;
  readonly extensions: readonly PlacedExtension[];
}

export interface RevocationAcknowledgement {
  readonly inform: boolean;
  readonly homeAddress: Ipv4Address;
  readonly identifier: number;
  readonly extensions: readonly PlacedExtension[];
}

export function parseRevocation(message: Uint8Array): Result<Revocation, MessageFault> {
  const reader = new Reader(message);
  const type = reader.uint8();
  reader.skip(1);
  const flags = reader.uint16();
  const fixed = {
    fromHomeAgent: (flags & 0x8000) !== 0,
    inform: (flags & 0x4000) !== 0,
    homeAddress: reader.uint32(),
    homeDomainAddress: reader.uint32(),
    foreignDomainAddress: reader.uint32(),
    identifier: reader.uint32(),
  };
  if (!reader.ok) return { ok: false, reason: 'truncated' };
  if (type !== MESSAGE.revocation) return { ok: false, reason: 'wrong-type' };
  const extensions = parseExtensions(message, REVOCATION_OCTETS);
  return typeof extensions === 'string'
    ? { ok: false, reason: extensions }
    : { ok: true, value: { ...fixed, extensions } };
}

export function emitRevocation(fields: Omit<Revocation, 'extensions'>): Writer {
  const writer = new Writer(64);
  writer
    .uint8(MESSAGE.revocation)
    .uint8(0)
    .uint16((fields.fromHomeAgent ? 0x8000 : 0) | (fields.inform ? 0x4000 : 0));
  writer.uint32(fields.homeAddress).uint32(fields.homeDomainAddress).uint32(fields.foreignDomainAddress);
  return writer.uint32(fields.identifier);
}

export function parseRevocationAcknowledgement(message: Uint8Array): Result<RevocationAcknowledgement, MessageFault> {
  const reader = new Reader(message);
  const type = reader.uint8();
  reader.skip(1);
  const flags = reader.uint16();
  const fixed = { inform: (flags & 0x8000) !== 0, homeAddress: reader.uint32(), identifier: reader.uint32() };
  if (!reader.ok) return { ok: false, reason: 'truncated' };
  if (type !== MESSAGE.revocationAcknowledgement) return { ok: false, reason: 'wrong-type' };
  const extensions = parseExtensions(message, ACKNOWLEDGEMENT_OCTETS);
  return typeof extensions === 'string'
    ? { ok: false, reason: extensions }
    : { ok: true, value: { ...fixed, extensions } };
}

export function emitRevocationAcknowledgement(fields: Omit<RevocationAcknowledgement, 'extensions'>): Writer {
  const writer = new Writer(64);
  writer
    .uint8(MESSAGE.revocationAcknowledgement)
    .uint8(0)
    .uint16(fields.inform ? 0x8000 : 0);
  return writer.uint32(fields.homeAddress).uint32(fields.identifier);
}
