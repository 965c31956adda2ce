/** Calendar forms of times, in UTC: FTP's time values (RFC 3659 section 2.3) and what `ls -l` prints. Times are ms since 1970. */

export interface CalendarTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
}

const DAY_MS = 86_400_000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const two = (n: number): string => String(n).padStart(2, '0');

/** Proleptic Gregorian, exact for every day; eras of 400 years that begin on 1 March, so that leap days come last. */
export function toCalendar(unixMs: number): CalendarTime {
  const days = Math.floor(unixMs / DAY_MS);
  const rest = Math.floor(unixMs - days * DAY_MS);
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1,
    hour: Math.floor(rest / 3_600_000),
    minute: Math.floor(rest / 60_000) % 60,
    second: Math.floor(rest / 1000) % 60,
    millisecond: rest % 1000,
  };
}

export function fromCalendar(t: Omit<CalendarTime, 'millisecond'> & { readonly millisecond?: number }): number {
  const year = t.month <= 2 ? t.year - 1 : t.year;
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear = Math.floor((153 * (t.month + (t.month > 2 ? -3 : 9)) + 2) / 5) + t.day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  const days = era * 146_097 + dayOfEra - 719_468;
  return days * DAY_MS + t.hour * 3_600_000 + t.minute * 60_000 + t.second * 1000 + (t.millisecond ?? 0);
}

/** RFC 3659 section 2.3: YYYYMMDDHHMMSS, with `.sss` when there are milliseconds. */
export function formatTimeValue(unixMs: number): string {
  const t = toCalendar(unixMs);
  const whole = `${String(t.year).padStart(4, '0')}${two(t.month)}${two(t.day)}${two(t.hour)}${two(t.minute)}${two(t.second)}`;
  return t.millisecond === 0 ? whole : `${whole}.${String(t.millisecond).padStart(3, '0')}`;
}

/** The inverse; undefined when the text is not a time value. A leap second (60) counts as the second after 59. */
export function parseTimeValue(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return undefined;
  const millisecond = match[7] === undefined ? 0 : Math.floor(Number(`0.${match[7]}`) * 1000);
  const unixMs = fromCalendar({ year, month, day, hour, minute, second, millisecond });
  const back = toCalendar(unixMs - (second === 60 ? 1000 : 0));
  return back.day === day && back.month === month ? unixMs : undefined;
}

/** As `ls -l` writes it: `Nov 21 11:20` within half a year of `nowMs`, else `Nov 21  2025`. */
export function formatListTime(unixMs: number, nowMs: number): string {
  const t = toCalendar(unixMs);
  const recent = Math.abs(nowMs - unixMs) < 182 * DAY_MS;
  const tail = recent ? `${two(t.hour)}:${two(t.minute)}` : String(t.year).padStart(5, ' ');
  return `${MONTHS[t.month - 1]} ${String(t.day).padStart(2, ' ')} ${tail}`;
}

/** `2026-11-21 11:20:03` (UTC), for people. */
export function formatForPeople(unixMs: number): string {
  const t = toCalendar(unixMs);
  return `${t.year}-${two(t.month)}-${two(t.day)} ${two(t.hour)}:${two(t.minute)}:${two(t.second)}`;
}
