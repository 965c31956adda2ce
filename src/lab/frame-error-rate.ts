/**
 * Frame error rate of the real framer, noise and deframer, counted over many frames sent back to back, beside theory.
 *
 * A frame survives when no bit of it is hit, nor one of the flag before it nor of the flag behind it (each flag is shared with a
 * neighbour): 1 − (1 − p)^n with n = stuffed bits + 16.
 */
import { ErrorSource, LazyReceiver, type LineCode, type NoiseConfig } from '../channel/index.ts';
import { Rng } from '../core/index.ts';
import { countInsertedZeros, type FcsWidth, FLAG_BITS, fcsOctets, writeFcs } from '../hdlc/index.ts';

export interface FrameErrorRateOptions {
  /** Header and payload, without the FCS. */
  readonly frameOctets: number;
  readonly frames: number;
  readonly noise: NoiseConfig;
  readonly seed: number | string;
  readonly fcs?: FcsWidth;
  readonly lineCoding?: readonly LineCode[];
}

export interface FrameErrorRate {
  readonly frames: number;
  /** Not delivered as sent: lost, or altered without the FCS noticing. */
  readonly errors: number;
  /** Frames hit by the noise that passed the FCS with other octets than were sent. */
  readonly undetected: number;
  /** Stretches between flags, whole octets and neither too short nor too long, that the FCS found damaged. */
  readonly fcsErrors: number;
  /** What passed the FCS but was no frame that was sent: parts and joins. Counted in `undetected` too. */
  readonly spurious: number;
  readonly meanBits: number;
  /** Mean over the frames of 1 − (1 − p)^n; NaN when the noise is not independent. */
  readonly expected: number;
  readonly bitErrors: number;
}

const VARIETY = 256;

export function measureFrameErrorRate(options: FrameErrorRateOptions): FrameErrorRate {
  const fcs = options.fcs ?? 16;
  const rng = new Rng(options.seed, 'frames');
  const stride = options.frameOctets + fcsOctets(fcs);
  // Different contents, so that the stuffed lengths and what errors do to them vary as on a real link.
  const contents = new Uint8Array(VARIETY * stride + 16);
  const bits: number[] = [];
  for (let i = 0; i < VARIETY; i++) {
    const start = i * stride;
    rng.fill(contents.subarray(start, start + options.frameOctets));
    writeFcs(fcs, contents, start, start + options.frameOctets);
    bits.push(8 * stride + countInsertedZeros(contents, start, start + stride));
  }
  const receiver = new LazyReceiver({
    errors: new ErrorSource(options.noise, options.seed, 'frame-error-rate'),
    lineCoding: options.lineCoding ?? [],
    fcs,
    maximumFrameOctets: 65_536,
  });
  receiver.fill(0, FLAG_BITS);
  let at = FLAG_BITS;
  let intact = 0;
  let undetected = 0;
  let spurious = 0;
  // The frames sent since the receiver was last in step, to recognise what comes out.
  let open: { start: number; firstBit: number; endBit: number }[] = [];
  for (let i = 0; i < options.frames; i++) {
    const which = i % VARIETY;
    const start = which * stride;
    const stuffed = bits[which]!;
    if (receiver.frame(contents, start, start + stride, at, stuffed)) intact++;
    else {
      open.push({ start, firstBit: at, endBit: at + stuffed + FLAG_BITS });
      for (let event = receiver.pollFrame(); event !== undefined; event = receiver.pollFrame()) {
        if (event.outcome !== 'good') continue;
        const { firstBit, endBit, octets } = event;
        const sent = open.find((frame) => frame.firstBit === firstBit);
        if (sent !== undefined && same(contents, sent.start, stride, octets)) intact++;
        else {
          undetected++;
          if (sent?.endBit !== endBit) spurious++;
        }
      }
      if (!receiver.pending) open = [];
      else if (open.length > 64) open = open.slice(-8);
    }
    at += stuffed + FLAG_BITS;
  }
  const { noise } = options;
  const expected =
    noise.kind === 'independent'
      ? bits.reduce((sum, n) => sum - Math.expm1((n + 2 * FLAG_BITS) * Math.log1p(-noise.ber)), 0) / VARIETY
      : Number.NaN;
  return {
    frames: options.frames,
    errors: options.frames - intact,
    undetected,
    fcsErrors: receiver.counters.fcsErrors,
    spurious,
    meanBits: bits.reduce((sum, n) => sum + n, 0) / VARIETY,
    expected,
    bitErrors: receiver.flippedBits,
  };
}

function same(contents: Uint8Array, start: number, length: number, octets: Uint8Array): boolean {
  if (octets.length !== length) return false;
  for (let i = 0; i < length; i++) if (contents[start + i] !== octets[i]) return false;
  return true;
}

/**
 * The interval that a binomial count of n trials with probability p falls into with 99 % (normal quantile 2.576 with continuity
 * correction; exact Poisson tails where fewer than 50 are expected).
 */
export function binomialInterval99(n: number, p: number): { low: number; high: number } {
  const mean = n * p;
  if (mean < 50) {
    let low = -1;
    let high = 0;
    let term = Math.exp(-mean);
    let cumulative = term;
    for (let k = 0; ; k++) {
      if (cumulative <= 0.005) low = k;
      if (cumulative >= 0.995) {
        high = k;
        break;
      }
      term *= mean / (k + 1);
      cumulative += term;
    }
    return { low: low + 1, high };
  }
  const half = 2.5758 * Math.sqrt(n * p * (1 - p)) + 0.5;
  return { low: Math.floor(mean - half), high: Math.min(n, Math.ceil(mean + half)) };
}
