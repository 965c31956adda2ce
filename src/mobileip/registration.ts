/**
 * Registration Request and Reply: RFC 5944 sections 3.3 and 3.4, the T bit by RFC 3024 section 3.2.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    |   Type = 1    |S|B|D|M|G|r|T|x|          Lifetime             |      |   Type = 3    |     Code      |   Lifetime  |
 *    |                          Home Address                         |      |                 Home Address                |
 *    |                           Home Agent                          |      |                  Home Agent                 |
 *    |                        Care-of Address                        |      |                Identification               |
 *    |                       Identification (64)                     |      |  Extensions ...
 *    |  Extensions ...
 *
 * `r` and `x` are "sent as zero; ignored on reception" (section 3.3), and yet "requests with non-zero bits in reserved fields
 * MUST be rejected" (sections 3.7.2.1, 3.8.2.3): the parser keeps `x`, and the agents reject. `r` was V (Van Jacobson) in
 * RFC 2002 and is ignored, so that an old mobile node that asks for VJ compression is not turned away for it.
 */
import { Reader, type Result, Writer } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import {
  type ExtensionFault,
  type OtherExtension,
  type PlacedExtension,
  parseExtensions,
  writeExtension,
} from './extension.ts';
import { MESSAGE } from './numbers.ts';

export const REQUEST_OCTETS = 24;
export const REPLY_OCTETS = 20;

export interface RegistrationRequest {
  /** S: keep the bindings there are. */
  readonly simultaneousBindings: boolean;
  /** B: send on broadcasts of the home network. */
  readonly broadcasts: boolean;
  /** D: the mobile node itself decapsulates; its care-of address is co-located. */
  readonly decapsulationByMobileNode: boolean;
  readonly minimalEncapsulation: boolean;
  readonly greEncapsulation: boolean;
  readonly reverseTunnel: boolean;
  /** The last flag bit, which must be zero. */
  readonly reservedBit: boolean;
  /** Seconds; 0 deregisters, 65535 is infinite. */
  readonly lifetime: number;
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly identification: bigint;
  readonly extensions: readonly PlacedExtension[];
}

export interface RegistrationReply {
  readonly code: number;
  readonly lifetime: number;
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly identification: bigint;
  readonly extensions: readonly PlacedExtension[];
}

export type MessageFault = 'truncated' | 'wrong-type' | ExtensionFault;

export function parseRegistrationRequest(message: Uint8Array): Result<RegistrationRequest, MessageFault> {
  const reader = new Reader(message);
  const type = reader.uint8();
  const flags = reader.uint8();
  const fixed = {
    simultaneousBindings: (flags & 0x80) !== 0,
    broadcasts: (flags & 0x40) !== 0,
    decapsulationByMobileNode: (flags & 0x20) !== 0,
    minimalEncapsulation: (flags & 0x10) !== 0,
    greEncapsulation: (flags & 0x08) !== 0,
    reverseTunnel: (flags & 0x02) !== 0,
    reservedBit: (flags & 0x01) !== 0,
    lifetime: reader.uint16(),
    homeAddress: reader.uint32(),
    homeAgent: reader.uint32(),
    careOfAddress: reader.uint32(),
    identification: reader.uint64(),
  };
  if (!reader.ok) return { ok: false, reason: 'truncated' };
  if (type !== MESSAGE.registrationRequest) return { ok: false, reason: 'wrong-type' };
  const extensions = parseExtensions(message, REQUEST_OCTETS);
  return typeof extensions === 'string'
    ? { ok: false, reason: extensions }
    : { ok: true, value: { ...fixed, extensions } };
}

export type RegistrationRequestFields = Partial<Omit<RegistrationRequest, 'extensions'>> &
  Pick<RegistrationRequest, 'lifetime' | 'homeAddress' | 'homeAgent' | 'careOfAddress' | 'identification'>;

/** A request without authentication; the sender appends that. */
export function emitRegistrationRequest(
  fields: RegistrationRequestFields,
  extensions: readonly OtherExtension[] = [],
): Writer {
  const writer = new Writer(96);
  const flags =
    (fields.simultaneousBindings ? 0x80 : 0) |
    (fields.broadcasts ? 0x40 : 0) |
    (fields.decapsulationByMobileNode ? 0x20 : 0) |
    (fields.minimalEncapsulation ? 0x10 : 0) |
    (fields.greEncapsulation ? 0x08 : 0) |
    (fields.reverseTunnel ? 0x02 : 0) |
    (fields.reservedBit ? 0x01 : 0);
  writer.uint8(MESSAGE.registrationRequest).uint8(flags).uint16(fields.lifetime).uint32(fields.homeAddress);
  writer.uint32(fields.homeAgent).uint32(fields.careOfAddress).uint64(fields.identification);
  for (const extension of extensions) writeExtension(writer, extension);
  return writer;
}

export function parseRegistrationReply(message: Uint8Array): Result<RegistrationReply, MessageFault> {
  const reader = new Reader(message);
  const type = reader.uint8();
  const fixed = {
    code: reader.uint8(),
    lifetime: reader.uint16(),
    homeAddress: reader.uint32(),
    homeAgent: reader.uint32(),
    identification: reader.uint64(),
  };
  if (!reader.ok) return { ok: false, reason: 'truncated' };
  if (type !== MESSAGE.registrationReply) return { ok: false, reason: 'wrong-type' };
  const extensions = parseExtensions(message, REPLY_OCTETS);
  return typeof extensions === 'string'
    ? { ok: false, reason: extensions }
    : { ok: true, value: { ...fixed, extensions } };
}

/** A reply without authentication. */
export function emitRegistrationReply(
  fields: Omit<RegistrationReply, 'extensions'>,
  extensions: readonly OtherExtension[] = [],
): Writer {
  const writer = new Writer(96);
  writer.uint8(MESSAGE.registrationReply).uint8(fields.code).uint16(fields.lifetime).uint32(fields.homeAddress);
  writer.uint32(fields.homeAgent).uint64(fields.identification);
  for (const extension of extensions) writeExtension(writer, extension);
  return writer;
}
