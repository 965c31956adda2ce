/**
 * Extensions of Mobile IP control messages: type, length, data (RFC 5944 section 1.9), in the order they stand, which matters:
 * an authentication extension covers what precedes it (section 3.5.1) and decides who reads what follows.
 *
 *     0                   1                   2
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2
 *    |     Type      |    Length     |    Data ...
 *
 * The long format (sections 1.10: a 16-bit length) has no type that these agents know, so it is not read. An extension that is
 * known but malformed makes the whole message malformed; one that is not understood and may be skipped is kept as it came,
 * so that a foreign agent can pass it on unchanged.
 */
import { Reader, Writer } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { EXTENSION } from './numbers.ts';

export interface AuthenticationExtension {
  readonly kind: 'authentication';
  readonly type: number;
  readonly spi: number;
  readonly authenticator: Uint8Array;
  /** Octets of the message that the authenticator covers: everything up to and with the SPI. */
  readonly covers: number;
}

export type OtherExtension =
  | { readonly kind: 'encapsulatingDelivery' }
  | { readonly kind: 'networkAccessIdentifier'; readonly identifier: string }
  | { readonly kind: 'challenge'; readonly challenge: Uint8Array }
  | { readonly kind: 'revocationSupport'; readonly inform: boolean; readonly timestamp: number }
  /** RFC 5177 section 4.1. */
  | { readonly kind: 'mobileNetworkRequest'; readonly prefix: Ipv4Address; readonly prefixLength: number }
  /** RFC 5177 section 4.2; sub-type 1 acknowledges a request (explicit mode), 2 tells of a configured prefix. */
  | {
      readonly kind: 'mobileNetworkAcknowledgement';
      readonly mode: 'explicit' | 'implicit';
      readonly code: number;
      readonly prefix: Ipv4Address;
      readonly prefixLength: number;
    }
  /** RFC 3519 section 3.1. */
  | {
      readonly kind: 'udpTunnelRequest';
      readonly force: boolean;
      readonly registrationThroughForeignAgent: boolean;
      readonly encapsulation: number;
      /** Must be verified to be zero (section 3.1.3; section 4.6.1 denies the request otherwise). */
      readonly reserved3: number;
    }
  /** RFC 3519 section 3.2. */
  | {
      readonly kind: 'udpTunnelReply';
      readonly code: number;
      readonly forced: boolean;
      readonly keepaliveSeconds: number;
    }
  /** Of type 128 or higher and not understood, or of an unknown sub-type: skipped, and relayed untouched. */
  | { readonly kind: 'skipped'; readonly type: number; readonly data: Uint8Array };

export type Extension = AuthenticationExtension | OtherExtension;

export type ExtensionFault = 'truncated-extension' | 'malformed-extension' | 'unknown-extension';

/** What an extension must have in order to be placed: where it begins in the message. */
export type PlacedExtension = Extension & { readonly at: number };

const AUTHENTICATION_TYPES: ReadonlySet<number> = new Set([
  EXTENSION.mobileHomeAuthentication,
  EXTENSION.mobileForeignAuthentication,
  EXTENSION.foreignHomeAuthentication,
]);

/** All extensions from octet `from` of a message to its end. */
export function parseExtensions(message: Uint8Array, from: number): PlacedExtension[] | ExtensionFault {
  const extensions: PlacedExtension[] = [];
  let at = from;
  while (at < message.length) {
    if (at + 2 > message.length) return 'truncated-extension';
    const type = message[at]!;
    const end = at + 2 + message[at + 1]!;
    if (end > message.length) return 'truncated-extension';
    const extension = parseExtension(type, message.subarray(at + 2, end), at);
    if (typeof extension === 'string') return extension;
    extensions.push({ ...extension, at });
    at = end;
  }
  return extensions;
}

