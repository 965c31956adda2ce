/**
 * One direction of a space link: a synchronous serial line with rate, propagation delay, jitter, bit errors and contacts.
 *
 * Standards: RFC 1662 section 5 (bit-synchronous framing: flags fill the line between frames, a flag may be shared), through
 * src/hdlc. The transmitter is clocked: it takes the next packet from its source when the last frame's closing flag is out,
 * and a frame begins on the eight-bit grid of the fill. Times are computed from the bit clock, never from when the driver
 * happened to call, so a late call delays nothing but itself.
 *
 * Owner's view: `kick` when the source has something new; `handleTimeout` at `nextDeadline`; then drain `pollDelivered`.
 * A packet that is on the line belongs to the line; a delivered one to the caller; a lost one goes back to the pool.
 */
import {
  Counters,
  type Duration,
  type FrameDamage,
  type Instant,
  invariant,
  type LinkDirection,
  type LinkTap,
  NEVER,
  type PacketBuffer,
  type PacketPool,
  type PacketSource,
  Rng,
} from '../core/index.ts';
import { type Encapsulation, FLAG_BITS, fcsOctets, payloadOffset, type SealFrame, sealFrame } from '../hdlc/index.ts';
import { BitClock } from './bit-clock.ts';
import type { Carrier } from './contacts.ts';
import { ErrorSource } from './error-source.ts';
import type { LineCode } from './line-coding.ts';
import { LineTap } from './line-tap.ts';
import type { NoiseConfig } from './noise.ts';
import { EagerReceiver, LazyReceiver, type Receiver } from './receiver.ts';
import { type Stepped, Timeline, type Varying } from './timeline.ts';
import { TrainDeparture } from './train-departure.ts';
import { CUT_OFF, type Frame, UndecidedFrames } from './undecided-frames.ts';

export interface LineSettings {
  /** bit/s on the wire, every stuffed bit, flag and FCS included. */
  readonly rate: Stepped<number>;
  /** Propagation delay for a bit sent at that time, nanoseconds. */
  readonly delay: Varying<number>;
  /** Extra delay of a frame, uniform from 0 to this, nanoseconds; never reorders. */
  readonly jitter: Varying<number>;
  readonly noise: Stepped<NoiseConfig>;
}

export interface LineOptions {
  readonly name: string;
  /** The data plane's indices of the link and the direction, for the tap. */
  readonly link: number;
  readonly direction: LinkDirection;
  readonly seed: number | string;
  readonly settings: LineSettings;
  readonly carrier: Carrier;
  /** Whether bits under way at loss of signal still arrive. */
  readonly inFlightAtLos: 'arrive' | 'cut';
  readonly encapsulation: Encapsulation;
  readonly fcs: 16 | 32;
  readonly lineCoding: readonly LineCode[];
  /** Flags between frames sent back to back: 1 when the closing flag of one is the opening flag of the next. */
  readonly flagsBetweenFrames: number;
  readonly maximumFrameOctets: number;
  readonly pool: PacketPool;
  readonly source: PacketSource;
  readonly tap?: LinkTap | undefined;
  /** `sealFrame`, or a faster one for the pool's arena. */
  readonly seal?: SealFrame;
  /** Make every bit (slow); the reference for tests. */
  readonly eager?: boolean;
}

export type LineChange = Partial<{ rateBitPerSecond: number; delay: Duration; jitter: Duration; noise: NoiseConfig }>;

/** What the transmitter is sending: one object for all frames, so that a frame costs no allocation. */
class Transmission {
  packet: PacketBuffer | undefined = undefined;
  frameStart = 0;
  frameEnd = 0;
  firstBit = 0;
  stuffedBits = 0;
  endBit = 0;
  segment = -1;

  /** The same as a value that stays. Only while there is a packet. */
  frame(): Frame {
    const { packet, frameStart, frameEnd, firstBit, stuffedBits, endBit, segment } = this;
    invariant(packet !== undefined, 'no frame is being sent');
    return { packet, frameStart, frameEnd, firstBit, stuffedBits, endBit, segment };
  }
}

