/**
 * Outstanding registration revocations of an agent: RFC 3543 sections 4.2.2.1 and 4.2.3.1. Repeated with a new identifier at
 * intervals that double from one second, never beyond the life of the binding that they end.
 */
import { type Duration, type Instant, NEVER, plus, seconds } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';

// Implementation constants
const FIRST_INTERVAL: Duration = seconds(1);
const MOST_TRANSMISSIONS = 6;

export interface OutstandingRevocation {
  readonly homeAddress: Ipv4Address;
  readonly homeDomainAddress: Ipv4Address;
  readonly foreignDomainAddress: Ipv4Address;
  readonly inform: boolean;
  /** Where it goes. */
  readonly peer: Ipv4Address;
  readonly expiresAt: Instant;
}

interface Entry {
  readonly revocation: OutstandingRevocation;
  identifier: number;
  transmissions: number;
  at: Instant;
}

export class Revoker {
  readonly #entries = new Map<string, Entry>();

  get outstanding(): number {
    return this.#entries.size;
  }

  start(revocation: OutstandingRevocation, now: Instant): void {
    const key = `${revocation.homeAddress}/${revocation.foreignDomainAddress}`;
    this.#entries.set(key, { revocation, identifier: 0, transmissions: 0, at: now });
  }

  nextAt(): Instant {
    let next: Instant = NEVER;
    for (const { at } of this.#entries.values()) if (at < next) next = at;
    return next;
  }

  /** The revocations to send now; `identifier` gives the current timestamp for each. */
  due(now: Instant, identifier: () => number): { revocation: OutstandingRevocation; identifier: number }[] {
    const due: { revocation: OutstandingRevocation; identifier: number }[] = [];
    for (const [key, entry] of this.#entries) {
      if (entry.at > now) continue;
      if (entry.transmissions === MOST_TRANSMISSIONS || entry.revocation.expiresAt <= now) {
        this.#entries.delete(key);
        continue;
      }
      entry.identifier = identifier();
      entry.at = plus(now, (FIRST_INTERVAL * 2 ** entry.transmissions) as Duration);
      entry.transmissions++;
      due.push({ revocation: entry.revocation, identifier: entry.identifier });
    }
    return due;
  }

  /** An authentic acknowledgement; undefined when it matches nothing (and is discarded, section 3.5). */
  acknowledge(peer: Ipv4Address, homeAddress: Ipv4Address, identifier: number): OutstandingRevocation | undefined {
    for (const [key, entry] of this.#entries) {
      const { revocation } = entry;
      if (revocation.peer !== peer || revocation.homeAddress !== homeAddress || entry.identifier !== identifier)
        continue;
      this.#entries.delete(key);
      return revocation;
    }
    return undefined;
  }
}
