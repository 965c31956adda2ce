/** How much fits into a contact: the bits that the line's clock gives, less what framing takes. */
import type { Instant } from '../core/index.ts';
import type { Stepped } from './timeline.ts';

export interface Framing {
  /** The IP packets that carry the data: all of this size. */
  readonly packetOctets: number;
  /** Header and FCS of a frame. */
  readonly overheadOctets: number;
  readonly flagsBetweenFrames: number;
}

/** Random contents need one stuffed bit in 62: a run of five ones ends at each bit with probability 1/62. */
const STUFFED_SHARE = 1 / 62;
const FLAG_BITS = 8;

/**
 * IP octets, in whole packets of random contents, that a direction carries between two instants at which it has a carrier. Of a
 * line that loses what is on its way at loss of signal, `to` is loss of signal less the delay.
 */
export function octetsThatFit(rate: Stepped<number>, from: Instant, to: Instant, framing: Framing): number {
  const frame = 8 * (framing.packetOctets + framing.overheadOctets) * (1 + STUFFED_SHARE);
  const between = FLAG_BITS * framing.flagsBetweenFrames;
  // One flag more than frames, to open the first.
  const packets = Math.floor((bitsBetween(rate, from, to) - FLAG_BITS) / (frame + between));
  return Math.max(0, packets) * framing.packetOctets;
}

/** What the bit clock counts from one instant to another, over every change of the rate. */
export function bitsBetween(rate: Stepped<number>, from: Instant, to: Instant): number {
  let bits = 0;
  for (let time = from; time < to; ) {
    const next = Math.min(to, rate.nextChange(time)) as Instant;
    bits += ((next - time) / 1e9) * rate.at(time);
    time = next;
  }
  return bits;
}
