/**
 * mahimahi traces as a rate over time. A line of such a trace is a millisecond at which one packet of 1504 octets can leave (its
 * MTU-sized delivery opportunity, mahimahi's packetshell); after the last line it begins again. Opportunities are counted in bins;
 * the order within a bin is lost. A bin without any has the lowest rate that a link can have, 100 bit/s, in place of none.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseDuration } from '../../scenario/index.ts';
import { SweepError } from './error.ts';
import type { Json } from './keys.ts';

const OPPORTUNITY_OCTETS = 1504;
const LOWEST_BIT_PER_SECOND = 100;
const DEFAULT_BIN = '100ms';

/** `rate: { mahimahi: FILE, bin: 100ms }` in a job. */
export const isMahimahi = (value: Json): value is { mahimahi: string; bin?: string } =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'mahimahi' in value;

/** A scenario's rate time-line. Throws SweepError. */
export function mahimahiTimeLine(
  { mahimahi, bin = DEFAULT_BIN }: { mahimahi: string; bin?: string },
  directory: string,
  key: string,
): { timeLine: { at: string; rate: number }[]; cycle: string } {
  const width = parseDuration(bin);
  if (!width.ok) throw new SweepError(`${key}.bin`, width.reason);
  let text: string;
  try {
    text = readFileSync(resolve(directory, mahimahi), 'utf8');
  } catch (error) {
    throw new SweepError(key, `cannot read the trace: ${(error as Error).message}`);
  }
  return timeLineOf(text, Math.max(1, Math.round(width.value / 1e6)), key);
}

export function timeLineOf(text: string, binMilliseconds: number, key = 'mahimahi') {
  const lines = text.split('\n').map((line) => line.trim());
  const times: number[] = [];
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const time = Number(line);
    if (!/^\d+$/.test(line) || time < (times.at(-1) ?? 0))
      throw new SweepError(
        key,
        `line ${index + 1} of the trace, '${line}', is not a millisecond at or after the one before`,
      );
    times.push(time);
  }
  const end = times.at(-1) ?? 0;
  if (end === 0) throw new SweepError(key, 'the trace has no time in it');
  const counts = new Array<number>(Math.ceil(end / binMilliseconds)).fill(0);
  // An opportunity at time t ends the millisecond before it; the last one is at the end of the cycle.
  for (const time of times) counts[Math.max(0, Math.ceil(time / binMilliseconds) - 1)]!++;
  const timeLine = counts.map((count, i) => {
    const seconds = (Math.min(end, (i + 1) * binMilliseconds) - i * binMilliseconds) / 1000;
    const rate = Math.round((count * OPPORTUNITY_OCTETS * 8) / seconds);
    return { at: `${i * binMilliseconds}ms`, rate: Math.max(LOWEST_BIT_PER_SECOND, rate) };
  });
  const steps = timeLine.filter((step, i) => i === 0 || step.rate !== timeLine[i - 1]!.rate);
  return { timeLine: steps.map((step, i) => (i === 0 ? { ...step, at: '0s' } : step)), cycle: `${end}ms` };
}
