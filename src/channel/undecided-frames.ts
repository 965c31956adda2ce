/**
 * Frames that noise touched, or that stand behind a damaged flag: what comes of them is known only when the receiver has seen the bits
 * behind them. They are settled in the order of the line, by what the deframer makes of the bits (RFC 1662 section 4.3).
 */
import type { Counters, FrameDamage, PacketBuffer, PacketPool } from '../core/index.ts';
import type { DeframedFrame } from '../hdlc/index.ts';
import type { Receiver } from './receiver.ts';

export interface Frame {
  /** Of a segment of a train: the train. */
  readonly packet: PacketBuffer;
  readonly frameStart: number;
  readonly frameEnd: number;
  readonly firstBit: number;
  readonly stuffedBits: number;
  /** One past the closing flag. */
  readonly endBit: number;
  /** Which segment of `packet`, when that is a train; −1 for a packet that is one frame. */
  readonly segment: number;
}

interface Undecided extends Frame {
  damage: FrameDamage | undefined;
}

export interface UndecidedFramesOptions {
  readonly receiver: Receiver;
  readonly pool: PacketPool;
  readonly counters: Counters;
  /** Puts what the bits up to `endBit` carried on its way to the far end; `packet.damage` tells what became of it. */
  readonly launch: (packet: PacketBuffer, endBit: number) => void;
}

const NO_FLIPS: readonly number[] = [];
const NO_OCTETS = new Uint8Array(0);
const NOTHING_SEEN: FrameDamage = { outcome: 'abort', octets: NO_OCTETS, flippedBits: NO_FLIPS };
/** The contact ended first. */
export const CUT_OFF: FrameDamage = { outcome: 'los', octets: NO_OCTETS, flippedBits: NO_FLIPS };

export class UndecidedFrames {
  readonly #options: UndecidedFramesOptions;
  readonly #frames: Undecided[] = [];

  constructor(options: UndecidedFramesOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#frames.length;
  }

  add(frame: Frame): void {
    this.#frames.push({ ...frame, damage: undefined });
  }

  /** Takes the receiver's events and settles the frames whose fate they tell. */
  decide(): void {
    for (
      let event = this.#options.receiver.pollFrame();
      event !== undefined;
      event = this.#options.receiver.pollFrame()
    )
      this.#settle(event);
    if (!this.#options.receiver.pending && this.#frames.length > 0) {
      // The deframer stands behind an intact flag and said nothing of these: an abort inside them swallowed the rest.
      for (const frame of this.#frames.splice(0)) this.#lose(frame, frame.damage ?? NOTHING_SEEN, frame.endBit);
    }
  }

  #settle(event: DeframedFrame): void {
    const undecided = this.#frames;
    if (event.outcome === 'good') {
      const frame = undecided[0];
      // The end may differ and the octets not: noise can let an inserted zero at the end serve as the flag's first zero.
      if (
        frame !== undefined &&
        frame.firstBit === event.firstBit &&
        (frame.endBit === event.endBit || isAsSent(frame, event))
      ) {
        undecided.shift();
        this.#receive(frame, event);
        return;
      }
      this.#inventPacket(event);
    }
    const damage: FrameDamage = {
      outcome: event.outcome === 'good' ? 'fcs' : event.outcome,
      octets: event.octets,
      flippedBits: NO_FLIPS,
    };
    while (undecided.length > 0) {
      const frame = undecided[0]!;
      if (event.endBit <= frame.firstBit) return;
      if (event.firstBit >= frame.endBit) {
        // The event is of what came after: nothing, or an abort inside it, was all the deframer saw of this frame.
        undecided.shift();
        this.#lose(frame, frame.damage ?? NOTHING_SEEN, frame.endBit);
        continue;
      }
      if (frame.damage === undefined) frame.damage = { ...damage, flippedBits: this.#flipsWithin(frame) };
      if (event.endBit < frame.endBit) return;
      undecided.shift();
      this.#lose(frame, frame.damage, event.endBit);
    }
  }

  /** A frame that the deframer passed: as sent, or with errors that the FCS did not see. */
  #receive(frame: Undecided, event: DeframedFrame): void {
    const { packet } = frame;
    if (isAsSent(frame, event)) {
      this.#options.launch(packet, frame.endBit);
      return;
    }
    packet.damage = { outcome: 'altered', octets: event.octets, flippedBits: this.#flipsWithin(frame) };
    this.#options.launch(packet, event.endBit);
  }

  #lose(frame: Undecided, damage: FrameDamage, endBit: number): void {
    frame.packet.damage = damage;
    this.#options.launch(frame.packet, Math.max(endBit, frame.endBit));
  }

  /** Noise made a frame with a good FCS out of parts of others, or of fill. */
  #inventPacket(event: DeframedFrame): void {
    const packet = this.#options.pool.copyOf(event.octets);
    if (packet === undefined) {
      this.#options.counters.add('spuriousIgnored');
      return;
    }
    this.#options.counters.add('packetsSpurious');
    packet.damage = { outcome: 'spurious', octets: event.octets, flippedBits: NO_FLIPS };
    this.#options.launch(packet, event.endBit);
  }

  #flipsWithin(frame: Frame): readonly number[] {
    return this.#options.receiver.flipped
      .filter((bit) => bit >= frame.firstBit && bit < frame.endBit)
      .map((bit) => bit - frame.firstBit);
  }

  /** The carrier is lost at `bit`: nothing more will be seen of those that are left. */
  cutOff(bit: number): void {
    const { receiver } = this.#options;
    for (let event = receiver.pollFrame(); event !== undefined; event = receiver.pollFrame()) this.#settle(event);
    for (const frame of this.#frames.splice(0)) this.#lose(frame, CUT_OFF, Math.min(frame.endBit, bit));
  }
}

function isAsSent({ packet, frameStart, frameEnd }: Frame, { octets }: DeframedFrame): boolean {
  if (frameEnd - frameStart !== octets.length) return false;
  for (let i = 0; i < octets.length; i++) if (packet.arena[frameStart + i] !== octets[i]) return false;
  return true;
}
