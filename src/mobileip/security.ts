/**
 * Mobility security associations and authenticators: RFC 5944 sections 3.5.1 and 5.1.
 *
 * The SPI selects algorithm, key and style of replay protection. An authenticator covers the UDP payload up to and with the SPI
 * of its own extension, never the UDP header. HMAC-MD5 is the default of the standard; HMAC-SHA-256 is offered beside it with
 * all 32 octets. RFC 2002's keyed MD5 (prefix and suffix) is another algorithm and is not offered: it does not interoperate.
 */
import { Writer } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { PlacedExtension } from './extension.ts';

export type AuthenticationAlgorithm = 'hmac-md5' | 'hmac-sha-256';

/** The hash functions are a port: OpenSSL's in a process, and the same in tests. */
export type Hmac = (algorithm: AuthenticationAlgorithm, key: Uint8Array, data: Uint8Array) => Uint8Array;

export const AUTHENTICATOR_OCTETS: Readonly<Record<AuthenticationAlgorithm, number>> = {
  'hmac-md5': 16,
  'hmac-sha-256': 32,
};

export type ReplayProtection = 'timestamp' | 'nonce';

/** What two nodes share: RFC 5944 section 1.6. SPIs 0 to 255 are reserved. */
export interface SecurityAssociation {
  readonly spi: number;
  readonly algorithm: AuthenticationAlgorithm;
  readonly key: Uint8Array;
  readonly replay: ReplayProtection;
}

/** Associations with one class of peers, found by peer and SPI. The first of a peer is the one used towards it. */
export class SecurityAssociations {
  readonly #byPeer = new Map<Ipv4Address | string, SecurityAssociation[]>();

  /** @param peer an address, or the NAI of a mobile node that has none yet. */
  add(peer: Ipv4Address | string, association: SecurityAssociation): this {
    if (!(association.spi > 255 && association.spi <= 0xffffffff)) throw new RangeError(`SPI ${association.spi}`);
    const list = this.#byPeer.get(peer);
    if (list === undefined) this.#byPeer.set(peer, [association]);
    else list.push(association);
    return this;
  }
  has(peer: Ipv4Address | string): boolean {
    return this.#byPeer.has(peer);
  }
  find(peer: Ipv4Address | string, spi: number): SecurityAssociation | undefined {
    return this.#byPeer.get(peer)?.find((association) => association.spi === spi);
  }
  preferred(peer: Ipv4Address | string): SecurityAssociation | undefined {
    return this.#byPeer.get(peer)?.[0];
  }
}

/** Appends the authentication extension of this type to a message that is complete up to there. */
export function authenticate(writer: Writer, type: number, association: SecurityAssociation, hmac: Hmac): void {
  writer.uint8(type).uint8(4 + AUTHENTICATOR_OCTETS[association.algorithm]);
  writer.uint32(association.spi);
  writer.octets(hmac(association.algorithm, association.key, writer.finish()));
}

/** The message with the authentication extension behind it. */
export function appendAuthentication(
  message: Uint8Array,
  type: number,
  association: SecurityAssociation,
  hmac: Hmac,
): Uint8Array {
  const writer = new Writer(message.length + 38).octets(message);
  authenticate(writer, type, association, hmac);
  return writer.finish();
}

/** Whether the extension's authenticator is the one that this association makes over the message as it arrived. */
export function isAuthentic(
  message: Uint8Array,
  extension: Extract<PlacedExtension, { kind: 'authentication' }>,
  association: SecurityAssociation,
  hmac: Hmac,
): boolean {
  if (association.spi !== extension.spi) return false;
  const expected = hmac(association.algorithm, association.key, message.subarray(0, extension.covers));
  return equalInConstantTime(expected, extension.authenticator);
}

/** The time taken does not tell how many octets agree. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
