import { describe, expect, test } from 'vitest';
import {
  BitClock,
  BurstErrors,
  ContactList,
  ccsdsRandomizerSequence,
  ErrorSource,
  errorTaps,
  IndependentErrors,
  type LineCode,
  lineDecoder,
  lineEncoder,
  RecordedErrors,
  Timeline,
} from '../../src/channel/index.ts';
import { type Instant, NEVER, Rng } from '../../src/core/index.ts';

const at = (n: number): Instant => n as Instant;

/** Upper 1 % points of chi-square, by the Wilson–Hilferty approximation (good to 0.1 % from 5 degrees of freedom on). */
const chiSquareUpper1 = (degrees: number) =>
  degrees * (1 - 2 / (9 * degrees) + 2.3263 * Math.sqrt(2 / (9 * degrees))) ** 3;

/** Chi-square of lengths against a geometric distribution on 1, 2, 3 … with this mean, in cells of equal expectation. */
function chiSquareGeometric(lengths: readonly number[], mean: number): { statistic: number; degrees: number } {
  const p = 1 / mean;
  const bounds: number[] = [];
  for (let i = 1; i < 20; i++) {
    const bound = Math.max(1, Math.ceil(Math.log(1 - i / 20) / Math.log(1 - p)));
    if (bound > (bounds.at(-1) ?? 0)) bounds.push(bound);
  }
  const counts = new Array<number>(bounds.length + 1).fill(0);
  for (const length of lengths) {
    const cell = bounds.findIndex((bound) => length <= bound);
    counts[cell < 0 ? bounds.length : cell]!++;
  }
  let statistic = 0;
  let below = 0;
  for (const [cell, count] of counts.entries()) {
    const upTo = cell < bounds.length ? 1 - (1 - p) ** bounds[cell]! : 1;
    const expected = lengths.length * (upTo - below);
    below = upTo;
    statistic += (count - expected) ** 2 / expected;
  }
  return { statistic, degrees: counts.length - 1 };
}

describe('independent errors', () => {
  test.each([1e-2, 1e-4, 0.3])('gaps at BER %d are geometric (chi-square at the 1 percent level)', (ber) => {
    const errors = new IndependentErrors(ber, 0, new Rng(7, `gaps ${ber}`));
    const gaps: number[] = [];
    let last = -1;
    for (let i = 0; i < 50_000; i++) {
      const position = errors.next(Number.MAX_SAFE_INTEGER);
      errors.consume();
      gaps.push(position - last);
      last = position;
    }
    const { statistic, degrees } = chiSquareGeometric(gaps, 1 / ber);
    expect(statistic).toBeLessThan(chiSquareUpper1(degrees));
  });

  test('a change of BER keeps the count right on both sides', () => {
    let before = 0;
    let after = 0;
    for (let seed = 0; seed < 2000; seed++) {
      const errors = new ErrorSource({ kind: 'independent', ber: 1e-3 }, seed, 'x');
      errors.change({ kind: 'independent', ber: 1e-2 }, 1000);
      for (let position = errors.next(2000); position >= 0; position = errors.next(2000)) {
        if (position < 1000) before++;
        else after++;
        errors.consume();
      }
    }
    expect(Math.abs(before - 2000)).toBeLessThan(4 * Math.sqrt(2000));
    expect(Math.abs(after - 20_000)).toBeLessThan(4 * Math.sqrt(20_000));
  });

  test('BER 0 never errs and can come back; 0.5 is the most', () => {
    const errors = new ErrorSource({ kind: 'independent', ber: 0 }, 1, 'x');
    expect(errors.next(Number.MAX_SAFE_INTEGER)).toBe(-1);
    errors.change({ kind: 'independent', ber: 0.5 }, 100);
    expect(errors.next(200)).toBeGreaterThanOrEqual(100);
    errors.skipTo(300);
    errors.change({ kind: 'independent', ber: 0 }, 300);
    expect(errors.next(Number.MAX_SAFE_INTEGER)).toBe(-1);
    expect(() => new IndependentErrors(0.6, 0, new Rng(1))).toThrow(RangeError);
  });

  test('positions are a function of seed and label, and differ between labels', () => {
    const first = (seed: number, label: string) =>
      new ErrorSource({ kind: 'independent', ber: 1e-4 }, seed, label).next(1e12);
    expect(first(1, 'space.down')).toBe(first(1, 'space.down'));
    expect(first(1, 'space.down')).not.toBe(first(1, 'space.up'));
    expect(first(1, 'space.down')).not.toBe(first(2, 'space.down'));
  });
});

describe('Gilbert–Elliott', () => {
  test('lengths of good and bad stretches are geometric with their means (chi-square at the 1 percent level)', () => {
    const config = { kind: 'burst', goodBits: 5000, badBits: 40, goodBer: 0, badBer: 0 } as const;
    const process = new BurstErrors(config, 0, new Rng(11, 'burst'));
    const lengths = { good: [] as number[], bad: [] as number[] };
    process.switchState();
    for (let i = 0; i < 60_000; i++) {
      const start = process.state.end;
      process.switchState();
      lengths[process.state.bad ? 'bad' : 'good'].push(process.state.end - start);
    }
    for (const [kind, mean] of [
      ['good', 5000],
      ['bad', 40],
    ] as const) {
      const { statistic, degrees } = chiSquareGeometric(lengths[kind], mean);
      expect(statistic, kind).toBeLessThan(chiSquareUpper1(degrees));
    }
  });

  test('the overall error rate is the mean of the states, weighted by their lengths', () => {
    const config = { kind: 'burst', goodBits: 900, badBits: 100, goodBer: 1e-4, badBer: 0.1 } as const;
    const process = new BurstErrors(config, 0, new Rng(3, 'rate'));
    const bits = 20_000_000;
    let errors = 0;
    while (process.next(bits) >= 0) {
      process.consume();
      errors++;
    }
    expect(errors / bits / (0.9 * 1e-4 + 0.1 * 0.1)).toBeCloseTo(1, 1);
  });
});

