import { describe, expect, test } from 'vitest';
import { clockSettings, SpacecraftClock } from '../../src/apps/ntp/index.ts';
import { instant, seconds, type WallTime } from '../../src/core/index.ts';

const START = 1_800_000_000_000_000_000n as WallTime;
const at = (s: number) => instant(seconds(s));
const make = (settings: object, seed = 1) => new SpacecraftClock(clockSettings.parse(settings), START, at(0), seed);

describe('SpacecraftClock', () => {
  test('offset and drift: 20 ppm is 1.728 s a day', () => {
    const clock = make({ offsetSeconds: 0.3, driftPpm: 20 });
    expect(clock.error(at(0))).toBe(0.3);
    expect(clock.error(at(86_400))).toBeCloseTo(0.3 + 1.728, 9);
    expect(Number(clock.read(at(86_400)) - START) / 1e9).toBeCloseTo(86_402.028, 6);
  });

  test('a tick of 10 ms: what is shown is a multiple of it, never ahead of the clock', () => {
    const clock = make({ offsetSeconds: -0.1234, tickMs: 10 });
    for (const s of [0, 0.0051, 1.23456, 99.999]) {
      const shown = clock.read(at(s));
      expect(shown % 10_000_000n).toBe(0n);
      const behind = Number(clock.trueTime(at(s)) - shown) / 1e9 - 0.1234;
      expect(behind).toBeGreaterThanOrEqual(-1e-9);
      expect(behind).toBeLessThan(0.01);
    }
  });

  test('steps at once, slews at 500 ppm, and follows a frequency correction', () => {
    const clock = make({ driftPpm: 20 });
    clock.setFrequency(at(10), -20e-6);
    expect(clock.error(at(1000))).toBeCloseTo(0.0002, 9);
    clock.step(at(1000), 3.25);
    expect(clock.error(at(1000))).toBeCloseTo(3.2502, 9);
    clock.slew(at(1000), -0.05);
    expect(clock.slewLeft(at(1050))).toBeCloseTo(-0.025, 9);
    expect(clock.error(at(1050))).toBeCloseTo(3.2252, 9);
    expect(clock.error(at(2000))).toBeCloseTo(3.2002, 9);
    expect(clock.slewLeft(at(2000))).toBe(0);
  });

  test('the temperature comes back to where it was after its period', () => {
    const clock = make({ temperaturePpm: 2, temperaturePeriodSeconds: 5700 });
    expect(clock.error(at(2850))).toBeCloseTo((2e-6 * 5700) / Math.PI, 9);
    expect(clock.error(at(5700))).toBeCloseTo(0, 9);
  });

  test('the random walk is the same for a seed however often it is read, and differs by seed', () => {
    const often = make({ randomWalkPpmPerSqrtHour: 0.1 }, 7);
    for (let s = 0; s < 7200; s += 3.7) often.error(at(s));
    const once = make({ randomWalkPpmPerSqrtHour: 0.1 }, 7);
    expect(often.error(at(7200))).toBeCloseTo(once.error(at(7200)), 12);
    expect(make({ randomWalkPpmPerSqrtHour: 0.1 }, 8).error(at(7200))).not.toBe(once.error(at(7200)));
  });

  test('the walk has the deviation its setting says: 0.1 ppm after an hour, to 10 %, over 400 seeds', () => {
    let squares = 0;
    for (let seed = 0; seed < 400; seed++) {
      const clock = make({ randomWalkPpmPerSqrtHour: 0.1 }, seed);
      clock.error(at(3600));
      squares += clock.save(at(3600)).walkFraction ** 2;
    }
    expect(Math.sqrt(squares / 400) / 1e-7).toBeGreaterThan(0.9);
    expect(Math.sqrt(squares / 400) / 1e-7).toBeLessThan(1.1);
  });

  test('a restored clock has run on: as if its process had not ended', () => {
    const settings = { offsetSeconds: 1, driftPpm: 20 };
    const first = make(settings);
    first.setFrequency(at(50), -5e-6);
    const saved = first.save(at(100));
    const second = new SpacecraftClock(clockSettings.parse(settings), START, at(0));
    second.restore(saved, at(400));
    expect(second.error(at(400))).toBeCloseTo(first.error(at(400)), 12);
  });

  test('settings out of range are refused with their name', () => {
    expect(() => clockSettings.parse({ driftPpm: 1e6 })).toThrow(/driftPpm/);
    expect(() => clockSettings.parse({ drift: 1 })).toThrow(/drift/);
  });
});
