/** Host and port arguments and replies of PORT, PASV (RFC 959 section 4.1.2), EPRT and EPSV (RFC 2428). */
import { fail, ok, type Result } from '../../core/index.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** `h1,h2,h3,h4,p1,p2` */
export function parsePort(argument: string): Result<Endpoint, 'syntax'> {
  const numbers = argument.trim().split(',');
  if (numbers.length !== 6 || !numbers.every((n) => /^\d{1,3}$/.test(n) && Number(n) <= 255)) return fail('syntax');
  const [h1, h2, h3, h4, p1, p2] = numbers.map(Number);
  return ok({ address: `${h1}.${h2}.${h3}.${h4}`, port: p1! * 256 + p2! });
}

/** `<d>1|2<d>address<d>port<d>`; the delimiter is any of ASCII 33 … 126 (RFC 2428 section 2). */
export function parseExtendedPort(argument: string): Result<Endpoint, 'syntax' | 'protocol'> {
  const text = argument.trim();
  const delimiter = text.charAt(0);
  if (delimiter < '!' || delimiter > '~' || delimiter === '') return fail('syntax');
  const parts = text.split(delimiter);
  if (parts.length !== 5 || parts[0] !== '' || parts[4] !== '') return fail('syntax');
  const [, protocol, address, portText] = parts as [string, string, string, string, string];
  if (!/^\d{1,5}$/.test(portText) || Number(portText) > 65_535) return fail('syntax');
  if (!/^\d{1,5}$/.test(protocol)) return fail('syntax');
  if (protocol !== '1' && protocol !== '2') return fail('protocol');
  const isIpv6 = address.includes(':');
  if (isIpv6 !== (protocol === '2') || !/^[0-9a-fA-F:.]+$/.test(address)) return fail('syntax');
  return ok({ address: canonicalAddress(address), port: Number(portText) });
}

/** `(h1,h2,h3,h4,p1,p2)` of a 227 reply. */
export const formatPassive = ({ address, port }: Endpoint): string =>
  `(${address.replaceAll('.', ',')},${port >>> 8},${port & 255})`;

/**
 * One spelling per address, so that two can be compared: an IPv4 address mapped into IPv6 becomes IPv4, a zone (`%eth0`) is
 * cut off, IPv6 is written as eight groups without leading zeros. Anything else comes back as it is, lower case.
 */
export function canonicalAddress(address: string): string {
  const plain = address.split('%')[0]!.toLowerCase();
  if (!plain.includes(':')) return plain;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(plain);
  const hexadecimal =
    dotted === null
      ? plain
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head, tail] = hexadecimal.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = 8 - left.length - right.length;
  if (missing < 0 || (tail === undefined && missing !== 0)) return plain;
  const groups = [...left, ...Array<string>(missing).fill('0'), ...right].map((g) => Number.parseInt(g, 16));
  if (groups.some((g) => !(g >= 0 && g <= 0xffff))) return plain;
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff)
    return [groups[6]! >>> 8, groups[6]! & 255, groups[7]! >>> 8, groups[7]! & 255].join('.');
  return groups.map((g) => g.toString(16)).join(':');
}
