/**
 * Who may send what to whom (RFC 5321 sections 3.6, 7.9; replies with the codes of RFC 3463). There is no setting that makes an
 * open relay: mail for a domain that is not ours is taken only from the networks and users named.
 */
import { domainMatches, parseMailbox, parseNetwork } from './address.ts';
import { LOCAL_HOP } from './envelope.ts';
import { ownReply, type Reply } from './reply.ts';

export interface Client {
  /** IP address; empty for what the relay makes itself. */
  readonly address: string;
  /** What it said in EHLO or HELO. */
  readonly name: string;
  readonly user?: string;
  readonly secure: boolean;
  /** It said HELO, not EHLO. */
  readonly plain?: true;
}

export interface Route {
  /** A domain, `.domain` for what lies under it, or `*`. */
  readonly domain: string;
  /** Undefined: the domain's MX. */
  readonly host: string | undefined;
  readonly port: number;
  /** Names of this next hop in the contact plan. Undefined: always reachable, not scheduled. Empty: any contact will do. */
  readonly peers: readonly string[] | undefined;
  readonly tls: 'never' | 'opportunistic' | 'required';
  /** PEM certificates to trust instead of the system's, for `required`. */
  readonly certificateAuthorities?: string;
  readonly auth?: { readonly user: string; readonly password: string };
}

export interface PolicySettings {
  /** Domains whose mail ends here. */
  readonly domains: readonly string[];
  /** Local parts that exist, lower case; undefined means every one does. */
  readonly mailboxes?: readonly string[];
  readonly relayFor: readonly string[];
  readonly routes: readonly Route[];
}

export interface Limits {
  readonly messageOctets: number;
  readonly headerOctets: number;
  readonly recipients: number;
  /** `Received` fields at which a message counts as looping (RFC 5321 section 6.3 asks for at least 100). */
  readonly received: number;
  /** Interrupted transactions kept (RFC 1845), their number and octets; the oldest go first. */
  readonly partialTransactions: number;
  readonly partialOctets: number;
  /** The same for clients that may not relay: a room of their own, so that they take none of the others' and fill no disk. */
  readonly strangerTransactions: number;
  readonly strangerOctets: number;
  /** Kept free on the disk for the system. */
  readonly reserveOctets: number;
}

export const DEFAULT_LIMITS: Limits = {
  messageOctets: 2 * 1024 ** 3,
  headerOctets: 262_144,
  recipients: 1000,
  received: 100,
  partialTransactions: 200,
  partialOctets: 8 * 1024 ** 3,
  strangerTransactions: 20,
  strangerOctets: 64 * 1024 ** 2,
  reserveOctets: 64 * 1024 ** 2,
};

export type RecipientDecision =
  | { readonly ok: true; readonly hop: string }
  | { readonly ok: false; readonly reply: Reply };

export class Policy {
  readonly #settings: PolicySettings;
  readonly #networks: readonly ((address: string) => boolean)[];

  /** Throws RangeError when a network is not one. */
  constructor(settings: PolicySettings) {
    this.#settings = settings;
    this.#networks = settings.relayFor.map(parseNetwork);
  }

  get routes(): readonly Route[] {
    return this.#settings.routes;
  }

  /** Whether the client may send to domains that are not ours, raise priorities and leave interrupted transactions. */
  mayRelay(client: Client): boolean {
    return client.user !== undefined || this.#networks.some((contains) => contains(client.address));
  }

  isLocal(domain: string): boolean {
    return domain === '' || this.#settings.domains.some((own) => domainMatches(own, domain));
  }

  /** The most specific route: the longest pattern that matches, `*` last. */
  routeFor(domain: string): Route | undefined {
    let best: Route | undefined;
    for (const route of this.#settings.routes)
      if (domainMatches(route.domain, domain) && (best === undefined || specificity(route) > specificity(best)))
        best = route;
    return best;
  }

  /** The next hop's name for a domain: `local`, the route's pattern, or for MX routes the domain itself. */
  hopFor(domain: string): string | undefined {
    if (this.isLocal(domain)) return LOCAL_HOP;
    const route = this.routeFor(domain);
    if (route === undefined) return undefined;
    return route.host === undefined ? domain : route.domain;
  }

  recipient(client: Client, address: string): RecipientDecision {
    const mailbox = parseMailbox(address);
    if (mailbox === undefined) return refuse(553, '5.1.3', 'this is not a mailbox');
    const hop = this.hopFor(mailbox.domain);
    if (hop === LOCAL_HOP) {
      const known = this.#settings.mailboxes;
      const local = mailbox.local.toLowerCase();
      if (known === undefined || local === 'postmaster' || known.includes(local)) return { ok: true, hop };
      return refuse(550, '5.1.1', `there is no mailbox ${mailbox.local} here`);
    }
    if (!this.mayRelay(client))
      return refuse(554, '5.7.1', `relaying denied: ${client.address} may not send to ${mailbox.domain}`);
    if (hop === undefined) return refuse(550, '5.4.4', `there is no route to ${mailbox.domain}`);
    return { ok: true, hop };
  }
}

const specificity = (route: Route): number => (route.domain === '*' ? -1 : route.domain.length);

const refuse = (code: number, status: string, text: string): RecipientDecision => ({
  ok: false,
  reply: ownReply(code, status, text),
});
