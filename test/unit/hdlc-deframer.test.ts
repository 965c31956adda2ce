import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import { BitBuffer, Deframer } from '../../src/hdlc/index.ts';
import { bitsOfText, deframe, drain, FLAG_TEXT, framedBits, stuffedText, withFcs } from '../support/line-bits.ts';

const FRAME = withFcs(16, fromHex('184103cc4500001c'));
const CONTENTS = stuffedText(FRAME);
const outcomes = (text: string, deframer = new Deframer({ fcs: 16 })) =>
  deframe(bitsOfText(text), deframer).map((frame) => frame.outcome);
const zeroCounters = { goodFrames: 0, fcsErrors: 0, aborts: 0, runts: 0, giants: 0, unaligned: 0 };

describe('RFC 1662 section 5.1: flags', () => {
  test('a frame between two flags, with where its bits lie', () => {
    const deframer = new Deframer({ fcs: 16 });
    const [frame, ...more] = deframe(bitsOfText(`${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`), deframer);
    expect(more).toEqual([]);
    expect(frame).toMatchObject({ outcome: 'good', firstBit: 8, endBit: 16 + CONTENTS.length });
    expect(toHex(frame!.octets)).toBe(toHex(FRAME));
    expect(deframer.counters).toEqual({ ...zeroCounters, goodFrames: 1 });
    expect(deframer.bitsSeen).toBe(16 + CONTENTS.length);
  });

  test('one flag may close a frame and open the next', () => {
    expect(outcomes(`${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`)).toEqual(['good', 'good']);
  });

  test('flags with a shared zero, 011111101111110, are received', () => {
    expect(outcomes(`011111101111110${CONTENTS}011111101111110${CONTENTS}011111101111110`)).toEqual(['good', 'good']);
  });

  test('the first of two flags with a shared zero ends the frame at once', () => {
    expect(deframe(bitsOfText(`${FLAG_TEXT}${CONTENTS}01111110`))[0]!.endBit).toBe(16 + CONTENTS.length);
  });

  test('back-to-back flags are an empty frame: no error, no event', () => {
    const deframer = new Deframer({ fcs: 16 });
    expect(outcomes(FLAG_TEXT.repeat(50), deframer)).toEqual([]);
    expect(deframer.counters).toEqual(zeroCounters);
    expect(outcomes(`${CONTENTS}${FLAG_TEXT}`, deframer)).toEqual(['good']);
  });

  test('hunting before the first flag emits nothing, and six ones without a zero before them are no flag', () => {
    expect(outcomes(`${CONTENTS}${CONTENTS}`)).toEqual([]);
    expect(outcomes(`1111110${CONTENTS}${FLAG_TEXT}`)).toEqual([]);
    expect(outcomes(`0010110${CONTENTS}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`)).toEqual(['good']);
  });

  test.each([1, 2, 3, 4, 5, 6, 7])('frames need no octet boundary on the line: %i bits of fill before', (fill) => {
    expect(outcomes(`${'0'.repeat(fill)}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`)).toEqual(['good']);
  });
});

describe('RFC 1662 section 5.2: transparency', () => {
  test('contents that look like flags and aborts arrive', () => {
    const frame = withFcs(16, fromHex('7e7e7effffffffffffff7d5e7e00ff7e'));
    const [received] = deframe(framedBits(frame));
    expect(received).toMatchObject({ outcome: 'good' });
    expect(toHex(received!.octets)).toBe(toHex(frame));
  });

  test('stuffing inside the FCS, and after five ones that are its last bits', () => {
    for (const ending of [/^f8$/, /^f[0-9a-f]$/]) {
      const frame = frameWhoseFcsEndsIn(ending);
      const [received] = deframe(framedBits(frame));
      expect(received).toMatchObject({ outcome: 'good' });
      expect(toHex(received!.octets)).toBe(toHex(frame));
    }
    expect(stuffedText(frameWhoseFcsEndsIn(/^f8$/)).endsWith('111110')).toBe(true);
  });

  test('a sender that stuffs nothing after the last five ones is understood too', () => {
    const contents = stuffedText(frameWhoseFcsEndsIn(/^f8$/)).slice(0, -1);
    expect(outcomes(`${FLAG_TEXT}${contents}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`)).toEqual(['good', 'good']);
  });
});

