/**
 * CCSDS unsegmented time code (CUC, CCSDS 301.0-B-4 §3.2): 4 octets of seconds and 2 of fractions (2^-16 s, 15 µs), no P-field,
 * because the time code is fixed by the dictionary. Level 2: the epoch is ours, 1970-01-01T00:00:00 UTC without leap seconds, not
 * the CCSDS epoch of 1958 TAI. As one 48-bit integer it counts units of 2^-16 s, which XTCE can say. Good until 2106.
 */
import type { WallTime } from '../../core/index.ts';

export const CUC_OCTETS = 6;
const UNITS_PER_SECOND = 65_536n;
const NANOSECONDS = 1_000_000_000n;

/** Rounded down; clamped to what six octets hold (a clock that is wildly wrong still makes telemetry). */
export function emitCuc(time: WallTime): Uint8Array {
  const units = (time * UNITS_PER_SECOND) / NANOSECONDS;
  const clamped = units < 0n ? 0n : units > 0xffff_ffff_ffffn ? 0xffff_ffff_ffffn : units;
  const octets = new Uint8Array(CUC_OCTETS);
  const view = new DataView(octets.buffer);
  view.setUint32(0, Number(clamped >> 16n));
  view.setUint16(4, Number(clamped & 0xffffn));
  return octets;
}

/** The time at `octets[at]`; the caller has checked that six octets are there. Rounded up, so that emit gives the same octets. */
export function parseCuc(octets: Uint8Array, at = 0): WallTime {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const units = (BigInt(view.getUint32(at)) << 16n) | BigInt(view.getUint16(at + 4));
  return ((units * NANOSECONDS + UNITS_PER_SECOND - 1n) / UNITS_PER_SECOND) as WallTime;
}
