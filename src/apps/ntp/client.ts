/**
 * The NTP client: one association with one server (a pass has one; RFC 8633's "at least four" cannot be met on a space link, so
 * the checks on the one are strict). It decides when to poll, judges replies and hands good ones to its discipline.
 *
 * Polling: a burst after acquisition of signal when the discipline asks for it, then at the discipline's interval; nothing while
 * the link is known to be down. Reachability is the 8-bit register of RFC 5905 §9.2. Each request leaves from a fresh random port
 * (RFC 9109), which is the adapter's work: one transmit, one socket.
 */
import {
  Counters,
  type Deadline,
  type Instant,
  type Machine,
  type Rng,
  seconds,
  TimerTable,
} from '../../core/index.ts';
import type { AdjustableClock } from './clock-model.ts';
import type { NtpClientSettings } from './config.ts';
import type { Discipline, Verdict } from './discipline.ts';
import { OmniDiscipline } from './discipline-omni.ts';
import { RegressionDiscipline } from './discipline-regression.ts';
import { Rfc5905Discipline } from './discipline-rfc5905.ts';
import { type Exchange, judgeReply, type Measurement, makeRequest, type ReplyRefusal } from './exchange.ts';
import type { NtpKey } from './mac.ts';
import { fromShort } from './timestamp.ts';

export type NtpClientInput =
  | { readonly kind: 'reply'; readonly octets: Uint8Array }
  /** The request went out at this call's `now`; gives a better T1 than the time it was made. Optional. */
  | { readonly kind: 'sent' }
  | { readonly kind: 'contact'; readonly up: boolean }
  | { readonly kind: 'enable'; readonly on: boolean }
  /** Set the clock by hand: add this many seconds. */
  | { readonly kind: 'adjust clock'; readonly seconds: number };

export type NtpClientEvent =
  | {
      readonly kind: 'sample';
      readonly measurement: Measurement;
      readonly verdict: Verdict;
    }
  | { readonly kind: 'refused'; readonly reason: ReplyRefusal }
  | { readonly kind: 'unanswered' }
  | { readonly kind: 'stopped'; readonly why: 'kissDeny' | 'panic' };

/** What a server on the same node needs to know of our synchronisation (RFC 5905 §11.1 system variables). */
export interface Synchronisation {
  readonly stratum: number;
  readonly rootDelay: number;
  readonly rootDispersion: number;
  readonly updatedAt: Instant;
}

// Implementation constants
const ANSWER_WAIT = seconds(20);
/** RFC 8633 §5.4: a RATE kiss at least doubles the interval, to poll exponent 13 at most. */
const SLOWEST_POLL_SECONDS = 8192;
const INITIAL_BURST_SPACING_SECONDS = 2;

type Timer = 'poll' | 'answer' | 'discipline';

export class NtpClient implements Machine<NtpClientInput, Uint8Array, NtpClientEvent> {
  readonly counters = new Counters();
  readonly discipline: Discipline;
  readonly #settings: NtpClientSettings;
  readonly #clock: AdjustableClock;
  readonly #rng: Rng;
  readonly #key: NtpKey | undefined;
  readonly #timers = new TimerTable<Timer>();
  readonly #events: NtpClientEvent[] = [];
  #request: Uint8Array | undefined;
  #exchange: Exchange;
  #enabled: boolean;
  #up = true;
  #burstLeft: number;
  #reach = 0;
  #slowdown = 1;
  #last: { measurement: Measurement; at: Instant; verdict: Verdict } | undefined;

  constructor(options: {
    settings: NtpClientSettings;
    clock: AdjustableClock;
    rng: Rng;
    now: Instant;
    key?: NtpKey | undefined;
    /** False when the node begins out of contact. */
    up?: boolean;
  }) {
    this.#settings = options.settings;
    this.#clock = options.clock;
    this.#rng = options.rng;
    this.#key = options.key;
    this.#enabled = options.settings.enabled;
    this.#up = options.up ?? true;
    this.#exchange = {
      nonce: undefined,
      lastNonce: undefined,
      sentAt: options.clock.read(options.now),
      key: options.key,
    };
    this.discipline = makeDiscipline(options.settings, options.clock);
    this.#burstLeft = this.#burst();
    if (this.#enabled && this.#up) this.#timers.set('poll', options.now);
  }

