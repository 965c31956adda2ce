/**
 * What an NTP client did lately, poll by poll, with the clock's true error beside what the client reports: for `omni ntp NODE`.
 * A bounded history; entries are numbered, so that a reader who comes back takes only what is new.
 */
import type { NtpClientEvent } from '../apps/ntp/index.ts';

export interface NtpPoll {
  /** Counts up by one. */
  readonly number: number;
  /** True time, milliseconds since 1970. */
  readonly atMilliseconds: number;
  readonly result: 'sample' | 'refused' | 'unanswered' | 'stopped';
  /** Why a reply was refused, or the client stopped. */
  readonly reason?: string;
  /** The client's word: seconds to add to the clock, so negative when it takes the clock to be ahead. */
  readonly offsetSeconds?: number;
  /** What it would have said without the links' correction. */
  readonly uncorrectedOffsetSeconds?: number;
  readonly delaySeconds?: number;
  /** How long links held the request and the reply, as they said themselves. */
  readonly requestHeldSeconds?: number;
  readonly replyHeldSeconds?: number;
  readonly verdict?: string;
  /** What the client did to the clock at once; a slew is worked off later. */
  readonly steppedSeconds?: number;
  /** Clock minus truth before and after, seconds. */
  readonly trueErrorBeforeSeconds?: number;
  readonly trueErrorSeconds?: number;
}

const KEPT = 256;

export class NtpPolls {
  #polls: NtpPoll[] = [];
  #count = 0;

  /** @param trueError clock minus truth now, the event's step done. */
  add(event: NtpClientEvent, atMilliseconds: number, trueError: number): void {
    const base = { number: ++this.#count, atMilliseconds };
    this.#polls.push({ ...base, ...describe(event, trueError) });
    if (this.#polls.length > KEPT) this.#polls.shift();
  }

  /** Entries with a higher number, oldest first. */
  after(number: number): readonly NtpPoll[] {
    return this.#polls.filter((poll) => poll.number > number);
  }
}

function describe(event: NtpClientEvent, trueError: number): Omit<NtpPoll, 'number' | 'atMilliseconds'> {
  if (event.kind === 'unanswered') return { result: 'unanswered' };
  if (event.kind === 'refused') return { result: 'refused', reason: event.reason };
  if (event.kind === 'stopped') return { result: 'stopped', reason: event.why };
  const { measurement, verdict } = event;
  const stepped = verdict.kind === 'stepped' ? verdict.seconds : 0;
  return {
    result: 'sample',
    offsetSeconds: measurement.offset,
    uncorrectedOffsetSeconds: measurement.uncorrectedOffset,
    delaySeconds: measurement.delay,
    requestHeldSeconds: measurement.correction.requestSeconds,
    replyHeldSeconds: measurement.correction.replySeconds,
    verdict: verdict.kind,
    ...(verdict.kind === 'ignored' && { reason: verdict.why }),
    ...(stepped !== 0 && { steppedSeconds: stepped }),
    trueErrorBeforeSeconds: trueError - stepped,
    trueErrorSeconds: trueError,
  };
}