export class Line {
  readonly name: string;
  readonly counters = new Counters();
  readonly #options: LineOptions;
  readonly #clock: BitClock;
  readonly #errors: ErrorSource;
  readonly #receiver: Receiver;
  readonly #jitterRng: Rng;
  readonly #seal: SealFrame;
  #settings: LineSettings;
  #time = 0 as Instant;
  #nextSettingChange: Instant;
  #nextCarrierChange: Instant;
  #carrier: boolean;
  /** The receiver knows all bits below this one. */
  #toldTo = 0;
  /** Where the next frame may begin at the earliest; later starts are multiples of a flag away. */
  #grid: number;
  readonly #sending = new Transmission();
  #departure: TrainDeparture | undefined;
  readonly #tap: LineTap;
  readonly #undecided: UndecidedFrames;
  #inFlightHead: PacketBuffer | undefined;
  #inFlightTail: PacketBuffer | undefined;
  #inFlight = 0;
  #lastArrival = 0 as Instant;
  readonly #delivered: PacketBuffer[] = [];
  #deliveredNext = 0;
  // The hot path's counters; `snapshot` gives them names.
  #packetsIn = 0;
  #packetsOut = 0;
  #octetsIn = 0;
  #octetsOut = 0;
  #bitsSent = 0;
  #frameOctets = 0;
  #lost = 0;

