/**
 * Real clocks: the host's, finer than `Date.now()`'s millisecond, and a node's software clock over it.
 *
 * The host's time is CLOCK_MONOTONIC (process.hrtime, nanoseconds) plus an offset calibrated on an edge of Date.now(): the edge lies
 * between two hrtime readings some hundred nanoseconds apart. The kernel slews both clocks alike, so the offset only changes when
 * somebody steps the host's time, which is noticed and calibrated anew.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type ClockSettings, type ClockState, SpacecraftClock } from '../apps/ntp/index.ts';
import type { Instant, WallTime } from '../core/index.ts';
import { instant } from '../core/index.ts';
import type { WallClock } from '../node/service.ts';

// Implementation constants
const EDGES = 4;
/** Where other work interrupts each of them, more are tried. */
const EDGES_AT_MOST = 20;
const WIDE_NANOSECONDS = 20_000n;
/** Date.now() rounds down to a millisecond and may be read late; beyond this the host's time was stepped. */
const STEP_NOTICED_NANOSECONDS = 3_000_000n;
const SAVE_EVERY_MS = 10_000;

export class HostClock implements WallClock {
  readonly #monotonic: () => bigint;
  readonly #system: () => number;
  readonly #origin: bigint;
  #offset = 0n;
  /** Half the narrowest bracket around an edge: how well the host's time is known, seconds. */
  uncertaintySeconds = 0;

  /** @param monotonic nanoseconds @param system milliseconds since 1970 */
  constructor(monotonic: () => bigint = process.hrtime.bigint, system: () => number = Date.now) {
    this.#monotonic = monotonic;
    this.#system = system;
    this.#origin = monotonic();
    this.calibrate();
  }

  /** Monotonic, from the construction of this clock. */
  instant(): Instant {
    return instant(Number(this.#monotonic() - this.#origin));
  }

  now(): WallTime {
    if (this.#isStepped()) this.#recheck();
    return (this.#monotonic() + this.#offset) as WallTime;
  }

  /** Spins for some milliseconds. */
  calibrate(): void {
    let narrowest = 1n << 62n;
    for (let edge = 0; edge < EDGES || (edge < EDGES_AT_MOST && narrowest > WIDE_NANOSECONDS); edge++) {
      // The edge lies after the last reading of the old millisecond began, so the bracket opens before that reading: were it to open
      // between the two readings, a process put aside just there would take the end of its pause for the edge.
      let opens = this.#monotonic();
      const start = this.#system();
      let between = this.#monotonic();
      let now = this.#system();
      let closes = this.#monotonic();
      while (now === start) {
        opens = between;
        between = closes;
        now = this.#system();
        closes = this.#monotonic();
      }
      const width = closes - opens;
      if (width >= narrowest) continue;
      narrowest = width;
      this.#offset = BigInt(now) * 1_000_000n - (opens + width / 2n);
    }
    this.uncertaintySeconds = Number(narrowest) / 2e9;
  }

  #isStepped(): boolean {
    const apart = this.#monotonic() + this.#offset - BigInt(this.#system()) * 1_000_000n;
    return apart > STEP_NOTICED_NANOSECONDS || apart < -STEP_NOTICED_NANOSECONDS;
  }

  /** A process that was put aside between two readings looks like a step; only one that stays is one. */
  #recheck(): void {
    for (let i = 0; i < 3; i++) if (!this.#isStepped()) return;
    this.calibrate();
  }
}

/** One per process: calibrating costs milliseconds. */
let shared: HostClock | undefined;
export function hostClock(): HostClock {
  shared ??= new HostClock();
  return shared;
}

/** A node's clock: the model over the host's, which is the truth. Every service of the node reads it by `now()`. */
export class NodeClock implements WallClock {
  readonly host: HostClock;
  readonly model: SpacecraftClock;
  readonly #file: string | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param stateFile where the clock's state outlives its process: the hardware would have run on. */
  constructor(settings: ClockSettings, options: { seed?: number | string; stateFile?: string; host?: HostClock } = {}) {
    this.host = options.host ?? hostClock();
    const at = this.host.instant();
    this.model = new SpacecraftClock(settings, this.host.now(), at, options.seed ?? 0);
    this.#file = options.stateFile;
    if (this.#file === undefined) return;
    const saved = readState(this.#file);
    if (saved !== undefined) this.model.restore(saved, at);
    this.#timer = setInterval(() => this.save(), SAVE_EVERY_MS);
    this.#timer.unref();
  }

  instant(): Instant {
    return this.host.instant();
  }
  now(): WallTime {
    return this.model.read(this.instant());
  }
  /** What the clock shows minus the truth, seconds. */
  error(): number {
    const at = this.instant();
    return Number(this.model.read(at) - this.model.trueTime(at)) / 1e9;
  }

  save(): void {
    if (this.#file === undefined) return;
    writeFileSync(`${this.#file}.tmp`, JSON.stringify(this.model.save(this.instant())));
    renameSync(`${this.#file}.tmp`, this.#file);
  }
  close(): void {
    clearInterval(this.#timer);
    this.save();
  }
}

export const isNodeClock = (clock: WallClock): clock is NodeClock => clock instanceof NodeClock;

/** The last saved state; undefined when there is none or it is damaged (a clock that lost its battery starts anew). */
function readState(file: string): ClockState | undefined {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as ClockState;
    const whole = [state.errorSeconds, state.walkFraction, state.frequency].every(Number.isFinite);
    return whole && /^-?\d+$/.test(state.trueTime) ? state : undefined;
  } catch {
    return undefined;
  }
}
