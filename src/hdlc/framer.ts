/**
 * The sending side of bit-synchronous HDLC: flags and stuffed frames as bits (RFC 1662 sections 5.1, 5.2, 5.5).
 * A frame on the line is `appendFlags(out, 1)`, `appendStuffed(out, frame with FCS)`, `appendFlags(out, 1)`; the closing
 * flag may be the next frame's opening flag. The shared-zero flag of section 5.1 is never sent, nor is an abort.
 */
import type { BitBuffer } from './bits.ts';
import { STUFFED } from './stuffing.ts';

/** 01111110: the same in either bit order. */
export const FLAG = 0x7e;
export const FLAG_BITS = 8;

export function appendFlags(out: BitBuffer, count: number): void {
  for (let i = 0; i < count; i++) out.appendOctet(FLAG);
}

/** Appends octets[start, end), a frame with its FCS, with its inserted zeros. It must follow a flag: the run of ones starts at 0. */
export function appendStuffed(out: BitBuffer, octets: Uint8Array, start: number, end: number): void {
  if (!(start >= 0 && start <= end && end <= octets.length)) {
    throw new RangeError(`octets ${start} to ${end} of ${octets.length}`);
  }
  // An octet becomes 10 bits at most; the slack lets the loop write three octets unasked.
  const memory = out.reserve(10 * (end - start) + 32);
  let write = out.length >>> 3;
  let pendingBits = out.length & 7;
  let pending = pendingBits > 0 ? memory[write]! : 0;
  let run = 0;
  let at = start;
  // Two at a time. The run that an octet hands on is its own, whatever went before, unless it is all ones; so the look-ups do
  // not wait for each other.
  for (const last = end - 2; at <= last; at += 2) {
    const octet = octets[at]!;
    const second = octets[at + 1]!;
    const stuffed = STUFFED[(run << 8) | octet]!;
    run = (octet !== 0xff ? STUFFED[octet]! : stuffed) >>> 14;
    const stuffedSecond = STUFFED[(run << 8) | second]!;
    run = (second !== 0xff ? STUFFED[second]! : stuffedSecond) >>> 14;
    const count = (stuffed >>> 10) & 15;
    pending |= ((stuffed & 0x3ff) | ((stuffedSecond & 0x3ff) << count)) << pendingBits;
    pendingBits += count + ((stuffedSecond >>> 10) & 15);
    memory[write] = pending; // a Uint8Array keeps the low eight bits
    memory[write + 1] = pending >>> 8;
    memory[write + 2] = pending >>> 16;
    write += pendingBits >>> 3;
    pending >>>= pendingBits & 0x18;
    pendingBits &= 7;
  }
  if (at < end) {
    const stuffed = STUFFED[(run << 8) | octets[at]!]!;
    pending |= (stuffed & 0x3ff) << pendingBits;
    pendingBits += (stuffed >>> 10) & 15;
    memory[write] = pending;
    memory[write + 1] = pending >>> 8;
    write += pendingBits >>> 3;
    pending >>>= pendingBits & 0x18;
    pendingBits &= 7;
  }
  memory[write] = pending;
  out.extendTo(8 * write + pendingBits);
}
