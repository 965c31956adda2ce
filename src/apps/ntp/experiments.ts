/**
 * The two experiments that docs/timing.md reports, in virtual time: figure 5 of the OMNI paper (UoSAT-12, 14 April 2000), and the
 * disciplines on unequal serial links with and without the links' correction.
 */
import type { DisciplineName } from './config.ts';
import { rootMeanSquare, type SimulationResult, simulate } from './simulation.ts';

export const ORBIT_SECONDS = 95 * 60;
export const PASS_SECONDS = 10 * 60;
export const TICK_SECONDS = 0.01;

export interface Milestone {
  readonly what: string;
  /** As the paper has it, in clock ticks of 10 ms. */
  readonly paperTicks: number;
  /** The client's own offset in ticks, as the paper's graph shows it. */
  readonly reportedTicks: number;
  /** What nobody could see in 2000. */
  readonly trueTicks: number;
}

export interface Figure5 {
  readonly result: SimulationResult;
  readonly milestones: readonly Milestone[];
  readonly enabledAt: number;
  readonly setAheadAt: number;
}

/** One 14-minute pass; NTP enabled after two minutes, the clock set 3.25 s ahead after six. */
export function figure5(options: { seed?: number | string; corrected?: boolean } = {}): Figure5 {
  const enabledAt = 120;
  const setAheadAt = 370;
  const corrected = options.corrected ?? false;
  const result = simulate({
    seed: options.seed ?? 1,
    seconds: 840,
    sampleSeconds: 1,
    clock: { offsetSeconds: 0.3, driftPpm: 5, tickMs: TICK_SECONDS * 1000 },
    client: {
      discipline: 'omni',
      pollSeconds: 30,
      enabled: false,
      burst: 0,
      correction: corrected ? 'stamped' : 'off',
    },
    // 9.6 kbit/s up, 38.4 down; a satellite within 2000 km and some twenty hops of Internet to the server.
    link: {
      upBitPerSec: 9600,
      downBitPerSec: 38400,
      propagationSeconds: 0.06,
      jitterSeconds: 0.003,
      correction: corrected ? 'stamp' : 'off',
    },
    script: [
      { atSeconds: enabledAt, action: { kind: 'enable', on: true } },
      { atSeconds: setAheadAt, action: { kind: 'adjust clock', seconds: 3.25 } },
    ],
  });
  const after = (from: number, calculations: number): { reportedTicks: number; trueTicks: number } => {
    const samples = result.reported.filter((r) => r.seconds > from);
    // The calculation after the last of these says, in the client's own words, where the clock is now.
    const next = samples[calculations];
    const last = samples[calculations - 1];
    return {
      reportedTicks: Math.abs(next?.offset ?? Number.NaN) / TICK_SECONDS,
      trueTicks: Math.abs(last?.errorAfter ?? Number.NaN) / TICK_SECONDS,
    };
  };
  return {
    result,
    enabledAt,
    setAheadAt,
    milestones: [
      { what: 'two calculations after NTP was enabled, 300 ms off', paperTicks: 2, ...after(enabledAt, 2) },
      { what: 'two calculations after the clock was set 3.25 s ahead', paperTicks: 6, ...after(setAheadAt, 2) },
      { what: 'two calculations later', paperTicks: 2, ...after(setAheadAt, 4) },
    ],
  };
}

export interface AsymmetryRow {
  readonly upBitPerSec: number;
  readonly downBitPerSec: number;
  readonly discipline: DisciplineName;
  readonly correction: 'off' | 'stamp' | 'rewrite';
  /** Mean of what the client reported in the last pass, and of the true error just after those samples, seconds. */
  readonly reportedSeconds: number;
  readonly trueSeconds: number;
  /** Root mean square of the true error over the last half of the run, passes and gaps. */
  readonly rmsSeconds: number;
  /** The largest true error in the last pass after its first minute, seconds. */
  readonly worstInPassSeconds: number;
}

export const ASYMMETRIC_LINKS = [
  { name: '9.6k / 38.4k (UoSAT-12)', upBitPerSec: 9600, downBitPerSec: 38_400 },
  { name: '2k / 128k (CANDOS)', upBitPerSec: 2000, downBitPerSec: 128_000 },
] as const;

/** After `passes` passes of 10 minutes every 95, oscillator 5 ppm off, tick 10 ms, 1 ms of jitter. */
export function asymmetry(
  link: { upBitPerSec: number; downBitPerSec: number },
  discipline: DisciplineName,
  correction: AsymmetryRow['correction'],
  options: { seed?: number | string; passes?: number } = {},
): AsymmetryRow {
  const passes = options.passes ?? 10;
  const total = (passes - 1) * ORBIT_SECONDS + PASS_SECONDS;
  const result = simulate({
    seed: options.seed ?? 1,
    seconds: total,
    clock: { offsetSeconds: 0.3, driftPpm: 5, tickMs: TICK_SECONDS * 1000 },
    client: { discipline, correction: correction === 'stamp' ? 'stamped' : 'off' },
    link: { ...link, propagationSeconds: 0.01, jitterSeconds: 0.001, correction },
    schedule: { passSeconds: PASS_SECONDS, periodSeconds: ORBIT_SECONDS },
  });
  const lastPass = (passes - 1) * ORBIT_SECONDS;
  const samples = result.reported.filter((r) => r.seconds >= lastPass);
  const inPass = result.trace.filter((p) => p.seconds >= lastPass + 60);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
  return {
    ...link,
    discipline,
    correction,
    reportedSeconds: mean(samples.map((r) => r.offset)),
    trueSeconds: mean(inPass.map((p) => p.trueError)),
    rmsSeconds: rootMeanSquare(result.trace, total / 2),
    worstInPassSeconds: Math.max(...inPass.map((p) => Math.abs(p.trueError))),
  };
}

/** The bar of a symmetric link: 10-minute passes every 95 minutes, 5 ms of jitter on the offset, a 20 ppm oscillator. */
export function holdover(discipline: DisciplineName, seed: number | string): number {
  const result = simulate({
    seed,
    seconds: 20 * ORBIT_SECONDS,
    clock: { offsetSeconds: 0.3, driftPpm: 20 },
    client: { discipline },
    // 5 ms on the offset, which is half the difference of two delays.
    link: { jitterSeconds: 0.005 * Math.SQRT2, propagationSeconds: 0.05 },
    schedule: { passSeconds: PASS_SECONDS, periodSeconds: ORBIT_SECONDS },
  });
  return rootMeanSquare(result.trace, 4 * ORBIT_SECONDS);
}
