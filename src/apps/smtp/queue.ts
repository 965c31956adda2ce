/**
 * The queue in memory: which messages wait for which next hop, and what a reply, a missed contact or an operator makes of them.
 * It holds values and decides; the relay stores every new envelope it returns before anything else may follow from it.
 *
 * Retry and expiry count rounds, not hours: a round is a contact that ended, or on an unscheduled route a failed try. So a clock
 * that is set by decades (a spacecraft's first NTP answer) expires nothing.
 */
import type { WallTime } from '../../core/index.ts';
import type { RecipientReply } from './client.ts';
import { type Envelope, type HopProgress, isFinished, progressOf, type Recipient, wireOctets } from './envelope.ts';
import type { Transfer } from './link-estimator.ts';
import { formatReply, isPermanent, isPositive } from './reply.ts';
import type { Candidate } from './schedule.ts';
import { wallPlus } from './wall-time.ts';

export interface RetrySettings {
  /** Rounds after which a message toward that hop expires. */
  readonly expiryRounds: number;
  /** Rounds after which its sender is told of the delay, once. */
  readonly delayNoticeRounds: number;
}

export type NoticeKind = 'failed' | 'delayed' | 'relayed' | 'delivered' | 'expired';
/** What the sender is to be told (RFC 3461 section 5.2), before the envelope that says so is stored. */
export interface Notice {
  readonly kind: NoticeKind;
  readonly recipients: readonly Recipient[];
}

export interface Change {
  readonly envelope: Envelope;
  readonly notices: readonly Notice[];
  readonly finished: boolean;
}

interface Entry {
  envelope: Envelope;
  /** Rounds per hop that are not in the stored envelope yet; they are stored with its next change. */
  rounds: Map<string, number>;
  notBefore: Map<string, WallTime>;
}

export class MailQueue {
  readonly #entries = new Map<string, Entry>();
  readonly #byHop = new Map<string, Set<string>>();
  /** In flight: hop and id. They are no candidates. */
  readonly #flying = new Set<string>();
  #octets = 0;

