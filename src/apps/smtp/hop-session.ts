/**
 * One connection to a next hop: drives the client machine over a connection, reads message octets as they are wanted, and tells
 * its owner what was answered, what broke off and what the transfers cost (RFC 5321 section 3.3; RFC 1845 for the offsets).
 */
import type { WallTime } from '../../core/index.ts';
import { type ClientTransmit, type RecipientReply, SmtpClient } from './client.ts';
import { progressOf, wireOctets } from './envelope.ts';
import type { OutgoingMessage } from './extensions.ts';
import { HandOut } from './hand-out.ts';
import type { LinkEstimator, Setup, Transfer } from './link-estimator.ts';
import type { Route } from './policy.ts';
import type { Connection, ContactPlan, Dial, Dialed } from './ports.ts';
import type { MailQueue } from './queue.ts';
import { formatReply, type Reply } from './reply.ts';
import type { Pace, Path } from './schedule.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

export interface HopPorts {
  readonly name: string;
  readonly queue: MailQueue;
  readonly contacts: ContactPlan;
  now(): WallTime;
  /** Another relay is sending to this one. */
  receiving(): boolean;
  dial: Dial;
  readMessage(message: OutgoingMessage, offset: number, length: number): Promise<Uint8Array>;
  settled(hop: string, message: OutgoingMessage, replies: readonly RecipientReply[], transfer?: Transfer): void;
  interrupted(hop: string, id: string, why: string, storedOctets: number | undefined): void;
  roundPassed(hop: string, scheduled: boolean): void;
  unreadable(id: string, error: unknown): void;
  changed(): void;
  log(line: string): void;
}

/** What a session asks of the next hop it serves, and tells it. */
export interface SessionOwner {
  readonly name: string;
  readonly route: Route;
  readonly rate: number | undefined;
  readonly pace: Pace | undefined;
  /** When the running contact ends. */
  readonly contactEnd: WallTime | undefined;
  /** The rate that the plan gives for it, in octets a second. */
  readonly planRate: number | undefined;
  /** The shortest of late. */
  readonly roundTripSeconds: number;
  /** How long the answer to an attempt to connect may well take. */
  readonly answerSeconds: number;
  readonly path: Path;
  readonly estimator: LinkEstimator;
  /** When the line will have carried what was handed out at its pace, over this connection or one before it. */
  carriedAt: WallTime;
  learnRoundTrip(seconds: number): void;
  sessionReady(session: Session): void;
  sessionEnded(session: Session, reason: string, now: WallTime): void;
  sessionUnroutable(session: Session, reply: Reply): void;
}

/** Without a reply or a write that the kernel took, a session is dead after this, and the time its kernel's buffer takes. */
const STALL_SECONDS = 20;
/** Sooner, where a reply is known to take less: after this, and this many times what it takes. */
const LEAST_STALL_SECONDS = 4;
const STALLED_REPLIES = 4;
const KERNEL_BUFFER_OCTETS = 65536;
/** Supposed of a link of which nothing is known yet: UoSAT-12's uplink. */
const SLOW_OCTETS_PER_SECOND = 1200;
/** RFC 5321 section 4.5.3.2: the patience owed to a peer that would have to begin anew. */
const PATIENCE_SECONDS = 600;

interface Flight {
  readonly message: OutgoingMessage;
  offset: number;
  begun: WallTime | undefined;
  /** How far its octets were handed out at the link's pace. */
  handed: number | undefined;
  /** Nothing was on its way when its envelope left. */
  readonly first: boolean;
  path: Path;
}

/** How far a message is. */
export interface InFlight {
  readonly id: string;
  readonly octetsLeft: number;
  readonly secondsSpent: number;
  /** Only its octets, if any, and the final reply are still to come. */
  readonly envelopeSent: boolean;
}

/** One connection and what is in flight on it. */
export class Session implements Dialed {
  readonly #link: SessionOwner;
  readonly #ports: HopPorts;
  readonly #client: SmtpClient;
  readonly #connection: Connection;
  readonly #dialedAt: WallTime;
  readonly #dialedPath: Path;
  readonly #flying: Flight[] = [];
  #pumping = false;
  readonly #handOut: HandOut;
  #unacknowledged = 0;
  /** A part of a message that waits for that. */
  #held: Extract<ClientTransmit, { kind: 'body' }> | undefined;
  pausedUntil: WallTime | undefined;
  /** It ended because the contact ends soon. */
  left = false;
  #ended = false;
  #lastActivity: WallTime;
  #lastReplyAt: WallTime;
  #sentSinceReply = 0;
  #setup: Setup | undefined;
  ready = false;
  /** It ended, or is ending, as it should: QUIT. */
  polite = false;
  completed = 0;
  idleSince: WallTime | undefined;

