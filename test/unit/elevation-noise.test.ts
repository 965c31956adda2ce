import { describe, expect, test } from 'vitest';
import {
  berFromLinkBudget,
  berFromTable,
  bpskBitErrorRate,
  ContactList,
  erfc,
  Line,
  NO_NOISE,
  steppedNoise,
  Timeline,
} from '../../src/channel/index.ts';
import { type Instant, NEVER, PacketPool } from '../../src/core/index.ts';
import { frameRelay } from '../../src/hdlc/index.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const at = (n: number): Instant => n as Instant;

describe('erfc', () => {
  // The C library's erfc (glibc 2.36, under 1 ulp).
  test.each([
    [-1, 1.8427007929497148],
    [0, 1],
    [0.1, 0.8875370839817152],
    [0.5, 0.4795001221869535],
    [1, 0.15729920705028513],
    [1.5, 0.033894853524689274],
    [2, 0.004677734981047265],
    [2.5, 0.0004069520174449589],
    [3, 2.2090496998585438e-5],
    [4, 1.541725790028002e-8],
    [5, 1.5374597944280351e-12],
    [8, 1.1224297172982928e-29],
    [12, 1.3562611692059042e-64],
    [20, 5.3958656116079005e-176],
    [26, 5.663192408856143e-296],
  ])('of %d to 12 digits and more', (x, value) => {
    expect(Math.abs(erfc(x) / value - 1)).toBeLessThan(2e-14);
  });

  test('does not jump where the method changes', () => {
    const slope = (erfc(1.5 + 1e-9) - erfc(1.5 - 1e-9)) / 2e-9;
    expect(slope).toBeCloseTo((-2 / Math.sqrt(Math.PI)) * Math.exp(-2.25), 6);
  });
});

describe('BPSK and the link budget', () => {
  test('the textbook points: 9.59 dB gives 1e-5, 6.79 dB 1e-3, 12.6 dB 1e-9; no signal is a coin', () => {
    for (const [decibels, ber] of [
      [9.5879, 1e-5],
      [6.7895, 1e-3],
      [12.5953, 8.4e-10],
    ] as const)
      expect(Math.abs(bpskBitErrorRate(10 ** (decibels / 10)) / ber - 1)).toBeLessThan(0.25);
    expect(bpskBitErrorRate(10 ** 0.95879)).toBeCloseTo(1e-5, 8);
    expect(bpskBitErrorRate(0)).toBe(0.5);
  });

  test('twice the range costs 6.02 dB; the coding gain adds up', () => {
    const far = berFromLinkBudget({ ebN0ZenithDecibels: 12, codingGainDecibels: 0 }, 2);
    expect(far / bpskBitErrorRate(10 ** ((12 - 20 * Math.log10(2)) / 10))).toBeCloseTo(1, 10);
    const gained = berFromLinkBudget({ ebN0ZenithDecibels: 12, codingGainDecibels: 3 }, 2);
    expect(gained / bpskBitErrorRate(10 ** ((15 - 20 * Math.log10(2)) / 10))).toBeCloseTo(1, 10);
    expect(berFromLinkBudget({ ebN0ZenithDecibels: 40, codingGainDecibels: 0 }, 1)).toBe(0);
  });
});

test('a table is read on a straight line of log BER, and keeps its ends', () => {
  const table = [
    { degrees: 5, ber: 1e-3 },
    { degrees: 15, ber: 1e-5 },
    { degrees: 90, ber: 0 },
  ];
  expect(berFromTable(table, 10)).toBeCloseTo(1e-4, 12);
  expect(berFromTable(table, 0)).toBe(1e-3);
  expect(berFromTable(table, 5)).toBe(1e-3);
  expect(berFromTable(table, 90)).toBe(0);
  expect(berFromTable(table, 95)).toBe(0);
  expect(berFromTable(table, 80)).toBeGreaterThan(0);
});

describe('noise in steps', () => {
  const carrier = new ContactList([{ aos: at(10.5e9), los: at(20e9) }]);
  const noise = steppedNoise({ at: (time) => time / 1e15 }, carrier);

  test('there is none without a carrier, then one value a second, that of its middle', () => {
    expect(noise.at(at(0))).toBe(NO_NOISE);
    expect(noise.nextChange(at(0))).toBe(10.5e9);
    expect(noise.at(at(10.5e9))).toEqual({ kind: 'independent', ber: 1.05e-5 });
    expect(noise.nextChange(at(10.5e9))).toBe(11e9);
    expect(noise.at(at(11.99e9))).toEqual({ kind: 'independent', ber: 1.15e-5 });
    expect(noise.at(at(11.99e9))).toBe(noise.at(at(11.01e9)));
    expect(noise.at(at(20e9))).toBe(NO_NOISE);
    expect(noise.nextChange(at(20e9))).toBe(NEVER);
  });

  test('a line with it counts the errors that the integral of the BER predicts, and none before the contact', () => {
    const pool = new PacketPool({ capacity: 4, slotOctets: 2048 });
    const rising = steppedNoise({ at: (time) => (time / 1e9 - 10) * 1e-4 }, carrier);
    const line = new Line({
      name: 'x',
      link: 0,
      direction: 0,
      seed: 5,
      settings: {
        rate: Timeline.constant(1e6),
        delay: Timeline.constant(0),
        jitter: Timeline.constant(0),
        noise: rising,
      },
      carrier,
      inFlightAtLos: 'arrive',
      encapsulation: frameRelay(),
      fcs: 16,
      lineCoding: [],
      flagsBetweenFrames: 1,
      maximumFrameOctets: 2000,
      pool,
      source: new ScriptedSource(pool, []),
    });
    expect(line.snapshot(at(10.4e9)).bitErrors).toBe(0);
    const errors = line.snapshot(at(30e9)).bitErrors!;
    // ∫ from 10.5 to 20 of (t − 10) · 1e-4 · 1e6 dt = 100 · (100 − 0.25) / 2; the first half second counts with its middle's value.
    const expected = 4987.5;
    expect(Math.abs(errors - expected)).toBeLessThan(4 * Math.sqrt(expected));
  });
});
