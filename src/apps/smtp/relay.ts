/**
 * A mail relay without its sockets and files: the receiver, the queue, one link per next hop and local delivery, put together
 * over ports. Everything that must survive a crash is stored before anything follows from it; the order is argued in
 * docs/mail-queue.md. The same class runs behind `omni serve smtp`, on a node of a testbed, and in simulated time in the tests.
 */
import type { WallTime } from '../../core/index.ts';
import { parseMailbox } from './address.ts';
import type { RecipientReply } from './client.ts';
import { type Envelope, isFinished, LOCAL_HOP, type Recipient } from './envelope.ts';
import type { OutgoingMessage } from './extensions.ts';
import { type FinishedMessage, finishedForm } from './finished-message.ts';
import { HopLink } from './hop-link.ts';
import type { Transfer } from './link-estimator.ts';
import { list, type Page, type QueueLine } from './listing.ts';
import { noticeOf, type Submission } from './notices.ts';
import type { Limits, Policy, Route } from './policy.ts';
import type { ContactPlan, Dial, LocalResult, MailStore } from './ports.ts';
import type { Change, Notice, RetrySettings } from './queue.ts';
import { MailQueue } from './queue.ts';
import { Receiver } from './receiver.ts';
import { ownReply, type Reply } from './reply.ts';
import { contactsWith, rateOf } from './schedule.ts';
import { formatIso, secondsBetween, wallPlus } from './wall-time.ts';

const MOST_IDLE_LINKS = 64;

export interface RelaySettings {
  /** The relay's own name, in EHLO, `Received` and notices. */
  readonly name: string;
  readonly limits: Limits;
  /** Toward next hops in the contact plan; a round is a contact. */
  readonly scheduledRetry: RetrySettings;
  /** Toward all others; a round is a failed try, an hour apart from the fifth on. */
  readonly unscheduledRetry: RetrySettings;
  /** How long a finished message is remembered, so that its transaction is not accepted again. */
  readonly rememberSeconds: number;
  /** Take parts of messages (message/partial) from those who may relay as mail of our own, to be joined. */
  readonly joinPartials: boolean;
}

export const DEFAULT_RETRY = {
  scheduledRetry: { expiryRounds: 60, delayNoticeRounds: 3 },
  // With the pauses of hop-link.ts: five days, and four hours.
  unscheduledRetry: { expiryRounds: 124, delayNoticeRounds: 7 },
  rememberSeconds: 30 * 86400,
  joinPartials: false,
} as const;

export interface RelayPorts {
  readonly store: MailStore;
  readonly policy: Policy;
  readonly contacts: ContactPlan;
  now(): WallTime;
  newId(): string;
  /** A route without a host: the MX of `domain`. */
  dial: Dial;
  deliverLocally(envelope: Envelope, recipient: Recipient, read: MessageReader): Promise<LocalResult>;
  /** Something may be due: call `wake()` soon. */
  wakeUp(): void;
  log(line: string): void;
}

/** Reads the message with its trace fields. */
export type MessageReader = (offset: number, length: number) => Promise<Uint8Array>;

export class Relay {
  readonly queue = new MailQueue();
  readonly receiver: Receiver;
  readonly #settings: RelaySettings;
  readonly #ports: RelayPorts;
  readonly #links = new Map<string, HopLink>();
  /** When they came, and by which transaction. */
  readonly #finished = new Map<string, Pick<Envelope, 'arrived' | 'transaction'>>();
  readonly #saving = new Map<string, Promise<void>>();
  #deliveringLocally = false;
  #stopped = false;
  #nextForget: WallTime | undefined;
  readonly counters = { accepted: 0, delivered: 0, failed: 0, expired: 0, notices: 0 };

