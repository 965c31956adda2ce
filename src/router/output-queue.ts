/**
 * The output queue of one interface: a queue per traffic class, strict priority between priorities and deficit round robin
 * (Shreedhar and Varghese, 1995) between the classes of one priority. The transmitter takes a packet when it is free, so a frame
 * that is being sent is never interrupted.
 *
 * A queue is gated by its interface's state: while it is down `dequeue` gives nothing, and what a class holds for the next
 * contact waits here. Whatever the queue itself drops (age, CoDel) goes through the router's one drop function.
 */
import type { PacketBuffer, PacketPool, PacketSource } from '../core/packet.ts';
import { type Duration, earliest, type Instant, milliseconds, NEVER, plus } from '../core/time.ts';
import { ClassQueue, type ClassQueueSettings, type QueueDrop } from './class-queue.ts';
import type { HoldStore } from './hold-store.ts';

export interface OutputQueueObserver {
  drop: QueueDrop;
  /** The queue has its first packet since a `dequeue` gave none: the transmitter may be idle. */
  ready(): void;
}

/** When held packets are on disk and the pool is empty: try again after this. */
const POOL_RETRY = milliseconds(10);

export class OutputQueue implements PacketSource {
  readonly classes: readonly ClassQueue[];
  readonly #levels: readonly PriorityLevel[];
  readonly #observer: OutputQueueObserver;
  #up: boolean;
  #upSince: Instant = Number.NEGATIVE_INFINITY as Instant;
  /** The last `dequeue` found nothing, so the next packet must be announced. */
  #waiting = true;
  sentPackets = 0;
  sentOctets = 0;

  constructor(
    classes: readonly ClassQueueSettings[],
    up: boolean,
    pool: PacketPool,
    observer: OutputQueueObserver,
    storeOf: (className: string) => HoldStore | undefined = () => undefined,
  ) {
    this.#observer = observer;
    this.#up = up;
    this.classes = classes.map((settings) => {
      const store = settings.hold?.storage === 'disk' ? storeOf(settings.name) : undefined;
      return new ClassQueue(settings, pool, observer.drop, store);
    });
    const priorities = [...new Set(classes.map((settings) => settings.priority))].sort((a, b) => a - b);
    this.#levels = priorities.map(
      (priority) => new PriorityLevel(this.classes.filter((queue) => queue.settings.priority === priority)),
    );
    if (this.packets > 0) {
      // Held by an earlier run: contact, now or later, counts as having come after them.
      this.#upSince = 0 as Instant;
      if (up) this.#announce();
    }
  }

  get up(): boolean {
    return this.#up;
  }
  get packets(): number {
    let total = 0;
    for (const queue of this.classes) total += queue.packets;
    return total;
  }
  get octets(): number {
    let total = 0;
    for (const queue of this.classes) total += queue.octets;
    return total;
  }
  /** Whether any class waits for the next contact while the interface is down. */
  get holds(): boolean {
    return this.classes.some((queue) => queue.settings.hold !== undefined);
  }

  /** Takes ownership. A packet that may not wait is dropped with its reason. */
  enqueue(packet: PacketBuffer, now: Instant): void {
    packet.queuedAt = now;
    this.adopt(packet, now);
  }

  /** As `enqueue`, for a packet that has waited elsewhere already: its age and waiting time go on. */
  adopt(packet: PacketBuffer, now: Instant): void {
    // With a single class (the host's) the packet's class is only for the records.
    const queue = this.classes.length === 1 ? this.classes[0]! : this.classes[packet.trafficClass]!;
    if (queue.enqueue(packet, this.#up, now) && this.#up && this.#waiting) this.#announce();
  }

  dequeue(now: Instant): PacketBuffer | undefined {
    if (this.#up) {
      for (const level of this.#levels) {
        const packet = level.dequeue(now, this.#upSince);
        if (packet !== undefined) {
          this.sentPackets++;
          this.sentOctets += packet.length;
          return packet;
        }
      }
    }
    this.#waiting = true;
    return undefined;
  }

  nextReadyAt(now: Instant): Instant {
    if (!this.#up || !this.#waiting) return NEVER;
    let at: Instant = NEVER;
    for (const { oldestQueuedAt } of this.classes) {
      if (oldestQueuedAt !== undefined)
        at = earliest(at, oldestQueuedAt > now ? oldestQueuedAt : plus(now, POOL_RETRY));
    }
    return at;
  }

  /** Contact begins or ends. At its end everything stays here until the router has looked for another way. */
  setUp(up: boolean, now: Instant): void {
    if (up && !this.#up) this.#upSince = now;
    this.#up = up;
    if (up && this.#waiting && this.packets > 0) this.#announce();
  }

  /** Drops what has waited too long. */
  expire(now: Instant): void {
    for (const queue of this.classes) queue.expire(this.#up, now);
  }

  /** When `expire` has something to do, or NEVER. */
  nextExpiryAt(): Instant {
    let at: Instant = NEVER;
    for (const queue of this.classes) {
      const next = queue.nextExpiryAt(this.#up);
      if (next < at) at = next;
    }
    return at;
  }

  /** How long the oldest packet has waited. */
  oldestWait(now: Instant): Duration {
    let oldest = now;
    for (const { oldestQueuedAt } of this.classes) {
      if (oldestQueuedAt !== undefined && oldestQueuedAt < oldest) oldest = oldestQueuedAt;
    }
    return (now - oldest) as Duration;
  }

  #announce(): void {
    this.#waiting = false;
    this.#observer.ready();
  }
}

/** Classes of one priority. */
class PriorityLevel {
  readonly #classes: readonly ClassQueue[];
  #turn = 0;
  #turnBegins = true;

  constructor(classes: readonly ClassQueue[]) {
    this.#classes = classes;
  }

  dequeue(now: Instant, upSince: Instant): PacketBuffer | undefined {
    if (this.#classes.length === 1) return this.#classes[0]!.dequeue(now, upSince);
    // Each turn of a waiting class adds at least one octet of credit, so this ends; empty classes lose theirs.
    for (let empty = 0; empty < this.#classes.length; ) {
      const queue = this.#classes[this.#turn]!;
      if (!queue.offers(now)) {
        queue.deficit = 0;
        empty++;
        this.#nextTurn();
        continue;
      }
      empty = 0;
      if (this.#turnBegins) queue.deficit += queue.settings.quantumOctets;
      this.#turnBegins = false;
      if (queue.nextOctets > queue.deficit) {
        this.#nextTurn();
        continue;
      }
      const packet = queue.dequeue(now, upSince);
      if (packet !== undefined) {
        queue.deficit -= packet.length;
        return packet;
      }
      // All that waited was too old, or the pool is empty.
      if (queue.offers(now)) return undefined;
    }
    return undefined;
  }

  #nextTurn(): void {
    this.#turn = (this.#turn + 1) % this.#classes.length;
    this.#turnBegins = true;
  }
}
