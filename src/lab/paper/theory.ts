/**
 * What theory says about TCP over a space link: the lines drawn beside the measurements. Rates in bit/s, times in seconds, sizes
 * in octets, probabilities from 0 to 1. Arguments out of range throw RangeError.
 *
 *   RFC 3819 section 8.5.1   Reno's throughput (Padhye, Firoiu, Towsley and Kurose, PFTK) and the bound of Mathis, Semke,
 *                            Mahdavi and Ott; section 8.5.3 from bit errors to packet loss
 *   RFC 3449 section 3.1     k, the normalised bandwidth ratio of an asymmetric link
 *
 * The surprising thing: the example in RFC 3819 section 8.5.3 (402.9 kbit/s) leaves out the factor min[1, 3√(.75p)] of the formula
 * two pages before it, which is the share of losses that end in a time-out. With the factor the same path gives 519.4 kbit/s.
 */
import { FLAG_BITS } from '../../hdlc/index.ts';

/** RFC 3819 section 8.5.1: an upper bound for any algorithm that increases by addition and decreases by multiplication. */
export const MATHIS_CONSTANT = 0.93;
/** RFC 3819 section 8.5.1: "RTO is approximately 5*RTT". */
const TIMEOUT_ROUND_TRIPS = 5;

export interface LossyPath {
  readonly segmentOctets: number;
  /** Mean, queueing included. */
  readonly roundTripSeconds: number;
  /** Packet loss, 0 to 1. */
  readonly loss: number;
}

/** BW = C · MSS / (RTT · √p); Infinity without loss. The link's rate is not in it. */
export function mathis({ segmentOctets, roundTripSeconds, loss }: LossyPath, constant = MATHIS_CONSTANT): number {
  requirePath(segmentOctets, roundTripSeconds, loss);
  return (constant * 8 * segmentOctets) / (roundTripSeconds * Math.sqrt(loss));
}

export interface PftkOptions {
  /** Retransmission time-out. 5 round trips unless given. */
  readonly timeoutSeconds?: number;
  /** Share of losses that end in a time-out. min[1, 3√(.75p)] unless given; 1 is RFC 3819's own example. */
  readonly timeoutShare?: number;
}

/** Reno with time-outs and delayed acknowledgments; Infinity without loss. The link's rate is not in it. */
export function pftk({ segmentOctets, roundTripSeconds, loss }: LossyPath, options: PftkOptions = {}): number {
  requirePath(segmentOctets, roundTripSeconds, loss);
  const timeout = options.timeoutSeconds ?? TIMEOUT_ROUND_TRIPS * roundTripSeconds;
  const share = options.timeoutShare ?? Math.min(1, 3 * Math.sqrt(0.75 * loss));
  if (!(timeout >= 0)) throw new RangeError(`time-out of ${timeout} s`);
  requireShare(share, 'share of time-outs');
  const seconds = roundTripSeconds * Math.sqrt(1.33 * loss) + timeout * loss * (1 + 32 * loss ** 2) * share;
  return (8 * segmentOctets) / seconds;
}

/** 1 − (1 − BER)^bits: independent errors, any of which spoils the frame. Exact also for the smallest rates. */
export function frameErrorRate(bits: number, bitErrorRate: number): number {
  if (!(bits >= 0)) throw new RangeError(`${bits} bits`);
  requireShare(bitErrorRate, 'bit error rate');
  return bits === 0 ? 0 : -Math.expm1(bits * Math.log1p(-bitErrorRate));
}

export interface Framing {
  /** Frame Relay and RFC 2427: 4. */
  readonly headerOctets: number;
  readonly fcsOctets: 2 | 4;
  /** Flags between two frames: one that they share, or two. */
  readonly flags: 1 | 2;
}

export const OMNI_FRAMING: Framing = { headerOctets: 4, fcsOctets: 2, flags: 1 };
/** Of IPv4 and of TCP without options. */
export const TCP_IP_OCTETS = 40;

/** Of random bits one in 62 is stuffed: 2 + 4 + 8 + 16 + 32 = 62 is the mean wait for five ones in a row. */
export const STUFFING_SHARE = 1 / 62;

/** Bits that a packet takes on the line: header, FCS, the zeros stuffed into them on average, and its flags. */
export function lineBits(packetOctets: number, framing: Framing = OMNI_FRAMING, stuffing = STUFFING_SHARE): number {
  const octets = packetOctets + framing.headerOctets + framing.fcsOctets;
  return 8 * octets * (1 + stuffing) + FLAG_BITS * framing.flags;
}

/** Bits an error in any of which loses the packet: its frame's and those of the flags on both sides. */
export function exposedBits(packetOctets: number, framing: Framing = OMNI_FRAMING): number {
  return lineBits(packetOctets, { ...framing, flags: 2 });
}

/** Largest share of a line's bits that can be payload, in full segments; 0.916 for UoSAT-12's 512 octets without stuffing. */
export function ceiling(segmentOctets: number, stuffing = STUFFING_SHARE, optionOctets = 0): number {
  return (8 * segmentOctets) / lineBits(segmentOctets + TCP_IP_OCTETS + optionOctets, OMNI_FRAMING, stuffing);
}

/** RFC 3449 section 3.1: the ratio of the raw capacities divided by the ratio of the packet sizes. */
export function normalizedBandwidthRatio(link: {
  readonly downBitPerSecond: number;
  readonly upBitPerSecond: number;
  readonly dataOctets: number;
  readonly acknowledgmentOctets: number;
}): number {
  for (const value of Object.values(link)) if (!(value > 0)) throw new RangeError(`${value} in a ratio`);
  return link.downBitPerSecond / link.upBitPerSecond / (link.dataOctets / link.acknowledgmentOctets);
}

/** Share of the forward capacity that the acknowledgments let through when none is dropped: at most 1. */
export function acknowledgmentLimit(k: number, segmentsPerAcknowledgment: number): number {
  if (!(k > 0 && segmentsPerAcknowledgment > 0)) throw new RangeError(`k ${k}, ${segmentsPerAcknowledgment} segments`);
  return Math.min(1, segmentsPerAcknowledgment / k);
}

/** One window a round trip. */
export function windowLimit(windowOctets: number, roundTripSeconds: number): number {
  if (!(windowOctets > 0 && roundTripSeconds > 0)) throw new RangeError(`${windowOctets} in ${roundTripSeconds} s`);
  return (8 * windowOctets) / roundTripSeconds;
}

function requirePath(segmentOctets: number, roundTripSeconds: number, loss: number): void {
  if (!(segmentOctets > 0)) throw new RangeError(`segments of ${segmentOctets} octets`);
  if (!(roundTripSeconds > 0)) throw new RangeError(`round trip of ${roundTripSeconds} s`);
  requireShare(loss, 'loss');
}

function requireShare(value: number, what: string): void {
  if (!(value >= 0 && value <= 1)) throw new RangeError(`${what} of ${value}`);
}
