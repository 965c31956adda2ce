import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import { countInsertedZeros, Deframer, fcs16, fcs32, fcsIsGood } from '../../src/hdlc/index.ts';
import { bitsOfText, deframe, framedBits, textOfBits, withFcs } from '../support/line-bits.ts';

const load = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));

interface FcsVector {
  readonly hex: string;
  readonly fcs16: string;
  readonly fcs32: string;
}
interface FramerVector {
  readonly payload: string;
  readonly fcs16_le: string;
  readonly bits: string;
}

describe('frame check sequences', () => {
  const check = new TextEncoder().encode('123456789');
  test('check values of RFC 1662 FCS-16 and FCS-32', () => {
    expect(fcs16(check, 0, 9)).toBe(0x906e);
    expect(fcs32(check, 0, 9)).toBe(0xcbf43926);
    expect(toHex(withFcs(16, check)).slice(18)).toBe('6e90');
    expect(toHex(withFcs(32, check)).slice(18)).toBe('2639f4cb');
  });

  test.each((load('fcs.json').examples as FcsVector[]).map((v) => [v.hex, v.fcs16, v.fcs32] as const))(
    'of %s: %s %s',
    (hex, expected16, expected32) => {
      const octets = fromHex(hex);
      expect(fcs16(octets, 0, octets.length)).toBe(Number.parseInt(expected16, 16));
      expect(fcs32(octets, 0, octets.length)).toBe(Number.parseInt(expected32, 16));
    },
  );

  test('sample frames, good and damaged', () => {
    const frames = load('frames.json');
    for (const [width, { good, damaged }] of [
      [16, frames.withFcs16],
      [32, frames.withFcs32],
    ] as const) {
      for (const hex of good) expect(fcsIsGood(width, fromHex(hex), 0, hex.length / 2)).toBe(true);
      for (const hex of damaged) expect(fcsIsGood(width, fromHex(hex), 0, hex.length / 2)).toBe(false);
    }
  });
});

describe('bits as GNU Radio frames them', () => {
  test.each((load('hdlc.json').frames as FramerVector[]).map((v) => [v.payload, v] as const))(
    '%s',
    (payload, vector) => {
      const frame = withFcs(16, fromHex(payload));
      expect(toHex(frame)).toBe(payload + vector.fcs16_le);
      expect(textOfBits(framedBits(frame))).toBe(vector.bits);
      expect(countInsertedZeros(frame, 0, frame.length)).toBe(vector.bits.length - 16 - 8 * frame.length);
      // One payload is a single octet: three with its FCS, a runt by default.
      const [received] = deframe(bitsOfText(vector.bits), new Deframer({ fcs: 16, minimumFrameOctets: 3 }));
      expect(received!.outcome).toBe('good');
      expect(toHex(received!.octets)).toBe(toHex(frame));
    },
  );
});

test('LCP frames from a stock PPP implementation (slirp 1.0.17) have a good FCS', () => {
  const { configure_request_unstuffed_with_fcs: request, configure_ack_to_empty_request_id2: ack } =
    load('hdlc.json').slirp_ppp_lcp;
  for (const hex of [request, ack]) expect(fcsIsGood(16, fromHex(hex), 0, hex.length / 2)).toBe(true);
});
