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
  toSeconds,
  type WallTime,
} from '../core/index.ts';
import { PacketRing, type RingRecord } from './packet-ring.ts';
import { type CapturedPacket, type CaptureInterface, LINK_TYPE, PACKET_FLAG, PcapngEncoder } from './pcapng.ts';

export const TAPS = ['ip-in', 'frame-sent', 'frame-received', 'ip-out', 'dropped'] as const;
export type Tap = (typeof TAPS)[number];
const IP_IN = 0;
const FRAME_SENT = 1;
const FRAME_RECEIVED = 2;
const IP_OUT = 3;
const DROPPED = 4;

export interface RecordedDirection {
  /** `up`, `down` or another name, unique in the link. */
  readonly name: string;
  /** The nodes at its two ends. */
  readonly from: string;
  readonly to: string;
  readonly bitPerSecond?: number;
  readonly framing: 'frame-relay' | 'cisco-hdlc' | 'ppp';
  /** 2 for FCS-16 (the default), 4 for FCS-32. */
  readonly fcsOctets?: 2 | 4;
  /** Names of the traffic classes by number. */
  readonly classes?: readonly string[];
}

export interface RecordedLink {
  readonly name: string;
  /** In the data plane's order: index 0 and 1 are its direction 0 and 1. */
  readonly directions: readonly [RecordedDirection, RecordedDirection];
}

export interface RecorderOptions {
  readonly links: readonly RecordedLink[];
  /** The wall time of instant 0, for the timestamps; may be set later, when the data plane has started. */
  readonly epoch?: WallTime;
  readonly ringOctets?: number;
  /** Octets kept of each packet; the default keeps all. */
  readonly snapOctets?: number;
  /** Names the program in the capture's header. */
  readonly application?: string;
}

/** What a capture takes; a field left out takes all. */
export interface CaptureSelection {
  readonly links?: readonly string[];
  readonly directions?: readonly string[];
  readonly taps?: readonly Tap[];
  /** Packets as the kernel of this node sees them: IP in of what it sends, IP out of what it receives. */
  readonly at?: string;
}

export const DEFAULT_RING_OCTETS = 16 << 20;
const MOST_REASONS = 1 << 12;

export class Recorder implements LinkTap {
  readonly links: readonly RecordedLink[];
  epoch: WallTime;
  readonly application: string;
  readonly ring: PacketRing;
  readonly #snapOctets: number;
  readonly #reasons: string[] = ['other'];
  readonly #reasonIndex = new Map<string, number>();

  constructor(options: RecorderOptions) {
    this.links = options.links;
    this.epoch = options.epoch ?? (0n as WallTime);
    this.application = options.application ?? 'omni';
    this.ring = new PacketRing(options.ringOctets ?? DEFAULT_RING_OCTETS);
    this.#snapOctets = options.snapOctets ?? 0x10000;
  }

  packetIn(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#packet(link, direction, IP_IN, 0, packet, now);
  }

  packetOut(link: number, direction: LinkDirection, packet: PacketBuffer, now: Instant): void {
    this.#packet(link, direction, IP_OUT, 0, packet, now);
  }

  packetDropped(link: number, direction: LinkDirection, packet: PacketBuffer, reason: string, now: Instant): void {
    this.#packet(link, direction, DROPPED, this.#reason(reason), packet, now);
  }

  #packet(link: number, direction: number, tap: number, reason: number, packet: PacketBuffer, now: Instant): void {
    const { arena, start, end, id, trafficClass } = packet;
    // A router that drops before it has chosen a link says −1; that is the interface behind the last link's.
    const where = link < 0 ? this.links.length : link;
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
      this.#snapOctets,
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
    const snap = this.#snapOctets;
    this.ring.append(
      link,
      direction,
      FRAME_SENT,
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
    const snap = this.#snapOctets;
    this.ring.append(
      link,
      direction,
      FRAME_RECEIVED,
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
      snap,
      flippedBits,
    );
  }

