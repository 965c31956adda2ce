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
/** Date.now() rounds down to a millisecond and may be read late; beyond this the host's time was stepped. */
const STEP_NOTICED_NANOSECONDS = 3_000_000n;
const SAVE_EVERY_MS = 10_000;

export class HostClock implements WallClock {
  readonly #origin = process.hrtime.bigint();
  #offset = 0n;
  /** Half the narrowest bracket around an edge: how well the host's time is known, seconds. */
  uncertaintySeconds = 0;

  constructor() {
    this.calibrate();
  }

  /** Monotonic, from the construction of this clock. */
  instant(): Instant {
    return instant(Number(process.hrtime.bigint() - this.#origin));
  }

  now(): WallTime {
    const wall = process.hrtime.bigint() + this.#offset;
    const apart = wall - BigInt(Date.now()) * 1_000_000n;
    if (apart > STEP_NOTICED_NANOSECONDS || apart < -STEP_NOTICED_NANOSECONDS) this.#recheck();
    return (process.hrtime.bigint() + this.#offset) as WallTime;
  }

  /** Spins for some milliseconds. */
  calibrate(): void {
    let narrowest = 1n << 62n;
    for (let edge = 0; edge < EDGES; edge++) {
      let before = process.hrtime.bigint();
      const start = Date.now();
      let after = process.hrtime.bigint();
      let now = Date.now();
      while (now === start) {
        before = after;
        now = Date.now();
        after = process.hrtime.bigint();
      }
      const width = after - before;
      if (width >= narrowest) continue;
      narrowest = width;
      this.#offset = BigInt(now) * 1_000_000n - (before + width / 2n);
    }
    this.uncertaintySeconds = Number(narrowest) / 2e9;
  }

  /** A process that was put aside between two readings looks like a step; only one that stays is one. */
  #recheck(): void {
    for (let i = 0; i < 3; i++) {
      const apart = process.hrtime.bigint() + this.#offset - BigInt(Date.now()) * 1_000_000n;
      if (apart <= STEP_NOTICED_NANOSECONDS && apart >= -STEP_NOTICED_NANOSECONDS) return;
    }
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
