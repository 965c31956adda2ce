/**
 * Mail addresses and client networks as policy sees them (RFC 5321 section 4.1.2, RFC 6531 for UTF-8). The local part is
 * opaque: no `%` hack, no source route, so an address cannot name a second hop.
 */
export interface Mailbox {
  readonly local: string;
  /** Lower case; `postmaster` alone has the empty domain (RFC 5321 section 4.5.1). */
  readonly domain: string;
}

/** Undefined when it is not a mailbox this relay would store or route. */
export function parseMailbox(address: string): Mailbox | undefined {
  if (address.toLowerCase() === 'postmaster') return { local: address, domain: '' };
  const at = address.lastIndexOf('@');
  if (at < 1 || at === address.length - 1 || address.length > 320) return undefined;
  const local = address.slice(0, at);
  const domain = address.slice(at + 1).toLowerCase();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\u0000-\u001f\u007f<>\s]/.test(address.replace(/"[^"\r\n]*"/, ''))) return undefined;
  if (!local.startsWith('"') && /[@,:;]/.test(local)) return undefined;
  if (!/^(\[(?:ipv6:)?[0-9a-f.:]+\]|[^[\]\s@,;:()\\]+)$/i.test(domain)) return undefined;
  return { local, domain };
}

/** Whether the domain is `pattern`, lies under `.pattern`, or the pattern is `*`. */
export function domainMatches(pattern: string, domain: string): boolean {
  const want = pattern.toLowerCase();
  if (want === '*') return true;
  if (want.startsWith('.')) return domain.endsWith(want);
  return domain === want;
}

/** A network in CIDR form, ready to be asked. Throws RangeError when the text is not one: it comes from the user. */
export function parseNetwork(text: string): (address: string) => boolean {
  const [base, length] = text.split('/');
  const octets = addressOctets(base ?? '');
  const bits = length === undefined ? (octets?.length ?? 0) * 8 : Number(length);
  if (octets === undefined || !Number.isInteger(bits) || bits < 0 || bits > octets.length * 8)
    throw new RangeError(`'${text}' is not a network such as 10.0.0.0/8 or 2001:db8::/32`);
  return (address) => {
    const other = addressOctets(address);
    if (other === undefined || other.length !== octets.length) return false;
    for (let i = 0, left = bits; left > 0; i++, left -= 8) {
      const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
      if (((other[i]! ^ octets[i]!) & mask) !== 0) return false;
    }
    return true;
  };
}

function addressOctets(text: string): number[] | undefined {
  const plain = text
    .toLowerCase()
    .replace(/^::ffff:(?=\d+\.)/, '')
    .replace(/%.*$/, '');
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(plain)) {
    const parts = plain.split('.').map(Number);
    return parts.every((part) => part < 256) ? parts : undefined;
  }
  if (!/^[0-9a-f:]+$/.test(plain) || plain.split('::').length > 2 || !plain.includes(':')) return undefined;
  const [head, tail] = plain.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  if (tail === undefined ? left.length !== 8 : left.length + right.length > 7) return undefined;
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined;
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
}
