/**
 * One class's first-in first-out queue: limits, tail drop or CoDel, age limits, and hold for contact. Packets are linked
 * through themselves, so a queue allocates nothing.
 *
 * A class that holds on disk has its packets in the store while the interface is down. They are older than what is queued in
 * memory after contact begins, so they go first.
 */
import type { PacketBuffer, PacketPool } from '../core/packet.ts';
import { type Duration, type Instant, NEVER, plus, since } from '../core/time.ts';
import { Codel, type CodelSettings } from './codel.ts';
import type { DropReason } from './drop.ts';
import { LatencyHistogram } from './histogram.ts';
import type { HoldStore } from './hold-store.ts';
import { neverHeld } from './never-held.ts';

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
  /** `disk` needs a store; without one the packets are held in memory. */
  readonly storage?: 'memory' | 'disk';
}

/** Nothing more is held in memory when less than this part of the pool is free. */
const RESERVED_SHARE = 8;

export type QueueDrop = (packet: PacketBuffer, reason: DropReason, now: Instant) => void;

export class ClassQueue {
  readonly settings: ClassQueueSettings;
  readonly #drop: QueueDrop;
  readonly #pool: PacketPool;
  readonly #codel: Codel | undefined;
  readonly store: HoldStore | undefined;
  #head: PacketBuffer | undefined;
  #tail: PacketBuffer | undefined;
  /** In memory; the store has its own count. */
  #packets = 0;
  /** What they become on the line: a train of segments counts as many. */
  #frames = 0;
  #octets = 0;
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

  constructor(settings: ClassQueueSettings, pool: PacketPool, drop: QueueDrop, store?: HoldStore) {
    this.settings = settings;
    this.#pool = pool;
    this.#drop = drop;
    this.store = store;
    this.#codel = settings.codel === undefined ? undefined : new Codel(settings.codel);
  }

  get packets(): number {
    return this.#packets + (this.store === undefined ? 0 : this.store.packets);
  }
  get octets(): number {
    return this.#octets + (this.store === undefined ? 0 : this.store.octets);
  }

  /** The length of the packet that goes next, 0 when there is none. */
  get nextOctets(): number {
    return this.store?.first()?.octets ?? this.#head?.length ?? 0;
  }

  /** When the packet that goes next was queued, or undefined. */
  get oldestQueuedAt(): Instant | undefined {
    return this.store?.first()?.queuedAt ?? this.#head?.queuedAt;
  }

  /** Takes ownership; false when the packet was dropped. */
  enqueue(packet: PacketBuffer, up: boolean, now: Instant): boolean {
    const { settings } = this;
    const { hold } = settings;
    if (!up && hold === undefined)
      return this.#refuse(packet, settings.staleAfter === undefined ? 'link-down' : 'stale', now);
    if (!up && neverHeld(packet)) return this.#refuse(packet, 'stale', now);
    const octets = this.octets + packet.length;
    const full =
      !up && hold !== undefined
        ? octets > hold.octets
        : this.#octets + packet.length > settings.limitOctets || this.#frames >= settings.limitPackets;
    if (full) return this.#refuse(packet, 'queue-full', now);
    if (octets > this.peakOctets) this.peakOctets = octets;
    if (!up && this.store !== undefined) {
      if (!this.store.append(packet)) return this.#refuse(packet, 'store-failed', now);
      this.#pool.release(packet);
      return true;
    }
    // Held packets keep their slots for as long as a contact is away; the rest of the node must have some to go on with.
    if (!up && this.#pool.available < this.#pool.capacity / RESERVED_SHARE)
      return this.#refuse(packet, 'no-buffer', now);
    packet.next = undefined;
    if (this.#tail === undefined) this.#head = packet;
    else this.#tail.next = packet;
    this.#tail = packet;
    this.#packets++;
    this.#frames += packet.packets;
    this.#octets += packet.length;
    return true;
  }

  /** Whether a packet waits that came at or before `now`: a transmitter may ask for an instant that has passed. */
  offers(now: Instant): boolean {
    const queuedAt = this.oldestQueuedAt;
    return queuedAt !== undefined && queuedAt <= now;
  }

  dequeue(now: Instant, upSince: Instant): PacketBuffer | undefined {
    for (;;) {
      const packet = this.offers(now) ? this.shift(now) : undefined;
      if (packet === undefined) {
        if (this.packets === 0) this.#codel?.empty();
        return undefined;
      }
      const { staleAfter, hold } = this.settings;
      const wait = since(now, packet.queuedAt);
      if (staleAfter !== undefined && wait > staleAfter) {
        this.#refuse(packet, 'stale', now);
        continue;
      }
      const waitedForContact = packet.queuedAt < upSince;
      if (waitedForContact && hold !== undefined && wait > hold.duration) {
        this.#refuse(packet, 'age', now);
        continue;
      }
      // A packet that was held has a long wait by design, which is not the congestion CoDel looks for.
      if (this.#codel !== undefined && !waitedForContact) {
        const verdict = this.#codel.judge(packet, wait, this.#octets, now);
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

  /** The first packet, with no judgement and no accounting, for one that goes elsewhere. Undefined also when the pool is empty. */
  shift(now: Instant): PacketBuffer | undefined {
    if (this.store !== undefined && this.store.packets > 0) return this.#shiftStored(now);
    const packet = this.#head;
    if (packet === undefined) return undefined;
    this.#head = packet.next;
    if (this.#head === undefined) this.#tail = undefined;
    packet.next = undefined;
    this.#packets--;
    this.#frames -= packet.packets;
    this.#octets -= packet.length;
    return packet;
  }

  #shiftStored(now: Instant): PacketBuffer | undefined {
    const { store } = this;
    while (store !== undefined && store.packets > 0) {
      const packet = this.#pool.acquire();
      if (packet === undefined) return undefined;
      if (store.take(packet, this.#pool.largestPacketOctets)) return packet;
      this.#refuse(packet, 'store-failed', now);
    }
    return this.shift(now);
  }

  expire(up: boolean, now: Instant): void {
    while (this.nextExpiryAt(up) <= now) {
      const packet = this.shift(now);
      if (packet === undefined) return;
      this.#refuse(packet, this.settings.staleAfter === undefined ? 'age' : 'stale', now);
    }
  }

  nextExpiryAt(up: boolean): Instant {
    const { staleAfter, hold } = this.settings;
    const limit = staleAfter ?? (up ? undefined : hold?.duration);
    if (limit === undefined) return NEVER;
    const queuedAt = this.oldestQueuedAt;
    // One nanosecond past the limit, so that a packet exactly as old as allowed still goes.
    return queuedAt === undefined ? NEVER : plus(queuedAt, (limit + 1) as Duration);
  }

  #refuse(packet: PacketBuffer, reason: DropReason, now: Instant): false {
    this.droppedPackets++;
    this.#drop(packet, reason, now);
    return false;
  }
}