  handleInput(input: NtpClientInput, now: Instant): void {
    switch (input.kind) {
      case 'reply':
        this.#handleReply(input.octets, now);
        break;
      case 'sent':
        this.#exchange.sentAt = this.#clock.read(now);
        break;
      case 'contact':
        this.#handleContact(input.up, now);
        break;
      case 'enable':
        this.#enable(input.on, now);
        break;
      case 'adjust clock':
        this.#clock.step(now, input.seconds);
        this.discipline.handleClockSet(input.seconds, now);
        // An exchange begun by the old time would measure the step.
        this.#exchange.nonce = undefined;
        break;
    }
    this.#armDiscipline();
  }

  handleTimeout(now: Instant): void {
    for (let name = this.#timers.expired(now); name !== undefined; name = this.#timers.expired(now)) {
      if (name === 'poll') this.#poll(now);
      else if (name === 'answer') this.#unanswered();
      else this.discipline.handleTimeout(now);
    }
    this.#armDiscipline();
  }

  pollTransmit(): Uint8Array | undefined {
    const request = this.#request;
    this.#request = undefined;
    return request;
  }
  pollEvent(): NtpClientEvent | undefined {
    return this.#events.shift();
  }
  pollTimeout(): Deadline | undefined {
    return this.#timers.next();
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** Undefined until a first sample was used. */
  synchronisation(now: Instant): Synchronisation | undefined {
    const last = this.#last;
    if (last === undefined || last.verdict.kind === 'panic') return undefined;
    const { packet, delay, dispersion, offset } = last.measurement;
    const age = (now - last.at) / 1e9;
    return {
      stratum: packet.stratum + 1,
      rootDelay: fromShort(packet.rootDelay) + delay,
      // §11.1: the server's, the measurement's, the offset not yet worked off, and the drift since.
      rootDispersion: fromShort(packet.rootDispersion) + dispersion + Math.abs(offset) + 15e-6 * age,
      updatedAt: last.at,
    };
  }

  status(): Record<string, unknown> {
    const last = this.#last?.measurement;
    return {
      enabled: this.#enabled,
      discipline: this.discipline.name,
      reach: this.#reach.toString(8).padStart(3, '0'),
      pollSeconds: this.#interval(),
      offsetSeconds: last?.offset,
      delaySeconds: last?.delay,
      rootDistanceSeconds: last?.rootDistance,
      stratum: last === undefined ? 16 : last.packet.stratum + 1,
      correction: last?.correction,
      ...this.discipline.status(),
      counters: this.counters.snapshot(),
    };
  }

  #poll(now: Instant): void {
    if (!this.#enabled || !this.#up) return;
    this.#reach = (this.#reach << 1) & 0xff;
    const nonce = (BigInt(this.#rng.uint32()) << 32n) | BigInt(this.#rng.uint32());
    this.#exchange.lastNonce = this.#exchange.nonce ?? this.#exchange.lastNonce;
    this.#exchange.nonce = nonce;
    this.#exchange.sentAt = this.#clock.read(now);
    this.#request = makeRequest({
      nonce,
      poll: Math.round(Math.log2(this.#interval())),
      correction: this.#settings.correction === 'stamped',
      key: this.#key,
    });
    this.counters.add('sent');
    this.#timers.setAfter('answer', now, ANSWER_WAIT);
    const spacing = this.#burstLeft > 0 ? this.#burstSpacing() : this.#interval();
    if (this.#burstLeft > 0) this.#burstLeft--;
    this.#timers.setAfter('poll', now, seconds(spacing));
  }

  #handleReply(octets: Uint8Array, now: Instant): void {
    const { maximumDistanceSeconds, maximumDelaySeconds, correction, requestHoldSeconds, replyHoldSeconds } =
      this.#settings;
    const result = judgeReply(
      octets,
      this.#exchange,
      this.#clock.read(now),
      {
        maximumDistance: maximumDistanceSeconds,
        maximumDelay: maximumDelaySeconds,
        precision: Math.max(this.#clock.tick, 1e-6),
      },
      correction === 'configured' ? { requestSeconds: requestHoldSeconds, replySeconds: replyHoldSeconds } : undefined,
    );
    // The exchange is over only when its own answer came, good or bad; strangers' packets do not end it.
    if (this.#exchange.nonce === undefined) this.#timers.clear('answer');
    if (!result.ok) {
      this.#refuse(result.reason, now);
      return;
    }
    this.#reach |= 1;
    this.counters.add('accepted');
    const measurement = result.value;
    const verdict = this.discipline.handleSample(measurement, now);
    this.#last = { measurement, at: now, verdict };
    this.#events.push({ kind: 'sample', measurement, verdict });
    if (verdict.kind === 'panic') this.#stop('panic');
  }

  #refuse(reason: ReplyRefusal, now: Instant): void {
    this.counters.add(`refused.${reason}`);
    this.#events.push({ kind: 'refused', reason });
    if (reason === 'kissDeny') this.#stop('kissDeny');
    if (reason === 'kissRate') {
      this.#slowdown = Math.min(this.#slowdown * 2, SLOWEST_POLL_SECONDS / this.discipline.pollIntervalSeconds);
      this.#burstLeft = 0;
      this.#timers.setAfter('poll', now, seconds(this.#interval()));
    }
  }

  #unanswered(): void {
    this.#exchange.lastNonce = this.#exchange.nonce;
    this.#exchange.nonce = undefined;
    this.counters.add('unanswered');
    this.#events.push({ kind: 'unanswered' });
  }

  #handleContact(up: boolean, now: Instant): void {
    if (up === this.#up) return;
    this.#up = up;
    this.discipline.handleContact(up, now);
    if (up && this.#enabled) this.#start(now);
    if (!up) this.#timers.clear('poll');
  }

  #enable(on: boolean, now: Instant): void {
    if (on === this.#enabled) return;
    this.#enabled = on;
    if (on && this.#up) this.#start(now);
    if (!on) this.#timers.clear('poll');
  }

  #start(now: Instant): void {
    this.#slowdown = 1;
    this.#burstLeft = this.#burst();
    this.#timers.set('poll', now);
  }

  #stop(why: 'kissDeny' | 'panic'): void {
    this.#enabled = false;
    this.#timers.clear('poll');
    this.#events.push({ kind: 'stopped', why });
  }

  /** The rule of 2000 had no burst; the standard's loop bursts eight when it has not reached its server (iburst). */
  #burst(): number {
    if (this.#settings.discipline === 'omni') return 0;
    if (this.#settings.discipline === 'rfc5905') return this.#reach === 0 ? 7 : 0;
    return Math.max(0, this.#settings.burst - 1);
  }
  #burstSpacing(): number {
    return this.#settings.discipline === 'regression'
      ? this.#settings.burstSpacingSeconds
      : INITIAL_BURST_SPACING_SECONDS;
  }
  #interval(): number {
    return this.discipline.pollIntervalSeconds * this.#slowdown;
  }

  #armDiscipline(): void {
    const deadline = this.discipline.pollTimeout();
    if (deadline === undefined) this.#timers.clear('discipline');
    else this.#timers.set('discipline', deadline.at);
  }
}

export function makeDiscipline(settings: NtpClientSettings, clock: AdjustableClock): Discipline {
  switch (settings.discipline) {
    case 'omni':
      return new OmniDiscipline(clock, settings.pollSeconds);
    case 'rfc5905':
      return new Rfc5905Discipline(clock, { minimum: settings.minimumPoll, maximum: settings.maximumPoll });
    case 'regression':
      return new RegressionDiscipline(clock, settings.pollSeconds);
  }
}
