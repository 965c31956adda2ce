import { describe, expect, test } from 'vitest';
import {
  acknowledgmentLimit,
  ceiling,
  exposedBits,
  frameErrorRate,
  lineBits,
  mathis,
  normalizedBandwidthRatio,
  OMNI_FRAMING,
  pftk,
  windowLimit,
} from '../../../src/lab/paper/theory.ts';

const KILOBIT = 1000;

describe('RFC 3819 section 8.5', () => {
  // Section 8.5.3: MSS 1000 octets, RTT 120 ms, 1 % loss, C = 1.
  const path = { segmentOctets: 1000, roundTripSeconds: 0.12, loss: 0.01 };

  test('the simple formula gives 666 kbit/s', () => {
    expect(Math.floor(mathis(path, 1) / KILOBIT)).toBe(666);
  });

  test('the complex formula gives 402.9 kbit/s as worked in the RFC, every loss a time-out', () => {
    expect((pftk(path, { timeoutShare: 1 }) / KILOBIT).toFixed(1)).toBe('402.9');
  });

  test('with the factor min[1, 3√(.75p)] that the RFC prints and its example leaves out, 519.4 kbit/s', () => {
    expect((pftk(path) / KILOBIT).toFixed(1)).toBe('519.4');
  });

  test('the two agree at low loss, and the complex one is lower at high loss', () => {
    const at = (loss: number) => pftk({ ...path, loss }) / mathis({ ...path, loss }, Math.sqrt(1 / 1.33));
    expect(at(1e-6)).toBeCloseTo(1, 3);
    expect(at(0.1)).toBeLessThan(0.5);
  });

  test('no loss leaves both unbounded', () => {
    expect(mathis({ ...path, loss: 0 })).toBe(Number.POSITIVE_INFINITY);
    expect(pftk({ ...path, loss: 0 })).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    { segmentOctets: 0, roundTripSeconds: 1, loss: 0.1 },
    { segmentOctets: 1, roundTripSeconds: 0, loss: 0.1 },
    { segmentOctets: 1, roundTripSeconds: 1, loss: 1.1 },
    { segmentOctets: 1, roundTripSeconds: 1, loss: Number.NaN },
  ])('$segmentOctets octets, $roundTripSeconds s, loss $loss is refused', (bad) => {
    expect(() => mathis(bad)).toThrow(RangeError);
    expect(() => pftk(bad)).toThrow(RangeError);
  });
});

describe('frames', () => {
  test.each([
    [558, 1e-7, '0.00045'],
    [558, 1e-6, '0.0045'],
    [558, 1e-5, '0.044'],
    [558, 1e-4, '0.36'],
    [1506, 1e-5, '0.11'],
    [1506, 1e-4, '0.70'],
  ])('of frames of %d octets at %d are lost %s', (octets, ber, expected) => {
    expect(frameErrorRate(8 * octets, ber).toPrecision(2)).toBe(expected);
  });

  test('the smallest rates do not vanish in rounding', () => {
    expect(frameErrorRate(1000, 1e-18)).toBeCloseTo(1e-15, 20);
    expect(frameErrorRate(0, 0.5)).toBe(0);
  });

  test("UoSAT-12's 91.6 % without stuffing, 90.1 % with it", () => {
    expect((100 * ceiling(512, 0)).toFixed(1)).toBe('91.6');
    expect((100 * ceiling(512)).toFixed(1)).toBe('90.1');
    expect(lineBits(552, OMNI_FRAMING, 0)).toBe(8 * 559);
    expect(exposedBits(552) - lineBits(552)).toBe(8);
  });
});

describe('RFC 3449 section 3.1', () => {
  test('10 Mbit/s down, 50 kbit/s up, 1000 and 40 octets: k is 8', () => {
    const k = normalizedBandwidthRatio({
      downBitPerSecond: 10e6,
      upBitPerSecond: 50e3,
      dataOctets: 1000,
      acknowledgmentOctets: 40,
    });
    expect(k).toBe(8);
    expect(acknowledgmentLimit(k, 1)).toBe(1 / 8);
    expect(acknowledgmentLimit(k, 2)).toBe(1 / 4);
    expect(acknowledgmentLimit(0.5, 1)).toBe(1);
  });
});

test('64 KiB a round trip: 2.18 Mbit/s at 240 ms, 0.94 at 560 ms, 0.2 at 2.56 s', () => {
  expect([0.24, 0.56, 2.56].map((rtt) => (windowLimit(65_536, rtt) / 1e6).toFixed(2))).toEqual([
    '2.18',
    '0.94',
    '0.20',
  ]);
});
