/**
 * NTP timestamps (RFC 5905 §6): 32.32 fixed point, as an unsigned 64-bit bigint that wraps every 2^32 s (an era, 136 years;
 * era 1 begins on 2036-02-07T06:28:16Z). A timestamp on the wire does not say its era, so it becomes a `WallTime` only beside a
 * pivot that is within 68 years of it; differences of two timestamps need no era at all.
 */
import type { WallTime } from '../../core/index.ts';

export type NtpTimestamp = bigint & { readonly __brand?: 'NtpTimestamp' };

// Specification constants
/** Seconds from 1900-01-01 (era 0) to 1970-01-01 (RFC 5905 Figure 4). */
export const UNIX_EPOCH_IN_NTP_SECONDS = 2_208_988_800n;
const ERA_UNITS = 1n << 64n;
const UNITS_PER_SECOND = 1n << 32n;
const NANOSECONDS = 1_000_000_000n;

export function toNtpTimestamp(wall: WallTime): NtpTimestamp {
  return BigInt.asUintN(64, ((wall + UNIX_EPOCH_IN_NTP_SECONDS * NANOSECONDS) * UNITS_PER_SECOND) / NANOSECONDS);
}

/** The wall time of a timestamp that lies within 68 years of `pivot` (RFC 5905 §6: the era is the host's to know). */
export function toWallTime(timestamp: NtpTimestamp, pivot: WallTime): WallTime {
  const pivotUnits = ((pivot + UNIX_EPOCH_IN_NTP_SECONDS * NANOSECONDS) * UNITS_PER_SECOND) / NANOSECONDS;
  const units = pivotUnits + BigInt.asIntN(64, timestamp - pivotUnits);
  // Rounded, so that a nanosecond survives there and back.
  return ((units * NANOSECONDS + UNITS_PER_SECOND / 2n) / UNITS_PER_SECOND -
    UNIX_EPOCH_IN_NTP_SECONDS * NANOSECONDS) as WallTime;
}

/** a − b in seconds, right across an era's end as long as they are within 68 years (RFC 5905 §6, §8). */
export function differenceInSeconds(a: NtpTimestamp, b: NtpTimestamp): number {
  return Number(BigInt.asIntN(64, a - b)) / 4294967296;
}

export function addSeconds(timestamp: NtpTimestamp, seconds: number): NtpTimestamp {
  return BigInt.asUintN(64, timestamp + BigInt(Math.round(seconds * 4294967296)) + ERA_UNITS);
}

/** NTP short format, 16.16 unsigned: root delay and root dispersion. Clamped to its range; a dispersion is rounded up. */
export function toShort(seconds: number): number {
  return Math.min(0xffffffff, Math.max(0, Math.ceil(seconds * 65536)));
}
export const fromShort = (value: number): number => value / 65536;

/** 2^exponent seconds for precision and poll (RFC 5905's LOG2D). */
export const log2Seconds = (exponent: number): number => 2 ** exponent;
