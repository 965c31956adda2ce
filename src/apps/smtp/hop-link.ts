/**
 * One next hop: opens a session when its window opens, gives it message after message in the schedule's order, closes it at the
 * window's end, and learns what the link costs. RFC 5321 section 4.5.4.1 leaves the retry strategy to us; ours is the contact plan.
 *
 * At the end of a contact the connection is aborted, not closed: what the kernel still holds would otherwise be retried by TCP
 * with growing pauses far into the next contact. A running message gives way to one of higher priority if the peer keeps its
 * octets (CHECKPOINT) and more than a few seconds of it are left.
 */
import type { WallTime } from '../../core/index.ts';
import { type OutgoingMessage, type RecipientReply, SmtpClient } from './client.ts';
import { progressOf, wireOctets } from './envelope.ts';
import { LinkEstimator } from './link-estimator.ts';
import type { Route } from './policy.ts';
import type { Connection, Contact, ContactPlan, Dialed } from './ports.ts';
import type { MailQueue } from './queue.ts';
import { formatReply } from './reply.ts';
import { type Candidate, chooseNext, octetsLeft, type Window, windowAt } from './schedule.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

export interface HopPorts {
  readonly name: string;
  readonly queue: MailQueue;
  readonly contacts: ContactPlan;
  now(): WallTime;
  dial(route: Route, domain: string, dialed: Dialed): Connection;
  readMessage(message: OutgoingMessage, offset: number, length: number): Promise<Uint8Array>;
  settled(hop: string, message: OutgoingMessage, replies: readonly RecipientReply[]): void;
  interrupted(hop: string, id: string, why: string, storedOctets: number | undefined): void;
  roundPassed(hop: string, scheduled: boolean): void;
  unreadable(id: string, error: unknown): void;
  changed(): void;
  log(line: string): void;
}

const IDLE_SECONDS = 2;
/** A refused or lost session is tried again this much later inside a contact. */
const REDIAL_SECONDS = 1;
const PROBE_SECONDS = 20;
/** Probing without a plan: this long counts as one round toward expiry. */
const PROBE_ROUND_SECONDS = 5400;
const LIFE_SECONDS = 600;
const UNSCHEDULED_RETRY_SECONDS = [60, 300, 900, 1800, 3600];
/** Less than this left of a message: it is not interrupted for one of higher priority. */
const PREEMPT_SECONDS = 5;
/** Without a reply or a write that the kernel took, a session is dead after this, and the time its kernel's buffer takes. */
const STALL_SECONDS = 20;
const KERNEL_BUFFER_OCTETS = 65536;
/** Supposed of a link of which nothing is known yet: UoSAT-12's uplink. */
const SLOW_OCTETS_PER_SECOND = 1200;
/** RFC 5321 section 4.5.3.2: the patience owed to a peer that would have to begin anew. */
const PATIENCE_SECONDS = 600;

export class HopLink {
  readonly name: string;
  readonly route: Route;
  readonly estimator: LinkEstimator;
  readonly #ports: HopPorts;
  #session: Session | undefined;
  #contact: Contact | undefined;
  #nextDial = 0n as WallTime;
  #failures = 0;
  #lifeUntil: WallTime | undefined;
  #probingSince: WallTime | undefined;
  #peerHasCheckpoint: boolean | undefined;

  constructor(name: string, route: Route, ports: HopPorts) {
    this.name = name;
    this.route = route;
    this.#ports = ports;
    this.estimator = new LinkEstimator();
  }

  get scheduled(): boolean {
    return this.route.peers !== undefined && !this.#ports.contacts.always;
  }
  get peerHasCheckpoint(): boolean | undefined {
    return this.#peerHasCheckpoint;
  }
  get sessionState(): 'none' | 'connecting' | 'open' {
    return this.#session === undefined ? 'none' : this.#session.ready ? 'open' : 'connecting';
  }
  get sending(): string | undefined {
    return this.#session?.sending?.envelope.id;
  }

