/**
 * What one end of a TCP connection sent, judged at that end: it sees its own segments leave and the acknowledgments arrive.
 * A segment is a retransmission when it brings no sequence number that was not sent before. Its cause:
 *
 *   fast    an acknowledgment asked for it: three duplicates (RFC 5681), SACK blocks above it (RFC 6675, RACK), or a partial
 *           acknowledgment during that recovery (RFC 6582)
 *   timeout nothing did: the retransmission timer; so are the segments sent again after it, until all that was out is acknowledged
 *   probe   the last segment sent again while all was quiet, sooner than a timer would (tail loss probe, RFC 8985 section 7)
 *
 * A retransmission is also `spurious` when the far end proves that the first copy had come: by a D-SACK (RFC 2883), or by an
 * acknowledgment that comes sooner than half the shortest round trip. Without such proof it is taken as needed.
 */
import { sequenceLength, type TcpSegment } from './segment.ts';

export type RetransmissionCause = 'fast' | 'timeout' | 'probe';

export interface SentSegment {
  readonly at: number;
  /** Octets since the connection's first sequence number. */
  readonly sequence: number;
  readonly octets: number;
  readonly payloadOctets: number;
  readonly label: number;
  readonly cause?: RetransmissionCause;
  spurious: boolean;
}

export interface RoundTripSample {
  readonly at: number;
  readonly seconds: number;
}

const DUPLICATES_FOR_FAST_RETRANSMIT = 3;
/** A recovery that an acknowledgment drives answers it at once; this allows for a busy machine. */
const ANSWER_SECONDS = 0.02;
/** RFC 8985 section 7.2: a probe comes after two smoothed round trips; a retransmission timer is longer (section 2 of RFC 6298). */
const PROBE_ROUND_TRIPS = 2.5;

export class TcpFlow {
  readonly sent: SentSegment[] = [];
  readonly roundTrips: RoundTripSample[] = [];
  /** (time, octets) each time the far end acknowledged more. */
  readonly acknowledged: { readonly at: number; readonly octets: number }[] = [];
  duplicateAcknowledgments = 0;
  zeroWindows = 0;
  #first: number | undefined;
  #nextNew = 0;
  #unacknowledged = 0;
  #duplicates = 0;
  #highestSack = 0;
  /** Recovery ends when this much is acknowledged. */
  #recover = 0;
  #recovery: RetransmissionCause | undefined;
  #lastAcknowledgmentAt = Number.NEGATIVE_INFINITY;
  #lastSentAt = Number.NEGATIVE_INFINITY;
  #shortestRoundTrip = Number.POSITIVE_INFINITY;
  #smoothedRoundTrip = 0;
  /** Segments not yet acknowledged that may be timed, oldest first (Karn: never a retransmitted one). */
  #timed: { end: number; at: number }[] = [];
  #resent: SentSegment[] = [];

  get firstSequence(): number | undefined {
    return this.#first;
  }
  get octetsAcknowledged(): number {
    return this.#unacknowledged;
  }

  /** A segment that this end sent. */
  send(segment: TcpSegment): void {
    const octets = sequenceLength(segment);
    this.#first ??= segment.sequence;
    if (octets === 0) return;
    const sequence = this.#unwrap(segment.sequence, this.#nextNew);
    const end = sequence + octets;
    const isNew = end > this.#nextNew;
    const cause = isNew ? undefined : this.#causeOf(sequence, end, segment.at);
    const sent: SentSegment = {
      at: segment.at,
      sequence,
      octets,
      payloadOctets: segment.payloadOctets,
      label: segment.label,
      ...(cause === undefined ? {} : { cause }),
      spurious: false,
    };
    this.sent.push(sent);
    this.#lastSentAt = segment.at;
    if (isNew) {
      this.#nextNew = end;
      this.#timed.push({ end, at: segment.at });
    } else {
      this.#resent.push(sent);
      this.#timed = this.#timed.filter((timed) => timed.end <= sequence || timed.end > end);
    }
  }