  constructor(options: LineOptions) {
    this.name = options.name;
    this.#options = options;
    this.#settings = options.settings;
    this.#seal = options.seal ?? sealFrame;
    this.#tap = new LineTap(options, (octets, from, to) => this.#encapsulate(octets, from, to));
    const start = 0 as Instant;
    this.#clock = new BitClock(options.settings.rate.at(start));
    this.#errors = new ErrorSource(options.settings.noise.at(start), options.seed, options.name);
    this.#jitterRng = new Rng(options.seed, `${options.name}/jitter`);
    const Kind = options.eager === true ? EagerReceiver : LazyReceiver;
    this.#receiver = new Kind({
      errors: this.#errors,
      lineCoding: options.lineCoding,
      fcs: options.fcs,
      maximumFrameOctets: options.maximumFrameOctets,
    });
    this.#undecided = new UndecidedFrames({
      receiver: this.#receiver,
      pool: options.pool,
      counters: this.counters,
      launch: (packet, endBit) => this.#launch(packet, endBit),
    });
    this.#carrier = options.carrier.isUp(start);
    this.#nextCarrierChange = options.carrier.nextChange(start);
    this.#nextSettingChange = this.#settingChangeAfter(start);
    this.#grid = this.#firstGrid(0);
  }

  get isUp(): boolean {
    return this.#carrier;
  }

  get inFlight(): number {
    const leaving = this.#sending.packet !== undefined || this.#departure !== undefined ? 1 : 0;
    return this.#inFlight + this.#undecided.count + leaving;
  }

  get rateBitPerSecond(): number {
    return this.#clock.rateBitPerSecond;
  }

  /** The source may have something to send. */
  kick(now: Instant): void {
    if (this.#sending.packet === undefined && this.#carrier) this.handleTimeout(now);
  }

  handleTimeout(now: Instant): void {
    this.#advance(now);
    this.#arrive(now);
  }

  pollDelivered(): PacketBuffer | undefined {
    if (this.#deliveredNext === this.#delivered.length) {
      this.#delivered.length = 0;
      this.#deliveredNext = 0;
      return undefined;
    }
    return this.#delivered[this.#deliveredNext++];
  }

  nextDeadline(): Instant {
    let next: number = Math.min(this.#nextSettingChange, this.#nextCarrierChange);
    if (this.#sending.packet !== undefined) next = Math.min(next, this.#clock.timeOf(this.#sending.endBit));
    else if (this.#carrier) {
      next = Math.min(next, this.#options.source.nextReadyAt(this.#time));
      if (this.#undecided.count > 0) next = Math.min(next, this.#clock.timeOf(this.#toldTo + FLAG_BITS));
    }
    if (this.#inFlightHead !== undefined) next = Math.min(next, this.#inFlightHead.arrivesAt);
    return next as Instant;
  }

  /** A live change: from now on the setting is this constant; the others stay as they are. */
  set(change: LineChange, now: Instant): void {
    this.#advance(now);
    const settings = { ...this.#settings };
    if (change.rateBitPerSecond !== undefined) {
      settings.rate = Timeline.constant(change.rateBitPerSecond);
      this.#clock.setRate(change.rateBitPerSecond, now);
    }
    if (change.delay !== undefined) settings.delay = Timeline.constant<number>(change.delay);
    if (change.jitter !== undefined) settings.jitter = Timeline.constant<number>(change.jitter);
    if (change.noise !== undefined) {
      settings.noise = Timeline.constant(change.noise);
      this.#changeNoise(change.noise, now);
    }
    this.#settings = settings;
    this.#nextSettingChange = this.#settingChangeAfter(now);
  }

  /** Counters and state as of `now`; errors in the fill up to now are counted. */
  snapshot(now: Instant): Record<string, number> {
    this.#advance(now);
    this.#tellFill(this.#clock.bitAt(now));
    const deframer = this.#receiver.counters;
    return {
      packetsIn: this.#packetsIn,
      octetsIn: this.#octetsIn,
      packetsOut: this.#packetsOut,
      octetsOut: this.#octetsOut,
      packetsInFlight: this.inFlight,
      packetsLost: this.#lost,
      frameOctetsSent: this.#frameOctets,
      bitsSent: this.#bitsSent,
      bitErrors: this.#receiver.flippedBits,
      framesGood: deframer.goodFrames,
      framesFcsError: deframer.fcsErrors,
      framesAborted: deframer.aborts,
      framesRunt: deframer.runts,
      framesGiant: deframer.giants,
      framesUnaligned: deframer.unaligned,
      ...this.counters.snapshot(),
    };
  }

  /** The present values of the settings, for status. */
  current(now: Instant): { rateBitPerSecond: number; delay: number; jitter: number; noise: NoiseConfig; up: boolean } {
    return {
      rateBitPerSecond: this.#clock.rateBitPerSecond,
      delay: this.#settings.delay.at(now),
      jitter: this.#settings.jitter.at(now),
      noise: this.#errors.config,
      up: this.#carrier,
    };
  }

  /** Does what is due up to `now`, in the order in which it was due. */
  #advance(now: Instant): void {
    for (;;) {
      if (this.#sending.packet === undefined && this.#carrier && this.#nextCarrierChange > this.#time)
        this.#startFrame(now);
      let at: number = this.#nextSettingChange;
      let what: 'setting' | 'carrier' | 'sent' | 'flag' = 'setting';
      if (this.#nextCarrierChange < at) {
        at = this.#nextCarrierChange;
        what = 'carrier';
      }
      if (this.#sending.packet !== undefined) {
        const sent = this.#clock.timeOf(this.#sending.endBit);
        if (sent <= at) {
          at = sent;
          what = 'sent';
        }
      } else if (this.#carrier && this.#undecided.count > 0) {
        const flag = this.#clock.timeOf(this.#toldTo + FLAG_BITS);
        if (flag <= at) {
          at = flag;
          what = 'flag';
        }
      }
      if (at > now) break;
      if (what === 'setting') this.#changeSettings(at as Instant);
      else if (what === 'carrier') this.#changeCarrier(at as Instant);
      else if (what === 'sent') this.#finishFrame();
      else this.#tellFill(this.#toldTo + FLAG_BITS);
      if (at > this.#time) this.#time = at as Instant;
    }
    if (now > this.#time) this.#time = now;
  }

  /**
   * Takes the packet that was first in line when the transmitter became free, or else the first that came since; never one
   * that came after a change which is due before `now` and not done yet.
   */
  #startFrame(now: Instant): void {
    if (this.#departure !== undefined) {
      this.#startSegment(this.#departure, this.#grid);
      return;
    }
    const { source } = this.#options;
    const until = Math.min(now, this.#nextCarrierChange - 1, this.#nextSettingChange) as Instant;
    let packet = source.dequeue(this.#time);
    if (packet === undefined && until > this.#time) packet = source.dequeue(until);
    if (packet === undefined) return;
    this.#packetsIn++;
    this.#octetsIn += packetOctets(packet);
    const firstBit = this.#nextStart(packet.queuedAt);
    const { train } = packet;
    if (train === undefined) {
      this.#sendFrame(packet, packet.start, packet.end, firstBit, -1);
      return;
    }
    this.#departure = new TrainDeparture(packet, train, this.#options.encapsulation.headerOctets);
    this.#startSegment(this.#departure, firstBit);
  }

  #startSegment(departure: TrainDeparture, firstBit: number): void {
    departure.next((start, end, segment) => this.#sendFrame(departure.packet, start, end, firstBit, segment));
  }

  #sendFrame(packet: PacketBuffer, start: number, end: number, firstBit: number, segment: number): void {
    const octets = packet.arena;
    const stuffedBits = this.#encapsulate(octets, start, end);
    // Not beyond what may happen before the frame begins: the contact may end in the flag before it.
    const change = Math.min(this.#nextCarrierChange, this.#nextSettingChange) as Instant;
    this.#tellFill(change === NEVER ? firstBit : Math.min(firstBit, this.#clock.bitAt(change)));
    const sending = this.#sending;
    sending.packet = packet;
    sending.frameStart = start - this.#options.encapsulation.headerOctets;
    sending.frameEnd = end + fcsOctets(this.#options.fcs);
    sending.firstBit = firstBit;
    sending.stuffedBits = stuffedBits;
    sending.endBit = firstBit + stuffedBits + FLAG_BITS;
    sending.segment = segment;
    this.#tap.sent(packet, sending.frameStart, sending.frameEnd, firstBit, stuffedBits, this.#clock);
  }

  /** Writes header and FCS around a datagram; returns the frame's bits with inserted zeros. */
  #encapsulate(octets: Uint8Array, start: number, end: number): number {
    const { encapsulation, fcs } = this.#options;
    const frameStart = start - encapsulation.headerOctets;
    encapsulation.writeHeader(octets, frameStart, octets[start]! >>> 4 === 6 ? 'ipv6' : 'ipv4');
    return this.#seal(fcs, octets, frameStart, end);
  }

  #nextStart(readyAt: Instant): number {
    const ready = this.#clock.bitAt(readyAt);
    if (ready <= this.#grid) return this.#grid;
    return this.#grid + Math.ceil((ready - this.#grid) / FLAG_BITS) * FLAG_BITS;
  }

  #finishFrame(): void {
    const sent = this.#sending;
    const packet = sent.packet!;
    if (this.#toldTo < sent.firstBit) this.#tellFlags(sent.firstBit);
    this.#toldTo = sent.endBit;
    this.#grid = sent.endBit + FLAG_BITS * (this.#options.flagsBetweenFrames - 1);
    this.#bitsSent += sent.stuffedBits + FLAG_BITS;
    this.#frameOctets += sent.frameEnd - sent.frameStart;
    if (sent.segment >= 0) this.#finishSegment();
    else if (this.#receiver.frame(packet.arena, sent.frameStart, sent.frameEnd, sent.firstBit, sent.stuffedBits)) {
      sent.packet = undefined;
      this.#launch(packet, sent.endBit);
    } else {
      this.#undecided.add(sent.frame());
      sent.packet = undefined;
      this.#undecided.decide();
    }
  }

  #finishSegment(): void {
    const departure = this.#departure!;
    const sent = this.#sending;
    if (this.#receiver.intact(sent.firstBit, sent.stuffedBits)) {
      departure.carried(sent.segment, sent.endBit);
      sent.packet = undefined;
    } else {
      const frame = sent.frame();
      sent.packet = undefined;
      this.#finishDamagedSegment(departure, frame);
    }
    if (!departure.isOver) return;
    this.#departure = undefined;
    if (departure.parts === 0) this.#launch(departure.packet, departure.endBit);
    else this.#endSplitDeparture(departure);
  }

  #finishDamagedSegment(departure: TrainDeparture, sent: Frame): void {
    const alone = this.#separate(departure, sent);
    if (alone !== undefined) {
      const { packet, frameStart, frameEnd, firstBit, stuffedBits } = alone;
      if (this.#receiver.frame(packet.arena, frameStart, frameEnd, firstBit, stuffedBits))
        this.#launch(packet, sent.endBit);
      else this.#undecided.add(alone);
    }
    this.#undecided.decide();
  }

  /** Takes one segment out of its train, as a packet of its own; those intact before it leave first. */
  #separate(departure: TrainDeparture, sent: Frame): Frame | undefined {
    this.#launchIntact(departure);
    const alone = departure.separate(sent.segment, this.#options.pool);
    if (alone === undefined) {
      this.#loseForRoom();
      return undefined;
    }
    this.#encapsulate(alone.arena, alone.start, alone.end);
    const frameStart = alone.start - this.#options.encapsulation.headerOctets;
    const frameEnd = alone.end + fcsOctets(this.#options.fcs);
    return { ...sent, packet: alone, frameStart, frameEnd, segment: -1 };
  }

  /** Sends on the segments of a train that lie between two damaged ones. */
  #launchIntact(departure: TrainDeparture): void {
    if (!departure.hasIntact) return;
    const part = departure.takeIntact(this.#options.pool);
    if (part === undefined) this.#loseForRoom();
    else this.#launch(part, departure.endBit);
  }

  #endSplitDeparture(departure: TrainDeparture): void {
    this.#launchIntact(departure);
    this.counters.add('packetsSplit', departure.parts - 1);
    this.#options.pool.release(departure.packet);
  }

  #loseForRoom(): void {
    this.#lost++;
    this.counters.add('lost.no-buffer');
  }

  /** Tells the receiver of whole flags up to at most bit `to`. */
  #tellFill(to: number): void {
    if (this.#carrier && this.#sending.packet === undefined) this.#tellFlags(to);
  }

  #tellFlags(to: number): void {
    const flags = Math.floor((to - this.#toldTo) / FLAG_BITS);
    if (flags <= 0) return;
    this.#receiver.fill(this.#toldTo, this.#toldTo + flags * FLAG_BITS);
    this.#toldTo += flags * FLAG_BITS;
    this.#undecided.decide();
  }

  /** Puts what the bits up to `endBit` carried on its way to the far end. */
  #launch(packet: PacketBuffer, endBit: number): void {
    const sentAt = this.#clock.timeOf(endBit);
    const jitter = this.#settings.jitter.at(sentAt);
    let arrival = sentAt + this.#settings.delay.at(sentAt);
    if (jitter > 0) arrival += Math.floor(this.#jitterRng.uniform() * jitter);
    if (arrival < this.#lastArrival) arrival = this.#lastArrival;
    this.#lastArrival = arrival as Instant;
    packet.sentAt = sentAt;
    packet.arrivesAt = arrival as Instant;
    packet.next = undefined;
    if (this.#inFlightTail === undefined) this.#inFlightHead = packet;
    else this.#inFlightTail.next = packet;
    this.#inFlightTail = packet;
    this.#inFlight++;
  }

  #arrive(now: Instant): void {
    for (
      let packet = this.#inFlightHead;
      packet !== undefined && packet.arrivesAt <= now;
      packet = this.#inFlightHead
    ) {
      this.#inFlightHead = packet.next;
      if (this.#inFlightHead === undefined) this.#inFlightTail = undefined;
      packet.next = undefined;
      this.#inFlight--;
      if (packet.damage === undefined) this.#deliver(packet);
      else this.#arriveDamaged(packet, packet.damage);
    }
  }

  #deliver(packet: PacketBuffer): void {
    this.#packetsOut++;
    this.#octetsOut += packetOctets(packet);
    this.#tap.intact(packet);
    this.#delivered.push(packet);
  }

  #arriveDamaged(packet: PacketBuffer, damage: FrameDamage): void {
    if (damage.outcome !== 'altered' && damage.outcome !== 'spurious') {
      this.#drop(packet, damage);
      return;
    }
    if (damage.outcome === 'altered') this.counters.add('packetsAltered');
    this.#tap.received(packet, 'good', damage.flippedBits, damage.octets);
    const { encapsulation, fcs } = this.#options;
    const end = damage.octets.length - fcsOctets(fcs);
    const parsed = encapsulation.parse(damage.octets, 0, end);
    if (parsed < 0) {
      this.#lost++;
      this.counters.add('lost.header');
      this.#tap.dropped(packet, 'header');
      this.#options.pool.release(packet);
      return;
    }
    const payload = damage.octets.subarray(payloadOffset(parsed), end);
    packet.length = payload.length;
    packet.arena.set(payload, packet.start);
    this.#packetsOut++;
    this.#octetsOut += packet.length;
    this.#delivered.push(packet);
  }

  #drop(packet: PacketBuffer, damage: FrameDamage): void {
    this.#lost++;
    this.counters.add(`lost.${damage.outcome}`);
    this.#tap.received(packet, damage.outcome as 'fcs', damage.flippedBits, damage.octets);
    this.#tap.dropped(packet, damage.outcome === 'los' ? 'los' : `noise-${damage.outcome}`);
    this.#options.pool.release(packet);
  }

  #settingChangeAfter(time: Instant): Instant {
    return Math.min(this.#settings.rate.nextChange(time), this.#settings.noise.nextChange(time)) as Instant;
  }

  #changeSettings(at: Instant): void {
    this.#clock.setRate(this.#settings.rate.at(at), at);
    const noise = this.#settings.noise.at(at);
    if (noise !== this.#errors.config) this.#changeNoise(noise, at);
    this.#nextSettingChange = this.#settingChangeAfter(at);
  }

  #changeNoise(noise: NoiseConfig, at: Instant): void {
    const bit = this.#clock.bitAt(at);
    this.#tellFill(bit);
    this.#errors.change(noise, Math.max(bit, this.#toldTo));
  }

  #changeCarrier(at: Instant): void {
    this.#nextCarrierChange = this.#options.carrier.nextChange(at);
    const bit = this.#clock.bitAt(at);
    if (this.#options.carrier.isUp(at)) {
      this.#carrier = true;
      this.#receiver.carrierFound(bit);
      this.#toldTo = bit;
      this.#grid = this.#firstGrid(bit);
      return;
    }
    this.#loseCarrier(at, bit);
  }

  /** Loss of signal: the frame on the way out is cut, and with `cut` so is everything that has not arrived yet. */
  #loseCarrier(at: Instant, bit: number): void {
    if (this.#sending.packet !== undefined) {
      const sending = this.#sending.frame();
      const sentBits = Math.max(0, Math.min(sending.stuffedBits + FLAG_BITS, bit - sending.firstBit));
      this.#sending.packet = undefined;
      this.#bitsSent += sentBits;
      const cut = this.#departure === undefined ? sending : this.#separate(this.#departure, sending);
      this.#tellFlags(Math.min(sending.firstBit, bit));
      if (cut !== undefined) {
        if (sentBits > 0)
          this.#receiver.cutFrame(cut.packet.arena, cut.frameStart, cut.frameEnd, cut.firstBit, sentBits);
        this.#undecided.add(cut);
      }
      this.#endCutDeparture();
    } else this.#tellFill(bit);
    this.#undecided.cutOff(bit);
    this.#receiver.carrierLost(bit);
    this.#toldTo = bit;
    this.#carrier = false;
    if (this.#options.inFlightAtLos === 'cut') this.#cutInFlight(at);
  }

  /** The carrier was lost in a train's last segment: nothing of it is left to send. */
  #endCutDeparture(): void {
    const departure = this.#departure;
    if (departure === undefined || !departure.isOver) return;
    this.#departure = undefined;
    this.#endSplitDeparture(departure);
  }

  #cutInFlight(at: Instant): void {
    for (let packet = this.#inFlightHead; packet !== undefined; packet = packet.next) {
      if (packet.arrivesAt <= at) continue;
      packet.damage = CUT_OFF;
      packet.arrivesAt = at;
    }
    this.#lastArrival = at;
  }

  /** Behind the first flag of a contact. */
  #firstGrid(bit: number): number {
    return bit + FLAG_BITS * this.#options.flagsBetweenFrames;
  }
}

/** IP octets on the line: a train's headers count once for each segment. */
function packetOctets(packet: PacketBuffer): number {
  const { train } = packet;
  return train === undefined ? packet.length : packet.length + (packet.packets - 1) * train.headerOctets;
}
