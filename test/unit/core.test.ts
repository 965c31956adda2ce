import { describe, expect, test } from 'vitest';
import { fromHex, instant, naturalLogarithm, Reader, Rng, TimerTable, toHex, Writer } from '../../src/core/index.ts';

describe('naturalLogarithm', () => {
  test('agrees with Math.log to 1 ulp over many magnitudes', () => {
    const rng = new Rng(1, 'log');
    for (let i = 0; i < 100_000; i++) {
      const x = rng.uniform() * 2 ** (rng.below(120) - 60);
      expect(Math.abs(naturalLogarithm(x) - Math.log(x))).toBeLessThanOrEqual(Math.abs(Math.log(x)) * 2.3e-16);
    }
    expect(naturalLogarithm(1)).toBe(0);
  });
});

describe('Rng', () => {
  test('the same seed and label give the same draws, pinned', () => {
    const rng = new Rng(42, 'downlink/noise');
    expect([rng.uint32(), rng.uint32(), rng.uint32()]).toMatchInlineSnapshot(`
      [
        3345617689,
        933355609,
        2369246360,
      ]
    `);
  });

  test('first draws of neighbouring seeds and labels are unrelated (chi-square at 0.1 %, 256 cells)', () => {
    for (const draw of [0, 1, 7]) {
      const cells = new Uint32Array(256);
      const differences = new Uint32Array(256);
      let last = 0;
      const n = 65_536;
      for (let seed = 0; seed < n; seed++) {
        const rng = new Rng(seed, 'noise');
        for (let i = 0; i < draw; i++) rng.uint32();
        const octet = rng.uint32() >>> 24;
        cells[octet]!++;
        differences[(octet - last) & 255]!++;
        last = octet;
      }
      for (const counts of [cells, differences]) {
        const expected = n / 256;
        const chiSquare = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
        expect(chiSquare).toBeGreaterThan(190.9); // 0.1 % below, 255 degrees of freedom
        expect(chiSquare).toBeLessThan(330.5); // 0.1 % above
      }
    }
  });

  test('below() is unbiased and bounded; wrong bounds throw', () => {
    const rng = new Rng('x');
    const counts = [0, 0, 0];
    for (let i = 0; i < 30_000; i++) counts[rng.below(3)]!++;
    for (const c of counts) expect(Math.abs(c - 10_000)).toBeLessThan(400);
    expect(() => rng.below(0)).toThrow(RangeError);
    expect(() => rng.below(1.5)).toThrow(RangeError);
  });
});

test('Reader is sticky: past the end it yields zeros and stays not ok', () => {
  const reader = new Reader(fromHex('01 02 03'));
  expect(reader.uint16()).toBe(0x0102);
  expect(reader.uint16()).toBe(0);
  expect(reader.uint8()).toBe(0);
  expect(reader.ok).toBe(false);
});

test('Writer grows on any width, a single octet included', () => {
  const writer = new Writer(1);
  for (let i = 0; i < 300; i++) writer.uint8(i & 255);
  expect(writer.finish()).toEqual(Uint8Array.from({ length: 300 }, (_, i) => i & 255));
});

test('Writer grows and patches', () => {
  const writer = new Writer(1).uint16(0).uint32(0xdeadbeef).uint64(1n);
  expect(toHex(writer.patchUint16(0, 0xabcd).finish())).toBe('abcddeadbeef0000000000000001');
});

test('TimerTable gives due names earliest first, each once', () => {
  const timers = new TimerTable<'a' | 'b'>();
  timers.set('a', instant(20));
  timers.set('b', instant(10));
  expect(timers.next()).toEqual({ at: 10, why: 'b' });
  expect(timers.expired(instant(5))).toBeUndefined();
  expect(timers.expired(instant(30))).toBe('b');
  expect(timers.expired(instant(30))).toBe('a');
  expect(timers.expired(instant(30))).toBeUndefined();
});