  /** What the connection has in hand, the running message first, and the octets each has left by the model. */
  inFlight(now: WallTime): { id: string; octetsLeft: number }[] {
    return this.#session?.inFlight(this.estimator, now) ?? [];
  }

  window(now: WallTime): Window {
    return this.scheduled ? windowAt(this.#ports.contacts, this.route.peers!, now) : { kind: 'always' };
  }

  /** A packet, a connection or a link-up event says that the peer is there, whatever the plan says. */
  signOfLife(now: WallTime): void {
    this.#lifeUntil = wallPlus(now, LIFE_SECONDS);
    this.#nextDial = now;
    this.#failures = 0;
  }

  /** Does what is due and returns when to be called next. */
  wake(now: WallTime): WallTime | undefined {
    const window = this.window(now);
    this.#endContact(window, now);
    if (window.kind === 'contact' && this.#contact === undefined) {
      this.#contact = window.contact;
      this.#nextDial = now;
      this.#lifeUntil = undefined;
    }
    const session = this.#session;
    if (session !== undefined) {
      if (session.stalledAt(this.estimator) <= now) session.abort('no sign of life from the peer');
      else if (session.ready) this.#feed(session, window, now);
    } else this.#dialIfDue(window, now);
    return this.#deadline(window, now);
  }

  close(): void {
    this.#session?.abort('the relay stops');
  }

  #endContact(window: Window, now: WallTime): void {
    const before = this.#contact;
    if (before === undefined) return;
    // The plan may be told anew, or the clock be steered: a contact that overlaps the one begun is the same.
    if (window.kind === 'contact' && window.contact.peer === before.peer && window.contact.begin < before.end) {
      this.#contact = window.contact;
      return;
    }
    this.#contact = undefined;
    this.#session?.abort('the contact ended');
    this.#failures = 0;
    if (now >= before.end) this.#ports.roundPassed(this.name, true);
  }

