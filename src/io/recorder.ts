/**
 * The recorder: a link tap that keeps the last megabytes of every link in a ring, always on, and hands them out as pcapng to
 * any number of captures, from the ring's oldest record or from now. docs/trace-format.md is its interface.
 *
 * Each direction of a link has five capture interfaces: IP in, frame sent, frame received, IP out, and the packets dropped.
 * Frames are recorded from header to FCS inclusive, as RFC 1662 orders their octets, without stuffing and flags.
 */
import {
  FRAME_OUTCOMES,
  type FrameOutcome,
  type Instant,
  type LinkDirection,
  type LinkTap,
  type PacketBuffer,
  type WallTime,
} from '../core/index.ts';
import { Capture } from './capture.ts';
import { PacketRing } from './packet-ring.ts';
import { type CaptureSelection, type RecordedLink, TAP } from './recorded-link.ts';

export interface RecorderOptions {
  readonly links: readonly RecordedLink[];
  /** The wall time of instant 0, for the timestamps; may be set later, when the data plane has started. */
  readonly epoch?: WallTime;
  readonly ringOctets?: number;
  /**
   * Octets kept of each packet while no capture runs. Default: all; `FAST_SNAP_OCTETS` from 10 Mbit/s on; from 100 Mbit/s on
   * only what was damaged or dropped is kept, as far.
   */
  readonly snapOctets?: number;
  /** Names the program in the capture's header. */
  readonly application?: string;
}

export const DEFAULT_RING_OCTETS = 16 << 20;
/** On a fast line whole packets cost a tenth of a core and fill the ring in a blink; headers tell most of the story. */
export const FAST_SNAP_OCTETS = 128;
const FAST_BIT_PER_SECOND = 10e6;
/** Above this the ring would hold a fraction of a second. */
const SILENT_BIT_PER_SECOND = 100e6;
const WHOLE_PACKETS = 0x20000;
const MOST_REASONS = 1 << 12;

export class Recorder implements LinkTap {
  readonly links: readonly RecordedLink[];
  epoch: WallTime;
  readonly application: string;
  readonly ring: PacketRing;
  /** By link and direction, what the ring keeps of a packet; the last entry is the routers'. */
  readonly #idleSnap: number[];
  #snap: readonly number[];
  #running = 0;
  readonly #reasons: string[] = ['other'];
  readonly #reasonIndex = new Map<string, number>();

  constructor(options: RecorderOptions) {
    this.links = options.links;
    this.epoch = options.epoch ?? (0n as WallTime);
    this.application = options.application ?? 'omni';
    this.ring = new PacketRing(options.ringOctets ?? DEFAULT_RING_OCTETS);
    this.#idleSnap = options.links.flatMap((link) =>
      link.directions.map(({ bitPerSecond }) => options.snapOctets ?? idleSnap(bitPerSecond ?? 0)),
    );
    this.#idleSnap.push(WHOLE_PACKETS, WHOLE_PACKETS);
    this.#snap = this.#idleSnap;
  }

  silent(link: number, direction: LinkDirection): boolean {
    return this.#snap[link * 2 + direction] === 0;
  }

  packetIn(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#packet(link, direction, TAP.ipIn, 0, packet, now);
  }

  packetOut(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#packet(link, direction, TAP.ipOut, 0, packet, now);
  }

  packetDropped(link: number, direction: LinkDirection, packet: PacketBuffer, reason: string, now: Instant): void {
    this.#packet(link, direction, TAP.dropped, this.#reason(reason), packet, now);
  }

  #packet(link: number, direction: number, tap: number, reason: number, packet: PacketBuffer, now: Instant): void {
    const { arena, start, end, id, trafficClass } = packet;
    // A router that drops before it has chosen a link says −1; that is the interface behind the last link's.
    const where = link < 0 ? this.links.length : link;
    const snap = this.#snap[where * 2 + direction]!;
    if (snap === 0 && tap !== TAP.dropped) return;
    this.ring.append(
      where,
      direction,
      tap,
      0,
      reason,
      now,
      id,
      trafficClass,
      0,
      0,
      arena,
      start,
      end,
      snap === 0 ? FAST_SNAP_OCTETS : snap,
    );
  }

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
  ): void {
    const snap = this.#snap[link * 2 + direction]!;
    if (snap === 0) return;
    this.ring.append(
      link,
      direction,
      TAP.frameSent,
      0,
      0,
      startsAt,
      packetId,
      firstBit,
      endBit,
      endsAt,
      octets,
      start,
      end,
      snap,
    );
  }

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
  ): void {
    const code = outcome === 'good' ? 0 : FRAME_OUTCOMES.indexOf(outcome);
    const flips = flippedBits.length;
    const snap = this.#snap[link * 2 + direction]!;
    if (snap === 0 && outcome === 'good') return;
    this.ring.append(
      link,
      direction,
      TAP.frameReceived,
      code,
      0,
      at,
      packetId,
      flips,
      0,
      0,
      octets,
      start,
      end,
      snap === 0 ? FAST_SNAP_OCTETS : snap,
      flippedBits,
    );
  }

  /**
   * Whole packets are kept while any capture is open: close it.
   * @param from `ring`: begin with the oldest packet still in the ring; `now`: with the next.
   */
  capture(selection: CaptureSelection = {}, from: 'ring' | 'now' = 'now'): Capture {
    this.#running++;
    this.#snap = this.#idleSnap.map(() => WHOLE_PACKETS);
    return new Capture(this, selection, from === 'ring' ? this.ring.tail : this.ring.head);
  }

  /** For `Capture.close`. */
  captureEnded(): void {
    if (--this.#running === 0) this.#snap = this.#idleSnap;
  }

  reasonName(index: number): string {
    return this.#reasons[index] ?? 'other';
  }

  #reason(name: string): number {
    let index = this.#reasonIndex.get(name);
    if (index === undefined) {
      if (this.#reasons.length >= MOST_REASONS) return 0;
      index = this.#reasons.push(name) - 1;
      this.#reasonIndex.set(name, index);
    }
    return index;
  }
}

function idleSnap(bitPerSecond: number): number {
  if (bitPerSecond >= SILENT_BIT_PER_SECOND) return 0;
  return bitPerSecond >= FAST_BIT_PER_SECOND ? FAST_SNAP_OCTETS : WHOLE_PACKETS;
}
