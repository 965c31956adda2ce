/**
 * The NTP server (RFC 5905 §9.3 fast_xmit, stateless but for the rate limit): answers client requests of versions 1 to 4 in kind.
 * Requests that cannot be answered are dropped by reason; over-eager clients get a RATE kiss now and then (RFC 5905 §7.4), never
 * more octets than they sent. A known key is answered with the same key, an unknown one with a crypto-NAK.
 * Not here: symmetric, broadcast and control modes (ntpq cannot ask us).
 */
import { Counters, type Instant, toSeconds } from '../../core/index.ts';
import { correctionField, readCorrection } from './correction.ts';
import { authenticate, isAuthentic, type NtpKey } from './mac.ts';
import {
  emitPacket,
  LEAP_UNSYNCHRONISED,
  MAXIMUM_STRATUM,
  MODE,
  type NtpPacket,
  parsePacket,
  referenceFromText,
} from './packet.ts';
import { type NtpTimestamp, toShort } from './timestamp.ts';

/** RFC 5905 §11.1 system variables, as they are now. */
export interface SystemVariables {
  readonly synchronised: boolean;
  readonly stratum: number;
  readonly rootDelay: number;
  readonly rootDispersion: number;
  readonly referenceId: number;
  readonly reference: NtpTimestamp;
  /** log2 seconds. */
  readonly precision: number;
}

export interface NtpServerOptions {
  readonly keys: ReadonlyMap<number, NtpKey>;
  readonly requireKey: boolean;
  readonly rateLimitSeconds: number;
  readonly rateLimitBurst: number;
}

export interface RequestContext {
  readonly source: string;
  readonly receivedAt: NtpTimestamp;
  /** Read as late as possible: called once, just before the reply is complete. */
  readonly transmitAt: () => NtpTimestamp;
  readonly now: Instant;
}

// Implementation constants
const REMEMBERED_CLIENTS = 8192;
/** Of the requests over the limit, one in this many is told so. */
const KISS_EVERY = 4;

interface Bucket {
  tokens: number;
  at: Instant;
  over: number;
}

export class NtpServer {
  readonly counters = new Counters();
  readonly #options: NtpServerOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: NtpServerOptions) {
    this.#options = options;
  }

  /** The reply to a datagram, or undefined when there is to be none. */
  answer(octets: Uint8Array, system: SystemVariables, context: RequestContext): Uint8Array | undefined {
    const parsed = parsePacket(octets);
    if (!parsed.ok) return this.#drop(`malformed.${parsed.reason}`);
    const request = parsed.value;
    // Version 1 has no mode field: its zero means client when it comes to our port (RFC 5905 Appendix A.5.1 note).
    if (request.mode !== MODE.client && !(request.version === 1 && request.mode === 0)) return this.#drop('mode');
    const limit = this.#admit(context);
    if (limit === 'drop') return this.#drop('rate');
    const mac = request.mac;
    const key = mac === undefined ? undefined : this.#options.keys.get(mac.keyId);
    if (mac === undefined && this.#options.requireKey) return this.#drop('noKey');
    const authentic = key !== undefined && isAuthentic(octets, request, key);
    if (limit === 'kiss') {
      this.counters.add('kiss.RATE');
      return this.#emit(request, kissOfRate(request, context.receivedAt), authentic ? key : undefined);
    }
    const reply = makeReply(request, system, context);
    if (mac !== undefined && !authentic) {
      this.counters.add('cryptoNak');
      // RFC 5905 Appendix A.5.1: header and a key identifier of zero.
      const header = emitPacket({ ...reply, extensions: [] });
      const nak = new Uint8Array(header.length + 4);
      nak.set(header);
      return nak;
    }
    this.counters.add('answered');
    return this.#emit(request, reply, authentic ? key : undefined);
  }

  #emit(request: NtpPacket, reply: NtpPacket, key: NtpKey | undefined): Uint8Array {
    const correction = readCorrection(request.extensions);
    const extensions = correction === undefined ? [] : [correctionField({ ...correction, replySeconds: 0 })];
    const octets = emitPacket({ ...reply, extensions });
    return key === undefined ? octets : authenticate(octets, key);
  }

  #drop(reason: string): undefined {
    this.counters.add(`drop.${reason}`);
    return undefined;
  }

  /** Token bucket per source address; the table is bounded and the longest unseen gives way. */
  #admit({ source, now }: RequestContext): 'answer' | 'kiss' | 'drop' {
    const { rateLimitSeconds, rateLimitBurst } = this.#options;
    if (rateLimitSeconds === 0) return 'answer';
    const bucket = this.#buckets.get(source) ?? { tokens: rateLimitBurst, at: now, over: 0 };
    this.#buckets.delete(source);
    if (this.#buckets.size >= REMEMBERED_CLIENTS) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(source, bucket);
    const refill = toSeconds((now - bucket.at) as Instant) / rateLimitSeconds;
    bucket.tokens = Math.min(rateLimitBurst, bucket.tokens + refill);
    bucket.at = now;
    if (bucket.tokens >= 1) {
      bucket.tokens--;
      bucket.over = 0;
      return 'answer';
    }
    return bucket.over++ % KISS_EVERY === 0 ? 'kiss' : 'drop';
  }
}

function makeReply(request: NtpPacket, system: SystemVariables, context: RequestContext): NtpPacket {
  return {
    leap: system.synchronised ? 0 : LEAP_UNSYNCHRONISED,
    version: request.version,
    mode: MODE.server,
    stratum: system.synchronised && system.stratum < MAXIMUM_STRATUM ? system.stratum : 0,
    poll: Math.max(0, Math.min(17, request.poll)),
    precision: system.precision,
    rootDelay: toShort(system.rootDelay),
    rootDispersion: toShort(system.rootDispersion),
    referenceId: system.synchronised ? system.referenceId : referenceFromText('INIT'),
    reference: system.reference,
    origin: request.transmit,
    receive: context.receivedAt,
    transmit: context.transmitAt(),
    extensions: [],
  };
}

/** §7.4: stratum 0, the code as reference identifier; receive and transmit are not valid and only echo the request. */
function kissOfRate(request: NtpPacket, receivedAt: NtpTimestamp): NtpPacket {
  return {
    leap: LEAP_UNSYNCHRONISED,
    version: request.version,
    mode: MODE.server,
    stratum: 0,
    poll: request.poll,
    precision: 0,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: referenceFromText('RATE'),
    reference: 0n,
    origin: request.transmit,
    receive: receivedAt,
    transmit: receivedAt,
    extensions: [],
  };
}