  constructor(settings: RelaySettings, ports: RelayPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.receiver = new Receiver({
      store: ports.store,
      policy: ports.policy,
      limits: settings.limits,
      name: settings.name,
      joinPartials: settings.joinPartials,
      now: ports.now,
      newId: ports.newId,
      accepted: (envelope) => this.#accepted(envelope),
      largestFor: (hop) => this.#largestFor(hop),
      log: ports.log,
    });
  }

  get name(): string {
    return this.#settings.name;
  }

  /** Reads the queue. Must be done before the first `wake` or reception. */
  async start(): Promise<void> {
    const { queued, finished, partial } = await this.#ports.store.load();
    const known = [...queued.map(finishedForm), ...finished];
    this.receiver.restore(known, partial);
    for (const envelope of finished) this.#remember(envelope);
    for (const envelope of queued) {
      const routed = this.#reroute(envelope);
      this.queue.add(routed);
      // The process ended between the last reply and the move: move now.
      if (isFinished(routed)) void this.#store({ envelope: routed, notices: [], finished: true });
    }
    this.#learn(known);
    this.#ports.wakeUp();
  }

  #remember({ id, arrived, transaction }: Pick<Envelope, 'id' | 'arrived' | 'transaction'>): void {
    this.#finished.set(id, { arrived, ...(transaction === undefined ? {} : { transaction }) });
  }

  /** The traffic of late and what its deliveries cost, for predictions. */
  #learn(lately: readonly FinishedMessage[]): void {
    for (const message of [...lately].sort((a, b) => (a.arrived < b.arrived ? -1 : 1))) this.#noteArrival(message);
    const deliveries = lately.flatMap((message) => message.deliveries);
    for (const { hop, transfer } of deliveries.sort((a, b) => (a.at < b.at ? -1 : 1))) {
      const { estimator } = this.#linkTo(hop);
      if (transfer.setup !== undefined) estimator.setup(transfer.setup);
      estimator.transfer(transfer);
    }
  }

  #noteArrival(envelope: Pick<Envelope, 'arrived' | 'octets' | 'priority' | 'recipients'>): void {
    for (const hop of new Set(envelope.recipients.map((r) => r.hop)))
      if (hop !== LOCAL_HOP) this.#linkTo(hop).estimator.arrived(envelope.arrived, envelope.priority, envelope.octets);
  }

  /** Ends the sessions and waits for what is being stored. */
  async stop(): Promise<void> {
    for (const link of this.#links.values()) link.close();
    await Promise.all(this.#saving.values());
    this.#stopped = true;
  }

  /** The routes may have changed since the message was queued. */
  #reroute(envelope: Envelope): Envelope {
    if (envelope.joinHere) return envelope;
    let changed = false;
    const recipients = envelope.recipients.map((r) => {
      const mailbox = r.state === 'queued' ? parseMailbox(r.address) : undefined;
      const hop = mailbox === undefined ? undefined : this.#ports.policy.hopFor(mailbox.domain);
      if (hop === undefined || hop === r.hop) return r;
      changed = true;
      return { ...r, hop };
    });
    return changed ? { ...envelope, recipients } : envelope;
  }

  /** Does what is due everywhere; the driver calls it after every input and at the time it returns. */
  wake(): WallTime | undefined {
    if (this.#stopped) return undefined;
    const now = this.#ports.now();
    let next: WallTime | undefined = this.#forgetOld(now);
    for (const hop of this.queue.hops) if (hop !== LOCAL_HOP) this.#linkTo(hop);
    for (const link of this.#links.values()) {
      const at = link.wake(now);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    const retry = this.queue.nextRetry(LOCAL_HOP, now);
    if (retry !== undefined && (next === undefined || retry < next)) next = retry;
    this.#dropIdleLinks();
    if (!this.#deliveringLocally) void this.#deliverLocally();
    return next;
  }

  /** The peer, by its name in the contact plan or its address, showed that it is there. Without a name: the link came up. */
  signOfLife(peer?: string): void {
    const now = this.#ports.now();
    for (const hop of this.queue.hops) if (hop !== LOCAL_HOP) this.#linkTo(hop);
    for (const link of this.#links.values()) {
      const mine =
        peer === undefined || link.route.host === peer || link.name === peer || link.route.peers?.includes(peer);
      if (mine && link.scheduled && link.sessionState === 'none') link.signOfLife(now);
    }
    this.#ports.wakeUp();
  }

  link(hop: string): HopLink | undefined {
    return this.#links.get(hop);
  }

  list(page?: Page): QueueLine[] {
    return list(this.queue, this.#links, this.#ports.contacts, this.#ports.now(), page);
  }

  async hold(id: string, held: boolean): Promise<boolean> {
    const change = this.queue.hold(id, held);
    if (change === undefined) return false;
    await this.#store(change);
    this.#ports.wakeUp();
    return true;
  }

  async cancel(id: string): Promise<boolean> {
    const change = this.queue.cancel(id);
    if (change === undefined) return false;
    await this.#store(change);
    return true;
  }

  /** A message of our own: a notice, a receipt, a data product. Resolves when it is durable. */
  async submit(submission: Submission): Promise<Reply> {
    const client = { address: '', name: this.name, user: 'local', secure: true };
    const transaction = `<${submission.key}>`;
    if (this.submitted(submission.key)) return ownReply(250, '2.6.0', 'accepted before');
    const { reversePath, priority } = submission;
    const { transaction: open, reply } = await this.receiver.mail(client, { reversePath, priority, transaction });
    if (open === undefined || reply.code === 355) return this.#restart(submission, open, reply);
    for (const address of submission.recipients) {
      const answer = open.recipient(address, submission.notify === undefined ? {} : { notify: submission.notify });
      if (answer.code >= 300) this.#ports.log(`event=submission-refused to=${address} reply=${answer.code}`);
    }
    for await (const chunk of submission.octets) await open.write(chunk);
    return open.end();
  }

  /** Whether a message of our own with this key was accepted, as far back as finished messages are remembered. */
  submitted(key: string): boolean {
    return this.receiver.knows(this.#transactionOf(key));
  }

  #transactionOf(key: string): string {
    return `${this.name.toLowerCase()} <${key}>`;
  }

  /** A submission that a crash interrupted begins anew; its source may have changed. */
  async #restart(
    submission: Submission,
    open: Awaited<ReturnType<Receiver['mail']>>['transaction'],
    reply: Reply,
  ): Promise<Reply> {
    if (open === undefined) return reply;
    if (this.receiver.knows(open.key ?? '')) return open.end();
    await open.forgetOctets();
    return this.submit(submission);
  }

  #linkTo(hop: string): HopLink {
    const known = this.#links.get(hop);
    if (known !== undefined) return known;
    const made = this.#makeLink(hop);
    this.#links.set(hop, made);
    return made;
  }

  /** Those of routes stay; domains with exchangers of their own are without number. The oldest go, and what they learned. */
  #dropIdleLinks(): void {
    const { routes } = this.#ports.policy;
    let tooMany = this.#links.size - routes.length - MOST_IDLE_LINKS;
    if (tooMany <= 0) return;
    const waiting = new Set(this.queue.hops);
    for (const [hop, link] of this.#links) {
      if (link.sessionState !== 'none' || waiting.has(hop) || routes.some(({ domain }) => domain === hop)) continue;
      this.#links.delete(hop);
      if (--tooMany === 0) return;
    }
  }

  #makeLink(hop: string): HopLink {
    const { policy, contacts, now, dial, log } = this.#ports;
    const route: Route = policy.routes.find((r) => r.domain === hop) ??
      policy.routeFor(hop) ?? { domain: hop, host: undefined, port: 25, peers: undefined, tls: 'opportunistic' };
    return new HopLink(hop, route, {
      name: this.name,
      queue: this.queue,
      contacts,
      now,
      receiving: () => this.receiver.receiving,
      dial,
      log,
      readMessage: (message, offset, length) => this.#read(message.envelope, offset, length),
      settled: (name, message, replies, transfer) => this.#settled(name, message, replies, transfer),
      interrupted: (name, id, why, stored) => {
        const change = this.queue.interrupted(id, name, why, now(), stored);
        if (change !== undefined) void this.#store(change);
      },
      roundPassed: (name, scheduled) => {
        const retry = scheduled ? this.#settings.scheduledRetry : this.#settings.unscheduledRetry;
        for (const change of this.queue.roundPassed(name, retry)) void this.#store(change);
      },
      unreadable: (id, error) => {
        log(`event=message-unreadable id=${id} error=${JSON.stringify(String(error))} action=held`);
        void this.hold(id, true);
      },
      changed: () => this.#ports.wakeUp(),
    });
  }

  #accepted(envelope: Envelope): void {
    this.counters.accepted++;
    this.queue.add(envelope);
    this.#noteArrival(envelope);
    this.#ports.log(
      `event=accepted id=${envelope.id} from=<${envelope.reversePath}> recipients=${envelope.recipients.length} octets=${envelope.octets} priority=${envelope.priority}`,
    );
    this.#ports.wakeUp();
  }

  #settled(hop: string, message: OutgoingMessage, replies: readonly RecipientReply[], transfer?: Transfer): void {
    const { now, log } = this.#ports;
    const { id } = message.envelope;
    for (const { recipient, reply } of replies) {
      if (reply.code < 300) this.counters.delivered++;
      else if (reply.code >= 500) this.counters.failed++;
      log(
        `event=${reply.code < 300 ? 'delivered' : reply.code < 500 ? 'deferred' : 'failed'} id=${id} to=<${recipient.address}> hop=${hop} reply=${reply.code}`,
      );
    }
    const change = this.queue.settle(id, hop, replies, now(), transfer);
    if (change !== undefined) void this.#store(change);
    if (replies.some(({ reply }) => reply.code >= 400 && reply.code < 500)) this.#putOff(id, hop);
    this.#ports.wakeUp();
  }

  /** Inside a contact the contact's end counts the round; where nothing ends, each try is one. */
  #putOff(id: string, hop: string): void {
    const link = this.#links.get(hop);
    const window = link?.window(this.#ports.now()).kind ?? 'always';
    if (window === 'contact' || window === 'closed') return;
    const { scheduledRetry, unscheduledRetry } = this.#settings;
    const change = this.queue.messageRound(id, hop, link?.scheduled ? scheduledRetry : unscheduledRetry);
    if (change !== undefined) void this.#store(change);
  }

  /** Stores a change: first what must be told, then the envelope that says it was, then the move of what is finished. */
  #store(change: Change): Promise<void> {
    const { id } = change.envelope;
    const job = (this.#saving.get(id) ?? Promise.resolve()).then(async () => {
      if (this.#stopped) return;
      try {
        for (const notice of change.notices) await this.#notify(change.envelope, notice);
        if (change.finished) {
          await this.#ports.store.finish(change.envelope);
          this.queue.remove(id);
          this.#remember(change.envelope);
        } else await this.#ports.store.save(change.envelope);
      } catch (error) {
        // The queue goes on from memory; after a restart the stored state is tried again, which the transaction id makes harmless.
        this.#ports.log(`event=store-failed id=${id} error=${JSON.stringify(String(error))}`);
      }
    });
    this.#saving.set(id, job);
    void job.finally(() => {
      if (this.#saving.get(id) === job) this.#saving.delete(id);
    });
    return job;
  }

  async #notify(envelope: Envelope, notice: Notice): Promise<void> {
    if (notice.kind === 'expired') this.counters.expired += notice.recipients.length;
    const { store, now } = this.#ports;
    const submission = await noticeOf(envelope, notice, {
      name: this.name,
      now: now(),
      read: (length) => store.read(envelope.id, 0, length),
      outlook: (hop) => this.#outlook(hop, now()),
    });
    if (submission === undefined) return;
    this.counters.notices++;
    await this.submit(submission);
  }

  #outlook(hop: string, now: WallTime): string | undefined {
    const peers = this.#links.get(hop)?.route.peers;
    const [next] = peers === undefined ? [] : contactsWith(this.#ports.contacts, peers, now, 1);
    return next === undefined ? undefined : `The next contact begins at ${formatIso(next.begin)}.`;
  }

  async #read(envelope: Envelope, offset: number, length: number): Promise<Uint8Array> {
    const trace = new TextEncoder().encode(envelope.trace);
    if (offset >= trace.length) return this.#ports.store.read(envelope.id, offset - trace.length, length);
    const head = trace.subarray(offset, offset + length);
    if (head.length === length) return head;
    const rest = await this.#ports.store.read(envelope.id, 0, length - head.length);
    const both = new Uint8Array(head.length + rest.length);
    both.set(head);
    both.set(rest, head.length);
    return both;
  }

  /** One message after the other; a local delivery is a file, a receipt or a join, not a wait. */
  async #deliverLocally(): Promise<void> {
    this.#deliveringLocally = true;
    try {
      for (;;) {
        const [next] = [...this.queue.candidates(LOCAL_HOP, this.#ports.now())].sort((a, b) => b.priority - a.priority);
        if (next === undefined || this.#stopped) return;
        const envelope = this.queue.get(next.id)!;
        const recipients = this.queue.queuedRecipients(next.id, LOCAL_HOP);
        this.queue.setFlying(LOCAL_HOP, next.id, true);
        const replies: RecipientReply[] = [];
        for (const recipient of recipients) {
          const read: MessageReader = (offset, length) => this.#read(envelope, offset, length);
          const result = await this.#ports
            .deliverLocally(envelope, recipient, read)
            .catch(
              (error): LocalResult => ({ ok: false, temporary: true, status: '4.3.0', diagnostic: String(error) }),
            );
          const code = result.ok ? 250 : result.temporary ? 450 : 550;
          replies.push({ recipient, reply: ownReply(code, result.status, result.diagnostic) });
        }
        this.queue.setFlying(LOCAL_HOP, next.id, false);
        const message = { envelope, recipients, octets: envelope.octets, transaction: '' };
        this.#settled(LOCAL_HOP, message, replies);
        await this.#saving.get(next.id);
      }
    } finally {
      this.#deliveringLocally = false;
    }
  }

  /** What cannot pass in the longest contact that the plan names, toward a peer known to keep nothing of a broken transfer. */
  #largestFor(hop: string): number | undefined {
    const link = this.#links.get(hop);
    if (link === undefined || !link.scheduled || link.peerHasCheckpoint !== false) return undefined;
    const contacts = contactsWith(this.#ports.contacts, link.route.peers!, this.#ports.now(), 50);
    const sizes = contacts.map(
      (c) => (rateOf(c, link.estimator.model, 'busy') ?? Number.NaN) * secondsBetween(c.begin, c.end),
    );
    const largest = Math.max(...sizes);
    return Number.isFinite(largest) ? Math.floor(largest) : undefined;
  }

  #forgetOld(now: WallTime): WallTime {
    if (this.#nextForget === undefined || now >= this.#nextForget) {
      this.#nextForget = wallPlus(now, 3600);
      for (const [id, { arrived, transaction }] of this.#finished) {
        if (secondsBetween(arrived, now) < this.#settings.rememberSeconds) continue;
        this.#finished.delete(id);
        if (transaction !== undefined) this.receiver.forget(transaction);
        this.#ports.store.forget(id).catch((error) => this.#ports.log(`event=store-failed error=${String(error)}`));
      }
    }
    return this.#nextForget;
  }
}
