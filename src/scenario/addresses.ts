/** What a scenario asks of addresses and prefixes beyond src/ip: strict text with reasons, overlap, the n-th address. */
import { fail, ok } from '../core/index.ts';
import {
  formatAddress,
  formatPrefix,
  type IpAddress,
  isIpv4,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../ip/index.ts';
import type { Parsed } from './units.ts';

const familyOf = (address: IpAddress): 4 | 6 => (isIpv4(address) ? 4 : 6);

/** The address in its canonical form. */
export function checkAddress(text: string, family: 4 | 6): Parsed<string> {
  const address = parseAddress(text);
  return address === undefined || familyOf(address) !== family
    ? fail(`'${text}' is not an IPv${family} address`)
    : ok(formatAddress(address));
}

/** The prefix in its canonical form; host bits that are set are refused, because they show that one of two things is wrong. */
export function checkPrefix(text: string, family: 4 | 6): Parsed<string> {
  const prefix = text.includes('/') ? parsePrefix(text) : undefined;
  if (prefix === undefined || familyOf(prefix.address) !== family)
    return fail(`'${text}' is not an IPv${family} prefix; write ${family === 4 ? '192.168.12.0/24' : 'fd12:12::/64'}`);
  if (formatAddress(prefix.address) !== formatAddress(parseAddress(text.slice(0, text.indexOf('/')))!))
    return fail(`'${text}' has host bits set; the network is ${formatPrefix(prefix)}`);
  return ok(formatPrefix(prefix));
}

export const overlap = (a: Prefix, b: Prefix): boolean =>
  a.length <= b.length ? prefixContains(a, b.address) : prefixContains(b, a.address);

/** The n-th address of a prefix, 1 the first usable one; undefined when the prefix has no such host. */
export function hostAddress(prefix: Prefix, n: number): IpAddress | undefined {
  const bits = (isIpv4(prefix.address) ? 32 : 128) - prefix.length;
  // The last address of an IPv4 prefix is its broadcast address, except in a /31 (RFC 3021).
  if (bits < 1 || (bits < 32 && n > 2 ** bits - (bits === 1 ? 1 : 2))) return undefined;
  if (isIpv4(prefix.address)) return prefix.address + (bits === 1 ? n - 1 : n);
  const octets = prefix.address.slice();
  const view = new DataView(octets.buffer);
  view.setUint32(12, view.getUint32(12) + n);
  return octets;
}