test('a recorded error file is replayed from its positions, once or again and again', () => {
  const once = new RecordedErrors([3, 10], 0, 100);
  expect(once.next(1000)).toBe(103);
  once.consume();
  expect(once.next(110)).toBe(-1);
  expect(once.next(111)).toBe(110);
  once.consume();
  expect(once.next(Number.MAX_SAFE_INTEGER)).toBe(-1);
  const cyclic = new RecordedErrors([3, 10], 20, 0);
  const positions = Array.from({ length: 5 }, () => {
    const position = cyclic.next(1000);
    cyclic.consume();
    return position;
  });
  expect(positions).toEqual([3, 10, 23, 30, 43]);
});

describe('line coding', () => {
  test('the CCSDS randomiser begins with ff 48 0e c0 9a 0d 70 bc (CCSDS 131.0-B, and libfec)', () => {
    const sequence = ccsdsRandomizerSequence();
    const octets = Array.from({ length: 8 }, (_, i) =>
      sequence.slice(8 * i, 8 * i + 8).reduce((sum, bit) => 2 * sum + bit, 0),
    );
    expect(octets).toEqual([0xff, 0x48, 0x0e, 0xc0, 0x9a, 0x0d, 0x70, 0xbc]);
  });

  test.each<[readonly LineCode[], number[]]>([
    [[], [0]],
    [['nrzi'], [0, 1]],
    [['g3ruh'], [0, 12, 17]],
    [['ccsds-randomizer'], [0]],
    [
      ['g3ruh', 'nrzi'],
      [0, 1, 12, 13, 17, 18],
    ],
  ])('%j: bits come back, and one channel error becomes errors at %j', (codes, expected) => {
    expect(errorTaps(codes)).toEqual(expected);
    const rng = new Rng(5, 'bits');
    const bits = Array.from({ length: 400 }, () => rng.below(2));
    const send = (errorAt: number) => {
      const encoder = lineEncoder(codes);
      const decoder = lineDecoder(codes);
      return bits.map((bit, i) => decoder.code(encoder.code(bit) ^ (i === errorAt ? 1 : 0)));
    };
    expect(send(-1)).toEqual(bits);
    const differences = send(100).flatMap((bit, i) => (bit === bits[i] ? [] : [i - 100]));
    expect(differences).toEqual(expected);
  });
});

describe('BitClock', () => {
  test('bitAt is the first bit that begins at or after a time, for rates that do not divide a second', () => {
    for (const rate of [9600, 38_400, 128_000, 622_080_000, 1e10, 7]) {
      const clock = new BitClock(rate);
      const rng = new Rng(rate, 'clock');
      for (let i = 0; i < 2000; i++) {
        const bit = rng.below(4_000_000);
        const time = clock.timeOf(bit);
        expect(clock.timeOf(clock.bitAt(time))).toBeGreaterThanOrEqual(time);
        // Above 1 Gbit/s several bits begin in one nanosecond.
        if (rate > 1e9) continue;
        expect(clock.bitAt(time)).toBe(bit);
        expect(clock.timeOf(clock.bitAt(time) - 1)).toBeLessThan(time);
      }
    }
  });

  test('a change of rate keeps the bits that were sent and does not lose time', () => {
    const clock = new BitClock(1000);
    clock.setRate(9600, at(1_500_500_000));
    expect(clock.timeOf(1501)).toBe(1_501_000_000);
    expect(clock.timeOf(1501 + 9600)).toBe(2_501_000_000);
  });
});

describe('Timeline', () => {
  test('steps hold until the next and repeat with the cycle', () => {
    const line = new Timeline(
      [
        { at: at(0), value: 'a' },
        { at: at(10), value: 'b' },
      ],
      25,
    );
    expect([0, 9, 10, 24, 25, 35].map((t) => line.at(at(t)))).toEqual(['a', 'a', 'b', 'b', 'a', 'b']);
    expect([0, 9, 10, 24, 25].map((t) => line.nextChange(at(t)))).toEqual([10, 10, 25, 25, 35]);
    expect(Timeline.constant(1).nextChange(at(5))).toBe(NEVER);
  });
});

describe('ContactList', () => {
  test('a list says when the carrier is there and when that changes', () => {
    const list = new ContactList([
      { aos: at(10), los: at(20) },
      { aos: at(30), los: at(40) },
    ]);
    expect([0, 10, 19, 20, 30, 39, 40].map((t) => list.isUp(at(t)))).toEqual([
      false,
      true,
      true,
      false,
      true,
      true,
      false,
    ]);
    expect([0, 10, 20, 39, 40].map((t) => list.nextChange(at(t)))).toEqual([10, 20, 30, 40, NEVER]);
    expect(list.upcoming(at(15), 5)).toEqual([
      { aos: 10, los: 20 },
      { aos: 30, los: 40 },
    ]);
  });

  test('a period repeats it', () => {
    const list = new ContactList([{ aos: at(10), los: at(20) }], 100);
    expect(list.isUp(at(215))).toBe(true);
    expect(list.nextChange(at(220))).toBe(310);
    expect(list.upcoming(at(115), 2)).toEqual([
      { aos: 110, los: 120 },
      { aos: 210, los: 220 },
    ]);
  });

  test('a contact across the end of the period does not change there', () => {
    const list = new ContactList(
      [
        { aos: at(0), los: at(5) },
        { aos: at(90), los: at(100) },
      ],
      100,
    );
    expect(list.nextChange(at(95))).toBe(105);
  });
});
