/**
 * What a line tells its tap: frames sent, frames received or lost, with their octets from header to FCS. A packet that is on its
 * way has room for both around it; of a packet that arrived intact they are still there, of a segment of a train they are made again.
 */
import type { FrameDamage, LinkDirection, LinkTap, PacketBuffer } from '../core/index.ts';
import { type Encapsulation, fcsOctets } from '../hdlc/index.ts';
import { SegmentView, segmentCount } from '../ip/segment-train.ts';
import type { BitClock } from './bit-clock.ts';

const NO_FLIPS: readonly number[] = [];

export interface LineTapOptions {
  readonly tap?: LinkTap | undefined;
  readonly link: number;
  readonly direction: LinkDirection;
  readonly encapsulation: Encapsulation;
  readonly fcs: 16 | 32;
}

type Outcome = Exclude<FrameDamage['outcome'], 'altered' | 'spurious'> | 'good';

export class LineTap {
  readonly #options: LineTapOptions;
  /** Writes header and FCS around the datagram at [start, end). */
  readonly #encapsulate: (octets: Uint8Array, start: number, end: number) => number;
  readonly #view = new SegmentView();

  constructor(options: LineTapOptions, encapsulate: (octets: Uint8Array, start: number, end: number) => number) {
    this.#options = options;
    this.#encapsulate = encapsulate;
  }

  /** Nobody wants to hear of frames that noise left alone. */
  get isSilent(): boolean {
    const { tap, link, direction } = this.#options;
    return tap === undefined || tap.silent?.(link, direction) === true;
  }

  /** @param stuffedBits from the first bit of the header to the last of the FCS */
  sent(packet: PacketBuffer, start: number, end: number, firstBit: number, stuffedBits: number, clock: BitClock): void {
    if (this.isSilent) return;
    const { tap, link, direction } = this.#options;
    const endBit = firstBit + stuffedBits;
    const from = clock.timeOf(firstBit);
    const to = clock.timeOf(endBit);
    tap!.frameSent(link, direction, packet.arena, start, end, packet.id, firstBit, endBit, from, to);
  }

  /** A packet, or every segment of a train, that arrived as it was sent. */
  intact(packet: PacketBuffer): void {
    if (this.isSilent) return;
    const { train } = packet;
    if (train === undefined) {
      this.received(packet, 'good', NO_FLIPS, undefined);
      return;
    }
    const { headerOctets } = this.#options.encapsulation;
    for (let segment = 0; segment < segmentCount(packet, train); segment++) {
      this.#view.expose(packet, train, segment, headerOctets);
      this.#encapsulate(packet.arena, this.#view.start, this.#view.end);
      this.#frameReceived(packet, this.#view.start, this.#view.end, 'good', NO_FLIPS);
      this.#view.restore();
    }
  }

  /** @param seen the octets that the receiver made of it, header to FCS; undefined: those that were sent */
  received(packet: PacketBuffer, outcome: Outcome, flips: readonly number[], seen: Uint8Array | undefined): void {
    const { tap, link, direction } = this.#options;
    if (tap === undefined) return;
    if (seen === undefined) {
      this.#frameReceived(packet, packet.start, packet.end, outcome, flips);
      return;
    }
    const id = packet.damage?.outcome === 'spurious' ? 0 : packet.id;
    tap.frameReceived(link, direction, seen, 0, seen.length, id, outcome, flips, packet.arrivesAt);
  }

  dropped(packet: PacketBuffer, reason: string): void {
    const { tap, link, direction } = this.#options;
    tap?.packetDropped(link, direction, packet, reason, packet.arrivesAt);
  }

  #frameReceived(packet: PacketBuffer, start: number, end: number, outcome: Outcome, flips: readonly number[]): void {
    const { tap, link, direction, encapsulation, fcs } = this.#options;
    const from = start - encapsulation.headerOctets;
    const to = end + fcsOctets(fcs);
    tap!.frameReceived(link, direction, packet.arena, from, to, packet.id, outcome, flips, packet.arrivesAt);
  }
}
