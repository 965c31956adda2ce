/**
 * Gaps and duplicates by APID, from the sequence counts (CCSDS 133.0-B-2 §4.1.3.4) and the packets' times.
 *
 * A count has 14 bits, so 16384 lost packets in a row look like none; the times tell: a packet's time decides whether it is new, fills
 * a gap (a replay of what loss of signal swallowed) or is a duplicate. A spacecraft's clock may be set back, though: a packet that comes
 * from before the last one, fills no gap, and goes on in its count is new all the same. Memory is bounded: recent packets for the duplicates, and the
 * longest-standing gaps give way to new ones, counted.
 */
import type { WallTime } from '../../core/index.ts';
import { SEQUENCE_MODULUS } from './space-packet.ts';

export interface Gap {
  readonly apid: number;
  /** First missing count and how many are still missing. */
  readonly first: number;
  readonly missing: number;
  /** The times of the packets on both sides. */
  readonly after: WallTime;
  readonly before: WallTime;
}

export type Arrival = 'first' | 'next' | 'gap' | 'fill' | 'duplicate' | 'late';

// Implementation constants
const REMEMBERED_PACKETS = 200_000;
const REMEMBERED_GAPS = 10_000;
/** Counts that many ahead are a gap; more are a packet from the past. */
const HALF = SEQUENCE_MODULUS / 2;
/** From before the last packet by its time, and no further ahead than this by its count: the clock was set back. */
const AHEAD_AFTER_SET_BACK = 1024;
/** A packet further than this from a gap is of another time; nanoseconds. */
const LONGEST_STEP = 3600_000_000_000n;

interface OpenGap {
  readonly apid: number;
  readonly first: number;
  readonly length: number;
  readonly after: WallTime;
  readonly before: WallTime;
  readonly missing: Set<number>;
}

export class GapTracker {
  readonly #last = new Map<number, { count: number; time: WallTime }>();
  readonly #seen = new Set<string>();
  #gaps: OpenGap[] = [];
  forgottenGaps = 0;

  add(apid: number, count: number, time: WallTime): Arrival {
    const key = `${apid}/${count}/${time}`;
    if (this.#seen.has(key)) return 'duplicate';
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED_PACKETS) this.#seen.delete(this.#seen.values().next().value!);
    const last = this.#last.get(apid);
    if (last === undefined) {
      this.#last.set(apid, { count, time });
      return 'first';
    }
    const ahead = (count - last.count - 1 + SEQUENCE_MODULUS) % SEQUENCE_MODULUS;
    // Of a clock that stands still only the count tells.
    if (time < last.time || (time === last.time && ahead >= HALF)) {
      if (this.#fill(apid, count, time)) return 'fill';
      if (ahead >= AHEAD_AFTER_SET_BACK) return 'late';
    }
    this.#last.set(apid, { count, time });
    if (ahead === 0) return 'next';
    this.#open(apid, (last.count + 1) % SEQUENCE_MODULUS, ahead, last.time, time);
    return 'gap';
  }

  /** Open gaps, oldest first. */
  gaps(): readonly Gap[] {
    return this.#gaps.map(({ apid, first, missing, after, before }) => ({
      apid,
      first,
      missing: missing.size,
      after,
      before,
    }));
  }

  get missingPackets(): number {
    return this.#gaps.reduce((sum, gap) => sum + gap.missing.size, 0);
  }

  #open(apid: number, first: number, length: number, after: WallTime, before: WallTime): void {
    const missing = new Set<number>();
    for (let i = 0; i < length; i++) missing.add((first + i) % SEQUENCE_MODULUS);
    this.#gaps.push({ apid, first, length, after, before, missing });
    if (this.#gaps.length > REMEMBERED_GAPS) {
      this.#gaps.shift();
      this.forgottenGaps++;
    }
  }

  #fill(apid: number, count: number, time: WallTime): boolean {
    let gap: OpenGap | undefined;
    // Counts wrap, so several gaps may miss this one; the clock may have been set meanwhile, so the times are no sharp bounds.
    let nearest = LONGEST_STEP;
    for (const each of this.#gaps) {
      if (each.apid !== apid || !each.missing.has(count)) continue;
      const away = distance(each, time);
      if (away > nearest) continue;
      gap = each;
      nearest = away;
    }
    if (gap === undefined) return false;
    gap.missing.delete(count);
    if (gap.missing.size === 0) this.#gaps = this.#gaps.filter((g) => g !== gap);
    return true;
  }
}

/** How far this time lies outside the gap, nanoseconds. */
function distance({ after, before }: OpenGap, time: WallTime): bigint {
  const [from, to] = after <= before ? [after, before] : [before, after];
  return time < from ? from - time : time > to ? time - to : 0n;
}
