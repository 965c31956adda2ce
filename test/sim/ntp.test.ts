/** The bars of docs/timing.md, in virtual time. Each prints what it measured. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  ASYMMETRIC_LINKS,
  asymmetry,
  figure5,
  figure5Svg,
  holdover,
  ORBIT_SECONDS,
  PASS_SECONDS,
  rootMeanSquare,
  simulate,
  TICK_SECONDS,
} from '../../src/apps/ntp/index.ts';
import { measureTable, tableMarkdown } from '../../src/cli/verbs/ntp.ts';
import { replayFigure5 } from '../../src/lab/ntp-figure.ts';

const SEEDS = Array.from({ length: 10 }, (_, i) => i + 1);

describe('holdover: 10-minute passes every 95 minutes, 20 ppm, 5 ms of jitter on the offset', () => {
  test('regression stays within 1 ms RMS for every one of 10 seeds', () => {
    const all = SEEDS.map((seed) => holdover('regression', seed) * 1000);
    console.log(`regression, RMS in ms by seed: ${all.map((v) => v.toFixed(2)).join(' ')}`);
    for (const rms of all) expect(rms).toBeLessThanOrEqual(1);
  });
  test('the rule of 2000 and the standard loop do worse, as they must without a learned line', () => {
    const omni = holdover('omni', 1) * 1000;
    const rfc5905 = holdover('rfc5905', 1) * 1000;
    console.log(`omni ${omni.toFixed(1)} ms, rfc5905 ${rfc5905.toFixed(1)} ms RMS`);
    expect(omni).toBeGreaterThan(40);
    expect(omni).toBeLessThan(80);
    expect(rfc5905).toBeGreaterThan(1);
    expect(rfc5905).toBeLessThan(40);
  });
  test('an oscillator that wanders and warms: the regression follows, without the bar', () => {
    const { trace } = simulate({
      seed: 3,
      seconds: 20 * ORBIT_SECONDS,
      clock: { driftPpm: 20, temperaturePpm: 0.1, randomWalkPpmPerSqrtHour: 0.05 },
      client: { discipline: 'regression' },
      link: { jitterSeconds: 0.005 * Math.SQRT2, propagationSeconds: 0.05 },
      schedule: { passSeconds: PASS_SECONDS, periodSeconds: ORBIT_SECONDS },
    });
    expect(rootMeanSquare(trace, 4 * ORBIT_SECONDS)).toBeLessThan(0.005);
  });
});

describe.each(ASYMMETRIC_LINKS)('unequal rates, $name, three disciplines', (link) => {
  const bias = ((83 * 8) / link.downBitPerSec - (83 * 8) / link.upBitPerSec) / 2;
  test('without correction the clock is behind by (t_up − t_down)/2 and the client reports next to nothing', () => {
    const row = asymmetry(link, 'regression', 'off');
    console.log(
      `expected ${(bias * 1000).toFixed(1)} ms; true ${(row.trueSeconds * 1000).toFixed(1)}, reported ${(row.reportedSeconds * 1000).toFixed(1)}`,
    );
    expect(Math.abs(row.trueSeconds - bias)).toBeLessThan(0.005);
    expect(Math.abs(row.reportedSeconds)).toBeLessThan(0.005);
  });
  test.each(['stamp', 'rewrite'] as const)(
    'with the correction (%s) the true error is at most one tick',
    (correction) => {
      for (const seed of [1, 2, 3]) {
        const row = asymmetry(link, 'regression', correction, { seed });
        expect(row.worstInPassSeconds).toBeLessThanOrEqual(TICK_SECONDS);
      }
    },
  );
  test('a queue on the link is corrected as well', () => {
    const run = (correction: 'off' | 'stamp') =>
      simulate({
        seed: 5,
        seconds: 10 * ORBIT_SECONDS,
        clock: { driftPpm: 5 },
        client: {
          discipline: 'regression',
          correction: correction === 'stamp' ? 'stamped' : 'off',
          maximumDistanceSeconds: 3,
        },
        link: { ...link, queueSeconds: 0.2, correction },
        schedule: { passSeconds: PASS_SECONDS, periodSeconds: ORBIT_SECONDS },
      });
    const corrected = rootMeanSquare(run('stamp').trace, 4 * ORBIT_SECONDS);
    const plain = rootMeanSquare(run('off').trace, 4 * ORBIT_SECONDS);
    console.log(
      `queue of 200 ms: RMS ${(plain * 1000).toFixed(1)} ms plain, ${(corrected * 1000).toFixed(2)} ms corrected`,
    );
    expect(corrected).toBeLessThan(0.001);
    expect(plain).toBeGreaterThan(10 * corrected);
  });
});

describe('figure 5 of the OMNI paper', () => {
  test.each(SEEDS)("reaches the paper's milestones by the client's own offsets, seed %i", (seed) => {
    for (const { reportedTicks, paperTicks } of figure5({ seed }).milestones)
      expect(reportedTicks).toBeLessThan(paperTicks);
  });
  test('the true error is above two ticks, which the flight could not see; the correction cures it', () => {
    expect(figure5().milestones[0]!.trueTicks).toBeGreaterThan(2);
    for (const { trueTicks } of figure5({ corrected: true }).milestones) expect(trueTicks).toBeLessThan(2);
  });
  test('as data for a figure: the reported offsets miss the truth by the asymmetry, before and after the steps', () => {
    const { samples, milestones, enabledAt, setAheadAt } = replayFigure5();
    expect(milestones).toHaveLength(3);
    expect(samples.map((s) => s.time)).toEqual(samples.map((s) => s.time).toSorted((a, b) => a - b));
    const calculated = samples.filter((s) => s.reportedOffset !== undefined);
    // 24 polls of 30 s in the 12 minutes that NTP is on.
    expect(calculated.length).toBe(24);
    expect(calculated[0]!.time).toBeGreaterThan(enabledAt);
    // 83 octets on the line at 9.6k and 38.4k: (t_up − t_down)/2 is 25.9 ms; jitter and tick add some.
    for (const { reportedOffset, trueError } of calculated)
      expect(Math.abs(trueError - reportedOffset! + 0.0259)).toBeLessThan(0.02);
    const jump = samples.filter((s) => s.time > setAheadAt && s.time < setAheadAt + 20);
    for (const { trueError } of jump) expect(Math.abs(trueError - 3.25)).toBeLessThan(0.06);
    expect(replayFigure5({ seed: 2 }).samples).not.toEqual(samples);
    expect(replayFigure5().samples).toEqual(samples);
  });
  test('draws both', () => {
    const svg = figure5Svg(figure5());
    expect(svg.match(/<circle/g)!.length).toBeGreaterThan(30);
    expect(svg).toContain('<polyline');
  });
});

test('a configured correction does what stamps do when only serialisation matters', () => {
  const link = ASYMMETRIC_LINKS[1];
  const { trace } = simulate({
    seed: 1,
    seconds: 5 * ORBIT_SECONDS,
    clock: { driftPpm: 5 },
    client: {
      discipline: 'regression',
      correction: 'configured',
      requestHoldSeconds: (83 * 8) / link.downBitPerSec,
      replyHoldSeconds: (83 * 8) / link.upBitPerSec,
    },
    link: { ...link },
    schedule: { passSeconds: PASS_SECONDS, periodSeconds: ORBIT_SECONDS },
  });
  expect(rootMeanSquare(trace, 2 * ORBIT_SECONDS)).toBeLessThan(0.001);
});

test('the same seed gives the same run, another seed another', () => {
  const run = (seed: number) =>
    simulate({ seed, seconds: 3000, clock: { driftPpm: 20 }, link: { jitterSeconds: 0.01 } });
  expect(run(4)).toEqual(run(4));
  expect(run(4).reported).not.toEqual(run(5).reported);
});

test('docs/timing.md has the table that `omni ntp table` prints', () => {
  const page = readFileSync(new URL('../../docs/timing.md', import.meta.url), 'utf8');
  const table = /<!-- omni ntp table -->\n([\s\S]*?)<!-- end -->/.exec(page)?.[1];
  expect(table).toBe(tableMarkdown(measureTable('1', 10)));
});
