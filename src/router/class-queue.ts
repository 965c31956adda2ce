/**
 * One class's first-in first-out queue: limits, tail drop or CoDel, age limits, and hold for contact. Packets are linked
 * through themselves, so a queue allocates nothing.
 */
import type { PacketBuffer } from '../core/packet.ts';
import { type Duration, type Instant, NEVER, plus, since } from '../core/time.ts';
import { Codel, type CodelSettings } from './codel.ts';
import type { DropReason } from './drop.ts';
import { LatencyHistogram } from './histogram.ts';

export interface ClassQueueSettings {
  readonly name: string;
  /** 0 is served first. */
  readonly priority: number;
  /** Octets a class may send in its turn among the classes of its priority: its weight times the largest packet. */
  readonly quantumOctets: number;
  readonly limitPackets: number;
  readonly limitOctets: number;
  /** Active queue management; without it packets are dropped when a limit is reached. */
  readonly codel?: CodelSettings;
  /** Packets that waited longer are worthless (NTP, registrations) and dropped as `stale`. */
  readonly staleAfter?: Duration;
  /** While the interface is down: keep up to so many octets for so long. Without it packets are dropped as `link-down`. */
  readonly hold?: HoldSettings;
}

export interface HoldSettings {
  readonly octets: number;
  readonly duration: Duration;
}

export type QueueDrop = (packet: PacketBuffer, reason: DropReason, now: Instant) => void;

export class ClassQueue {
  readonly settings: ClassQueueSettings;
  readonly #drop: QueueDrop;
  readonly #codel: Codel | undefined;
  head: PacketBuffer | undefined;
  #tail: PacketBuffer | undefined;
  packets = 0;
  octets = 0;
  /** Deficit round robin's credit. */
  deficit = 0;
  sentPackets = 0;
  sentOctets = 0;
  droppedPackets = 0;
  markedPackets = 0;
  /** Most octets that waited at one time. */
  peakOctets = 0;
  /** Waiting times of packets that found the interface up, and of those that waited for a contact. */
  readonly wait = new LatencyHistogram();
  readonly held = new LatencyHistogram();

  constructor(settings: ClassQueueSettings, drop: QueueDrop) {
    this.settings = settings;
    this.#drop = drop;
    this.#codel = settings.codel === undefined ? undefined : new Codel(settings.codel);
  }

  /** Takes ownership; false when the packet was dropped. */
  enqueue(packet: PacketBuffer, up: boolean, now: Instant): boolean {
    const { settings } = this;
    const hold = settings.hold;
    if (!up && hold === undefined)
      return this.#refuse(packet, settings.staleAfter === undefined ? 'link-down' : 'stale', now);
    const octets = this.octets + packet.length;
    const full =
      !up && hold !== undefined
        ? octets > hold.octets
        : octets > settings.limitOctets || this.packets >= settings.limitPackets;
    if (full) return this.#refuse(packet, 'queue-full', now);
    packet.next = undefined;
    if (this.#tail === undefined) this.head = packet;
    else this.#tail.next = packet;
    this.#tail = packet;
    this.packets++;
    this.octets = octets;
    if (octets > this.peakOctets) this.peakOctets = octets;
    return true;
  }

  /** Whether a packet waits that came at or before `now`: a transmitter may ask for an instant that has passed. */
  offers(now: Instant): boolean {
    return this.head !== undefined && this.head.queuedAt <= now;
  }

  dequeue(now: Instant, upSince: Instant): PacketBuffer | undefined {
    for (;;) {
      const packet = this.offers(now) ? this.shift() : undefined;
      if (packet === undefined) {
        if (this.head === undefined) this.#codel?.empty();
        return undefined;
      }
      const wait = since(now, packet.queuedAt);
      if (this.settings.staleAfter !== undefined && wait > this.settings.staleAfter) {
        this.#refuse(packet, 'stale', now);
        continue;
      }
      const waitedForContact = packet.queuedAt < upSince;
      // A packet that was held has a long wait by design, which is not the congestion CoDel looks for.
      if (this.#codel !== undefined && !waitedForContact) {
        const verdict = this.#codel.judge(packet, wait, this.octets, now);
        if (verdict === 'drop') {
          this.#refuse(packet, 'codel', now);
          continue;
        }
        if (verdict === 'mark') this.markedPackets++;
      }
      (waitedForContact ? this.held : this.wait).record(wait);
      this.sentPackets++;
      this.sentOctets += packet.length;
      return packet;
    }
  }

  /** The first packet, with no judgement and no accounting: for one that goes elsewhere. */
  shift(): PacketBuffer | undefined {
    const packet = this.head;
    if (packet === undefined) return undefined;
    this.head = packet.next;
    if (this.head === undefined) this.#tail = undefined;
    packet.next = undefined;
    this.packets--;
    this.octets -= packet.length;
    return packet;
  }

  expire(up: boolean, now: Instant): void {
    for (;;) {
      const at = this.nextExpiryAt(up);
      if (at > now) return;
      const packet = this.shift();
      if (packet === undefined) return;
      this.#refuse(packet, this.settings.staleAfter === undefined ? 'age' : 'stale', now);
    }
  }

  nextExpiryAt(up: boolean): Instant {
    if (this.head === undefined) return NEVER;
    const { staleAfter, hold } = this.settings;
    // One nanosecond past the limit, so that a packet exactly as old as allowed still goes.
    if (staleAfter !== undefined) return plus(this.head.queuedAt, (staleAfter + 1) as Duration);
    if (!up && hold !== undefined) return plus(this.head.queuedAt, (hold.duration + 1) as Duration);
    return NEVER;
  }

  #refuse(packet: PacketBuffer, reason: DropReason, now: Instant): false {
    this.droppedPackets++;
    this.#drop(packet, reason, now);
    return false;
  }
}