  constructor(link: SessionOwner, ports: HopPorts, now: WallTime) {
    this.#link = link;
    this.#ports = ports;
    this.#dialedAt = now;
    this.#dialedPath = link.path;
    this.#lastActivity = now;
    this.#lastReplyAt = now;
    this.#handOut = new HandOut(now, link.carriedAt);
    const { route } = link;
    this.#client = new SmtpClient({
      name: ports.name,
      tls: route.tls,
      ...(route.auth === undefined ? {} : { auth: route.auth }),
      chunkOctets: () => link.pace?.chunkOctets,
    });
    this.#connection = ports.dial(route, link.name, this, link.answerSeconds);
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
  /** The message whose octets were the last to be sent, or are being sent. Those before it wait for their replies. */
  get sending(): Flight | undefined {
    return this.#flying.at(-1);
  }

  /** When the session counts as dead. RFC 5321 section 4.5.3.2 allows ten minutes; a peer with CHECKPOINT loses nothing sooner. */
  stalledAt(): WallTime {
    if (this.#ended || (this.ready && !this.busy)) return wallPlus(this.#lastActivity, 3600);
    const { setupSeconds, firstSeconds } = this.#link.estimator.usual(this.#link.path);
    if (!this.ready) return wallPlus(this.#lastActivity, 3 * patience(setupSeconds));
    if (!this.checkpoint) return wallPlus(this.#lastActivity, PATIENCE_SECONDS);
    const buffered = Math.min(this.#sentSinceReply, KERNEL_BUFFER_OCTETS);
    return wallPlus(
      this.#lastActivity,
      patience(firstSeconds) + buffered / (this.#link.rate ?? SLOW_OCTETS_PER_SECOND),
    );
  }

  inFlight(now: WallTime): InFlight[] {
    return this.#flying.map(({ message, offset, begun, handed }) => {
      // At its pace little is under way, and when that will be there is known; else only the time tells.
      const since = handed === undefined ? begun : this.#link.carriedAt;
      return {
        id: message.envelope.id,
        octetsLeft: message.octets - (handed ?? offset),
        secondsSpent: since === undefined ? 0 : Math.max(0, secondsBetween(since, now)),
        envelopeSent: handed !== undefined,
      };
    });
  }

  connected(): void {
    this.#lastActivity = this.#ports.now();
    this.#link.learnRoundTrip(secondsBetween(this.#dialedAt, this.#lastActivity));
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

  unroutable(reply: Reply): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#link.sessionUnroutable(this, reply);
  }

  send(id: string, now: WallTime): void {
    const { queue } = this.#ports;
    const envelope = queue.get(id)!;
    const { generation, attempts, storedOctets } = progressOf(envelope, this.#link.name);
    const recipients = queue.queuedRecipients(id, this.#link.name);
    const message: OutgoingMessage = {
      envelope,
      recipients,
      octets: wireOctets(envelope),
      transaction: transactionId(id, this.#link.name, generation, this.#ports.name),
      fresh: attempts === 0 && storedOctets === 0,
    };
    queue.setFlying(this.#link.name, id, true);
    this.#ports.log(
      `event=sending id=${id} hop=${this.#link.name} octets=${message.octets} priority=${envelope.priority}`,
    );
    const first = this.#flying.length === 0;
    const begun = first ? now : undefined;
    this.#flying.push({ message, offset: 0, begun, handed: undefined, first, path: this.#link.path });
    this.#lastActivity = now;
    this.#input({ kind: 'message', message });
  }

  quit(): void {
    this.polite = true;
    this.#input({ kind: 'quit' });
  }

  /** Aborts, not to be followed by another in the same contact. */
  leave(reason: string): void {
    this.left = true;
    this.abort(reason);
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
      for (let t = this.#next(); t !== undefined && !this.#ended; t = this.#next()) {
        if (t.kind === 'octets') {
          this.#sentSinceReply += t.octets.length;
          await this.#connection.write(t.octets);
          this.#lastActivity = this.#ports.now();
        } else if (t.kind === 'body') {
          const length = this.#mayHandOut(t);
          if (length === undefined) return;
          const octets = await this.#read(t.message, t.offset, length);
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

  #next(): ClientTransmit | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held ?? this.#client.pollTransmit();
  }

  /** How much of a part may be handed out now; undefined when it has to wait, or when the contact is over. */
  #mayHandOut(part: Extract<ClientTransmit, { kind: 'body' }>): number | undefined {
    this.pausedUntil = undefined;
    const { rate, contactEnd: end, roundTripSeconds } = this.#link;
    const pace = this.#link.pace?.octetsPerSecond;
    if (pace === undefined || rate === undefined) return part.length;
    const now = this.#ports.now();
    const unacknowledged = this.#connection.unacknowledged?.();
    if (unacknowledged !== undefined && unacknowledged < this.#unacknowledged) this.#lastActivity = now;
    this.#unacknowledged = unacknowledged ?? 0;
    const decision = this.#handOut.decide(part.length, now, { pace, rate, end, roundTripSeconds, unacknowledged });
    if (decision.kind === 'over') {
      this.leave('nothing more arrives in this contact');
      return undefined;
    }
    if (decision.kind === 'wait') {
      this.#held = part;
      this.pausedUntil = wallPlus(now, decision.seconds);
      this.#ports.changed();
      return undefined;
    }
    const flight = this.#flying.find((f) => f.message === part.message);
    if (flight !== undefined) flight.handed = part.offset + decision.octets;
    this.#link.carriedAt = this.#handOut.carriedAt;
    return decision.octets;
  }

  /** The held part's time may have come. */
  goOn(now: WallTime): void {
    if (this.pausedUntil === undefined || this.#pumping || this.#ended) return;
    // Nor does a clock that was set back hold it for long.
    if (now >= this.pausedUntil || secondsBetween(now, this.pausedUntil) > STALL_SECONDS) void this.#pump();
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
          this.#setup = {
            seconds: Math.max(0, secondsBetween(this.#dialedAt, now)),
            path: this.#dialedPath === 'busy' ? 'busy' : this.#link.path,
          };
          this.#link.estimator.setup(this.#setup);
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
    const delivered = flight !== undefined && replies.some((r) => r.reply.code < 300);
    const transfer = delivered ? this.#transferOf(flight, now) : undefined;
    if (transfer !== undefined) this.#link.estimator.transfer(transfer);
    this.#lastReplyAt = now;
    const [next] = this.#flying;
    if (next !== undefined) {
      next.begun ??= now;
      next.path = this.#link.path;
    }
    this.completed++;
    this.#ports.queue.setFlying(this.#link.name, message.envelope.id, false);
    this.#ports.settled(this.#link.name, message, replies, transfer);
  }

  #transferOf({ message, offset, begun, path, first }: Flight, now: WallTime): Transfer {
    const setup = this.#setup;
    this.#setup = undefined;
    const { planRate } = this.#link;
    return {
      octets: message.octets - offset,
      seconds: Math.max(0, secondsBetween(begun ?? this.#lastReplyAt, now)),
      path: path === 'busy' ? path : this.#link.path,
      first,
      ...(planRate === undefined ? {} : { planRate }),
      ...(setup === undefined ? {} : { setup }),
    };
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.handleInput({ kind: 'closed', reason });
    const now = this.#ports.now();
    const { rate } = this.#link;
    const unacknowledged = this.#connection.unacknowledged?.() ?? 0;
    for (const { message, offset, begun, handed } of this.#flying.splice(0)) {
      this.#ports.queue.setFlying(this.#link.name, message.envelope.id, false);
      const spent = begun === undefined ? 0 : Math.max(0, secondsBetween(begun, now));
      const sent = handed === undefined ? rate && offset + spent * rate : Math.max(offset, handed - unacknowledged);
      const stored = this.checkpoint && sent !== undefined ? Math.min(message.octets, sent) : undefined;
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

/** @param usual what it takes until a reply comes, as far as that is known. */
const patience = (usual: number | undefined): number =>
  usual === undefined ? STALL_SECONDS : Math.max(LEAST_STALL_SECONDS, STALLED_REPLIES * usual);

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
