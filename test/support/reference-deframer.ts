/**
 * RFC 1662 section 5 word for word, a bit at a time and with no thought of speed: what `Deframer` must agree with.
 * It keeps the raw bits since the opening flag and removes the inserted zeros only when the closing flag has been seen.
 */
import type { DeframedFrame, DeframeOutcome } from '../../src/hdlc/index.ts';

export interface ReferenceOptions {
  readonly fcs: 16 | 32;
  readonly maximumFrameOctets: number;
  readonly minimumFrameOctets: number;
}

export function referenceDeframe(bits: readonly number[], options: ReferenceOptions): DeframedFrame[] {
  const frames: DeframedFrame[] = [];
  let openedAt: number | undefined; // index of the first bit after the opening flag
  for (let end = 1; end <= bits.length; end++) {
    if (openedAt !== undefined && end - openedAt >= 7 && bits.slice(end - 7, end).every((bit) => bit === 1)) {
      frames.push(judged(bits.slice(openedAt, end - 7), openedAt, end, options, 'abort'));
      openedAt = undefined;
    }
    if (end >= 8 && bits.slice(end - 8, end).join('') === '01111110') {
      if (openedAt !== undefined && end - 8 > openedAt) {
        frames.push(judged(bits.slice(openedAt, end - 8), openedAt, end, options));
      }
      openedAt = end;
    }
  }
  return frames;
}

function judged(
  raw: readonly number[],
  firstBit: number,
  endBit: number,
  options: ReferenceOptions,
  verdict?: DeframeOutcome,
): DeframedFrame {
  const contents: number[] = [];
  let ones = 0;
  for (const bit of raw) {
    if (!(bit === 0 && ones === 5)) contents.push(bit);
    ones = bit === 1 ? ones + 1 : 0;
  }
  const octets: number[] = [];
  for (let at = 0; at + 8 <= contents.length && octets.length < options.maximumFrameOctets; at += 8) {
    octets.push(contents.slice(at, at + 8).reduce((octet, bit, i) => octet | (bit << i), 0));
  }
  let outcome = verdict;
  if (outcome === undefined) {
    if (contents.length > 8 * options.maximumFrameOctets) outcome = 'giant';
    else if (contents.length < 8 * options.minimumFrameOctets) outcome = 'runt';
    else if (contents.length % 8 !== 0) outcome = 'unaligned';
    else
      outcome =
        referenceFcs(options.fcs, octets.slice(0, -options.fcs / 8)) === receivedFcs(octets, options.fcs)
          ? 'good'
          : 'fcs';
  }
  return { outcome, octets: Uint8Array.from(octets), firstBit, endBit };
}

/** The FCS by its definition: one bit at a time, as a bigint so that no width is special. */
export function referenceFcs(width: 16 | 32, octets: Iterable<number>): bigint {
  const polynomial = width === 16 ? 0x8408n : 0xedb88320n;
  const ones = (1n << BigInt(width)) - 1n;
  let crc = ones;
  for (const octet of octets) {
    for (let bit = 0; bit < 8; bit++) {
      const feedback = (crc ^ BigInt(octet >> bit)) & 1n;
      crc = (crc >> 1n) ^ (feedback * polynomial);
    }
  }
  return crc ^ ones;
}

function receivedFcs(octets: readonly number[], width: 16 | 32): bigint {
  return octets.slice(-width / 8).reduceRight((fcs, octet) => (fcs << 8n) | BigInt(octet), 0n);
}
