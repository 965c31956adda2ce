/**
 * One next hop: opens a session when its window opens, gives it message after message in the schedule's order, closes it at the
 * window's end, and learns what the link costs. RFC 5321 section 4.5.4.1 leaves the retry strategy to us; ours is the contact plan.
 *
 * At the end of a contact the connection is aborted, not closed: what the kernel still holds would otherwise be retried by TCP
 * with growing pauses far into the next contact. A running message gives way to one of higher priority, or to a much smaller one
 * of its class, if the peer keeps its octets (CHECKPOINT) and more than a few seconds of it are left.
 */
import type { WallTime } from '../../core/index.ts';
import { type HopPorts, type InFlight, Session, type SessionOwner } from './hop-session.ts';
import { LinkEstimator } from './link-estimator.ts';
import type { Route } from './policy.ts';
import type { Contact } from './ports.ts';
import type { Reply } from './reply.ts';
import {
  type Candidate,
  chooseNext,
  octetsLeft,
  type Pace,
  type Path,
  paceOf,
  planRateOf,
  rateOf,
  type Window,
  windowAt,
} from './schedule.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

const IDLE_SECONDS = 2;
/** Toward a relay of ours the session stays for what may still come in the contact; its server ends it after 300 seconds. */
const KEPT_SECONDS = 240;
/** An idle session is ended this long before LOS, so that the peer's end of it does not stay behind. */
const LEAVE_SECONDS = 3;
/**
 * A refused or lost session is tried again this much later inside a contact, each time twice as long after, at most a second: a peer that was
 * killed is back within one, and a refusal costs two packets.
 */
const REDIAL_SECONDS = 0.1;
const LONGEST_REDIAL_SECONDS = 1;
const PROBE_SECONDS = 20;
/** Probing without a plan: this long counts as one round toward expiry. */
const PROBE_ROUND_SECONDS = 5400;
const LIFE_SECONDS = 600;
const UNSCHEDULED_RETRY_SECONDS = [60, 300, 900, 1800, 3600];
/** Less than this left of a message: it is not interrupted for one of higher priority. */
const PREEMPT_SECONDS = 5;
/** Nor for one of its own class that needs more than this part of what is left. */
const MUCH_SMALLER = 0.1;
/** Supposed, for that question, of a link of which nothing is known yet. */
const FAST_OCTETS_PER_SECOND = 10_000;
/** A SYN, its answer and as much of the other direction's, each with its frame. */
const ANSWER_OCTETS = 4 * 67;
const ANSWER_ROUND_TRIPS = 1.5;
const BY_AND_BY = 8;
/** MAIL, RCPT and BDAT in their packet, and a first octet. */
const ENVELOPE_OCTETS = 300;

/** The peer does not speak TLS as we do; a connection that was lost while it began is another matter. */
const TLS_FAULT = /^TLS: .*(SSL routines|alert)/;

export class HopLink implements SessionOwner {
  readonly name: string;
  readonly #route: Route;
  /** TLS was only wished for and cannot be had: the next session goes without (RFC 7435), and the one after tries again. */
  #withoutTls = false;
  readonly estimator: LinkEstimator;
  carriedAt = 0n as WallTime;
  readonly #ports: HopPorts;
  #session: Session | undefined;
  #contact: Contact | undefined;
  #nextDial = 0n as WallTime;
  #failures = 0;
  #lifeUntil: WallTime | undefined;
  #probingSince: WallTime | undefined;
  #peerHasCheckpoint: boolean | undefined;
  #roundTripSeconds = 0;
  /** Why the last session never was one. */
  #trouble: string | undefined;

  constructor(name: string, route: Route, ports: HopPorts) {
    this.name = name;
    this.#route = route;
    this.#ports = ports;
    this.estimator = new LinkEstimator();
  }

  get route(): Route {
    return this.#withoutTls ? { ...this.#route, tls: 'never' } : this.#route;
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
    return this.#session?.sending?.message.envelope.id;
  }

