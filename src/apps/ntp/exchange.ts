/**
 * One client/server exchange: the request, the checks on the reply (RFC 5905 §8, §9.2 and Appendix A.5.1; RFC 8633 §5; RFC 9109)
 * and the four-timestamp arithmetic. Both the client machine and `omni ntp query` stand on it.
 *
 * The surprising thing: the request's transmit timestamp is 64 random bits, not the time. A server only copies it back, so it
 * serves as the nonce that off-path attackers cannot guess even when a coarse tick makes the time guessable; T1 stays at home.
 */
import { fail, ok, type Result, type WallTime } from '../../core/index.ts';
import { type Correction, correctionField, readCorrection } from './correction.ts';
import { authenticate, isAuthentic, type NtpKey } from './mac.ts';
import {
  emitPacket,
  LEAP_UNSYNCHRONISED,
  MAXIMUM_STRATUM,
  MODE,
  NTP_VERSION,
  type NtpPacket,
  parsePacket,
  referenceText,
} from './packet.ts';
import { differenceInSeconds, fromShort, log2Seconds, type NtpTimestamp, toWallTime } from './timestamp.ts';

/** Why a reply was not used; counted as `refused.<reason>`. */
export type ReplyRefusal =
  | 'malformed'
  | 'mode'
  | 'bogus'
  | 'duplicate'
  | 'cryptoNak'
  | 'authentication'
  | 'kissDeny'
  | 'kissRate'
  | 'kissOther'
  | 'unsynchronised'
  | 'stratum'
  | 'era'
  | 'delay'
  | 'correction'
  | 'rootDistance';

export interface Exchange {
  /** The request's transmit timestamp; undefined once a reply matched it, so that a replay finds nothing (RFC 5905 §8). */
  nonce: NtpTimestamp | undefined;
  lastNonce: NtpTimestamp | undefined;
  /** T1 by the client's clock. */
  sentAt: WallTime;
  readonly key: NtpKey | undefined;
}

export interface Limits {
  /** MAXDIST, seconds. */
  readonly maximumDistance: number;
  readonly maximumDelay: number;
  /** The client's precision, seconds: its tick at least. */
  readonly precision: number;
}

export interface Measurement {
  /** Seconds to add to the client's clock (θ); negative when it is ahead. */
  readonly offset: number;
  /** Round trip (δ), seconds, at least the precision. */
  readonly delay: number;
  /** ε: reading errors of both clocks and their drift during the exchange. */
  readonly dispersion: number;
  /** λ: half the whole round trip to the reference plus all dispersions. */
  readonly rootDistance: number;
  readonly correction: Correction;
  /** θ without the correction. */
  readonly uncorrectedOffset: number;
  readonly packet: NtpPacket;
  /** T3 as a time. */
  readonly serverTime: WallTime;
}

// Specification constants (RFC 5905 §7.2, Appendix A.1.1)
/** PHI: how fast dispersion grows, s/s. */
export const FREQUENCY_TOLERANCE = 15e-6;
// Implementation constants
/** A server that keeps a request longer than this is not to be trusted with its time. */
const SERVER_RESIDENCE_LIMIT_SECONDS = 16;
/** No server has a time before this software was written or a century after it. */
const EARLIEST = 1_704_067_200_000_000_000n; // 2024-01-01
const LATEST = EARLIEST + 100n * 31_557_600_000_000_000n;

export function makeRequest(options: {
  nonce: NtpTimestamp;
  poll: number;
  correction: boolean;
  key: NtpKey | undefined;
}): Uint8Array {
  const octets = emitPacket({
    leap: 0,
    version: NTP_VERSION,
    mode: MODE.client,
    stratum: 0,
    poll: options.poll,
    // RFC 5905 leaves these to the client; what a server need not know is not told (as RFC 9109 does with the port).
    precision: 32,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: 0,
    reference: 0n,
    origin: 0n,
    receive: 0n,
    transmit: options.nonce,
    extensions: options.correction ? [correctionField()] : [],
  });
  return options.key === undefined ? octets : authenticate(octets, options.key);
}