  #isOpen(window: Window, now: WallTime): boolean {
    if (window.kind === 'always' || window.kind === 'contact' || window.kind === 'unknown') return true;
    return this.#lifeUntil !== undefined && now < this.#lifeUntil;
  }

  #room(window: Window, now: WallTime): { octets: number | undefined; checkpoint: boolean } {
    const octets = window.kind === 'contact' ? octetsLeft(window.contact, this.estimator.model, now) : undefined;
    const checkpoint = this.#session?.ready ? this.#session.checkpoint : (this.#peerHasCheckpoint ?? true);
    return { octets, checkpoint };
  }

  #next(window: Window, now: WallTime): Candidate | undefined {
    return chooseNext(this.#ports.queue.candidates(this.name, now), this.#room(window, now));
  }

  #dialIfDue(window: Window, now: WallTime): void {
    // A dial time far off was set before the clock was set back.
    if (now < this.#nextDial && this.#nextDial < wallPlus(now, 7200)) return;
    if (!this.#isOpen(window, now) || this.#next(window, now) === undefined) return;
    this.#session = new Session(this, this.#ports, now);
  }

  #feed(session: Session, window: Window, now: WallTime): void {
    if (!this.#isOpen(window, now)) {
      session.abort('the contact ended');
      return;
    }
    while (session.wantsMessage) {
      const chosen = this.#next(window, now);
      if (chosen === undefined) break;
      session.send(chosen.id, now);
    }
    const running = session.sending;
    if (running !== undefined && session.checkpoint) {
      const rival = this.#next(window, now);
      const left = session.secondsLeft(this.estimator);
      if (rival !== undefined && rival.priority > running.envelope.priority && left > PREEMPT_SECONDS) {
        this.#ports.log(`event=preempted hop=${this.name} id=${running.envelope.id} by=${rival.id}`);
        session.abort('a message of higher priority goes first');
        this.#nextDial = now;
        this.#dialIfDue(window, now);
        return;
      }
    }
    if (!session.busy) {
      session.idleSince ??= now;
      if (secondsBetween(session.idleSince, now) >= IDLE_SECONDS) session.quit();
    } else session.idleSince = undefined;
  }

  #deadline(window: Window, now: WallTime): WallTime | undefined {
    const times: WallTime[] = [];
    const session = this.#session;
    if (window.kind === 'contact' && this.#contact !== undefined) times.push(window.contact.end);
    if (session !== undefined) {
      times.push(session.stalledAt(this.estimator));
      if (session.idleSince !== undefined && !session.polite) times.push(wallPlus(session.idleSince, IDLE_SECONDS));
    }
    const retry = this.#ports.queue.nextRetry(this.name, now);
    if (retry !== undefined) times.push(retry);
    let waiting = false;
    for (const _ of this.#ports.queue.candidates(this.name, now)) {
      waiting = true;
      break;
    }
    if (waiting && session === undefined) {
      if (window.kind === 'closed') times.push(window.next.begin);
      if (this.#isOpen(window, now) && this.#nextDial > now) times.push(this.#nextDial);
    }
    // What was due is done; a time that has passed would only spin.
    const ahead = times.filter((at) => at > now);
    return ahead.reduce<WallTime | undefined>((a, b) => (a === undefined || b < a ? b : a), undefined);
  }

  /** The session's end, for whatever reason. */
  sessionEnded(session: Session, reason: string, now: WallTime): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    const window = this.window(now);
    if (session.completed > 0 || session.polite) {
      this.#failures = 0;
      this.#nextDial = session.polite ? now : wallPlus(now, REDIAL_SECONDS);
    } else if (window.kind === 'always') {
      const wait = UNSCHEDULED_RETRY_SECONDS[Math.min(this.#failures++, UNSCHEDULED_RETRY_SECONDS.length - 1)]!;
      this.#nextDial = wallPlus(now, wait);
      this.#ports.roundPassed(this.name, false);
    } else if (window.kind === 'unknown') {
      this.#nextDial = wallPlus(now, PROBE_SECONDS);
      this.#probingSince ??= now;
      if (Math.abs(secondsBetween(this.#probingSince, now)) >= PROBE_ROUND_SECONDS) {
        this.#probingSince = now;
        this.#ports.roundPassed(this.name, true);
      }
    } else this.#nextDial = wallPlus(now, REDIAL_SECONDS);
    this.#ports.log(
      `event=session-ended hop=${this.name} delivered=${session.completed} why=${JSON.stringify(reason)}`,
    );
    this.#ports.changed();
  }

  sessionReady(session: Session): void {
    this.#peerHasCheckpoint = session.checkpoint;
    this.#failures = 0;
    this.#probingSince = undefined;
    this.#ports.changed();
  }
}

/** One connection and what is in flight on it. */
export class Session implements Dialed {
  readonly #link: HopLink;
  readonly #ports: HopPorts;
  readonly #client: SmtpClient;
  readonly #connection: Connection;
  readonly #dialedAt: WallTime;
  readonly #flying: { message: OutgoingMessage; offset: number; begun: WallTime | undefined }[] = [];
  #pumping = false;
  #ended = false;
  #lastActivity: WallTime;
  #lastReplyAt: WallTime;
  #sentSinceReply = 0;
  ready = false;
  /** It ended, or is ending, as it should: QUIT. */
  polite = false;
  completed = 0;
  idleSince: WallTime | undefined;

  constructor(link: HopLink, ports: HopPorts, now: WallTime) {
    this.#link = link;
    this.#ports = ports;
    this.#dialedAt = now;
    this.#lastActivity = now;
    this.#lastReplyAt = now;
    const { route } = link;
    this.#client = new SmtpClient({
      name: ports.name,
      tls: route.tls,
      ...(route.auth === undefined ? {} : { auth: route.auth }),
    });
    this.#connection = ports.dial(route, link.name, this);
  }

  get checkpoint(): boolean {
    return this.#client.checkpoint;
  }
  get wantsMessage(): boolean {
    return !this.#ended && this.#client.wantsMessage;
  }
  get busy(): boolean {
    return this.#client.busy;
  }
  /** The message whose octets are on their way, if any. */
  get sending(): OutgoingMessage | undefined {
    return this.#flying[0]?.message;
  }

  /** When the session counts as dead. RFC 5321 section 4.5.3.2 allows ten minutes; a peer with CHECKPOINT loses nothing sooner. */
  stalledAt(estimator: LinkEstimator): WallTime {
    if (this.#ended || (this.ready && !this.busy)) return wallPlus(this.#lastActivity, 3600);
    const rate = estimator.model.octetsPerSecond;
    if (!this.ready) return wallPlus(this.#lastActivity, 3 * STALL_SECONDS);
    if (!this.checkpoint) return wallPlus(this.#lastActivity, PATIENCE_SECONDS);
    const buffered = Math.min(this.#sentSinceReply, KERNEL_BUFFER_OCTETS);
    return wallPlus(this.#lastActivity, STALL_SECONDS + buffered / (rate ?? SLOW_OCTETS_PER_SECOND));
  }

  inFlight(estimator: LinkEstimator, now: WallTime): { id: string; octetsLeft: number }[] {
    const rate = estimator.model.octetsPerSecond ?? 0;
    return this.#flying.map(({ message, offset, begun }) => {
      const sent = begun === undefined ? 0 : Math.max(0, secondsBetween(begun, now) * rate);
      return { id: message.envelope.id, octetsLeft: Math.max(0, message.octets - offset - sent) };
    });
  }

  secondsLeft(estimator: LinkEstimator): number {
    const [first] = this.#flying;
    if (first === undefined) return 0;
    const rate = estimator.model.octetsPerSecond ?? 10_000;
    const spent = first.begun === undefined ? 0 : secondsBetween(first.begun, this.#ports.now());
    return (first.message.octets - first.offset) / rate - spent;
  }

  connected(): void {
    this.#lastActivity = this.#ports.now();
    this.#input({ kind: 'connected' });
  }

  received(octets: Uint8Array): void {
    this.#lastActivity = this.#ports.now();
    this.#sentSinceReply = 0;
    this.#input({ kind: 'octets', octets });
  }

  closed(reason: string): void {
    this.#end(reason);
  }

  send(id: string, now: WallTime): void {
    const { queue } = this.#ports;
    const envelope = queue.get(id)!;
    const { generation } = progressOf(envelope, this.#link.name);
    const recipients = queue.queuedRecipients(id, this.#link.name);
    const message: OutgoingMessage = {
      envelope,
      recipients,
      octets: wireOctets(envelope),
      transaction: transactionId(id, this.#link.name, generation, this.#ports.name),
    };
    queue.setFlying(this.#link.name, id, true);
    this.#ports.log(
      `event=sending id=${id} hop=${this.#link.name} octets=${message.octets} priority=${envelope.priority}`,
    );
    this.#flying.push({ message, offset: 0, begun: this.#flying.length === 0 ? now : undefined });
    this.#input({ kind: 'message', message });
  }

  quit(): void {
    this.polite = true;
    this.#input({ kind: 'quit' });
  }

  abort(reason: string): void {
    if (this.#ended) return;
    this.#end(reason);
    this.#connection.abort();
  }

  #input(input: Parameters<SmtpClient['handleInput']>[0]): void {
    if (this.#ended) return;
    this.#client.handleInput(input);
    this.#events();
    if (!this.#pumping) void this.#pump();
  }

  /** Carries out what the client wants sent, one after the other; the connection's back-pressure holds it. */
  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      for (let t = this.#client.pollTransmit(); t !== undefined && !this.#ended; t = this.#client.pollTransmit()) {
        if (t.kind === 'octets') {
          this.#sentSinceReply += t.octets.length;
          await this.#connection.write(t.octets);
          this.#lastActivity = this.#ports.now();
        } else if (t.kind === 'body') {
          const octets = await this.#read(t.message, t.offset, t.length);
          if (octets === undefined) return;
          this.#client.handleInput({ kind: 'body', octets });
          this.#events();
        } else if (t.kind === 'startTls') {
          await this.#connection.startTls();
          this.#client.handleInput({ kind: 'secured' });
        } else if (t.kind === 'end') {
          this.#connection.end();
          this.#end('closed');
        } else this.abort(t.reason);
      }
    } catch (error) {
      this.abort(error instanceof Error ? error.message : String(error));
    } finally {
      this.#pumping = false;
    }
  }

  async #read(message: OutgoingMessage, offset: number, length: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#ports.readMessage(message, offset, length);
    } catch (error) {
      this.#ports.unreadable(message.envelope.id, error);
      this.abort('a stored message cannot be read');
      return undefined;
    }
  }

  #events(): void {
    for (let event = this.#client.pollEvent(); event !== undefined; event = this.#client.pollEvent()) {
      const now = this.#ports.now();
      switch (event.kind) {
        case 'ready':
          this.ready = true;
          this.#lastReplyAt = now;
          this.#link.estimator.setup(secondsBetween(this.#dialedAt, now));
          this.#link.sessionReady(this);
          break;
        case 'refused':
          this.#ports.log(
            `event=session-refused hop=${this.#link.name} reply=${JSON.stringify(formatReply(event.reply))}`,
          );
          break;
        case 'resumed': {
          const flight = this.#flying.find((f) => f.message === event.message);
          if (flight !== undefined) flight.offset = event.offset;
          break;
        }
        case 'bodySent':
          this.#ports.changed();
          break;
        case 'result':
          this.#result(event.message, event.replies, now);
          break;
      }
    }
  }

  #result(message: OutgoingMessage, replies: readonly RecipientReply[], now: WallTime): void {
    const at = this.#flying.findIndex((f) => f.message === message);
    const [flight] = at < 0 ? [] : this.#flying.splice(at, 1);
    if (flight !== undefined && replies.some((r) => r.reply.code < 300)) {
      const from = flight.begun ?? this.#lastReplyAt;
      this.#link.estimator.transfer(message.octets - flight.offset, secondsBetween(from, now));
    }
    this.#lastReplyAt = now;
    const [next] = this.#flying;
    if (next !== undefined) next.begun ??= now;
    this.completed++;
    this.#ports.queue.setFlying(this.#link.name, message.envelope.id, false);
    this.#ports.settled(this.#link.name, message, replies);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.handleInput({ kind: 'closed', reason });
    const now = this.#ports.now();
    const rate = this.#link.estimator.model.octetsPerSecond;
    for (const { message, offset, begun } of this.#flying.splice(0)) {
      this.#ports.queue.setFlying(this.#link.name, message.envelope.id, false);
      const spent = begun === undefined ? 0 : Math.max(0, secondsBetween(begun, now));
      const stored =
        this.checkpoint && rate !== undefined ? Math.min(message.octets, offset + spent * rate) : undefined;
      this.#ports.interrupted(
        this.#link.name,
        message.envelope.id,
        reason,
        stored === undefined ? undefined : Math.floor(stored),
      );
    }
    this.#link.sessionEnded(this, reason, now);
  }
}

/** RFC 1845 section 2: at most 80 characters, dot-separated atoms. The hop's name is hashed: it may hold anything. */
export function transactionId(id: string, hop: string, generation: number, name: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < hop.length; i++) hash = Math.imul(hash ^ hop.charCodeAt(i), 0x01000193) >>> 0;
  const domain = name
    .replace(/[^A-Za-z0-9.-]/g, '-')
    .slice(-30)
    .replace(/^[.]+/, '');
  return `<${id.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 32)}.${hash.toString(16)}.${generation}@${domain}>`;
}
