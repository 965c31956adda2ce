/**
 * The visitor list of a foreign agent: RFC 5944 section 3.7.1. A pending request is apart from the visitor's entry: until the
 * home agent has accepted, what is in force stays in force (section 3.7.2).
 */
import { type Instant, NEVER } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';

export type DeliveryStyle = 'direct' | 'encapsulating';

export interface Visitor {
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly link: string;
  readonly lifetime: number;
  readonly registeredAt: Instant;
  readonly expiresAt: Instant;
  readonly reverseTunnel: boolean;
  readonly delivery: DeliveryStyle;
  /** RFC 3543, with the timestamp of the home agent's extension. */
  readonly revocation?: { readonly inform: boolean; readonly timestamp: number };
  /** RFC 3519: the tunnel to the home agent goes in UDP. */
  readonly udpTunnel: boolean;
}

export interface PendingRequest {
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly careOfAddress: Ipv4Address;
  readonly link: string;
  /** Where the reply to the mobile node comes from and goes to. */
  readonly replySource: Ipv4Address;
  readonly replyPort: number;
  readonly identification: bigint;
  readonly lifetime: number;
  readonly reverseTunnel: boolean;
  readonly delivery: DeliveryStyle;
  readonly relayedAt: Instant;
  readonly expiresAt: Instant;
}

export class VisitorList {
  readonly #visitors = new Map<Ipv4Address, Visitor>();
  readonly #pending: PendingRequest[] = [];

  get size(): number {
    return this.#visitors.size;
  }
  get pendingRequests(): readonly PendingRequest[] {
    return this.#pending;
  }
  all(): IterableIterator<Visitor> {
    return this.#visitors.values();
  }
  find(homeAddress: Ipv4Address): Visitor | undefined {
    return this.#visitors.get(homeAddress);
  }
  put(visitor: Visitor): void {
    this.#visitors.set(visitor.homeAddress, visitor);
  }
  remove(homeAddress: Ipv4Address): Visitor | undefined {
    const visitor = this.#visitors.get(homeAddress);
    this.#visitors.delete(homeAddress);
    return visitor;
  }

  /** Replaces an earlier request of the same mobile node: it listens to the reply to its latest only. */
  addPending(request: PendingRequest): void {
    const same = this.#pending.findIndex(
      (each) =>
        each.homeAddress === request.homeAddress &&
        (request.homeAddress !== 0 || each.identification === request.identification),
    );
    if (same >= 0) this.#pending.splice(same, 1);
    this.#pending.push(request);
  }

  /** By home address and the low half of the identification; a node without a home address by the latter alone (RFC 2794). */
  takePending(homeAddress: Ipv4Address, low: number): PendingRequest | undefined {
    const at = this.#pending.findIndex(
      (each) =>
        (each.homeAddress === homeAddress || each.homeAddress === 0) &&
        Number(each.identification & 0xffffffffn) === low,
    );
    return at < 0 ? undefined : this.#pending.splice(at, 1)[0];
  }

  takeExpiredPending(now: Instant): PendingRequest[] {
    return this.takePendingWhere((each) => each.expiresAt <= now);
  }
  takePendingWhere(matches: (request: PendingRequest) => boolean): PendingRequest[] {
    const taken = this.#pending.filter(matches);
    for (const each of taken) this.#pending.splice(this.#pending.indexOf(each), 1);
    return taken;
  }

  expired(now: Instant): Visitor[] {
    return [...this.#visitors.values()].filter((visitor) => visitor.expiresAt <= now);
  }

  nextDeadline(): Instant {
    let next: Instant = NEVER;
    for (const { expiresAt } of this.#visitors.values()) if (expiresAt < next) next = expiresAt;
    for (const { expiresAt } of this.#pending) if (expiresAt < next) next = expiresAt;
    return next;
  }
}
