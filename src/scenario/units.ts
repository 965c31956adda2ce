/**
 * Quantities as people write them, to base units: bit/s, nanoseconds, octets, degrees, decibels.
 *
 *   rate      9600, 38.4k, 8.1M, 1G, 622.08 Mbit/s, unlimited        k M G are powers of 1000, as for every serial line
 *   time      10ms, 2.56s, 4min, 250us, 1h 30min; a bare 0           days `d` to nanoseconds `ns`
 *   octets    1500, 64KiB, 1MB, 512 octets                           KiB MiB GiB are powers of 1024, kB MB GB of 1000
 *   queue     20 packets, 64KiB                                      a bare number is refused: it could mean either
 *
 * Every parser gives a value or a sentence that says what was wrong; none throws.
 */
import { type Duration, fail, ok, type Result } from '../core/index.ts';

export type Parsed<Value> = Result<Value, string>;
export interface QueueLimit {
  readonly packets?: number;
  readonly octets?: number;
}

/** "No limit" on a line's rate: 1 Tbit/s, at which a frame of 1500 octets takes 12 ns. A number, so that it survives JSON. */
export const UNLIMITED_BIT_PER_SECOND = 1e12;
export const LOWEST_BIT_PER_SECOND = 100;

const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`;
const RATE = new RegExp(String.raw`^(${NUMBER})\s*([kKMG]?)(?:i?bit/s|bps|b/s)?$`);
const OCTETS = new RegExp(String.raw`^(${NUMBER})\s*([kKMG]i?)?\s*(B|bytes?|octets?)?$`);
const PACKETS = /^(\d+)\s*packets?$/;
const DURATION_PART = new RegExp(String.raw`(${NUMBER})\s*(ns|us|µs|μs|ms|s|min|h|d)(?![a-zA-Z])\s*`, 'y');

const RATE_FACTOR: Readonly<Record<string, number>> = { '': 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };
const OCTET_FACTOR: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  ki: 1024,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
};
const TIME_FACTOR: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  min: 60e9,
  h: 3600e9,
  d: 86_400e9,
};

/** bit/s, at least 100. */
export function parseRate(input: string | number): Parsed<number> {
  const text = String(input).trim();
  if (text === 'unlimited') return ok(UNLIMITED_BIT_PER_SECOND);
  const match = RATE.exec(text);
  if (match === null) return fail(`'${text}' is not a rate; write bit/s such as 9600, 38.4k, 8.1M or unlimited`);
  const rate = exact(Number(match[1]) * RATE_FACTOR[match[2]!]!);
  if (rate === 0) return fail('a rate of zero never sends a bit; to close a link use contacts');
  if (rate < 0) return fail(`a rate cannot be negative (${text})`);
  if (rate < LOWEST_BIT_PER_SECOND) return fail(`${text} is under the lowest rate, ${LOWEST_BIT_PER_SECOND} bit/s`);
  if (rate > UNLIMITED_BIT_PER_SECOND) return fail(`${text} is over the highest rate, 1 Tbit/s`);
  return ok(rate);
}

/** Nanoseconds, not negative. */
export function parseDuration(input: string | number): Parsed<Duration> {
  const signed = parseSignedDuration(input);
  if (signed.ok && signed.value < 0) return fail(`a time cannot be negative here (${input})`);
  return signed;
}

/** Nanoseconds; a leading minus holds for the whole (`-3.25s`). */
export function parseSignedDuration(input: string | number): Parsed<Duration> {
  const text = String(input).trim();
  if (Number(text) === 0 && text !== '') return ok(0 as Duration);
  if (text !== '' && Number.isFinite(Number(text))) return fail(`'${text}' has no unit; write ${text}s, ${text}ms, …`);
  const negative = text.startsWith('-');
  const body = text.replace(/^[+-]\s*/, '');
  let total = 0;
  DURATION_PART.lastIndex = 0;
  while (DURATION_PART.lastIndex < body.length) {
    const part = DURATION_PART.exec(body);
    if (part === null || part[1]!.startsWith('-') || part[1]!.startsWith('+'))
      return fail(`'${text}' is not a time; write 250us, 10ms, 2.56s, 4min, 1h 30min`);
    total += Number(part[1]) * TIME_FACTOR[part[2]!]!;
  }
  if (body === '') return fail('a time is missing; write 250us, 10ms, 2.56s, 4min, 1h 30min');
  if (total > Number.MAX_SAFE_INTEGER) return fail(`${text} is over the longest time, 104 days`);
  return ok((negative ? -Math.round(total) : Math.round(total)) as Duration);
}

/** Octets, whole, not negative. */
export function parseOctets(input: string | number): Parsed<number> {
  const text = String(input).trim();
  const match = OCTETS.exec(text);
  if (match === null) return fail(`'${text}' is not an amount of octets; write 1500, 64KiB, 1MB`);
  const octets = exact(Number(match[1]) * OCTET_FACTOR[match[2] ?? '']!);
  if (octets < 0) return fail(`an amount of octets cannot be negative (${text})`);
  if (!Number.isInteger(octets)) return fail(`'${text}' is not a whole number of octets`);
  if (!Number.isSafeInteger(octets)) return fail(`${text} is too large`);
  return ok(octets);
}

export function parseQueueLimit(input: string | number): Parsed<QueueLimit> {
  const text = String(input).trim();
  const packets = PACKETS.exec(text);
  if (packets !== null) {
    const count = Number(packets[1]);
    return count >= 1 ? ok({ packets: count }) : fail('a queue holds at least 1 packet');
  }
  if (/^[+-]?[\d.]+$/.test(text))
    return fail(`'${text}' could be packets or octets; write '${text} packets' or a size such as 64KiB`);
  const octets = parseOctets(text);
  if (!octets.ok) return fail(`'${text}' is not a queue limit; write '20 packets' or a size such as 64KiB`);
  return octets.value >= 64 ? ok({ octets: octets.value }) : fail('a queue holds at least 64 octets');
}

/** A probability of error per bit, 0 … 0.5 (at 0.5 the line is noise). */
export function parseBer(input: string | number): Parsed<number> {
  const text = String(input).trim();
  const ber = text === '' ? Number.NaN : Number(text);
  if (Number.isNaN(ber)) return fail(`'${text}' is not a bit error rate; write a number such as 1e-6`);
  if (ber < 0 || ber > 0.5) return fail(`a bit error rate lies between 0 and 0.5 (${text})`);
  return ok(ber);
}

/** A mean length in bits, at least 1. */
export function parseBits(input: string | number): Parsed<number> {
  const match = new RegExp(String.raw`^(${NUMBER})\s*([kKMG]?)(?:\s*bits?)?$`).exec(String(input).trim());
  if (match === null) return fail(`'${input}' is not a number of bits; write 5000 or 50k`);
  const bits = Number(match[1]) * RATE_FACTOR[match[2]!]!;
  return bits >= 1 ? ok(bits) : fail('a mean length is at least 1 bit');
}

export function parseAngle(input: string | number): Parsed<number> {
  return withSuffix(input, /\s*(deg|°)$/, 'an angle', 'degrees such as 51.24 or 10deg');
}

export function parseDecibels(input: string | number): Parsed<number> {
  return withSuffix(input, /\s*dB$/, 'a ratio', 'decibels such as 9.6 or 9.6dB');
}

function withSuffix(input: string | number, suffix: RegExp, what: string, write: string): Parsed<number> {
  const text = String(input).trim();
  const bare = text.replace(suffix, '');
  const value = bare === '' ? Number.NaN : Number(bare);
  return Number.isFinite(value) ? ok(value) : fail(`'${text}' is not ${what}; write ${write}`);
}

/** 8.1 × 1e6 is 8100000.000000001 in doubles where a person means 8100000: keep 12 significant digits. */
const exact = (x: number): number => Number(x.toPrecision(12));

/** The shortest way to write a rate: 38.4k, 9600 → 9.6k. */
export function formatRate(bitPerSecond: number): string {
  if (bitPerSecond >= UNLIMITED_BIT_PER_SECOND) return 'unlimited';
  for (const [factor, prefix] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (bitPerSecond >= factor) return `${exact(bitPerSecond / factor)}${prefix}`;
  return String(bitPerSecond);
}

/** 10ms, 2.56s, 4min: the largest unit in which the number is short. */
export function formatDuration(duration: number): string {
  if (duration === 0) return '0s';
  const magnitude = Math.abs(duration);
  for (const [unit, factor] of [
    ['d', 86_400e9],
    ['h', 3600e9],
    ['min', 60e9],
  ] as const)
    if (magnitude >= factor && magnitude % factor === 0) return `${duration / factor}${unit}`;
  for (const [unit, factor] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['us', 1e3],
  ] as const)
    if (magnitude >= factor) return `${exact(duration / factor)}${unit}`;
  return `${duration}ns`;
}
