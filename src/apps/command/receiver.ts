/**
 * The command receiver on board. A packet is checked (form, key, HMAC, replay window, opcode, arguments), then the new state goes to
 * disk, and only then is the command carried out: a crash in between loses the command, never executes it twice. Commands are carried
 * out one after the other; time-tagged ones wait in a bounded schedule, which is on disk with the windows.
 *
 * Every stage of an authentic command is reported (after ECSS-E-ST-70-41C service 1). Packets that are not authentic are only
 * counted: a report each would let a stranger fill the downlink.
 */
import {
  Counters,
  type Deadline,
  type Instant,
  type Machine,
  plus,
  seconds,
  TimerTable,
  type WallTime,
} from '../../core/index.ts';
import type { CommandDefinition, Dictionary, REFUSALS, STAGES } from '../telemetry/index.ts';
import { ReplayWindow, type WindowState } from './replay-window.ts';
import { type Arguments, type Hmac, interpret, parseTelecommand, type Telecommand } from './telecommand.ts';

export type Stage = (typeof STAGES)[number];
export type Refusal = (typeof REFUSALS)[number];

export interface StageReport {
  readonly stage: Stage;
  readonly keyId: number;
  readonly counter: bigint;
  readonly opcode: number;
  readonly refusal: Refusal;
  readonly detail: string;
}

export type ReceiverInput =
  /**
   * `via` names where reports go besides telemetry: a TCP connection, say. `executeAt` is for a command that names no time itself,
   * by whoever brought it and may say so.
   */
  | { readonly kind: 'packet'; readonly octets: Uint8Array; readonly via?: number; readonly executeAt?: WallTime }
  | { readonly kind: 'saved'; readonly version: number }
  | { readonly kind: 'done'; readonly execution: number; readonly ok: boolean; readonly detail: string };

export type ReceiverEvent =
  | { readonly kind: 'save'; readonly version: number; readonly state: ReceiverState }
  | {
      readonly kind: 'execute';
      readonly execution: number;
      readonly definition: CommandDefinition;
      readonly args: Arguments;
    }
  | { readonly kind: 'report'; readonly report: StageReport; readonly via: number | undefined };

export interface ReceiverState {
  readonly windows: Readonly<Record<string, WindowState>>;
  readonly schedule: readonly {
    readonly keyId: number;
    readonly counter: string;
    readonly executeAt: string;
    readonly opcode: number;
    readonly argumentOctets: string;
  }[];
}

export interface ReceiverOptions {
  readonly dictionary: Dictionary;
  readonly keys: ReadonlyMap<number, Hmac>;
  readonly scheduleLength: number;
  /** A time-tagged command that arrives (or is found after a reboot) later than this past its time is refused. */
  readonly lateSeconds: number;
  /** The spacecraft clock. */
  readonly time: (now: Instant) => WallTime;
  readonly state?: ReceiverState;
  readonly now: Instant;
}

/** As a time: now, and never too late; unlike no time it waits in the schedule, so that it outlives a crash. */
export const AT_ONCE = 0n as WallTime;

// Implementation constants
const REMEMBERED_OUTCOMES = 256;
const EXECUTION_LIMIT = seconds(120);
/** The spacecraft clock may be stepped at any time, so the schedule is looked at this often. */
const SCHEDULE_CHECK = seconds(1);

interface Accepted {
  readonly command: Telecommand;
  readonly definition: CommandDefinition;
  readonly args: Arguments;
  readonly via: number | undefined;
  readonly version: number;
}

