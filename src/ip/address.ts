/**
 * IP addresses and prefixes as values, and their text forms.
 *
 * An IPv4 address is an unsigned 32-bit number, an IPv6 address 16 octets; `typeof` tells them apart. Text: dotted decimal
 * with four parts and no leading zeros (RFC 6943 section 3.1.1 calls this the strict form); IPv6 as RFC 4291 section 2.2
 * reads it and RFC 5952 section 4 writes it. Zone identifiers are left out. A prefix's host bits are always zero.
 */

/** 0 … 2^32 − 1, the first octet of the dotted form highest. */
export type Ipv4Address = number;
/** 16 octets in network order; never changed after it was made. */
export type Ipv6Address = Uint8Array;
export type IpAddress = Ipv4Address | Ipv6Address;

export interface Prefix {
  readonly address: IpAddress;
  /** 0 … 32 or 0 … 128 bits. */
  readonly length: number;
}

export const isIpv4 = (address: IpAddress): address is Ipv4Address => typeof address === 'number';

/** The address that the text names, or undefined when it is not one. */
export function parseIpv4(text: string): Ipv4Address | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i]!;
    const octet = Number(part);
    // A leading zero is octal to some parsers: refuse rather than guess.
    if (octet > 255 || (part.length > 1 && part[0] === '0')) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

export function formatIpv4(address: Ipv4Address): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

export function parseIpv6(text: string): Ipv6Address | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const octets = new Uint8Array(16);
  [...head, ...new Array<number>(missing).fill(0), ...tail].forEach((group, i) => {
    octets[2 * i] = group >>> 8;
    octets[2 * i + 1] = group & 255;
  });
  return octets;
}

/** The 16-bit groups of one side of `::`; the last may be an embedded dotted IPv4 address (two groups). */
function groups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const out: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes('.')) {
      const ipv4 = parseIpv4(part);
      if (ipv4 === undefined) return undefined;
      out.push(ipv4 >>> 16, ipv4 & 0xffff);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
      out.push(Number.parseInt(part, 16));
    }
  }
  return out.length > 8 ? undefined : out;
}

/** RFC 5952: lower case, no leading zeros, `::` for the longest run of at least two zero groups, the first of equals. */
export function formatIpv6(address: Ipv6Address): string {
  const words = Array.from({ length: 8 }, (_, i) => (address[2 * i]! << 8) | address[2 * i + 1]!);
  let bestAt = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && words[j] === 0) j++;
    if (j - i > bestLength) {
      bestAt = i;
      bestLength = j - i;
    }
    i = Math.max(j, i + 1);
  }
  const hex = (from: number, to: number) =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':');
  return bestAt < 0 ? hex(0, 8) : `${hex(0, bestAt)}::${hex(bestAt + bestLength, 8)}`;
}

export function parseAddress(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

export function formatAddress(address: IpAddress): string {
  return isIpv4(address) ? formatIpv4(address) : formatIpv6(address);
}

export function equalAddresses(a: IpAddress, b: IpAddress): boolean {
  if (isIpv4(a) || isIpv4(b)) return a === b;
  return a.every((octet, i) => octet === b[i]);
}

/** The address as its 4 or 16 octets. */
export function addressOctets(address: IpAddress): Uint8Array {
  if (!isIpv4(address)) return address;
  return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
}

/** `10.0.0.0/8`, `2001:db8::/32` or a bare address (a host prefix). Host bits that are set are cleared; undefined when not a prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  if (text === 'default') return { address: 0, length: 0 };
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = isIpv4(address) ? 32 : 128;
  if (slash >= 0 && !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const length = slash < 0 ? bits : Number(text.slice(slash + 1));
  return length > bits ? undefined : prefixOf(address, length);
}

/** The prefix of this length that the address lies in. */
export function prefixOf(address: IpAddress, length: number): Prefix {
  if (isIpv4(address)) return { address: (address & ipv4Mask(length)) >>> 0, length };
  const octets = address.slice();
  for (let i = 0; i < 16; i++) {
    const kept = Math.min(8, Math.max(0, length - 8 * i));
    octets[i] = octets[i]! & (0xff00 >>> kept);
  }
  return { address: octets, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

export function prefixContains(prefix: Prefix, address: IpAddress): boolean {
  if (isIpv4(prefix.address) !== isIpv4(address)) return false;
  return equalAddresses(prefixOf(address, prefix.length).address, prefix.address);
}

/** Shifting by 32 is shifting by 0, hence the exception. */
export const ipv4Mask = (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0);
