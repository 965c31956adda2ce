/**
 * Named deadlines of one machine: no callbacks, no handles, nothing to cancel.
 * `expired(now)` gives one name at a time, earliest first, and clears it.
 */
import type { Deadline, Duration, Instant } from './time.ts';

export class TimerTable<Name extends string> {
  readonly #deadlines = new Map<Name, Instant>();

  set(name: Name, at: Instant): void {
    this.#deadlines.set(name, at);
  }

  setAfter(name: Name, now: Instant, delay: Duration): void {
    this.set(name, (now + delay) as Instant);
  }

  clear(name: Name): void {
    this.#deadlines.delete(name);
  }

  get(name: Name): Instant | undefined {
    return this.#deadlines.get(name);
  }

  next(): Deadline | undefined {
    let best: Deadline | undefined;
    for (const [why, at] of this.#deadlines) if (best === undefined || at < best.at) best = { at, why };
    return best;
  }

  /** The earliest timer that is due at `now`, cleared; undefined when none is. */
  expired(now: Instant): Name | undefined {
    const best = this.next();
    if (best === undefined || best.at > now) return undefined;
    this.#deadlines.delete(best.why as Name);
    return best.why as Name;
  }
}
