/**
 * The mail exchangers of a domain, and whether there can be any: RFC 5321 section 5.1, null MX of RFC 7505. What the name system says
 * for sure (there is no such domain, it takes no mail, none of its exchangers has an address) is permanent; what it does not say
 * now (no answer, SERVFAIL, REFUSED) is temporary. Left out: taking ourselves out of the list; a loop ends by its Received count.
 *
 * A name may also stand in the hosts file, as a testbed's nodes do, so "no such domain" counts only when that has none either.
 */
import dns from 'node:dns/promises';
import { ownReply, type Reply } from '../apps/smtp/index.ts';

export type Exchangers =
  /** At least one, the most preferred first. */
  { readonly kind: 'hosts'; readonly hosts: readonly string[] } | { readonly kind: 'never'; readonly reply: Reply };

/** Rejects with the name system's error when it cannot be asked now. */
export async function mailExchangersOf(domain: string): Promise<Exchangers> {
  const literal = /^\[(?:IPv6:)?([0-9a-f.:]+)\]$/i.exec(domain);
  if (literal !== null) return { kind: 'hosts', hosts: [literal[1]!] };
  const records = await dns.resolveMx(domain).catch((error: NodeJS.ErrnoException) => {
    if (saysNothingThere(error)) return [];
    throw error;
  });
  if (records.length === 0) {
    // The implicit MX: the domain's own address.
    if (await hasAddress(domain)) return { kind: 'hosts', hosts: [domain] };
    return never(550, '5.1.2', `there is no mail domain ${domain}`);
  }
  const named = records.filter(({ exchange }) => exchange !== '' && exchange !== '.');
  if (named.length === 0) return never(556, '5.1.10', `${domain} takes no mail (null MX)`);
  const hosts = named.sort((a, b) => a.priority - b.priority || Math.random() - 0.5).map(({ exchange }) => exchange);
  const usable = await Promise.all(hosts.map(hasAddress));
  if (usable.includes(true)) return { kind: 'hosts', hosts: hosts.filter((_, i) => usable[i]) };
  return never(550, '5.4.4', `no mail exchanger of ${domain} has an address`);
}

const never = (code: number, status: string, text: string): Exchangers => ({
  kind: 'never',
  reply: ownReply(code, status, text),
});

/** False only when the hosts file and the name system have none for sure. */
async function hasAddress(host: string): Promise<boolean> {
  const absent = (found: Promise<unknown>) => found.then(() => false, saysNothingThere);
  if (!(await absent(dns.lookup(host)))) return true;
  return !(await Promise.all([absent(dns.resolve4(host)), absent(dns.resolve6(host))])).every(Boolean);
}

/** Node's names for NXDOMAIN and for a name without such records. */
const saysNothingThere = ({ code }: NodeJS.ErrnoException): boolean => code === 'ENODATA' || code === 'ENOTFOUND';
