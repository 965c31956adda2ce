/**
 * A train of TCP segments on its way out of a line. Each segment is a frame with a fate of its own; those that stay neighbours leave
 * together, as a shorter train, and a damaged one leaves alone.
 */
import type { PacketBuffer, PacketPool, SegmentTrain } from '../core/index.ts';
import { copySegments, SegmentView, segmentCount } from '../ip/segment-train.ts';

export class TrainDeparture {
  readonly packet: PacketBuffer;
  /** Parts that have left, or had to be given up, under their own name. */
  parts = 0;
  /** One past the closing flag of the last intact segment. */
  endBit = 0;
  readonly #train: SegmentTrain;
  readonly #count: number;
  readonly #headerOctets: number;
  readonly #view = new SegmentView();
  #next = 0;
  /** Segments [from, to) were carried intact and wait for those behind them. */
  #intactFrom = 0;
  #intactTo = 0;

  /** @param headerOctets of the frame that each segment becomes */
  constructor(packet: PacketBuffer, train: SegmentTrain, headerOctets: number) {
    this.packet = packet;
    this.#train = train;
    this.#headerOctets = headerOctets;
    this.#count = segmentCount(packet, train);
  }

  get isOver(): boolean {
    return this.#next === this.#count;
  }

  /** Shows the next segment as a datagram of its own within the train's octets to `use`, for as long as that takes. */
  next(use: (start: number, end: number, segment: number) => void): void {
    const segment = this.#next++;
    this.#view.expose(this.packet, this.#train, segment, this.#headerOctets);
    use(this.#view.start, this.#view.end, segment);
    this.#view.restore();
  }

  carried(segment: number, endBit: number): void {
    this.#intactTo = segment + 1;
    this.endBit = endBit;
  }

  get hasIntact(): boolean {
    return this.#intactTo > this.#intactFrom;
  }

  /** The segments since the last damaged one as a packet, or undefined when the pool is empty. Only if there are any. */
  takeIntact(pool: PacketPool): PacketBuffer | undefined {
    const [from, to] = [this.#intactFrom, this.#intactTo];
    this.#intactFrom = to;
    if (to - from === 1) return this.#copy(from, pool);
    const part = pool.acquire();
    this.parts++;
    if (part === undefined) return undefined;
    copySegments(this.packet, this.#train, from, to, part);
    return this.#inherit(part);
  }

  /** A segment as a packet of its own, or undefined when the pool is empty. What is intact before it was taken already. */
  separate(segment: number, pool: PacketPool): PacketBuffer | undefined {
    this.#intactFrom = segment + 1;
    this.#intactTo = segment + 1;
    return this.#copy(segment, pool);
  }

  #copy(segment: number, pool: PacketPool): PacketBuffer | undefined {
    this.parts++;
    this.#view.expose(this.packet, this.#train, segment, this.#headerOctets);
    const alone = pool.copyOf(this.packet.arena.subarray(this.#view.start, this.#view.end));
    this.#view.restore();
    return alone === undefined ? undefined : this.#inherit(alone);
  }

  /** What leaves a train is still that packet to whoever follows it. */
  #inherit(part: PacketBuffer): PacketBuffer {
    const { id, enteredAt, queuedAt, trafficClass } = this.packet;
    return Object.assign(part, { id, enteredAt, queuedAt, trafficClass });
  }
}