  /** A segment of the other end's: its acknowledgment is what matters. */
  acknowledge(segment: TcpSegment): void {
    if (this.#first === undefined) return;
    const acknowledgment = this.#unwrap(segment.acknowledgment, this.#unacknowledged);
    if (acknowledgment > this.#nextNew) return; // not of this flow's sequence numbers
    this.#noteDuplicateSack(segment, acknowledgment);
    if (acknowledgment > this.#unacknowledged) {
      this.#advance(acknowledgment, segment.at);
    } else if (
      acknowledgment === this.#unacknowledged &&
      sequenceLength(segment) === 0 &&
      this.#nextNew > acknowledgment
    ) {
      this.#duplicates++;
      this.duplicateAcknowledgments++;
    }
    for (const { right } of segment.sack)
      this.#highestSack = Math.max(this.#highestSack, this.#unwrap(right, acknowledgment));
    if (segment.window === 0) this.zeroWindows++;
    this.#lastAcknowledgmentAt = segment.at;
  }

  #advance(acknowledgment: number, at: number): void {
    this.#unacknowledged = acknowledgment;
    this.acknowledged.push({ at, octets: acknowledgment });
    this.#duplicates = 0;
    if (this.#recovery !== undefined && acknowledgment >= this.#recover) this.#recovery = undefined;
    let sentAt: number | undefined;
    while (this.#timed.length > 0 && this.#timed[0]!.end <= acknowledgment) sentAt = this.#timed.shift()!.at;
    if (sentAt !== undefined) this.#sample(at, at - sentAt);
    for (const resent of this.#resent)
      if (resent.sequence + resent.octets <= acknowledgment && at - resent.at < this.#shortestRoundTrip / 2)
        resent.spurious = true;
    this.#resent = this.#resent.filter((resent) => resent.sequence + resent.octets > acknowledgment);
  }

  #sample(at: number, seconds: number): void {
    this.roundTrips.push({ at, seconds });
    this.#shortestRoundTrip = Math.min(this.#shortestRoundTrip, seconds);
    this.#smoothedRoundTrip =
      this.#smoothedRoundTrip === 0 ? seconds : 0.875 * this.#smoothedRoundTrip + 0.125 * seconds;
  }

  /** RFC 2883 section 4: a first block at or below the acknowledgment, or inside the second, reports a duplicate. */
  #noteDuplicateSack(segment: TcpSegment, acknowledgment: number): void {
    const [first, second] = segment.sack;
    if (first === undefined) return;
    const left = this.#unwrap(first.left, acknowledgment);
    const right = this.#unwrap(first.right, acknowledgment);
    const inSecond =
      second !== undefined &&
      left >= this.#unwrap(second.left, acknowledgment) &&
      right <= this.#unwrap(second.right, acknowledgment);
    if (right > acknowledgment && !inSecond) return;
    for (let i = this.sent.length - 1; i >= 0; i--) {
      const sent = this.sent[i]!;
      if (sent.cause === undefined || sent.spurious || sent.sequence >= right || sent.sequence + sent.octets <= left)
        continue;
      sent.spurious = true;
      return;
    }
  }

  #causeOf(sequence: number, end: number, at: number): RetransmissionCause {
    const answered = at - this.#lastAcknowledgmentAt <= ANSWER_SECONDS;
    const asked = this.#duplicates >= DUPLICATES_FOR_FAST_RETRANSMIT || this.#highestSack > end;
    const again = this.#resent.some((resent) => resent.sequence < end && resent.sequence + resent.octets > sequence);
    let cause: RetransmissionCause;
    if (this.#recovery === 'timeout') cause = 'timeout';
    else if (asked && (!again || answered)) cause = 'fast';
    else if (this.#recovery === 'fast' && answered) cause = 'fast';
    else if (this.#recovery === undefined && end === this.#nextNew && this.#isProbe(sequence, at)) return 'probe';
    else cause = 'timeout';
    if (this.#recovery !== cause) {
      this.#recovery = cause;
      this.#recover = this.#nextNew;
    }
    return cause;
  }

  #isProbe(sequence: number, at: number): boolean {
    const quiet = at - Math.max(this.#lastSentAt, this.#lastAcknowledgmentAt);
    return sequence > this.#unacknowledged && quiet <= PROBE_ROUND_TRIPS * this.#smoothedRoundTrip;
  }

  /** The 32-bit number as a distance from the flow's first, the one nearest to `near`. */
  #unwrap(sequence: number, near: number): number {
    return near + ((sequence - (this.#first! + near)) | 0);
  }
}