function parseExtension(type: number, data: Uint8Array, at: number): Extension | ExtensionFault {
  const reader = new Reader(data);
  const skipped = (): Extension => ({ kind: 'skipped', type, data: data.slice() });
  let extension: Extension | undefined;
  if (AUTHENTICATION_TYPES.has(type)) {
    const spi = reader.uint32();
    extension = { kind: 'authentication', type, spi, authenticator: reader.rest(), covers: at + 6 };
  } else if (type === EXTENSION.encapsulatingDelivery) {
    extension = { kind: 'encapsulatingDelivery' };
  } else if (type === EXTENSION.networkAccessIdentifier) {
    // RFC 2794 section 4: at least one octet, of RFC 4282's ASCII. Other octets would be two identities in one log line.
    if (data.length === 0 || data.some((octet) => octet < 0x21 || octet > 0x7e)) return 'malformed-extension';
    extension = { kind: 'networkAccessIdentifier', identifier: String.fromCharCode(...reader.rest()) };
  } else if (type === EXTENSION.challenge) {
    if (data.length === 0) return 'malformed-extension';
    extension = { kind: 'challenge', challenge: reader.rest() };
  } else if (type === EXTENSION.revocationSupport) {
    const flags = reader.uint16();
    extension = { kind: 'revocationSupport', inform: (flags & 0x8000) !== 0, timestamp: reader.uint32() };
    // Section 3.2: longer in the future.
    reader.rest();
  } else if (type === EXTENSION.udpTunnelRequest) {
    if (data[0] !== 0) return skipped();
    reader.skip(2);
    const flags = reader.uint8();
    extension = {
      kind: 'udpTunnelRequest',
      force: (flags & 0x80) !== 0,
      registrationThroughForeignAgent: (flags & 0x40) !== 0,
      encapsulation: reader.uint8(),
      reserved3: reader.uint16(),
    };
  } else if (type === EXTENSION.udpTunnelReply) {
    if (data[0] !== 0) return 'unknown-extension';
    reader.skip(1);
    const code = reader.uint8();
    const flags = reader.uint16();
    extension = {
      kind: 'udpTunnelReply',
      code,
      forced: (flags & 0x8000) !== 0,
      keepaliveSeconds: reader.uint16(),
    };
  } else if (type === EXTENSION.mobileNetwork) {
    const subtype = reader.uint8();
    if (subtype === 0) {
      const prefixLength = reader.uint8();
      extension = { kind: 'mobileNetworkRequest', prefixLength, prefix: reader.uint32() };
    } else if (subtype === 1 || subtype === 2) {
      const code = reader.uint8();
      const prefixLength = reader.uint8();
      reader.skip(1);
      const mode = subtype === 1 ? 'explicit' : 'implicit';
      extension = { kind: 'mobileNetworkAcknowledgement', mode, code, prefixLength, prefix: reader.uint32() };
    } else return skipped();
  }
  // Section 1.8: what must be understood and is not discards the message; the rest is skipped.
  if (extension === undefined) return type < 128 ? 'unknown-extension' : skipped();
  return reader.ok && reader.remaining === 0 ? extension : 'malformed-extension';
}

/** Appends an extension as it stands on the wire. An authentication extension is written by `authenticate` alone. */
export function writeExtension(writer: Writer, extension: OtherExtension): void {
  const { type, data } = encode(extension);
  if (data.length > 255) throw new RangeError(`an extension of ${data.length} octets`);
  writer.uint8(type).uint8(data.length).octets(data);
}

function encode(extension: OtherExtension): { type: number; data: Uint8Array } {
  const data = new Writer(16);
  switch (extension.kind) {
    case 'encapsulatingDelivery':
      return { type: EXTENSION.encapsulatingDelivery, data: data.finish() };
    case 'networkAccessIdentifier':
      for (const character of extension.identifier) data.uint8(character.charCodeAt(0));
      return { type: EXTENSION.networkAccessIdentifier, data: data.finish() };
    case 'challenge':
      return { type: EXTENSION.challenge, data: extension.challenge };
    case 'revocationSupport':
      data.uint16(extension.inform ? 0x8000 : 0).uint32(extension.timestamp);
      return { type: EXTENSION.revocationSupport, data: data.finish() };
    case 'mobileNetworkRequest':
      data.uint8(0).uint8(extension.prefixLength).uint32(extension.prefix);
      return { type: EXTENSION.mobileNetwork, data: data.finish() };
    case 'mobileNetworkAcknowledgement':
      data.uint8(extension.mode === 'explicit' ? 1 : 2).uint8(extension.code);
      data.uint8(extension.prefixLength).uint8(0).uint32(extension.prefix);
      return { type: EXTENSION.mobileNetwork, data: data.finish() };
    case 'udpTunnelRequest':
      data.uint16(0).uint8((extension.force ? 0x80 : 0) | (extension.registrationThroughForeignAgent ? 0x40 : 0));
      data.uint8(extension.encapsulation).uint16(extension.reserved3);
      return { type: EXTENSION.udpTunnelRequest, data: data.finish() };
    case 'udpTunnelReply':
      data
        .uint8(0)
        .uint8(extension.code)
        .uint16(extension.forced ? 0x8000 : 0)
        .uint16(extension.keepaliveSeconds);
      return { type: EXTENSION.udpTunnelReply, data: data.finish() };
    case 'skipped':
      return { type: extension.type, data: extension.data };
  }
}

/** The extensions of one kind, in order. */
export function ofKind<Kind extends Extension['kind']>(
  extensions: readonly PlacedExtension[],
  kind: Kind,
): Extract<PlacedExtension, { kind: Kind }>[] {
  return extensions.filter((e): e is Extract<PlacedExtension, { kind: Kind }> => e.kind === kind);
}

export const authenticationsOf = (
  extensions: readonly PlacedExtension[],
  type: number,
): Extract<PlacedExtension, { kind: 'authentication' }>[] =>
  ofKind(extensions, 'authentication').filter((extension) => extension.type === type);

/** Where the part of a message ends that the mobile node's authenticator covers, and that nobody on the way may change. */
export function endOfAuthorization(extensions: readonly PlacedExtension[], length: number): number {
  let end = 0;
  for (const [index, extension] of extensions.entries()) {
    const authorizing =
      (extension.kind === 'authentication' && extension.type === EXTENSION.mobileHomeAuthentication) ||
      (extension.kind === 'skipped' && extension.type === EXTENSION.generalizedAuthentication);
    if (authorizing) end = extensions[index + 1]?.at ?? length;
  }
  return end === 0 ? length : end;
}
