/** The hash functions and random numbers of Mobile IP, from OpenSSL; and keys as a scenario writes them. */
import { createHmac, randomInt } from 'node:crypto';
import { fromHex } from '../core/index.ts';
import { type Ipv4Address, parseIpv4, parsePrefix } from '../ip/index.ts';
import { type Hmac, type NetworkPrefix, type SecurityAssociation, SecurityAssociations } from '../mobileip/index.ts';
import type { SecurityAssociationSettings } from '../mobileip/settings.ts';

const HASH = { 'hmac-md5': 'md5', 'hmac-sha-256': 'sha256' } as const;

export const hmac: Hmac = (algorithm, key, data) => createHmac(HASH[algorithm], key).update(data).digest();

/** 32 bits that nobody guesses. */
export const random32 = (): number => randomInt(0x1_0000_0000);

export const associationOf = ({ key, ...rest }: SecurityAssociationSettings): SecurityAssociation => ({
  ...rest,
  key: fromHex(key),
});

export function associationsOf(
  peers: readonly { readonly peer: Ipv4Address | string; readonly security: SecurityAssociationSettings }[],
): SecurityAssociations {
  const associations = new SecurityAssociations();
  for (const { peer, security } of peers) associations.add(peer, associationOf(security));
  return associations;
}

/** Of settings, which the schema has validated. */
export function ipv4Of(text: string): Ipv4Address {
  const address = parseIpv4(text.split('/')[0]!);
  if (address === undefined) throw new RangeError(text);
  return address;
}
export function prefixOfText(text: string): NetworkPrefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined || typeof prefix.address !== 'number') throw new RangeError(text);
  return { address: prefix.address, length: prefix.length };
}