  /** The next hop did not answer, or refused the session: why, and when it is tried again. */
  get trouble(): { readonly why: string; readonly again: WallTime } | undefined {
    return this.#trouble === undefined ? undefined : { why: this.#trouble, again: this.#nextDial };
  }

  /** What the connection has in hand, the running message last. */
  inFlight(now: WallTime): InFlight[] {
    return this.#session?.inFlight(now) ?? [];
  }

  /** Octets of message data a second in the running contact; undefined while nothing is known. */
  get rate(): number | undefined {
    return rateOf(this.#contact, this.estimator.model, this.path);
  }

  get pace(): Pace | undefined {
    return paceOf(this.#contact, this.estimator.model, this.path);
  }

  get contactEnd(): WallTime | undefined {
    return this.#contact?.end;
  }
  get roundTripSeconds(): number {
    return this.#roundTripSeconds;
  }
  /** By the plan's rate, and by the round trips of late. */
  get answerSeconds(): number {
    return Math.max(
      ANSWER_ROUND_TRIPS * this.#roundTripSeconds,
      ANSWER_OCTETS / (planRateOf(this.#contact) ?? Infinity),
    );
  }

  /** Whether a message on its way is interrupted for one of a higher priority, or for a much smaller one of its class. */
  givesWay(priority: number, flight: { octetsLeft: number; secondsSpent: number }, rival: Candidate): boolean {
    if (rival.priority < priority || this.#session?.checkpoint !== true) return false;
    const rate = this.rate ?? FAST_OCTETS_PER_SECOND;
    const left = flight.octetsLeft / rate - flight.secondsSpent;
    if (left <= PREEMPT_SECONDS) return false;
    if (rival.priority > priority) return true;
    const { firstSeconds, setupSeconds } = this.estimator.model[this.path];
    return rival.octetsLeft / rate + firstSeconds + setupSeconds < MUCH_SMALLER * left;
  }

  /** Whether mail comes the other way, so that replies have to queue behind it. */
  get path(): Path {
    return this.#ports.receiving() ? 'busy' : 'quiet';
  }

  /** The rate that the plan gives for the running contact, in octets a second. */
  get planRate(): number | undefined {
    return planRateOf(this.#contact);
  }

  /** A connection's set-up waits behind whatever is under way, or for a peer that was not there: a longer one is believed by and by. */
  learnRoundTrip(seconds: number): void {
    const known = this.#roundTripSeconds;
    this.#roundTripSeconds = known === 0 || seconds < known ? seconds : known + (seconds - known) / BY_AND_BY;
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
      this.#failures = 0;
      this.#lifeUntil = undefined;
    }
    const session = this.#session;
    if (session !== undefined) {
      session.goOn(now);
      if (session.stalledAt() <= now) session.abort('no sign of life from the peer');
      else if (session.ready) this.#feed(session, window, now);
      else if (this.#tooLate(window, now)) session.leave('no time is left for a session');
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
    // The plan was right: the peer is gone, whatever sign it gave.
    this.#lifeUntil = undefined;
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
    if (this.#tooLate(window, now)) return undefined;
    return chooseNext(this.#ports.queue.candidates(this.name, now), this.#room(window, now));
  }

  /** A session or an envelope begun in a contact's last moments would only stand in front of the next contact's. */
  #tooLate(window: Window, now: WallTime): boolean {
    return window.kind === 'contact' && now >= this.#lastMoment(window.contact);
  }

  #lastMoment(contact: Contact): WallTime {
    const { begin, end } = contact;
    const { setupSeconds, nextSeconds } = this.estimator.model.busy;
    // Behind another message an envelope costs no wait, but its own time of the line.
    const message = Math.max(nextSeconds, ENVELOPE_OCTETS / (planRateOf(contact) ?? Infinity));
    // What was learned in a bad contact must not forbid all short ones.
    const needed = Math.min((this.#session?.ready ? 0 : setupSeconds) + message, secondsBetween(begin, end) / 4);
    return wallPlus(end, -needed);
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
    const running = session.sending?.message.envelope;
    if (running !== undefined && session.checkpoint) {
      const rival = this.#next(window, now);
      const flight = session.inFlight(now).at(-1);
      if (rival !== undefined && this.givesWay(running.priority, flight!, rival)) {
        this.#ports.log(`event=preempted hop=${this.name} id=${running.id} by=${rival.id}`);
        session.abort(`${rival.id} goes first`);
        this.#nextDial = now;
        this.#dialIfDue(window, now);
        return;
      }
    }
    if (!session.busy) {
      session.idleSince ??= now;
      if (now >= this.#idleUntil(session, window)!) session.quit();
    } else session.idleSince = undefined;
  }

  /** When an idle session ends. */
  #idleUntil(session: Session, window: Window): WallTime | undefined {
    if (session.idleSince === undefined) return undefined;
    const soon = wallPlus(session.idleSince, IDLE_SECONDS);
    if (!session.checkpoint || window.kind !== 'contact') return soon;
    const kept = wallPlus(session.idleSince, KEPT_SECONDS);
    const leave = wallPlus(window.contact.end, -LEAVE_SECONDS);
    const until = leave < kept ? leave : kept;
    return until > soon ? until : soon;
  }

  #deadline(window: Window, now: WallTime): WallTime | undefined {
    const times: WallTime[] = [];
    const session = this.#session;
    if (window.kind === 'contact' && this.#contact !== undefined) times.push(window.contact.end);
    if (session !== undefined) {
      times.push(session.stalledAt());
      if (window.kind === 'contact' && !session.ready) times.push(this.#lastMoment(window.contact));
      if (session.pausedUntil !== undefined) times.push(session.pausedUntil);
      const idleUntil = session.polite ? undefined : this.#idleUntil(session, window);
      if (idleUntil !== undefined) times.push(idleUntil);
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
    if (!session.ready) this.#trouble = reason;
    const brokenTls = !session.ready && TLS_FAULT.test(reason);
    this.#withoutTls = brokenTls && !this.#withoutTls && this.#route.tls === 'opportunistic';
    const window = this.window(now);
    if (this.#withoutTls) this.#nextDial = now;
    else if (session.left && this.#contact !== undefined) this.#nextDial = this.#contact.end;
    else if (session.completed > 0 || session.polite) {
      this.#failures = 0;
      this.#nextDial = session.polite ? now : this.#redialAt(now);
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
    } else this.#nextDial = this.#redialAt(now);
    this.#ports.log(
      `event=session-ended hop=${this.name} delivered=${session.completed} why=${JSON.stringify(reason)}`,
    );
    this.#ports.changed();
  }

  #redialAt(now: WallTime): WallTime {
    return wallPlus(now, Math.min(LONGEST_REDIAL_SECONDS, REDIAL_SECONDS * 2 ** this.#failures++));
  }

  /** The next hop cannot exist: all that waits for it fails at once (RFC 5321 section 5.1, RFC 7505). */
  sessionUnroutable(session: Session, reply: Reply): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    const { queue, now, settled, changed } = this.#ports;
    this.#nextDial = now();
    for (const { id } of [...queue.candidates(this.name, now(), 'waiting')]) {
      const envelope = queue.get(id)!;
      const recipients = queue.queuedRecipients(id, this.name);
      const replies = recipients.map((recipient) => ({ recipient, reply }));
      settled(this.name, { envelope, recipients, octets: envelope.octets, transaction: '' }, replies);
    }
    changed();
  }

  sessionReady(session: Session): void {
    this.#peerHasCheckpoint = session.checkpoint;
    this.#failures = 0;
    this.#trouble = undefined;
    this.#probingSince = undefined;
    this.#ports.changed();
  }
}
