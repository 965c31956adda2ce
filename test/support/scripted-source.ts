/** A packet source that offers given octets at given times, first in first out. */
import { type Instant, NEVER, type PacketBuffer, type PacketPool, type PacketSource } from '../../src/core/index.ts';

export interface Scripted {
  readonly at: Instant;
  readonly octets: Uint8Array;
}

export class ScriptedSource implements PacketSource {
  readonly #pool: PacketPool;
  readonly #script: readonly Scripted[];
  #next = 0;

  constructor(pool: PacketPool, script: readonly Scripted[]) {
    this.#pool = pool;
    this.#script = script;
  }

  get remaining(): number {
    return this.#script.length - this.#next;
  }

  dequeue(now: Instant): PacketBuffer | undefined {
    const entry = this.#script[this.#next];
    if (entry === undefined || entry.at > now) return undefined;
    const packet = this.#pool.copyOf(entry.octets);
    if (packet === undefined) throw new Error('the pool is empty');
    this.#next++;
    packet.queuedAt = entry.at;
    return packet;
  }

  nextReadyAt(): Instant {
    return this.#script[this.#next]?.at ?? NEVER;
  }
}