  /** @param from `ring`: begin with the oldest packet still in the ring; `now`: with the next. */
  capture(selection: CaptureSelection = {}, from: 'ring' | 'now' = 'now'): Capture {
    return new Capture(this, selection, from === 'ring' ? this.ring.tail : this.ring.head);
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

/**
 * One reader of the recorder. `read()` gives the next piece of a pcapng stream or undefined when there is nothing new; read
 * when there is room to write. Packets overwritten before they were read are counted in the next packet's drop count.
 */
export class Capture {
  readonly #recorder: Recorder;
  readonly #encoder = new PcapngEncoder();
  /** Ring (link, direction, tap) → pcapng interface; −1 is not selected. */
  readonly #interfaces: Int32Array;
  readonly #received: number[] = [];
  #position: number;
  #expected: number;
  #missed = 0;
  #missedBefore = 0;
  #begun = false;
  #lastAt: Instant = 0 as Instant;
  readonly #descriptions: Uint8Array[] = [];

  constructor(recorder: Recorder, selection: CaptureSelection, position: number) {
    this.#recorder = recorder;
    this.#position = position;
    // The sequence number that the cursor's first record has when none is missed.
    this.#expected = recorder.ring.read(position)?.record.sequence ?? recorder.ring.appended;
    this.#interfaces = new Int32Array((recorder.links.length + 1) * 2 * TAPS.length).fill(-1);
    this.#describe(selection);
  }

  /** Packets that matched nothing are not counted: this is how many records of the ring went by unread. */
  get missed(): number {
    return this.#missedBefore + this.#missed;
  }
  get packets(): number {
    return this.#received.reduce((sum, n) => sum + n, 0);
  }

  /** Up to about `octets` octets of whole blocks. */
  read(octets = 1 << 16): Uint8Array | undefined {
    const blocks: Uint8Array[] = [];
    let size = 0;
    const put = (block: Uint8Array): void => {
      blocks.push(block);
      size += block.length;
    };
    if (!this.#begun) {
      this.#begun = true;
      put(this.#encoder.sectionHeader(this.#recorder.application));
      for (const description of this.#descriptions) put(description);
    }
    while (size < octets) {
      const found = this.#recorder.ring.read(this.#position);
      if (found === undefined) break;
      this.#position = found.next;
      const { record } = found;
      this.#missed += record.sequence - this.#expected;
      this.#expected = record.sequence + 1;
      const id = this.#interfaces[(record.link * 2 + record.direction) * TAPS.length + record.tap] ?? -1;
      if (id < 0) continue;
      this.#received[id]! += 1;
      this.#lastAt = record.at as Instant;
      put(this.#encoder.packet(this.#packet(record, id), this.#missed));
      this.#missedBefore += this.#missed;
      this.#missed = 0;
    }
    return blocks.length === 0 ? undefined : Buffer.concat(blocks, size);
  }

  /** The interface statistics that end the capture. */
  finish(): Uint8Array {
    const at = this.#wallTime(this.#lastAt);
    return Buffer.concat(
      this.#received.map((packets, id) =>
        this.#encoder.interfaceStatistics(id, at, packets, id === 0 ? this.missed : 0),
      ),
    );
  }

  #describe(selection: CaptureSelection): void {
    for (const [linkIndex, link] of this.#recorder.links.entries()) {
      if (selection.links !== undefined && !selection.links.includes(link.name)) continue;
      for (const [index, direction] of link.directions.entries()) {
        if (selection.directions !== undefined && !selection.directions.includes(direction.name)) continue;
        for (const [tapIndex, tap] of TAPS.entries()) {
          if (selection.taps !== undefined && !selection.taps.includes(tap)) continue;
          if (
            selection.at !== undefined &&
            !(tap === 'ip-in' && direction.from === selection.at) &&
            !(tap === 'ip-out' && direction.to === selection.at)
          )
            continue;
          const isFrame = tap.startsWith('frame');
          this.#add((linkIndex * 2 + index) * TAPS.length + tapIndex, {
            name: interfaceName(link.name, direction.name, tap),
            description: describeTap(tap, direction),
            linkType: isFrame ? FRAME_LINK_TYPE[direction.framing] : LINK_TYPE.raw,
            ...(isFrame ? { fcsOctets: direction.fcsOctets ?? 2 } : {}),
            ...(direction.bitPerSecond === undefined ? {} : { bitPerSecond: direction.bitPerSecond }),
          });
        }
      }
    }
    const { links, directions, taps, at } = selection;
    if (links !== undefined || directions !== undefined || at !== undefined) return;
    if (taps === undefined || taps.includes('dropped'))
      this.#add(this.#recorder.links.length * 2 * TAPS.length + DROPPED, {
        name: interfaceName('router', 'any', 'dropped'),
        description: 'IP packets that a router dropped before it had chosen a link',
        linkType: LINK_TYPE.raw,
      });
  }

  #add(slot: number, description: CaptureInterface): void {
    this.#interfaces[slot] = this.#received.length;
    this.#received.push(0);
    this.#descriptions.push(this.#encoder.interfaceDescription(description));
  }

  #packet(record: RingRecord, interfaceId: number): CapturedPacket {
    return {
      interfaceId,
      at: this.#wallTime(record.at as Instant),
      octets: record.octets,
      originalOctets: record.originalOctets,
      comment: this.#comment(record),
      flags: tapFlags(record),
      packetId: BigInt(record.packetId),
    };
  }

  #comment(record: RingRecord): string {
    const name = record.packetId === 0 ? 'packet=unknown' : `packet=${record.packetId}`;
    if (record.tap === IP_IN) return `${name} class=${this.#className(record)}`;
    if (record.tap === FRAME_SENT) {
      const duration = toSeconds((record.c - record.at) as Instant);
      return `${name} first-bit=${record.a} bits=${record.b - record.a} lasts=${duration.toFixed(9)}`;
    }
    if (record.tap === FRAME_RECEIVED) {
      const more = record.a > record.flippedBits.length ? ',…' : '';
      const flipped = record.a === 0 ? '' : ` flips=${record.a} flipped=${record.flippedBits.join(',')}${more}`;
      return `${name} outcome=${FRAME_OUTCOMES[record.outcome]}${flipped}`;
    }
    if (record.tap === DROPPED) return `${name} drop=${this.#recorder.reasonName(record.reason)}`;
    return name;
  }

  #className({ link, direction, a }: RingRecord): string {
    return this.#recorder.links[link]?.directions[direction]?.classes?.[a] ?? String(a);
  }

  #wallTime(at: Instant): WallTime {
    return (this.#recorder.epoch + BigInt(Math.round(at))) as WallTime;
  }
}

