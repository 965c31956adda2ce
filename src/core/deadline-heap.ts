/**
 * Which of many machines is due next: a binary heap of item indices by deadline, with each item in it once and its place
 * remembered, so that moving a deadline costs O(log n) and no allocation.
 */
import { type Instant, NEVER } from './time.ts';

export class DeadlineHeap {
  readonly #deadline: Float64Array;
  readonly #heap: Int32Array;
  readonly #place: Int32Array;
  readonly #size: number;

  /** @param size how many items there are: 0 … size − 1. All start without a deadline. */
  constructor(size: number) {
    this.#size = size;
    this.#deadline = new Float64Array(size).fill(Number.POSITIVE_INFINITY);
    this.#heap = Int32Array.from({ length: size }, (_, i) => i);
    this.#place = Int32Array.from({ length: size }, (_, i) => i);
  }

  /** The earliest deadline; NEVER when there is none. */
  get earliest(): Instant {
    return this.#size === 0 ? NEVER : (this.#deadline[this.#heap[0]!]! as Instant);
  }

  /** The item with the earliest deadline; −1 when there are no items. */
  get first(): number {
    return this.#size === 0 ? -1 : this.#heap[0]!;
  }

  deadlineOf(item: number): Instant {
    return this.#deadline[item]! as Instant;
  }

  set(item: number, at: Instant): void {
    const before = this.#deadline[item]!;
    if (at === before) return;
    this.#deadline[item] = at;
    if (at < before) this.#rise(this.#place[item]!);
    else this.#sink(this.#place[item]!);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const item = heap[from]!;
    const deadline = this.#deadline[item]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent]!;
      if (this.#deadline[above]! <= deadline) break;
      heap[at] = above;
      this.#place[above] = at;
      at = parent;
    }
    heap[at] = item;
    this.#place[item] = at;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const item = heap[from]!;
    const deadline = this.#deadline[item]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#deadline[heap[child + 1]!]! < this.#deadline[heap[child]!]!) child++;
      const below = heap[child]!;
      if (this.#deadline[below]! >= deadline) break;
      heap[at] = below;
      this.#place[below] = at;
      at = child;
    }
    heap[at] = item;
    this.#place[item] = at;
  }
}
