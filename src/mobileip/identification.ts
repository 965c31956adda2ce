/**
 * Replay protection by the Identification field: RFC 5944 section 5.7, for both ends.
 *
 * Timestamps: the field is an NTP timestamp that must lie within the tolerance of the home agent's clock and above every one
 * accepted before. A mobile node that takes it from a clock which NTP steps back would be denied (133) until time has caught up,
 * and NTP needs the tunnel that this registration is to open. So ours reads its clock once, goes on from there by the monotonic
 * clock, never falls below what it has sent, and moves only when the home agent has told it, authenticated, what time it is.
 *
 * Nonces: the high 32 bits repeat what the home agent's last reply gave; a retransmission is identical.
 */
import { type Duration, type Instant, seconds, type WallTime } from '../core/index.ts';
import type { ReplayProtection } from './security.ts';

// Specification constants
/** Section 5.7.1: the default tolerance. */
export const DEFAULT_TIMESTAMP_TOLERANCE: Duration = seconds(7);
/** Seconds from 1900, where NTP counts from, to 1970. */
const NTP_EPOCH_OFFSET = 2_208_988_800n;

/** 64-bit NTP timestamp (32.32) of a wall time; era wraps in 2036 as NTP's does. */
export function ntpTimestamp(time: WallTime): bigint {
  const whole = time / 1_000_000_000n;
  const fraction = ((time % 1_000_000_000n) << 32n) / 1_000_000_000n;
  return BigInt.asUintN(64, ((whole + NTP_EPOCH_OFFSET) << 32n) | fraction);
}

/** How far `a` is ahead of `b`, in units of 2^-32 s, across an era boundary. */
export const timestampDifference = (a: bigint, b: bigint): bigint => BigInt.asIntN(64, a - b);

export const low32 = (identification: bigint): number => Number(identification & 0xffffffffn);
export const high32 = (identification: bigint): number => Number((identification >> 32n) & 0xffffffffn);
export const joined = (high: number, low: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

const unitsOf = (d: Duration): bigint => (BigInt(d) << 32n) / 1_000_000_000n;

/** What a home agent remembers about one mobile node. It must outlive a restart, or old requests could be replayed. */
export interface ReplayRecord {
  /** The highest timestamp accepted; 0 before the first. */
  accepted: bigint;
  /** The nonce that the next request must carry. */
  nonce: number;
}

export const newReplayRecord = (): ReplayRecord => ({ accepted: 0n, nonce: 0 });

/** The home agent's check: undefined when the identification is good, else the one that the denial (133) must carry. */
export function checkIdentification(
  style: ReplayProtection,
  identification: bigint,
  record: ReplayRecord,
  homeAgentTime: WallTime,
  tolerance: Duration,
): bigint | undefined {
  if (style === 'nonce')
    return high32(identification) === record.nonce && record.nonce !== 0
      ? undefined
      : joined(record.nonce, low32(identification));
  const now = ntpTimestamp(homeAgentTime);
  const ahead = timestampDifference(identification, now);
  const limit = unitsOf(tolerance);
  const fresh = record.accepted === 0n || timestampDifference(identification, record.accepted) > 0n;
  if (fresh && ahead <= limit && ahead >= -limit) return undefined;
  return joined(high32(now), low32(identification));
}

/** The mobile node's side: makes identifications and learns from replies. */
export class IdentificationSource {
  readonly style: ReplayProtection;
  readonly #random: () => number;
  /** Wall time minus monotonic time as this source believes it, in nanoseconds; fixed at the first use. */
  #base: bigint | undefined;
  #floor: bigint;
  #accepted: bigint;
  #nonce = 0;

  /**
   * @param random 32 random bits.
   * @param last the last accepted identification of an earlier run, from disk, or 0.
   */
  constructor(style: ReplayProtection, random: () => number, last = 0n) {
    this.style = style;
    this.#random = random;
    this.#floor = last;
    this.#accepted = last;
  }

  /** The last identification that the home agent accepted; to be kept on disk. What was denied must not become a floor. */
  get lastAccepted(): bigint {
    return this.style === 'nonce' ? 0n : this.#accepted;
  }

  /** @param wallTime what the node believes the time to be; asked once only. */
  next(now: Instant, wallTime: () => WallTime): bigint {
    if (this.style === 'nonce') {
      // Section 5.7.2: both halves should differ from the ones before.
      let low = this.#random();
      if (low === low32(this.#floor)) low = (low + 1) >>> 0;
      this.#floor = joined(this.#nonce, low);
      return this.#floor;
    }
    this.#base ??= wallTime() - BigInt(Math.round(now));
    // The last 8 bits are finer than a nanosecond clock shows: section 5.7.1 has them random.
    const time = ntpTimestamp((this.#base + BigInt(Math.round(now))) as WallTime);
    const stamped = (time & ~0xffn) | BigInt(this.#random() & 0xff);
    this.#floor =
      this.#floor === 0n || timestampDifference(stamped, this.#floor) > 0n
        ? stamped
        : BigInt.asUintN(64, this.#floor + 1n);
    return this.#floor;
  }

  /** An authenticated reply accepted this identification. */
  accepted(replied: bigint): void {
    if (this.style === 'nonce') this.#nonce = high32(replied);
    else this.#accepted = this.#floor;
  }

  /**
   * An authenticated denial carried this identification, and its low half matched: take over the home agent's time or nonce.
   * What was denied does not count as sent, else a clock that was ahead by an hour would stay unusable for an hour.
   */
  resynchronize(replied: bigint, now: Instant): void {
    if (this.style === 'nonce') {
      this.#nonce = high32(replied);
      return;
    }
    // Half a second is the middle of the second that the 32 bits name.
    const homeAgentSeconds = BigInt(high32(replied)) - NTP_EPOCH_OFFSET;
    const era = homeAgentSeconds < 0n ? 1n << 32n : 0n;
    this.#base = (homeAgentSeconds + era) * 1_000_000_000n + 500_000_000n - BigInt(Math.round(now));
    this.#floor = this.#accepted;
  }
}

/** Seconds of the 32-bit clock of RFC 3543's timestamps, from a wall time. */
export const revocationTimestamp = (time: WallTime): number => high32(ntpTimestamp(time));

/** How far 32-bit timestamp `a` is ahead of `b`, seconds, wrapping. */
export const revocationTimestampDifference = (a: number, b: number): number => (a - b) | 0;