export const interfaceName = (link: string, direction: string, tap: Tap): string => `${link}.${direction} ${tap}`;

const FRAME_LINK_TYPE = {
  'frame-relay': LINK_TYPE.frameRelay,
  'cisco-hdlc': LINK_TYPE.ciscoHdlc,
  ppp: LINK_TYPE.ppp,
} as const;

function describeTap(tap: Tap, { from, to }: RecordedDirection): string {
  const what: Record<Tap, string> = {
    'ip-in': `IP packets handed to the transmitter at ${from}`,
    'frame-sent': `frames that ${from} sent`,
    'frame-received': `frames that ${to} received, the damaged ones too`,
    'ip-out': `IP packets that ${to} took from the link`,
    dropped: `IP packets from ${from} to ${to} that were dropped`,
  };
  return what[tap];
}

function tapFlags(record: RingRecord): number {
  if (record.tap === IP_IN || record.tap === FRAME_SENT) return PACKET_FLAG.outbound;
  if (record.tap === DROPPED) return 0;
  const error: Record<FrameOutcome, number> = {
    good: 0,
    los: 0,
    fcs: PACKET_FLAG.crcError,
    giant: PACKET_FLAG.tooLong,
    runt: PACKET_FLAG.tooShort,
    unaligned: PACKET_FLAG.unaligned,
    abort: PACKET_FLAG.symbolError,
  };
  return PACKET_FLAG.inbound + error[FRAME_OUTCOMES[record.outcome] ?? 'good'];
}
