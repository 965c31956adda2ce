/**
 * Decoded telemetry as rows: one per parameter ("long" form: time, packet, count, parameter, raw, value, unit, state), which is
 * what CSV, JSON lines and columnar stores (Parquet, by any converter) take without knowing the dictionary.
 */
import type { TelemetryPacket } from './packets.ts';

export interface Row {
  readonly time: string;
  readonly apid: number;
  readonly packet: string;
  readonly sequenceCount: number;
  readonly parameter: string;
  readonly raw: number | string | boolean | null;
  readonly value: number | string | boolean | null;
  readonly unit: string;
  readonly state: string;
}

export const CSV_HEADER = 'time,apid,packet,sequence_count,parameter,raw,value,unit,state';

export function rowsOf(packet: TelemetryPacket): Row[] {
  const time = isoTime(packet.time);
  return packet.fields.map((field) => ({
    time,
    apid: packet.definition.apid,
    packet: packet.definition.name,
    sequenceCount: packet.sequenceCount,
    parameter: field.parameter.name,
    raw: plain(field.raw),
    value: plain(field.value),
    unit: field.parameter.unit ?? '',
    state: field.state,
  }));
}

/** One object a packet ("wide" form). */
export function recordOf(packet: TelemetryPacket): Record<string, unknown> {
  return {
    time: isoTime(packet.time),
    apid: packet.definition.apid,
    packet: packet.definition.name,
    sequenceCount: packet.sequenceCount,
    ...Object.fromEntries(packet.fields.map((f) => [f.parameter.name, plain(f.value)])),
  };
}

/** RFC 4180. */
export function csvLine(row: Row): string {
  return [row.time, row.apid, row.packet, row.sequenceCount, row.parameter, row.raw, row.value, row.unit, row.state]
    .map((cell) => (cell === null ? '' : csvCell(String(cell))))
    .join(',');
}

const csvCell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Not-a-number is null; integers beyond 2^53 become text rather than wrong. */
function plain(value: number | bigint | string | boolean): number | string | boolean | null {
  if (typeof value === 'bigint')
    return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= -BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(value)
      : value.toString();
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  return value;
}

const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/** 2026-11-21T12:00:00.123456Z, without a clock or a Date. */
export function isoTime(wall: bigint): string {
  const second = wall >= 0n ? wall / 1_000_000_000n : (wall - 999_999_999n) / 1_000_000_000n;
  const microseconds = (wall - second * 1_000_000_000n) / 1000n;
  const day = Number(second >= 0n ? second / 86_400n : (second - 86_399n) / 86_400n);
  const ofDay = Number(second) - day * 86_400;
  let year = 1970 + Math.floor(day / 365.2425);
  while (daysTo(year + 1) <= day) year++;
  while (daysTo(year) > day) year--;
  const ofYear = day - daysTo(year);
  const leap = daysTo(year + 1) - daysTo(year) === 366;
  let month = 11;
  const start = (m: number) => DAYS_BEFORE_MONTH[m]! + (leap && m > 1 ? 1 : 0);
  while (start(month) > ofYear) month--;
  const two = (n: number) => String(n).padStart(2, '0');
  const clock = `${two(Math.floor(ofDay / 3600))}:${two(Math.floor(ofDay / 60) % 60)}:${two(ofDay % 60)}`;
  return `${String(year).padStart(4, '0')}-${two(month + 1)}-${two(ofYear - start(month) + 1)}T${clock}.${String(microseconds).padStart(6, '0')}Z`;
}

/** Days from 1970-01-01 to the first of January of a year (Gregorian). */
function daysTo(year: number): number {
  const y = year - 1;
  return (year - 1970) * 365 + (Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)) - 477;
}
