/**
 * Calendar time for mail: sums and differences of `WallTime`, the date form of RFC 5322 section 3.3 and the ISO form used in
 * queue files. Everything is UTC. The civil calendar is computed here because rings 0 and 1 have no `Date`.
 */
import type { WallTime } from '../../core/index.ts';

const NANOSECONDS_PER_DAY = 86_400_000_000_000n;

export const wallPlus = (at: WallTime, seconds: number): WallTime =>
  (at + BigInt(Math.round(seconds * 1e6)) * 1000n) as WallTime;

/** Seconds from `earlier` to `later`; negative when they are the other way round. */
export const secondsBetween = (earlier: WallTime, later: WallTime): number => Number(later - earlier) / 1e9;

interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
}

/** Days to year, month, day after H. Hinnant's `civil_from_days` (public domain): years begin in March, 400-year eras. */
function civil(at: WallTime): Civil {
  const days = Number((at >= 0n ? at : at - NANOSECONDS_PER_DAY + 1n) / NANOSECONDS_PER_DAY);
  const ms = Number((at - BigInt(days) * NANOSECONDS_PER_DAY) / 1_000_000n);
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const month = mp < 10 ? mp + 3 : mp - 9;
  return {
    year: yoe + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: doy - Math.floor((153 * mp + 2) / 5) + 1,
    weekday: (((days + 4) % 7) + 7) % 7,
    hour: Math.floor(ms / 3_600_000),
    minute: Math.floor(ms / 60_000) % 60,
    second: Math.floor(ms / 1000) % 60,
    millisecond: ms % 1000,
  };
}

const pad = (n: number, width = 2): string => String(n).padStart(width, '0');
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Thu, 13 Apr 2000 09:58:00 +0000` (RFC 5322 section 3.3). */
export function formatMailDate(at: WallTime): string {
  const c = civil(at);
  return `${WEEKDAYS[c.weekday]}, ${c.day} ${MONTHS[c.month - 1]} ${c.year} ${pad(c.hour)}:${pad(c.minute)}:${pad(c.second)} +0000`;
}

/** `2000-04-13T09:58:00.000Z` (RFC 3339). */
export function formatIso(at: WallTime): string {
  const c = civil(at);
  return `${pad(c.year, 4)}-${pad(c.month)}-${pad(c.day)}T${pad(c.hour)}:${pad(c.minute)}:${pad(c.second)}.${pad(c.millisecond, 3)}Z`;
}

/** The inverse of `formatIso`; fractions and the seconds are optional, the zone must be Z. Undefined for anything else. */
export function parseIso(text: string): WallTime | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?Z$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  if (month! < 1 || month! > 12 || day! < 1 || day! > 31 || hour! > 23 || minute! > 59 || second! > 60)
    return undefined;
  const y = month! <= 2 ? year! - 1 : year!;
  const era = Math.floor(y / 400);
  const yoe = y - era * 400;
  const doy = Math.floor((153 * (month! > 2 ? month! - 3 : month! + 9) + 2) / 5) + day! - 1;
  const days = era * 146097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy - 719468;
  const seconds = BigInt(days) * 86400n + BigInt(hour! * 3600 + minute! * 60 + second!);
  return (seconds * 1_000_000_000n + BigInt((match[7] ?? '').padEnd(9, '0'))) as WallTime;
}
