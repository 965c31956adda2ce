/**
 * What the three disciplines have in common: measurements in, steering of the clock out, and a say in when to poll.
 * A discipline never sees the truth; it has the clock only through the same port that a kernel would offer.
 */
import type { Deadline, Instant } from '../../core/index.ts';

export interface Sample {
  /** Seconds to add to the clock, as measured at `now`. */
  readonly offset: number;
  readonly delay: number;
  readonly dispersion: number;
}

/** What a sample made the discipline do. */
export type Verdict =
  | { readonly kind: 'ignored'; readonly why: string }
  | { readonly kind: 'slewed'; readonly seconds: number }
  | { readonly kind: 'stepped'; readonly seconds: number }
  | { readonly kind: 'panic'; readonly seconds: number };

export interface Discipline {
  readonly name: string;
  handleSample(sample: Sample, now: Instant): Verdict;
  /** The contact began (true) or ended. */
  handleContact(up: boolean, now: Instant): void;
  /** Somebody else set the clock by this much. */
  handleClockSet(seconds: number, now: Instant): void;
  handleTimeout(now: Instant): void;
  pollTimeout(): Deadline | undefined;
  /** Seconds from one poll to the next in the ordinary course. */
  readonly pollIntervalSeconds: number;
  /** For `omni status`. */
  status(): Record<string, number | string>;
}