describe('RFC 1662 section 5.3: invalid frames', () => {
  test('seven ones abort: discarded, counted as an abort and not as an FCS error; then hunt for a flag', () => {
    const deframer = new Deframer({ fcs: 16 });
    const begun = stuffedText(fromHex('184103cc4500'));
    const frames = deframe(
      bitsOfText(`${FLAG_TEXT}${begun}01111111 ${CONTENTS}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`),
      deframer,
    );
    expect(frames.map((frame) => frame.outcome)).toEqual(['abort', 'good']);
    expect(frames[0]).toMatchObject({ firstBit: 8, endBit: 8 + begun.length + 8 });
    expect(toHex(frames[0]!.octets)).toBe('184103cc4500');
    expect(deframer.counters).toEqual({ ...zeroCounters, aborts: 1, goodFrames: 1 });
  });

  test('six ones are a flag, seven are not', () => {
    expect(outcomes(`${FLAG_TEXT}${CONTENTS}01111110`)).toEqual(['good']);
    expect(outcomes(`${FLAG_TEXT}${CONTENTS}011111110`)).toEqual(['abort']);
  });

  test('frames under four octets with FCS-16, six with FCS-32, are runts and no FCS errors', () => {
    for (const [fcs, minimum] of [
      [16, 4],
      [32, 6],
    ] as const) {
      const deframer = new Deframer({ fcs });
      deframe(framedBits(new Uint8Array(minimum - 1)), deframer);
      deframe(bitsOfText(`${FLAG_TEXT}0${FLAG_TEXT}`), deframer);
      expect(deframer.counters).toEqual({ ...zeroCounters, runts: 2 });
      deframe(framedBits(withFcs(fcs, new Uint8Array(2))), deframer);
      expect(deframer.counters).toEqual({ ...zeroCounters, runts: 2, goodFrames: 1 });
    }
  });

  test('minimumFrameOctets can be set', () => {
    expect(deframe(framedBits(FRAME), new Deframer({ fcs: 16, minimumFrameOctets: 11 }))[0]!.outcome).toBe('runt');
    expect(deframe(framedBits(FRAME), new Deframer({ fcs: 16, minimumFrameOctets: 10 }))[0]!.outcome).toBe('good');
  });

  test('a number of bits that is no multiple of eight is unaligned', () => {
    const deframer = new Deframer({ fcs: 16 });
    const [frame] = deframe(bitsOfText(`${FLAG_TEXT}${CONTENTS}0${FLAG_TEXT}`), deframer);
    expect(frame!.outcome).toBe('unaligned');
    expect(toHex(frame!.octets)).toBe(toHex(FRAME));
    expect(deframer.counters).toEqual({ ...zeroCounters, unaligned: 1 });
  });

  test('a wrong FCS', () => {
    const frame = FRAME.slice();
    frame[5]! ^= 0x10;
    const [received] = deframe(framedBits(frame));
    expect(received).toMatchObject({ outcome: 'fcs' });
    expect(toHex(received!.octets)).toBe(toHex(frame));
  });
});

describe('giants', () => {
  const options = { fcs: 16, maximumFrameOctets: 20 } as const;

  test('the largest frame allowed is good; one octet, or one bit, more is a giant', () => {
    const largest = withFcs(16, new Uint8Array(18).fill(0x55));
    expect(deframe(framedBits(largest), new Deframer(options))[0]!.outcome).toBe('good');
    expect(deframe(framedBits(withFcs(16, new Uint8Array(19))), new Deframer(options))[0]!.outcome).toBe('giant');
    expect(outcomes(`${FLAG_TEXT}${stuffedText(largest)}0${FLAG_TEXT}`, new Deframer(options))).toEqual(['giant']);
  });

  test('memory is bounded: a megabyte without a flag leaves the first octets and one count', () => {
    const deframer = new Deframer(options);
    deframer.push(Uint8Array.of(0x7e), 8);
    deframer.push(new Uint8Array(1_000_000).fill(0x55), 8_000_000);
    expect(drain(deframer)).toEqual([]);
    deframer.push(Uint8Array.of(0x7e), 8);
    const [frame] = drain(deframer);
    expect(frame).toMatchObject({ outcome: 'giant', firstBit: 8, endBit: 8_000_016 });
    expect(frame!.octets).toEqual(new Uint8Array(20).fill(0x55));
    expect(deframer.counters).toEqual({ ...zeroCounters, giants: 1 });
    expect(deframe(framedBits(FRAME), deframer)[0]!.outcome).toBe('good');
  });
});

