/**
 * The contract of every protocol machine in rings 0 and 1.
 *
 * A machine owns state and nothing else: no socket, file, clock, timer or random source of its own. The driver
 *
 *   1. hands it one input, or tells it that its deadline has passed:  `handleInput(input, now)` / `handleTimeout(now)`;
 *   2. drains it before the next mutation: calls `pollTransmit()` until it returns undefined and sends what it got, then
 *      `pollEvent()` until it returns undefined;
 *   3. asks `pollTimeout()` once and sleeps until that instant or the next input.
 *
 * `now` never decreases from call to call. `handleTimeout` may come early or late and then does what is due, no more.
 * When the place that transmits go to is full, the driver stops polling: that is all our backpressure.
 * A machine never throws on what a peer sent; it counts and drops, or answers as its protocol says.
 */
import type { Deadline, Instant } from './time.ts';

export interface Machine<Input, Transmit, Event> {
  handleInput(input: Input, now: Instant): void;
  handleTimeout(now: Instant): void;
  /** The next thing to send, or undefined when there is none now. */
  pollTransmit(): Transmit | undefined;
  /** The next event for the machine's owner, or undefined when there is none now. */
  pollEvent(): Event | undefined;
  /** When `handleTimeout` is wanted next, and why; undefined when never. */
  pollTimeout(): Deadline | undefined;
}
