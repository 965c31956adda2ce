/** The units of units.ts as zod schemas: text or number in, base units out, with words for the editor's completion. */
import { z } from 'zod';
import { checkAddress, checkPrefix } from './addresses.ts';
import {
  type Parsed,
  parseAngle,
  parseBer,
  parseBits,
  parseDecibels,
  parseDuration,
  parseOctets,
  parseQueueLimit,
  parseRate,
  parseSignedDuration,
} from './units.ts';

function quantity<Value>(what: string, examples: (string | number)[], parse: (v: string | number) => Parsed<Value>) {
  return z
    .union([z.string(), z.number()], { error: `expected ${what} such as ${examples.join(', ')}` })
    .meta({ description: what, examples })
    .transform((input, context): Value => {
      const parsed = parse(input);
      if (parsed.ok) return parsed.value;
      context.issues.push({ code: 'custom', message: parsed.reason, input });
      return z.NEVER;
    });
}

export const rate = () => quantity('a rate in bit/s', ['9600', '38.4k', '8.1M', 'unlimited'], parseRate);
export const duration = () => quantity('a time', ['250us', '10ms', '2.56s', '4min'], parseDuration);
export const signedDuration = () => quantity('a time, perhaps negative', ['-3.25s', '300ms'], parseSignedDuration);
export const octets = () => quantity('an amount of octets', [1500, '64KiB', '1MB'], parseOctets);
export const queueLimit = () => quantity('a queue limit', ['20 packets', '64KiB'], parseQueueLimit);
export const bitErrorRate = () => quantity('a bit error rate', [0, 4.5e-6], parseBer);
export const bits = () => quantity('a number of bits', [5000, '50k'], parseBits);
export const degrees = () => quantity('an angle in degrees', [51.24, '10deg'], parseAngle);
export const decibels = () => quantity('a ratio in decibels', [9.6, '13dB'], parseDecibels);

function text(what: string, example: string, parse: (v: string) => Parsed<string>) {
  return z
    .string({ error: `expected ${what} such as ${example}` })
    .meta({ description: what, examples: [example] })
    .transform((input, context): string => {
      const parsed = parse(input);
      if (parsed.ok) return parsed.value;
      context.issues.push({ code: 'custom', message: parsed.reason, input });
      return z.NEVER;
    });
}

export const ipv4 = () => text('an IPv4 address', '10.12.0.1', (input) => checkAddress(input, 4));
export const ipv6 = () => text('an IPv6 address', 'fd12::1', (input) => checkAddress(input, 6));
export const ipv4Prefix = () => text('an IPv4 prefix', '192.168.12.0/24', (input) => checkPrefix(input, 4));
export const ipv6Prefix = () => text('an IPv6 prefix', 'fd12:12::/64', (input) => checkPrefix(input, 6));

/** A point of the scenario's time: since its start, or UTC. Kept as text when UTC; the resolver knows the epoch. */
export const scenarioTime = () =>
  z
    .union([z.string(), z.number()], { error: 'expected a time since the start such as 5min, or UTC' })
    .meta({
      description: "a time since the scenario's start, or UTC",
      examples: ['0s', '97min', '2000-07-05T12:00:00Z'],
    })
    .transform((input, context): { sinceStart: number } | { utcMilliseconds: number } => {
      if (typeof input === 'string' && /^\d{4}-\d\d-\d\d/.test(input)) {
        const milliseconds = parseUtc(input);
        if (milliseconds !== undefined) return { utcMilliseconds: milliseconds };
        const message = `'${input}' is not UTC; write 2000-07-05T12:00:00Z (with the Z: local times and offsets are refused)`;
        context.issues.push({ code: 'custom', message, input });
        return z.NEVER;
      }
      const parsed = parseDuration(input);
      if (parsed.ok) return { sinceStart: parsed.value };
      context.issues.push({ code: 'custom', message: parsed.reason, input });
      return z.NEVER;
    });

export const utc = () =>
  z
    .string()
    .meta({ description: 'a time in UTC', examples: ['2000-07-05T12:00:00Z'] })
    .transform((input, context): number => {
      const milliseconds = parseUtc(input);
      if (milliseconds !== undefined) return milliseconds;
      context.issues.push({ code: 'custom', message: `'${input}' is not UTC; write 2000-07-05T12:00:00Z`, input });
      return z.NEVER;
    });

/** Milliseconds since 1970. */
export function parseUtc(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z$/.test(text)) return undefined;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}
