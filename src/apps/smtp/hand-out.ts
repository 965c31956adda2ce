/**
 * How much message data may be handed to the kernel now: at the link's pace, no more than the line can have under way, and before the
 * end of a contact only what still arrives in it. What stood in a queue at a contact's end would go before the first packet of the
 * next one, which at 9,600 bit/s costs over a second for each.
 *
 * The pace alone does not do it: replies and acknowledgements of the other direction share the line, stuffing depends on the data, and
 * TCP repeats what it believes lost. So the kernel is asked what it still holds: what it does not had left a round trip ago, and the rest
 * followed at the link's rate.
 *
 * A connection begins with little under way, in small pieces. At the end of its handshake TCP knows the round trip of packets of 60
 * octets, and would repeat each of 1,500 that takes a second on the line, six or seven of them, before it has learned better.
 */
import type { WallTime } from '../../core/index.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

export interface LineNow {
  /** Octets a second at which message data is handed out, a little more than gets through. */
  readonly pace: number;
  /** Octets a second that get through. */
  readonly rate: number;
  /** To the peer and back, without full packets. */
  readonly roundTripSeconds: number;
  /** When the contact ends. */
  readonly end: WallTime | undefined;
  /** Octets that the kernel holds because the peer has not acknowledged them; undefined: unknown. */
  readonly unacknowledged: number | undefined;
}

export type Decision =
  | { readonly kind: 'octets'; readonly octets: number }
  | { readonly kind: 'wait'; readonly seconds: number }
  /** Nothing more arrives in this contact, and the line has carried what was handed out. */
  | { readonly kind: 'over' };

/** Message data may run ahead of its pace by this much, and by two chunks. */
const AHEAD_SECONDS = 0.1;
/** Beyond what a round trip takes, so much may be unacknowledged: acknowledgements wait behind packets of the other direction. */
const SLACK_SECONDS = 1;
const SLACK_CHUNKS = 3;
/** At first only so much, and each second this much more. */
const FIRST_SLACK_SECONDS = 0.25;
const SLACK_GROWTH = 0.5;
/** A backlog of more than this was counted before the clock was set back. */
export const LONGEST_BACKLOG_SECONDS = 20;
/** Left free before the end: late timers, and acknowledgements and replies to the peer, which stand in the same queue. */
const MARGIN_SECONDS = 0.05;
const MARGIN_OCTETS = 150;
/** Less is not worth a packet's headers. */
const LEAST_OCTETS = 256;
/** Never a pause of nothing: rounding may make one. */
const SHORTEST_PAUSE_SECONDS = 0.001;
/** The kernel is asked again after this. */
const ASK_SECONDS = 0.05;

export class HandOut {
  #carriedAt: WallTime;
  #begun: WallTime | undefined;
  /** Handed out and not acknowledged, the oldest first. */
  readonly #pieces: { octets: number; readonly at: WallTime }[] = [];
  /** By then the line had carried all that is acknowledged. */
  #acknowledgedLeft: WallTime;

  /** @param carriedAt when the line will have carried what another connection handed out. */
  constructor(now: WallTime, carriedAt: WallTime = now) {
    this.#carriedAt = carriedAt > now ? carriedAt : now;
    this.#acknowledgedLeft = now;
  }

  /** When the line will have carried what was handed out at its pace. */
  get carriedAt(): WallTime {
    return this.#carriedAt;
  }

  /** What to do with the next `length` octets. `octets` of them are counted as handed out. */
  decide(length: number, now: WallTime, line: LineNow): Decision {
    const { pace, unacknowledged } = line;
    const counted = secondsBetween(now, this.#carriedAt);
    const backlog = counted < LONGEST_BACKLOG_SECONDS ? Math.max(0, counted) : 0;
    const slack = this.#slackSeconds(length, now, pace);
    const piece = unacknowledged === undefined ? length : Math.max(LEAST_OCTETS, Math.floor((pace * slack) / 2));
    const free = unacknowledged === undefined ? backlog : this.#carriedIn(unacknowledged, now, line);
    const least = Math.min(length, LEAST_OCTETS);
    const octets = Math.min(length, piece, arriving(free, now, line));
    if (octets < least) {
      const late = arriving(0, now, line) < least;
      return late && (free === 0 || unacknowledged === 0) ? { kind: 'over' } : { kind: 'wait', seconds: ASK_SECONDS };
    }
    const ahead = Math.max(AHEAD_SECONDS, (2 * length) / pace);
    if (backlog > ahead) return { kind: 'wait', seconds: backlog - ahead + SHORTEST_PAUSE_SECONDS };
    if (unacknowledged && unacknowledged + octets > pace * (line.roundTripSeconds + slack))
      return { kind: 'wait', seconds: ASK_SECONDS };
    this.#begun ??= now;
    this.#carriedAt = wallPlus(now, backlog + octets / pace);
    if (unacknowledged !== undefined) this.#pieces.push({ octets, at: now });
    return { kind: 'octets', octets };
  }

  /** So much time's worth may be under way beyond a round trip's. */
  #slackSeconds(length: number, now: WallTime, pace: number): number {
    const elapsed = this.#begun === undefined ? 0 : Math.abs(secondsBetween(this.#begun, now));
    return Math.min(SLACK_SECONDS + (SLACK_CHUNKS * length) / pace, FIRST_SLACK_SECONDS + SLACK_GROWTH * elapsed);
  }

  /** Seconds until the line will have carried all that was handed out. */
  #carriedIn(unacknowledged: number, now: WallTime, { rate, roundTripSeconds }: LineNow): number {
    const pieces = this.#pieces;
    let acknowledged = pieces.reduce((sum, { octets }) => sum + octets, 0) - unacknowledged;
    if (acknowledged > 0) this.#acknowledgedLeft = wallPlus(now, -roundTripSeconds);
    while (pieces.length > 0 && pieces[0]!.octets <= acknowledged) acknowledged -= pieces.shift()!.octets;
    if (pieces.length > 0 && acknowledged > 0) pieces[0]!.octets -= acknowledged;
    let free = secondsBetween(now, this.#acknowledgedLeft);
    for (const { octets, at } of pieces) free = Math.max(free, secondsBetween(now, at)) + octets / rate;
    return Math.max(0, free);
  }
}

/** Octets that arrive before the end, if the line is free in so many seconds. */
function arriving(free: number, now: WallTime, { rate, roundTripSeconds, end }: LineNow): number {
  if (end === undefined) return Number.POSITIVE_INFINITY;
  return Math.floor((secondsBetween(now, end) - free - roundTripSeconds / 2 - MARGIN_SECONDS) * rate - MARGIN_OCTETS);
}
