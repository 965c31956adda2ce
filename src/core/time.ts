/**
 * Time as values. No function here reads a clock.
 *
 * `Instant` is monotonic: nanoseconds since an origin that the driver chose (the start of the process or of a simulation).
 * A double holds 2^53 ns = 104 days exactly; past that an emulator run would lose its last bits, so `instant()` refuses.
 * `Duration` is a difference of instants. `WallTime` is a calendar time; only software clocks make it (see apps/ntp).
 */
declare const brand: unique symbol;
export type Instant = number & { readonly [brand]: 'Instant' };
export type Duration = number & { readonly [brand]: 'Duration' };
/** Nanoseconds since 1970-01-01T00:00:00Z (UTC, no leap seconds), as a bigint because a double has not the bits. */
export type WallTime = bigint & { readonly [brand]: 'WallTime' };

export const NANOSECONDS_PER_SECOND = 1_000_000_000;
/** Later than every instant: "no deadline". */
export const NEVER = Number.POSITIVE_INFINITY as Instant;
export const ORIGIN = 0 as Instant;

/** An instant from nanoseconds; rounds to whole nanoseconds. Throws RangeError when it is negative or beyond 2^53. */
export function instant(nanoseconds: number): Instant {
  const whole = Math.round(nanoseconds);
  if (!(whole >= 0 && whole <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`not an instant: ${nanoseconds} ns`);
  return whole as Instant;
}

export const nanoseconds = (n: number): Duration => Math.round(n) as Duration;
export const microseconds = (n: number): Duration => Math.round(n * 1e3) as Duration;
export const milliseconds = (n: number): Duration => Math.round(n * 1e6) as Duration;
export const seconds = (n: number): Duration => Math.round(n * 1e9) as Duration;
export const minutes = (n: number): Duration => seconds(n * 60);

export const toSeconds = (d: Duration | Instant): number => d / 1e9;
export const toMilliseconds = (d: Duration | Instant): number => d / 1e6;

export const plus = (at: Instant, d: Duration): Instant => (at + d) as Instant;
export const since = (later: Instant, earlier: Instant): Duration => (later - earlier) as Duration;
export const earliest = (a: Instant, b: Instant): Instant => (a < b ? a : b);
export const latest = (a: Instant, b: Instant): Instant => (a > b ? a : b);

/** A deadline and the reason for it, so that a log can say why a machine woke. */
export interface Deadline {
  readonly at: Instant;
  readonly why: string;
}