export class CommandReceiver implements Machine<ReceiverInput, never, ReceiverEvent> {
  readonly counters = new Counters();
  lastRefusal: Refusal = 'none';
  readonly #options: ReceiverOptions;
  readonly #windows = new Map<number, ReplayWindow>();
  readonly #timers = new TimerTable<'schedule' | 'execution'>();
  readonly #events: ReceiverEvent[] = [];
  readonly #outcomes = new Map<string, StageReport>();
  /** Accepted, but not on disk yet. */
  #unsaved: Accepted[] = [];
  #schedule: Accepted[] = [];
  /** Due, but the schedule without them is not on disk yet. */
  #leaving: Accepted[] = [];
  #queue: Accepted[] = [];
  #running: (Accepted & { execution: number }) | undefined;
  #version = 0;
  #executions = 0;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    for (const [id, window] of Object.entries(options.state?.windows ?? {}))
      this.#windows.set(Number(id), new ReplayWindow(window));
    for (const saved of options.state?.schedule ?? []) this.#restore(saved, options.now);
    this.#arm(options.now);
  }

  handleInput(input: ReceiverInput, now: Instant): void {
    switch (input.kind) {
      case 'packet':
        this.#receive(input.octets, input.via, input.executeAt, now);
        break;
      case 'saved':
        this.#saved(input.version, now);
        break;
      case 'done':
        if (this.#running?.execution === input.execution) this.#finish(input.ok, input.detail, now);
        break;
    }
  }

  handleTimeout(now: Instant): void {
    for (let name = this.#timers.expired(now); name !== undefined; name = this.#timers.expired(now)) {
      if (name === 'schedule') this.#arm(now);
      else this.#finish(false, 'took too long', now);
    }
  }

  pollTransmit(): undefined {
    return undefined;
  }
  pollEvent(): ReceiverEvent | undefined {
    return this.#events.shift();
  }
  pollTimeout(): Deadline | undefined {
    return this.#timers.next();
  }

  get highestCounter(): bigint {
    let highest = 0n;
    for (const window of this.#windows.values()) if (window.highest > highest) highest = window.highest;
    return highest;
  }

  /** How many more time-tagged commands may wait. */
  get scheduleRoom(): number {
    return Math.max(0, this.#options.scheduleLength - this.#scheduledCount());
  }

  /** The last stage of a command, if it is among the last that had one. */
  outcomeOf(keyId: number, counter: bigint): StageReport | undefined {
    return this.#outcomes.get(`${keyId}/${counter}`);
  }

  /** Accepted, and neither completed nor failed. */
  holds(keyId: number, counter: bigint): boolean {
    const { command: running } = this.#running ?? {};
    const waiting = [...this.#unsaved, ...this.#schedule, ...this.#leaving, ...this.#queue].map(
      ({ command }) => command,
    );
    return [running, ...waiting].some((c) => c?.keyId === keyId && c.counter === counter);
  }

  status(): Record<string, unknown> {
    return {
      counters: this.counters.snapshot(),
      lastRefusal: this.lastRefusal,
      highestCounter: this.highestCounter.toString(),
      scheduled: this.#schedule.map((s) => ({ name: s.definition.name, executeAt: s.command.executeAt?.toString() })),
      waiting: this.#queue.length + this.#unsaved.length + this.#leaving.length,
    };
  }

  #receive(octets: Uint8Array, via: number | undefined, executeAt: WallTime | undefined, now: Instant): void {
    const { dictionary, keys } = this.#options;
    const parsed = parseTelecommand(dictionary, octets, keys);
    if (!parsed.ok) {
      this.#count(parsed.reason);
      return;
    }
    const command = { ...parsed.value, executeAt: parsed.value.executeAt ?? executeAt };
    const window = this.#windows.get(command.keyId) ?? new ReplayWindow();
    const verdict = window.check(command.counter);
    if (verdict !== 'new') {
      this.#count(verdict);
      // The sender may have lost our report: say again what became of it. A blind copy hears nothing.
      const known = this.#outcomes.get(nameOf(command));
      if (via !== undefined)
        this.#report(known ?? reportOf(command, 'acceptanceFailure', verdict, verdict), via, false);
      return;
    }
    // The counter is used up even when the command turns out wrong: what was authentic once must not come again.
    window.accept(command.counter);
    this.#windows.set(command.keyId, window);
    const meaning = interpret(dictionary, command);
    const problem = meaning.ok ? this.#timeProblem(command, now) : meaning.reason;
    if (problem !== undefined || !meaning.ok) {
      this.#count(problem!);
      this.#save();
      this.#report(reportOf(command, 'acceptanceFailure', problem!, problem!), via);
      return;
    }
    this.#unsaved.push({ command, ...meaning.value, via, version: this.#version + 1 });
    this.#save();
  }

  #timeProblem(command: Telecommand, now: Instant): 'late' | 'scheduleFull' | undefined {
    if (command.executeAt === undefined) return undefined;
    const late = Number(this.#options.time(now) - command.executeAt) / 1e9;
    if (command.executeAt !== AT_ONCE && late > this.#options.lateSeconds) return 'late';
    return this.#scheduledCount() >= this.#options.scheduleLength ? 'scheduleFull' : undefined;
  }

  #scheduledCount(): number {
    return this.#schedule.length + this.#unsaved.filter((a) => a.command.executeAt !== undefined).length;
  }

  #count(reason: Refusal): void {
    this.counters.add(`refused.${reason}`);
    this.lastRefusal = reason;
  }

  #save(): void {
    const schedule = [...this.#schedule, ...this.#unsaved]
      .filter((a) => a.command.executeAt !== undefined)
      .map(({ command }) => ({
        keyId: command.keyId,
        counter: command.counter.toString(16),
        executeAt: command.executeAt!.toString(),
        opcode: command.opcode,
        argumentOctets: Array.from(command.argumentOctets, (o) => o.toString(16).padStart(2, '0')).join(''),
      }));
    const windows = Object.fromEntries([...this.#windows].map(([id, window]) => [String(id), window.save()]));
    this.#events.push({ kind: 'save', version: ++this.#version, state: { windows, schedule } });
  }

  #saved(version: number, now: Instant): void {
    const ready = this.#unsaved.filter((a) => a.version <= version);
    this.#unsaved = this.#unsaved.filter((a) => a.version > version);
    this.#queue.push(...this.#leaving.filter((a) => a.version <= version));
    this.#leaving = this.#leaving.filter((a) => a.version > version);
    for (const accepted of ready) {
      this.counters.add('accepted');
      this.#report(reportOf(accepted.command, 'acceptance', 'none', accepted.definition.name), accepted.via);
      if (accepted.command.executeAt === undefined) this.#queue.push(accepted);
      else this.#schedule.push(accepted);
    }
    this.#arm(now);
  }

  /**
   * Moves what is due from the schedule, starts the next command, and sets the schedule's alarm. One at a time: those behind it stay
   * on disk until it has ended.
   */
  #arm(now: Instant): void {
    const time = this.#options.time(now);
    const busy = this.#running !== undefined || this.#queue.length > 0 || this.#leaving.length > 0;
    const [due] = this.#schedule.filter((s) => s.command.executeAt! <= time).sort(byTime);
    if (due !== undefined && !busy) {
      this.#schedule = this.#schedule.filter((s) => s !== due);
      // It must not be found again after a reboot, so it starts when the shorter schedule is on disk.
      this.#leaving.push({ ...due, version: this.#version + 1 });
      this.#save();
    }
    const [next] = [...this.#schedule].sort(byTime);
    if (next === undefined) this.#timers.clear('schedule');
    else {
      // What is due already waits for the end of another, not for a time.
      const wait = Number(next.command.executeAt! - time) / 1e9;
      this.#timers.set(
        'schedule',
        plus(
          now,
          seconds(wait <= 0 ? SCHEDULE_CHECK / 1e9 : Math.min(SCHEDULE_CHECK / 1e9, Math.max(0.000_001, wait))),
        ),
      );
    }
    this.#startNext(now);
  }

  #startNext(now: Instant): void {
    if (this.#running !== undefined) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#running = { ...next, execution: ++this.#executions };
    this.#timers.setAfter('execution', now, EXECUTION_LIMIT);
    this.#report(reportOf(next.command, 'start', 'none', next.definition.name), next.via);
    this.#events.push({ kind: 'execute', execution: this.#executions, definition: next.definition, args: next.args });
  }

  #finish(succeeded: boolean, detail: string, now: Instant): void {
    const { command, via } = this.#running!;
    this.#running = undefined;
    this.#timers.clear('execution');
    this.counters.add(succeeded ? 'executed' : 'failed');
    this.#report(
      reportOf(command, succeeded ? 'completion' : 'completionFailure', succeeded ? 'none' : 'failed', detail),
      via,
    );
    this.#arm(now);
  }

  #report(report: StageReport, via: number | undefined, remember = true): void {
    if (remember) {
      const key = `${report.keyId}/${report.counter}`;
      this.#outcomes.delete(key);
      this.#outcomes.set(key, report);
      if (this.#outcomes.size > REMEMBERED_OUTCOMES) this.#outcomes.delete(this.#outcomes.keys().next().value!);
    }
    this.#events.push({ kind: 'report', report, via });
  }

  #restore(saved: ReceiverState['schedule'][number], now: Instant): void {
    const octets = Uint8Array.from(saved.argumentOctets.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const command: Telecommand = {
      keyId: saved.keyId,
      counter: BigInt(`0x${saved.counter}`),
      executeAt: BigInt(saved.executeAt) as WallTime,
      opcode: saved.opcode,
      argumentOctets: octets,
    };
    const meaning = interpret(this.#options.dictionary, command);
    const problem = meaning.ok ? this.#timeProblem(command, now) : meaning.reason;
    if (!meaning.ok || problem !== undefined) {
      this.#count(problem!);
      this.#report(reportOf(command, 'startFailure', problem!, problem!), undefined);
    } else this.#schedule.push({ command, ...meaning.value, via: undefined, version: 0 });
  }
}

const byTime = (a: Accepted, b: Accepted): number => Number(a.command.executeAt! - b.command.executeAt!);

const nameOf = (command: Telecommand): string => `${command.keyId}/${command.counter}`;

function reportOf(command: Telecommand, stage: Stage, refusal: Refusal, detail: string): StageReport {
  return { stage, keyId: command.keyId, counter: command.counter, opcode: command.opcode, refusal, detail };
}
