/**
 * The reactor's place taken by virtual time: TUNs that yield packets at set instants and swallow what is written to them, a clock
 * that jumps to the next thing to do. The link driver does not know the difference, so that a whole data plane runs days in seconds
 * and the same way every time. Nothing here asks a clock or the kernel.
 */
import type { Reactor, ReactorSource } from './native.ts';

export interface ScheduledPacket {
  readonly atNanoseconds: number;
  /** The index under which the driver added the TUN. */
  readonly tun: number;
  readonly octets: Uint8Array;
}

export class VirtualReactor implements ReactorSource {
  readonly TRUNCATED = -1;
  readonly virtualTime = true;
  readonly #packets: Iterator<ScheduledPacket>;
  #next: ScheduledPacket | undefined;
  #now = 0;
  #timer = Number.POSITIVE_INFINITY;
  #onWake: (() => void) | undefined;

  /** @param packets in order of their instants */
  constructor(packets: Iterable<ScheduledPacket>) {
    this.#packets = packets[Symbol.iterator]();
    this.#advance();
  }

  monotonicNanoseconds(): number {
    return this.#now;
  }

  /** Whether all packets have been read. */
  get exhausted(): boolean {
    return this.#next === undefined;
  }

  /** The next instant at which there is something to do; Infinity when there is not. */
  get nextAt(): number {
    return Math.max(this.#now, Math.min(this.#timer, this.#next?.atNanoseconds ?? Number.POSITIVE_INFINITY));
  }

  /** Jumps there and wakes the driver. */
  step(): void {
    this.#now = this.nextAt;
    if (this.#timer <= this.#now) this.#timer = Number.POSITIVE_INFINITY;
    this.#onWake?.();
  }

  createReactor(onWake: (this: Reactor) => void): Reactor {
    const nothing = () => undefined;
    const reactor: Reactor = {
      addTun: nothing,
      removeTun: nothing,
      pauseRead: nothing,
      setTimer: (at) => {
        this.#timer = at > 0 ? at : Number.POSITIVE_INFINITY;
      },
      timerExpired: () => false,
      readBatch: (arena, offsets, slots, slotOctets, out) => this.#read(arena, offsets, slots, slotOctets, out),
      writeBatch: (_arena, _descriptors, count, results) => {
        results.fill(0, 0, count);
        return count;
      },
      close: () => {
        this.#onWake = undefined;
      },
    };
    this.#onWake = () => onWake.call(reactor);
    return reactor;
  }

  #read(arena: Uint8Array, offsets: Int32Array, slots: number, slotOctets: number, out: Int32Array): number {
    let used = 0;
    for (; used < slots && this.#next !== undefined && this.#next.atNanoseconds <= this.#now; used++) {
      const { tun, octets } = this.#next;
      out[2 * used] = tun;
      out[2 * used + 1] = octets.length <= slotOctets ? octets.length : this.TRUNCATED;
      if (octets.length <= slotOctets) arena.set(octets, offsets[used]!);
      this.#advance();
    }
    return used;
  }

  #advance(): void {
    const next = this.#packets.next();
    this.#next = next.done === true ? undefined : next.value;
  }
}
