/**
 * CoDel (RFC 8289 sections 4 and 5), with ECN: a packet of an ECN-capable transport is marked Congestion Experienced instead of
 * dropped (RFC 3168 section 5; RFC 8289 leaves the choice open).
 *
 * The published constants are a 5 ms target and a 100 ms interval. On a slow line one packet alone takes longer than 5 ms,
 * so whoever composes a link must raise the target to at least the time of one full frame (RFC 8289 section 4.4).
 */
import type { PacketBuffer } from '../core/packet.ts';
import { type Duration, type Instant, milliseconds, plus } from '../core/time.ts';
import { ECN, ipVersion, ipv4SetEcn, ipv4TrafficClass, ipv6SetEcn, ipv6TrafficClass } from '../ip/index.ts';

export interface CodelSettings {
  /** The waiting time that is acceptable as a standing one. */
  readonly target: Duration;
  /** About the longest round-trip time of the flows. */
  readonly interval: Duration;
  /** Never drop when no more than this waits: one largest packet. */
  readonly maxPacketOctets: number;
  /** Mark ECN-capable packets instead of dropping them. */
  readonly ecn: boolean;
}

export const CODEL_TARGET = milliseconds(5);
export const CODEL_INTERVAL = milliseconds(100);

export class Codel {
  readonly #settings: CodelSettings;
  /** When the wait will have been above the target for an interval; undefined while it is below. */
  #firstAbove: Instant | undefined;
  #dropNext: Instant = 0 as Instant;
  #dropping = false;
  #count = 0;
  #lastCount = 0;

  constructor(settings: CodelSettings) {
    this.#settings = settings;
  }

  /** The queue ran empty. */
  empty(): void {
    this.#firstAbove = undefined;
    this.#dropping = false;
  }

  /** Judges a packet that leaves the queue after `wait`, with `backlogOctets` behind it. May mark it. */
  judge(packet: PacketBuffer, wait: Duration, backlogOctets: number, now: Instant): 'pass' | 'drop' | 'mark' {
    const above = this.#standsAboveTarget(wait, backlogOctets, now);
    if (this.#dropping) {
      if (!above) {
        this.#dropping = false;
        return 'pass';
      }
      if (now < this.#dropNext) return 'pass';
      this.#count++;
      this.#dropNext = this.#controlLaw(this.#dropNext);
      return this.#signal(packet);
    }
    if (!above) return 'pass';
    this.#dropping = true;
    // Section 5.6: after a recent dropping state, go on near the rate that controlled the queue then.
    const delta = this.#count - this.#lastCount;
    const recent = now - this.#dropNext < 16 * this.#settings.interval;
    this.#count = delta > 1 && recent ? delta : 1;
    this.#dropNext = this.#controlLaw(now);
    this.#lastCount = this.#count;
    return this.#signal(packet);
  }

  #standsAboveTarget(wait: Duration, backlogOctets: number, now: Instant): boolean {
    if (wait < this.#settings.target || backlogOctets <= this.#settings.maxPacketOctets) {
      this.#firstAbove = undefined;
      return false;
    }
    if (this.#firstAbove === undefined) {
      this.#firstAbove = plus(now, this.#settings.interval);
      return false;
    }
    return now >= this.#firstAbove;
  }

  /** Drops come at intervals that shrink with the square root of their number (section 3.3). */
  #controlLaw(from: Instant): Instant {
    return plus(from, Math.round(this.#settings.interval / Math.sqrt(this.#count)) as Duration);
  }

  #signal(packet: PacketBuffer): 'drop' | 'mark' {
    return this.#settings.ecn && markCongestion(packet) ? 'mark' : 'drop';
  }
}

/** Sets Congestion Experienced on an ECN-capable packet; false when it is not one. */
export function markCongestion(packet: PacketBuffer): boolean {
  const { arena, start } = packet;
  const ipv4 = ipVersion(arena, start) === 4;
  const trafficClass = ipv4 ? ipv4TrafficClass(arena, start) : ipv6TrafficClass(arena, start);
  if ((trafficClass & 3) === ECN.notEct) return false;
  if (ipv4) ipv4SetEcn(arena, start, ECN.ce);
  else ipv6SetEcn(arena, start, ECN.ce);
  return true;
}
