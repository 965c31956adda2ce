/** When a direction of a link has a carrier. Contacts are half-open intervals [aos, los) since the link's start. */
import { type Instant, invariant, NEVER } from '../core/index.ts';

export interface Carrier {
  isUp(time: Instant): boolean;
  /** The next instant after `time` at which it comes or goes; NEVER when it stays. */
  nextChange(time: Instant): Instant;
  /** The contacts that end after `from`, at most `count`; none when it is always there. */
  upcoming(from: Instant, count: number): ContactInterval[];
}

export const ALWAYS: Carrier = { isUp: () => true, nextChange: () => NEVER, upcoming: () => [] };

export interface ContactInterval {
  /** Acquisition of signal. */
  readonly aos: Instant;
  /** Loss of signal. */
  readonly los: Instant;
}

/** A list of contacts, in order and apart, which repeats every `period` nanoseconds when one is given. */
export class ContactList implements Carrier {
  readonly #contacts: readonly ContactInterval[];
  readonly #period: number;

  constructor(contacts: readonly ContactInterval[], period: number = Number.POSITIVE_INFINITY) {
    let last = -1;
    for (const { aos, los } of contacts) {
      invariant(aos > last && los > aos, 'contacts must be in order, apart and not empty');
      last = los;
    }
    invariant(last <= period, 'contacts must end within the period');
    this.#contacts = contacts;
    this.#period = period;
  }

  isUp(time: Instant): boolean {
    const phase = this.#phase(time);
    const contact = this.#contacts[this.#firstEndingAfter(phase)];
    return contact !== undefined && contact.aos <= phase;
  }

  nextChange(time: Instant): Instant {
    if (this.#contacts.length === 0) return NEVER;
    const phase = this.#phase(time);
    const cycle = time - phase;
    const contact = this.#contacts[this.#firstEndingAfter(phase)];
    if (contact !== undefined) {
      if (contact.aos > phase) return (cycle + contact.aos) as Instant;
      // A contact that runs up to the period's end and goes on at its beginning does not change there.
      if (contact.los === this.#period && this.#contacts[0]!.aos === 0)
        return (cycle + this.#period + this.#contacts[0]!.los) as Instant;
      return (cycle + contact.los) as Instant;
    }
    if (this.#period === Number.POSITIVE_INFINITY) return NEVER;
    return (cycle + this.#period + this.#contacts[0]!.aos) as Instant;
  }

  upcoming(from: Instant, count: number): ContactInterval[] {
    const found: ContactInterval[] = [];
    let time = from;
    while (found.length < count) {
      const up = this.isUp(time);
      const change = this.nextChange(time);
      if (change === NEVER) break;
      if (up) found.push({ aos: this.#beganAt(time), los: change });
      time = change;
    }
    return found;
  }

  #beganAt(time: Instant): Instant {
    const phase = this.#phase(time);
    return (time - phase + this.#contacts[this.#firstEndingAfter(phase)]!.aos) as Instant;
  }

  #phase(time: Instant): number {
    return this.#period === Number.POSITIVE_INFINITY ? time : time % this.#period;
  }

  #firstEndingAfter(phase: number): number {
    let low = 0;
    let high = this.#contacts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#contacts[middle]!.los > phase) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