describe('RFC 1662 section 5.4: time fill', () => {
  test('mark idle is no error beyond one abort', () => {
    const deframer = new Deframer({ fcs: 16 });
    const idle = '1'.repeat(1000);
    expect(
      outcomes(`${idle}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}${idle}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`, deframer),
    ).toEqual(['good', 'abort', 'good']);
    expect(deframer.counters).toEqual({ ...zeroCounters, goodFrames: 2, aborts: 1 });
  });

  test('fifteen ones, the shortest idle, and the flag after it', () => {
    expect(outcomes(`${FLAG_TEXT}${'1'.repeat(15)}${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`)).toEqual(['abort', 'good']);
  });
});

describe('state', () => {
  test('atFlag is true exactly when the last eight bits are a flag', () => {
    const deframer = new Deframer({ fcs: 16 });
    const text =
      `1111110 ${FLAG_TEXT} 1111110 ${CONTENTS} ${FLAG_TEXT} ${'1'.repeat(20)} 0 111110 ${FLAG_TEXT}`.replace(/ /g, '');
    for (let end = 1; end <= text.length; end++) {
      deframer.push(Uint8Array.of(Number(text[end - 1])), 1);
      expect(deframer.atFlag).toBe(text.slice(0, end).endsWith(FLAG_TEXT));
      expect(deframer.bitsSeen).toBe(end);
    }
  });

  test('skipBetweenFlags counts bits that went another way; only at a flag', () => {
    const deframer = new Deframer({ fcs: 16 });
    expect(() => deframer.skipBetweenFlags(8)).toThrow(RangeError);
    deframe(bitsOfText(FLAG_TEXT), deframer);
    deframer.skipBetweenFlags(5_000_000_000);
    const [frame] = deframe(bitsOfText(`${CONTENTS}${FLAG_TEXT}`), deframer);
    expect(frame).toMatchObject({ outcome: 'good', firstBit: 5_000_000_008, endBit: 5_000_000_016 + CONTENTS.length });
  });

  test('reset hunts anew and forgets waiting frames; counters and bitsSeen go on', () => {
    const deframer = new Deframer({ fcs: 16 });
    const bits = bitsOfText(`${FLAG_TEXT}${CONTENTS}${FLAG_TEXT}`);
    deframer.push(bits.octets, bits.length);
    deframer.reset();
    expect(deframer.atFlag).toBe(false);
    expect(outcomes(`${CONTENTS}${FLAG_TEXT}`, deframer)).toEqual([]);
    expect(outcomes(`${CONTENTS}${FLAG_TEXT}`, deframer)).toEqual(['good']);
    expect(deframer.counters.goodFrames).toBe(2);
    deframer.reset();
    // No zero seen before these six ones: they may be the end of an abort.
    expect(outcomes(`1111110${CONTENTS}`, deframer)).toEqual([]);
    expect(outcomes(FLAG_TEXT, deframer)).toEqual([]);
    expect(deframer.bitsSeen).toBe(bits.length + 3 * (CONTENTS.length + 8) + 7);
  });

  test('wrong arguments throw RangeError', () => {
    const deframer = new Deframer({ fcs: 16 });
    expect(() => deframer.push(new Uint8Array(2), 17)).toThrow(RangeError);
    expect(() => deframer.push(new Uint8Array(2), 9, 8)).toThrow(RangeError);
    expect(() => deframer.push(new Uint8Array(2), -1)).toThrow(RangeError);
    expect(() => new Deframer({ fcs: 16, maximumFrameOctets: 3 })).toThrow(RangeError);
    expect(() => new Deframer({ fcs: 32, minimumFrameOctets: 4 })).toThrow(RangeError);
  });

  test('a frame is a copy: the next one does not change it', () => {
    const deframer = new Deframer({ fcs: 16 });
    const [first] = deframe(framedBits(FRAME), deframer);
    deframe(framedBits(withFcs(16, new Uint8Array(8).fill(0xaa))), deframer);
    expect(toHex(first!.octets)).toBe(toHex(FRAME));
  });

  test('an empty push is nothing', () => {
    const deframer = new Deframer({ fcs: 16 });
    deframer.push(new BitBuffer().octets, 0);
    expect(deframer.bitsSeen).toBe(0);
  });
});

function frameWhoseFcsEndsIn(ending: RegExp): Uint8Array {
  for (let value = 0; value < 0x10000; value++) {
    const frame = withFcs(16, Uint8Array.of(0x18, 0x41, value >> 8, value & 0xff));
    if (ending.test(toHex(frame.slice(-1)))) return frame;
  }
  throw new Error('no such FCS');
}