/** What the reply says, or why it is refused. `arrivedAt` is T4 by the client's clock. */
export function judgeReply(
  octets: Uint8Array,
  exchange: Exchange,
  arrivedAt: WallTime,
  limits: Limits,
  configured?: Correction,
): Result<Measurement, ReplyRefusal> {
  const parsed = parsePacket(octets);
  if (!parsed.ok) return fail('malformed');
  const packet = parsed.value;
  if (packet.mode !== MODE.server) return fail('mode');
  if (exchange.nonce === undefined || packet.origin !== exchange.nonce)
    return fail(packet.origin === exchange.lastNonce && packet.origin !== 0n ? 'duplicate' : 'bogus');
  if (exchange.key !== undefined) {
    if (packet.mac !== undefined && packet.mac.digest.length === 0) return fail('cryptoNak');
    if (!isAuthentic(octets, packet, exchange.key)) return fail('authentication');
  }
  // From here on it is the server's answer to this request, and the only one that will be looked at.
  exchange.lastNonce = exchange.nonce;
  exchange.nonce = undefined;
  if (packet.stratum === 0) return fail(kissReason(referenceText(packet.referenceId)));
  if (packet.leap === LEAP_UNSYNCHRONISED) return fail('unsynchronised');
  if (packet.stratum >= MAXIMUM_STRATUM) return fail('stratum');
  if (packet.receive === 0n || packet.transmit === 0n) return fail('malformed');
  return measure(packet, exchange.sentAt, arrivedAt, limits, configured);
}

function measure(
  packet: NtpPacket,
  t1: WallTime,
  t4: WallTime,
  limits: Limits,
  configured: Correction | undefined,
): Result<Measurement, ReplyRefusal> {
  // Far wrong clocks are set too: eras are told apart by when this software can run, not by the clock that is to be set.
  const pivot = ((EARLIEST + LATEST) / 2n) as WallTime;
  const t2 = toWallTime(packet.receive, pivot);
  const t3 = toWallTime(packet.transmit, pivot);
  if (t2 < EARLIEST || t3 < EARLIEST || t2 > LATEST || t3 > LATEST) return fail('era');
  const residence = differenceInSeconds(packet.transmit, packet.receive);
  const correction = configured ?? readCorrection(packet.extensions) ?? { requestSeconds: 0, replySeconds: 0 };
  const held = correction.requestSeconds + correction.replySeconds;
  const elapsed = Number(t4 - t1) / 1e9;
  const roundTrip = elapsed - residence;
  if (residence < 0 || residence > SERVER_RESIDENCE_LIMIT_SECONDS || elapsed < 0) return fail('delay');
  if (roundTrip < -limits.precision || roundTrip > limits.maximumDelay) return fail('delay');
  // The links cannot have held the packets longer than they were away; two ticks of slack for the client's own reading.
  if (!(held >= 0 && held <= roundTrip + 2 * limits.precision + 0.001)) return fail('correction');
  const uncorrectedOffset = (Number(t2 - t1) / 1e9 + Number(t3 - t4) / 1e9) / 2;
  const offset = uncorrectedOffset - (correction.requestSeconds - correction.replySeconds) / 2;
  const delay = Math.max(limits.precision, roundTrip - held);
  const dispersion = log2Seconds(packet.precision) + limits.precision + FREQUENCY_TOLERANCE * elapsed;
  const rootDistance = (fromShort(packet.rootDelay) + delay) / 2 + fromShort(packet.rootDispersion) + dispersion;
  if (rootDistance > limits.maximumDistance) return fail('rootDistance');
  return ok({ offset, delay, dispersion, rootDistance, correction, uncorrectedOffset, packet, serverTime: t3 });
}

/** RFC 5905 §7.4: DENY and RSTR mean stop, RATE means slower. */
function kissReason(code: string): ReplyRefusal {
  if (code === 'DENY' || code === 'RSTR') return 'kissDeny';
  return code === 'RATE' ? 'kissRate' : 'kissOther';
}
