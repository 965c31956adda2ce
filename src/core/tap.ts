/**
 * The tap of a link: what the data plane tells whoever watches it (the recorder, an accounting check, a test).
 *
 * Four taps a direction, in the order that a packet meets them: IP in, frame sent, frame received after the noise, IP out;
 * and a fifth call for every packet that ends on the way. Direction 0 and 1 of link `link` are the data plane's own indices.
 * The calls are synchronous and on the hot path: the octets belong to the caller and change after the call returns, so a
 * tap copies what it wants to keep, never throws and never calls back into the data plane.
 */
import type { PacketBuffer } from './packet.ts';
import type { Instant } from './time.ts';

export type LinkDirection = 0 | 1;

/** What the deframer said of one stretch between flags; `los` when the contact ended before or while it arrived. */
export type FrameOutcome = 'good' | 'fcs' | 'abort' | 'runt' | 'giant' | 'unaligned' | 'los';

export const FRAME_OUTCOMES: readonly FrameOutcome[] = ['good', 'fcs', 'abort', 'runt', 'giant', 'unaligned', 'los'];

export interface LinkTap {
  /**
   * Whether nothing is kept now of what passes this direction undamaged, so that `frameSent`, and `frameReceived` with outcome
   * `good`, need not be called: describing a fast link's frames to nobody would halve its speed. Absent: never.
   */
  silent?(link: number, direction: LinkDirection): boolean;

  /** A packet was handed to the link's transmitter queue. */
  packetIn(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void;

  /**
   * A frame's transmission was scheduled. `octets[start, end)` is header … FCS, before bit stuffing; `firstBit` and `endBit` are
   * its position in the direction's bit stream (stuffed bits, after the opening flag); `startsAt` and `endsAt` the instants at
   * which the first and the last of these bits leave the transmitter.
   */
  frameSent(
    link: number,
    direction: LinkDirection,
    octets: Uint8Array,
    start: number,
    end: number,
    packetId: number,
    firstBit: number,
    endBit: number,
    startsAt: Instant,
    endsAt: Instant,
  ): void;

  /**
   * The receiver finished with a stretch between two flags. `octets[start, end)` is what was left after destuffing, FCS
   * included when there was one. `packetId` is 0 when no one sent frame can be named (noise cut one in two, or made two one).
   * `flippedBits` are the positions of bit errors counted in stuffed bits from the first bit after the opening flag.
   */
  frameReceived(
    link: number,
    direction: LinkDirection,
    octets: Uint8Array,
    start: number,
    end: number,
    packetId: number,
    outcome: FrameOutcome,
    flippedBits: readonly number[],
    at: Instant,
  ): void;

  /** A packet came out of the link, to the router at its far end. */
  packetOut(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void;

  /** A packet ends here; `reason` names the drop counter. Link −1: a router dropped it before it had chosen a link. */
  packetDropped(link: number, direction: LinkDirection, packet: PacketBuffer, reason: string, now: Instant): void;
}
