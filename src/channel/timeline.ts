/**
 * A setting over time: a constant, steps at given times, or steps that repeat. Times count from the link's start.
 * The value of a step holds from its time until the next step's. Steps are in rising order and the first is at 0.
 */
import { type Instant, invariant, NEVER } from '../core/index.ts';

/** Something that has a value at every instant, e.g. a `Timeline`, or a slant range. */
export interface Varying<Value> {
  at(time: Instant): Value;
}

/** The same, with values that hold between changes. */
export interface Stepped<Value> extends Varying<Value> {
  /** The first instant after `time` at which the value is set anew; NEVER when it does not change again. */
  nextChange(time: Instant): Instant;
}

export interface Step<Value> {
  readonly at: Instant;
  readonly value: Value;
}

export class Timeline<Value> implements Stepped<Value> {
  readonly #steps: readonly Step<Value>[];
  readonly #cycle: number;

  /** @param cycle period in nanoseconds after which the steps repeat; at least the last step's time + 1. */
  constructor(steps: readonly Step<Value>[], cycle: number = Number.POSITIVE_INFINITY) {
    invariant(steps.length > 0 && steps[0]!.at === 0, 'a timeline begins at 0');
    for (let i = 1; i < steps.length; i++) invariant(steps[i]!.at > steps[i - 1]!.at, 'timeline steps must rise');
    invariant(cycle > steps[steps.length - 1]!.at, 'a timeline must end before it repeats');
    this.#steps = steps;
    this.#cycle = cycle;
  }

  static constant<Value>(value: Value): Timeline<Value> {
    return new Timeline([{ at: 0 as Instant, value }]);
  }

  get isConstant(): boolean {
    return this.#steps.length === 1;
  }

  at(time: Instant): Value {
    return this.#steps[this.#index(time)]!.value;
  }

  nextChange(time: Instant): Instant {
    if (this.isConstant) return NEVER;
    const next = this.#index(time) + 1;
    const cycleStart = this.#cycle === Number.POSITIVE_INFINITY ? 0 : Math.floor(time / this.#cycle) * this.#cycle;
    if (next < this.#steps.length) return (cycleStart + this.#steps[next]!.at) as Instant;
    return (cycleStart + this.#cycle) as Instant;
  }

  #index(time: Instant): number {
    const phase = this.#cycle === Number.POSITIVE_INFINITY ? time : time % this.#cycle;
    let low = 0;
    let high = this.#steps.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#steps[middle]!.at <= phase) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
