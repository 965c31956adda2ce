/**
 * The output queue of one interface: a queue per traffic class, strict priority between priorities and deficit round robin
 * (Shreedhar and Varghese, 1995) between the classes of one priority. The transmitter takes a packet when it is free, so a frame
 * that is being sent is never interrupted.
 *
 * A queue is gated by its interface's state: while it is down `dequeue` gives nothing, and what a class holds for the next
 * contact waits here. Whatever the queue itself drops (age, CoDel) goes through the router's one drop function.
 */

import type { PacketBuffer, PacketSource } from '../core/packet.ts';
import { type Duration, type Instant, NEVER } from '../core/time.ts';
import { ClassQueue, type ClassQueueSettings, type QueueDrop } from './class-queue.ts';

export interface OutputQueueObserver {
  drop: QueueDrop;
  /** The queue has its first packet since a `dequeue` gave none: the transmitter may be idle. */
  ready(): void;
}

export class OutputQueue implements PacketSource {
  readonly classes: readonly ClassQueue[];
  readonly #levels: readonly PriorityLevel[];
  readonly #observer: OutputQueueObserver;
  readonly #single: boolean;
  #up: boolean;
  #upSince: Instant = 0 as Instant;
  /** The last `dequeue` found nothing, so the next packet must be announced. */
  #waiting = true;
  sentPackets = 0;
  sentOctets = 0;

  constructor(classes: readonly ClassQueueSettings[], up: boolean, observer: OutputQueueObserver) {
    this.#observer = observer;
    this.#up = up;
    this.classes = classes.map((settings) => new ClassQueue(settings, observer.drop));
    this.#single = this.classes.length === 1;
    const priorities = [...new Set(classes.map((settings) => settings.priority))].sort((a, b) => a - b);
    this.#levels = priorities.map(
      (priority) => new PriorityLevel(this.classes.filter((queue) => queue.settings.priority === priority)),
    );
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
    this.#put(packet, now);
  }

  /** As `enqueue`, for a packet that has waited elsewhere already: its age and waiting time go on. */
  adopt(packet: PacketBuffer, now: Instant): void {
    this.#put(packet, now);
  }

  #put(packet: PacketBuffer, now: Instant): void {
    const queue = this.classes[this.#single ? 0 : packet.trafficClass]!;
    if (!queue.enqueue(packet, this.#up, now)) return;
    if (this.#waiting && this.#up) {
      this.#waiting = false;
      this.#observer.ready();
    }
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

  nextReadyAt(): Instant {
    return NEVER;
  }

  /** Contact begins or ends. On loss, packets of classes that do not hold stay until the router has looked for another way. */
  setUp(up: boolean, now: Instant): void {
    if (up && !this.#up) this.#upSince = now;
    this.#up = up;
    if (up && this.#waiting && this.packets > 0) {
      this.#waiting = false;
      this.#observer.ready();
    }
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
    for (const queue of this.classes)
      if (queue.head !== undefined && queue.head.queuedAt < oldest) oldest = queue.head.queuedAt;
    return (now - oldest) as Duration;
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
    for (;;) {
      const waiting = this.#classes.some((queue) => queue.offers(now));
      if (!waiting) return undefined;
      const queue = this.#classes[this.#turn]!;
      if (queue.head === undefined || !queue.offers(now)) {
        queue.deficit = 0;
        this.#nextTurn();
        continue;
      }
      if (this.#turnBegins) queue.deficit += queue.settings.quantumOctets;
      this.#turnBegins = false;
      if (queue.head.length > queue.deficit) {
        this.#nextTurn();
        continue;
      }
      const packet = queue.dequeue(now, upSince);
      // CoDel may have dropped the head and given a later one, or none.
      if (packet === undefined) continue;
      queue.deficit -= packet.length;
      return packet;
    }
  }

  #nextTurn(): void {
    this.#turn = (this.#turn + 1) % this.#classes.length;
    this.#turnBegins = true;
  }
}
