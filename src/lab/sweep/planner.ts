/**
 * How many runs go side by side: as many as the machine carries without its emulators being late. Pure.
 *
 * A run's load is the part of a core that its emulator needs, from the frames that its link can carry in a second. The costs below
 * were measured on a small virtual machine (docs/sweep.md): a frame that comes alone costs a wake-up of some 140 µs, frames that
 * come thick share wake-ups. A machine that is slower, or busy with other work, shows itself by late runs; each makes the planner
 * more careful, each good one a little less.
 */

import type { Cell } from './cell.ts';
import { totalmemOctets } from './machine.ts';
import { dataDirection, payloadOctets } from './workload.ts';

const FRAME_OVERHEAD_OCTETS = 47;
const LONE_FRAME_SECONDS = 100e-6;
const LONE_FRAMES = 1200;
const FRAME_SECONDS = 38e-6;
const THICK_FRAMES = 12_000;
const THICK_FRAME_SECONDS = 6e-6;
const IDLE_LOAD = 0.004;
/** A single emulator is one thread: beyond this part of a core it cannot keep up. */
const MOST_LOAD = 0.85;
/** Of all cores; the rest is for clients, for building testbeds and for reading results. */
const BUDGET_OF_CORES = 0.62;
const LEAST_BUDGET_OF_CORES = 0.15;
const AFTER_LATE = 0.85;
const AFTER_GOOD = 1.04;
const MEMORY_OF_A_RUN = 220e6;
const START_SECONDS = 0.6;

export interface Load {
  /** Part of a core. */
  readonly cores: number;
  /** From the start of its traffic to its end, roughly. */
  readonly seconds: number;
  readonly framesPerSecond: number;
}

export function loadOf({ link, workload, settings }: Cell): Load {
  const direction = dataDirection(workload);
  const data = link[direction];
  const back = link[direction === 'down' ? 'up' : 'down'];
  const segment = settings.maximumSegmentOctets ?? settings.mtuOctets - 40;
  const frameOctets = Math.min(segment + 40, settings.mtuOctets) + FRAME_OVERHEAD_OCTETS - 40;
  const rate = Math.max(data.rateBitPerSecond, ...ratesOverTime(data));
  let frames = rate / (8 * frameOctets);
  let seconds: number;
  const octets = payloadOctets(workload);
  const roundTrip =
    (data.delay + back.delay) / 1e9 + (8 * frameOctets) / data.rateBitPerSecond + 480 / back.rateBitPerSecond;
  const ideal = (octets ?? 0) === 0 ? 0 : ((octets! / segment) * frameOctets * 8) / data.rateBitPerSecond;
  if (workload.kind === 'telemetry') {
    frames = Math.min(frames, 1e9 / (workload.interval as number));
    seconds = (workload.seconds as number) / 1e9;
  } else if (workload.kind === 'request-response') {
    frames = Math.min(frames, 2 / roundTrip);
    seconds = workload.requests * roundTrip + ideal;
  } else {
    const rounds = Math.log2(1 + (octets ?? 0) / segment);
    const errors = settings[direction].bitErrorRate ?? 0;
    const slowdown = 1 + 20 * Math.min(1, errors * 8 * frameOctets);
    seconds = Math.max(ideal * slowdown, rounds * roundTrip);
    if (workload.kind === 'bulk' && workload.seconds !== undefined)
      seconds = octets === undefined ? workload.seconds / 1e9 : Math.min(seconds, workload.seconds / 1e9);
  }
  const both = frames + Math.min(frames, back.rateBitPerSecond / 480);
  const cores =
    IDLE_LOAD +
    Math.min(both, LONE_FRAMES) * LONE_FRAME_SECONDS +
    Math.min(both, THICK_FRAMES) * FRAME_SECONDS +
    Math.max(0, both - THICK_FRAMES) * THICK_FRAME_SECONDS;
  return { cores, seconds: START_SECONDS + seconds, framesPerSecond: both };
}

/** Whether one emulator can carry the cell at all; the highest rate that it could, when it cannot. */
export function carries(load: Load, rateBitPerSecond: number): { ok: true } | { ok: false; rateBitPerSecond: number } {
  if (load.cores <= MOST_LOAD) return { ok: true };
  return { ok: false, rateBitPerSecond: (rateBitPerSecond * MOST_LOAD) / load.cores };
}

/**
 * Later than this and a run does not count: a quarter of the shortest round trip that its packets can have (two delays, a full
 * frame one way and a bare acknowledgement back), and never under 1 ms. What comes late by d lengthens a transfer by d at most, and
 * no retransmission timer is as short as the bound: one event at the bound moves the result of a run of a hundred round trips by a
 * quarter of a percent, far less than its seed does.
 */
export function latenessBound({ link, workload, settings }: Cell): number {
  const direction = dataDirection(workload);
  const data = link[direction];
  const back = link[direction === 'down' ? 'up' : 'down'];
  const segment = settings.maximumSegmentOctets ?? settings.mtuOctets - 40;
  const frameSeconds = (8 * (Math.min(segment + 40, settings.mtuOctets) + 7)) / data.rateBitPerSecond;
  const acknowledgement = (8 * 47) / back.rateBitPerSecond;
  const roundTrip = data.delay + back.delay + 1e9 * (frameSeconds + acknowledgement);
  return Math.max(1e6, Math.round(roundTrip / 4));
}

export class Planner {
  readonly #cores: number;
  readonly #most: number;
  #budget: number;
  #running = 0;
  #load = 0;
  /** When the budget was last made smaller, on the callers' clock. */
  #reduced = Number.NEGATIVE_INFINITY;
  #alone = false;

  constructor({
    cores,
    memoryOctets = totalmemOctets(),
    parallel,
  }: { cores: number; memoryOctets?: number; parallel?: number | undefined }) {
    this.#cores = cores;
    this.#budget = BUDGET_OF_CORES * cores;
    this.#most = Math.max(
      1,
      Math.min(parallel ?? Number.POSITIVE_INFINITY, Math.floor(memoryOctets / 2 / MEMORY_OF_A_RUN)),
    );
  }

  get running(): number {
    return this.#running;
  }
  get budget(): number {
    return this.#budget;
  }

  /** Whether a run of this load may start now; one may always when nothing runs. */
  admits(load: number, alone = false): boolean {
    if (this.#running === 0) return true;
    return !alone && !this.#alone && this.#running < this.#most && this.#load + load <= this.#budget;
  }

  /** @param alone nothing else is admitted until it has ended */
  begin(load: number, alone = false): void {
    this.#running++;
    this.#load += load;
    this.#alone = alone;
  }

  end(load: number): void {
    this.#running--;
    this.#load = this.#running === 0 ? 0 : this.#load - load;
    if (this.#running === 0) this.#alone = false;
  }

  /**
   * What a run that ran from `began` to `now` says of the machine. What made many late at once was one event: of the late runs
   * only those count that began after the last reduction, as TCP halves its window once a round trip.
   */
  learn(late: boolean, began = 0, now = began): void {
    if (late && began < this.#reduced) return;
    if (late) this.#reduced = now;
    const most = BUDGET_OF_CORES * this.#cores;
    const least = LEAST_BUDGET_OF_CORES * this.#cores;
    this.#budget = Math.min(most, Math.max(least, this.#budget * (late ? AFTER_LATE : AFTER_GOOD)));
  }
}

function ratesOverTime({ timeLines }: Cell['link']['up']): number[] {
  return timeLines.filter(({ key }) => key === 'rate').flatMap(({ steps }) => steps.map(({ value }) => value));
}
