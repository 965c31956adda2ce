import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatDuration,
  formatRate,
  parseBer,
  parseBits,
  parseDuration,
  parseOctets,
  parseQueueLimit,
  parseRate,
  parseSignedDuration,
  UNLIMITED_BIT_PER_SECOND,
} from '../../../src/scenario/units.ts';

const value = (parsed: { ok: boolean }) => ('value' in parsed ? parsed.value : undefined);
const reason = (parsed: { ok: boolean }) => ('reason' in parsed ? parsed.reason : undefined);

describe('rates', () => {
  test.each([
    ['38.4k', 38_400],
    [9600, 9600],
    ['9600', 9600],
    ['8.1M', 8_100_000],
    ['622.08 Mbit/s', 622_080_000],
    ['1G', 1e9],
    ['2 kbps', 2000],
    ['unlimited', UNLIMITED_BIT_PER_SECOND],
  ])('%s', (text, expected) => expect(value(parseRate(text))).toBe(expected));

  test.each([
    [0, /zero/],
    ['-1k', /negative/],
    ['99', /lowest/],
    ['9.6 kHz', /not a rate/],
    ['', /not a rate/],
    ['1e3e3', /not a rate/],
    ['38,4k', /not a rate/],
  ])('%s is refused', (text, expected) => expect(reason(parseRate(text))).toMatch(expected));
});

describe('times', () => {
  test.each([
    ['10ms', 10e6],
    ['2.56s', 2.56e9],
    ['4min', 240e9],
    ['250us', 250e3],
    ['250 µs', 250e3],
    ['1h 30min', 5400e9],
    ['1h30min', 5400e9],
    [0, 0],
    ['0', 0],
    ['5ns', 5],
    ['1d', 86_400e9],
  ])('%s', (text, expected) => expect(value(parseDuration(text))).toBe(expected));
  test('a sign holds for the whole', () => expect(value(parseSignedDuration('-1min 30s'))).toBe(-90e9));
  test.each([
    [5, /no unit/],
    ['-5ms', /negative/],
    ['10', /no unit/],
    ['ms', /not a time/],
    ['10 parsec', /not a time/],
    ['10m', /not a time/],
    ['1s-2s', /not a time/],
    ['', /missing/],
    ['200d', /104 days/],
  ])('%s is refused', (text, expected) => expect(reason(parseDuration(text))).toMatch(expected));
});

test('octets and queue limits', () => {
  expect(value(parseOctets('64KiB'))).toBe(65_536);
  expect(value(parseOctets('1 MB'))).toBe(1e6);
  expect(value(parseOctets(1500))).toBe(1500);
  expect(reason(parseOctets('1.5'))).toMatch(/whole/);
  expect(reason(parseOctets('1 Mbit'))).toMatch(/not an amount/);
  expect(value(parseQueueLimit('20 packets'))).toEqual({ packets: 20 });
  expect(value(parseQueueLimit('64KiB'))).toEqual({ octets: 65_536 });
  expect(reason(parseQueueLimit(20))).toMatch(/packets or octets/);
  expect(reason(parseQueueLimit('0 packets'))).toMatch(/at least 1/);
});

test('bit error rates and lengths in bits', () => {
  expect(value(parseBer(4.5e-6))).toBe(4.5e-6);
  expect(value(parseBer('4.5e-6'))).toBe(4.5e-6);
  expect(reason(parseBer(0.6))).toMatch(/between 0 and 0.5/);
  expect(reason(parseBer('low'))).toMatch(/not a bit error rate/);
  expect(value(parseBits('50k'))).toBe(50_000);
  expect(reason(parseBits(0))).toMatch(/at least 1/);
});

test('what is formatted parses to the same value', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (n) => value(parseDuration(formatDuration(n))) === n || n > 1e12),
  );
  fc.assert(fc.property(fc.integer({ min: 100, max: 1e9 }), (n) => value(parseRate(formatRate(n))) === n));
});

test('no text makes a parser throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789.eE+-kMGiBsmhnudbit/ packets') }), (text) => {
      for (const parse of [parseRate, parseSignedDuration, parseOctets, parseQueueLimit, parseBer, parseBits])
        expect(typeof parse(text).ok).toBe('boolean');
    }),
  );
});
