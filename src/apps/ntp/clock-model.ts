/**
 * The spacecraft's clock: a model over the monotonic clock, because namespaces share the host's real-time clock.
 *
 * Its error (what it shows minus the truth) starts at an offset and grows with the oscillator's frequency error: a constant part,
 * a sine (temperature along the orbit), a random walk, and the frequency correction that a discipline steers. A tick quantises
 * what it shows (10 ms on UoSAT-12). The truth is known here and nowhere on board, so the error that NTP cannot see can be plotted.
 *
 * The random walk advances on a fixed grid of instants, so the same seed gives the same clock however often it is read.
 */
import { type Instant, invariant, Rng, type WallTime } from '../../core/index.ts';
import type { ClockSettings } from './config.ts';

/** The port a discipline steers a clock through (the kernel's clock_adjtime on a real computer). */
export interface AdjustableClock {
  /** What the clock shows. */
  read(now: Instant): WallTime;
  /** Seconds, forward when positive; at once. */
  step(now: Instant, seconds: number): void;
  /** Seconds, worked off at no more than 500 ppm (POSIX adjtime). Replaces what is left of an earlier slew. */
  slew(now: Instant, seconds: number): void;
  /** Frequency correction as a fraction (1e-6 = 1 ppm faster). Replaces the earlier one. */
  setFrequency(now: Instant, fraction: number): void;
  readonly frequency: number;
  /** What is left of the slew, seconds. */
  slewLeft(now: Instant): number;
  /** The smallest step between two readings, seconds. */
  readonly tick: number;
}

/** Everything that the clock is at one instant: to resume it after its process ended, as hardware would have gone on. */
export interface ClockState {
  readonly trueTime: string;
  readonly errorSeconds: number;
  readonly walkFraction: number;
  readonly frequency: number;
}

// Implementation constants
const WALK_GRID_NANOSECONDS = 10e9;
const SLEW_FRACTION = 500e-6;
const TWO_PI = 2 * Math.PI;

export class SpacecraftClock implements AdjustableClock {
  readonly #settings: ClockSettings;
  readonly #rng: Rng;
  readonly #origin: Instant;
  readonly #trueOrigin: bigint;
  #at: Instant;
  #error: number;
  #walk = 0;
  #nextWalkAt: number;
  #frequency = 0;
  #slewLeft = 0;

  /** @param origin the instant that true time `trueOrigin` belongs to. */
  constructor(settings: ClockSettings, trueOrigin: WallTime, origin: Instant, seed: number | string = 0) {
    this.#settings = settings;
    this.#rng = new Rng(seed, 'clock/walk');
    this.#origin = origin;
    this.#at = origin;
    this.#trueOrigin = trueOrigin;
    this.#error = settings.offsetSeconds;
    this.#nextWalkAt = origin + WALK_GRID_NANOSECONDS;
  }

  get frequency(): number {
    return this.#frequency;
  }
  get tick(): number {
    return this.#settings.tickMs / 1000;
  }

  trueTime(now: Instant): WallTime {
    return (this.#trueOrigin + BigInt(now - this.#origin)) as WallTime;
  }

  /** Seconds by which the clock is ahead of the truth, before the tick quantises it. */
  error(now: Instant): number {
    this.#advance(now);
    return this.#error;
  }

  read(now: Instant): WallTime {
    this.#advance(now);
    const shown = this.trueTime(now) + BigInt(Math.round(this.#error * 1e9));
    const tick = BigInt(Math.round(this.#settings.tickMs * 1e6));
    if (tick <= 1n) return shown as WallTime;
    return (shown - (((shown % tick) + tick) % tick)) as WallTime;
  }

  step(now: Instant, seconds: number): void {
    this.#advance(now);
    this.#slewLeft = 0;
    this.#error += seconds;
  }

  slew(now: Instant, seconds: number): void {
    this.#advance(now);
    this.#slewLeft = seconds;
  }

  setFrequency(now: Instant, fraction: number): void {
    this.#advance(now);
    this.#frequency = fraction;
  }

  slewLeft(now: Instant): number {
    this.#advance(now);
    return this.#slewLeft;
  }

  save(now: Instant): ClockState {
    this.#advance(now);
    return {
      trueTime: this.trueTime(now).toString(),
      errorSeconds: this.#error,
      walkFraction: this.#walk,
      frequency: this.#frequency,
    };
  }

  /** Takes up a saved state as if the oscillator had run on since. The frequency correction is kept as well: a register. */
  restore(state: ClockState, now: Instant): void {
    const gap = Number(this.trueTime(now) - BigInt(state.trueTime)) / 1e9;
    this.#at = now;
    this.#walk = state.walkFraction;
    this.#frequency = state.frequency;
    const fraction = this.#settings.driftPpm * 1e-6 + this.#walk + this.#frequency;
    this.#error = state.errorSeconds + fraction * Math.max(0, gap);
  }

  #advance(now: Instant): void {
    invariant(now >= this.#at, 'the clock was read backwards');
    const walkPpm = this.#settings.randomWalkPpmPerSqrtHour;
    if (walkPpm > 0) {
      const deviation = walkPpm * 1e-6 * Math.sqrt(WALK_GRID_NANOSECONDS / 3600e9);
      while (this.#nextWalkAt <= now) {
        this.#advanceTo(this.#nextWalkAt);
        this.#walk += deviation * this.#rng.normal();
        this.#nextWalkAt += WALK_GRID_NANOSECONDS;
      }
    }
    this.#advanceTo(now);
  }

  #advanceTo(at: number): void {
    const elapsed = (at - this.#at) / 1e9;
    if (elapsed <= 0) return;
    const { driftPpm, temperaturePpm, temperaturePeriodSeconds } = this.#settings;
    this.#error += (driftPpm * 1e-6 + this.#walk + this.#frequency) * elapsed;
    if (temperaturePpm !== 0) {
      // The integral of a sine, exact however long the stretch.
      const phase = (t: number) => Math.cos((TWO_PI * (t - this.#origin)) / (temperaturePeriodSeconds * 1e9));
      this.#error += ((temperaturePpm * 1e-6 * temperaturePeriodSeconds) / TWO_PI) * (phase(this.#at) - phase(at));
    }
    if (this.#slewLeft !== 0) {
      const most = SLEW_FRACTION * elapsed;
      const part = Math.max(-most, Math.min(most, this.#slewLeft));
      this.#error += part;
      this.#slewLeft -= part;
    }
    this.#at = at as Instant;
  }
}
