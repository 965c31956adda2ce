/** Virtual time for asynchronous code: events in order of time, and after each one every promise chain runs to its end. */
import type { WallTime } from '../../../src/core/index.ts';

export class Simulation {
  now: WallTime;
  #events: { at: WallTime; order: number; run: () => void }[] = [];
  #order = 0;

  constructor(start: WallTime) {
    this.now = start;
  }

  at(at: WallTime, run: () => void): void {
    const event = { at: at < this.now ? this.now : at, order: this.#order++, run };
    // Binary heap by time, then by order of scheduling.
    const heap = this.#events;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  after(seconds: number, run: () => void): void {
    this.at((this.now + BigInt(Math.round(seconds * 1e9))) as WallTime, run);
  }

  sleep(seconds: number): Promise<void> {
    return new Promise((resolve) => this.after(seconds, resolve));
  }

  async runUntil(end: WallTime): Promise<void> {
    await settle();
    while (this.#events.length > 0 && this.#events[0]!.at <= end) {
      const event = this.#pop();
      this.now = event.at;
      event.run();
      await settle();
    }
    this.now = end;
  }

  #pop(): { at: WallTime; order: number; run: () => void } {
    const heap = this.#events;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

const before = (a: { at: WallTime; order: number }, b: { at: WallTime; order: number }): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);

/** All promise chains that need no real input or output end before the next turn of the event loop. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