  add(envelope: Envelope): void {
    const before = this.#entries.get(envelope.id);
    if (before !== undefined) this.#octets -= before.envelope.octets;
    this.#octets += envelope.octets;
    this.#entries.set(envelope.id, {
      envelope,
      rounds: before?.rounds ?? new Map(),
      notBefore: before?.notBefore ?? new Map(),
    });
    for (const { hop } of before?.envelope.recipients ?? [])
      if (!hasQueued(envelope, hop)) this.#leave(hop, envelope.id);
    for (const recipient of envelope.recipients) {
      if (recipient.state !== 'queued') continue;
      const ids = this.#byHop.get(recipient.hop) ?? new Set();
      this.#byHop.set(recipient.hop, ids.add(envelope.id));
    }
  }

  remove(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#octets -= entry.envelope.octets;
    this.#entries.delete(id);
    for (const { hop } of entry.envelope.recipients) this.#leave(hop, id);
  }

  #leave(hop: string, id: string): void {
    const ids = this.#byHop.get(hop);
    ids?.delete(id);
    // Next hops by MX are as many as there are domains.
    if (ids?.size === 0) this.#byHop.delete(hop);
  }

  get(id: string): Envelope | undefined {
    return this.#entries.get(id)?.envelope;
  }
  get size(): number {
    return this.#entries.size;
  }
  get octets(): number {
    return this.#octets;
  }
  /** Those for which a message waits. */
  get hops(): string[] {
    return [...this.#byHop.keys()];
  }
  *all(): IterableIterator<Envelope> {
    for (const entry of this.#entries.values()) yield entry.envelope;
  }

  setFlying(hop: string, id: string, flying: boolean): void {
    if (flying) this.#flying.add(`${hop} ${id}`);
    else this.#flying.delete(`${hop} ${id}`);
  }
  isFlying(hop: string, id: string): boolean {
    return this.#flying.has(`${hop} ${id}`);
  }

  /** What may go to the hop now; `waiting` also lists what is in flight or waits for its retry. */
  *candidates(hop: string, now: WallTime, which: 'ready' | 'waiting' = 'ready'): IterableIterator<Candidate> {
    for (const id of this.#byHop.get(hop) ?? []) {
      const entry = this.#entries.get(id)!;
      const { envelope } = entry;
      if (envelope.held) continue;
      if (which === 'ready') {
        if (this.isFlying(hop, id)) continue;
        const notBefore = entry.notBefore.get(hop);
        // Further off than any retry: the clock was set back.
        if (notBefore !== undefined && notBefore > now && notBefore < wallPlus(now, 2 * LONGEST_RETRY_SECONDS))
          continue;
      }
      const left = Math.max(0, wireOctets(envelope) - progressOf(envelope, hop).storedOctets);
      yield { id, priority: envelope.priority, octetsLeft: left, arrived: envelope.arrived };
    }
  }

  /** When the first message that waits for its retry may go to the hop. */
  nextRetry(hop: string, now: WallTime): WallTime | undefined {
    let first: WallTime | undefined;
    for (const id of this.#byHop.get(hop) ?? []) {
      const at = this.#entries.get(id)!.notBefore.get(hop);
      if (at !== undefined && at > now && (first === undefined || at < first)) first = at;
    }
    return first;
  }

  queuedRecipients(id: string, hop: string): Recipient[] {
    return this.get(id)?.recipients.filter((r) => r.state === 'queued' && r.hop === hop) ?? [];
  }

  /** The replies to one transaction, and what it cost if it ended with a delivery. */
  settle(
    id: string,
    hop: string,
    replies: readonly RecipientReply[],
    now: WallTime,
    transfer?: Transfer,
  ): Change | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const local = hop === 'local';
    const answered = new Map(replies.map((answer) => [answer.recipient.address, answer]));
    const failed: Recipient[] = [];
    const passed: Recipient[] = [];
    let last = '';
    let some = false;
    let rest = false;
    const recipients = entry.envelope.recipients.map((recipient): Recipient => {
      const mine = recipient.hop === hop && recipient.state === 'queued';
      const { reply, dsn } = (mine ? answered.get(recipient.address) : undefined) ?? {};
      if (reply === undefined) return recipient;
      last = formatReply(reply);
      const now_: Recipient = { ...recipient, diagnostic: last, ...(reply.status ? { status: reply.status } : {}) };
      if (isPositive(reply)) {
        some = true;
        const done: Recipient = { ...now_, state: local ? 'delivered' : 'relayed' };
        if (recipient.notify?.includes('SUCCESS') && (local || dsn !== true)) passed.push(done);
        return done;
      }
      if (isPermanent(reply)) {
        const lost: Recipient = { ...now_, state: 'failed' };
        failed.push(lost);
        return lost;
      }
      rest = true;
      return now_;
    });
    const before = progressOf(entry.envelope, hop);
    const attempts = before.attempts + 1;
    const progress: HopProgress = {
      ...before,
      attempts,
      lastAttempt: now,
      lastReply: last,
      storedOctets: 0,
      generation: some && rest ? before.generation + 1 : before.generation,
      ...(transfer === undefined ? {} : { transfer }),
    };
    if (rest) entry.notBefore.set(hop, wallPlus(now, retrySeconds(attempts)));
    const notices: Notice[] = [];
    if (failed.length > 0) notices.push({ kind: 'failed', recipients: failed });
    if (passed.length > 0) notices.push({ kind: local ? 'delivered' : 'relayed', recipients: passed });
    return this.#change(entry, { ...entry.envelope, recipients, hops: this.#hops(entry, hop, progress) }, notices);
  }

  /** A try that ended without a reply to the message: the connection was lost. */
  interrupted(id: string, hop: string, why: string, now: WallTime, storedOctets?: number): Change | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const before = progressOf(entry.envelope, hop);
    const progress: HopProgress = {
      ...before,
      attempts: before.attempts + 1,
      lastAttempt: now,
      lastReply: why,
      storedOctets: storedOctets ?? before.storedOctets,
    };
    return this.#change(entry, { ...entry.envelope, hops: this.#hops(entry, hop, progress) }, []);
  }

  /** A round toward the hop passed without delivery: what that makes expired or due for a delay notice. */
  roundPassed(hop: string, settings: RetrySettings): Change[] {
    const ids = [...(this.#byHop.get(hop) ?? [])];
    return ids.map((id) => this.messageRound(id, hop, settings)).filter((change) => change !== undefined);
  }

  /** A round of one message: the next hop was there and put it off. */
  messageRound(id: string, hop: string, settings: RetrySettings): Change | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.envelope.held || this.isFlying(hop, id)) return undefined;
    if (!hasQueued(entry.envelope, hop)) return undefined;
    entry.rounds.set(hop, (entry.rounds.get(hop) ?? 0) + 1);
    const progress = this.#hops(entry, hop, progressOf(entry.envelope, hop))[hop]!;
    if (progress.contactsUsed >= settings.expiryRounds) return this.#expire(entry, hop, progress);
    if (progress.contactsUsed < settings.delayNoticeRounds || progress.delayReported) return undefined;
    const waiting = this.queuedRecipients(id, hop);
    const told = waiting.filter((r) => r.notify === undefined || r.notify.includes('DELAY'));
    const hops = this.#hops(entry, hop, { ...progressOf(entry.envelope, hop), delayReported: true });
    return this.#change(
      entry,
      { ...entry.envelope, hops },
      told.length > 0 ? [{ kind: 'delayed', recipients: told }] : [],
    );
  }

  #expire(entry: Entry, hop: string, progress: HopProgress): Change {
    const expired: Recipient[] = [];
    const recipients = entry.envelope.recipients.map((r): Recipient => {
      if (r.hop !== hop || r.state !== 'queued') return r;
      const gone: Recipient = {
        ...r,
        state: 'expired',
        status: '4.4.7',
        diagnostic: progress.lastReply ?? `no contact in ${progress.contactsUsed} rounds`,
      };
      expired.push(gone);
      return gone;
    });
    return this.#change(
      entry,
      { ...entry.envelope, recipients, hops: this.#hops(entry, hop, progressOf(entry.envelope, hop)) },
      [{ kind: 'expired', recipients: expired }],
    );
  }

  hold(id: string, held: boolean): Change | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined ? undefined : this.#change(entry, { ...entry.envelope, held }, []);
  }

  cancel(id: string): Change | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const recipients = entry.envelope.recipients.map(
      (r): Recipient => (r.state === 'queued' ? { ...r, state: 'cancelled' } : r),
    );
    return this.#change(entry, { ...entry.envelope, recipients }, []);
  }

  /** The hops' progress, with the rounds that were only counted in memory. */
  #hops(entry: Entry, hop: string, progress: HopProgress): Record<string, HopProgress> {
    const hops: Record<string, HopProgress> = { ...entry.envelope.hops, [hop]: progress };
    for (const [name, rounds] of entry.rounds) {
      const known = hops[name] ?? progressOf(entry.envelope, name);
      hops[name] = { ...known, contactsUsed: known.contactsUsed + rounds };
    }
    return hops;
  }

  #change(entry: Entry, envelope: Envelope, notices: readonly Notice[]): Change {
    if (envelope.hops !== entry.envelope.hops) entry.rounds = new Map();
    this.add(envelope);
    return { envelope, notices, finished: isFinished(envelope) };
  }
}

const hasQueued = (envelope: Envelope, hop: string): boolean =>
  envelope.recipients.some((r) => r.hop === hop && r.state === 'queued');

const LONGEST_RETRY_SECONDS = 3600;
/** The wait after the n-th temporary refusal of one message: a minute, then longer; a contact may well end before it. */
export function retrySeconds(attempts: number): number {
  return [30, 60, 300, 900, 1800][Math.min(attempts, 6) - 1] ?? LONGEST_RETRY_SECONDS;
}
