/**
 * A capture: reads the recorder's ring at its own pace and writes what it selects as pcapng, with what happened to each packet in
 * its options and comment.
 */
import { FRAME_OUTCOMES, type FrameOutcome, type Instant, toSeconds, type WallTime } from '../core/index.ts';
import type { RingRecord } from './packet-ring.ts';
import { type CapturedPacket, type CaptureInterface, LINK_TYPE, PACKET_FLAG, PcapngEncoder } from './pcapng.ts';
import { type CaptureSelection, interfaceName, type RecordedDirection, TAP, TAPS, type Tap } from './recorded-link.ts';
import type { Recorder } from './recorder.ts';

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
  readonly #snap: number;
  #position: number;
  #expected: number;
  #missed = 0;
  #missedBefore = 0;
  #begun = false;
  #closed = false;
  #lastAt: Instant = 0 as Instant;
  readonly #descriptions: CaptureInterface[] = [];

  constructor(recorder: Recorder, selection: CaptureSelection, position: number) {
    this.#recorder = recorder;
    this.#position = position;
    this.#snap = selection.snapOctets ?? Number.POSITIVE_INFINITY;
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
    const encoder = this.#encoder;
    if (!this.#begun) {
      this.#begun = true;
      encoder.sectionHeader(this.#recorder.application);
      for (const description of this.#descriptions) encoder.interfaceDescription(description);
    }
    while (encoder.length < octets) {
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
      encoder.packet(this.#packet(record, id), this.#missed);
      this.#missedBefore += this.#missed;
      this.#missed = 0;
    }
    return encoder.length === 0 ? undefined : encoder.take();
  }

  /** The recorder need not keep whole packets for it any more. */
  close(): void {
    if (!this.#closed) this.#recorder.captureEnded();
    this.#closed = true;
  }

  /** The interface statistics that end the capture. */
  finish(): Uint8Array {
    const at = this.#wallTime(this.#lastAt);
    for (const [id, packets] of this.#received.entries())
      this.#encoder.interfaceStatistics(id, at, packets, id === 0 ? this.missed : 0);
    return this.#encoder.take();
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
            ...(direction.bitPerSecond === undefined || !Number.isFinite(direction.bitPerSecond)
              ? {}
              : { bitPerSecond: direction.bitPerSecond }),
          });
        }
      }
    }
    const { links, directions, taps, at } = selection;
    if (links !== undefined || directions !== undefined || at !== undefined) return;
    if (taps === undefined || taps.includes('dropped'))
      this.#add(this.#recorder.links.length * 2 * TAPS.length + TAP.dropped, {
        name: interfaceName('router', 'any', 'dropped'),
        description: 'IP packets that a router dropped before it had chosen a link',
        linkType: LINK_TYPE.raw,
      });
  }

  #add(slot: number, description: CaptureInterface): void {
    this.#interfaces[slot] = this.#received.length;
    this.#received.push(0);
    this.#descriptions.push(description);
  }

  #packet(record: RingRecord, interfaceId: number): CapturedPacket {
    return {
      interfaceId,
      at: this.#wallTime(record.at as Instant),
      octets: record.octets.length > this.#snap ? record.octets.subarray(0, this.#snap) : record.octets,
      originalOctets: record.originalOctets,
      comment: this.#comment(record),
      flags: tapFlags(record),
      packetId: BigInt(record.packetId),
    };
  }

  #comment(record: RingRecord): string {
    const name = record.packetId === 0 ? 'packet=unknown' : `packet=${record.packetId}`;
    if (record.tap === TAP.ipIn) return `${name} class=${this.#className(record)}`;
    if (record.tap === TAP.frameSent) {
      const duration = toSeconds((record.c - record.at) as Instant);
      return `${name} first-bit=${record.a} bits=${record.b - record.a} lasts=${duration.toFixed(9)}`;
    }
    if (record.tap === TAP.frameReceived) {
      const more = record.a > record.flippedBits.length ? ',…' : '';
      const flipped = record.a === 0 ? '' : ` flips=${record.a} flipped=${record.flippedBits.join(',')}${more}`;
      return `${name} outcome=${FRAME_OUTCOMES[record.outcome]}${flipped}`;
    }
    if (record.tap === TAP.dropped) return `${name} drop=${this.#recorder.reasonName(record.reason)}`;
    return name;
  }

  #className({ link, direction, a }: RingRecord): string {
    return this.#recorder.links[link]?.directions[direction]?.classes?.[a] ?? String(a);
  }

  #wallTime(at: Instant): WallTime {
    return (this.#recorder.epoch + BigInt(Math.round(at))) as WallTime;
  }
}

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
  if (record.tap === TAP.ipIn || record.tap === TAP.frameSent) return PACKET_FLAG.outbound;
  if (record.tap === TAP.dropped) return 0;
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
