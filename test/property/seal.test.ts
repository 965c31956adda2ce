import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { countInsertedZeros, sealFrame, writeFcs } from '../../src/hdlc/index.ts';

const octet = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0xff, 0xff, 0x1f, 0xf8, 0x7e, 0, 0xfe, 0x3f));

test('sealing a frame is writing its FCS and counting its zeros, at any place and length, FF or not', () => {
  fc.assert(
    fc.property(
      fc.array(octet, { maxLength: 200 }),
      fc.integer({ min: 0, max: 17 }),
      fc.constantFrom<16 | 32>(16, 32),
      fc.integer({ min: 0, max: 5 }),
      (contents, start, width, offset) => {
        const memory = new Uint8Array(offset + start + contents.length + 4 + 3);
        const octets = memory.subarray(offset);
        octets.set(contents, start);
        const copy = octets.slice();
        const end = writeFcs(width, copy, start, start + contents.length);
        const bits = (end - start) * 8 + countInsertedZeros(copy, start, end);
        expect(sealFrame(width, octets, start, start + contents.length)).toBe(bits);
        expect(toHex(octets)).toBe(toHex(copy));
      },
    ),
    { numRuns: 3000 },
  );
});

test('no room for the FCS is a RangeError', () => {
  expect(() => sealFrame(16, new Uint8Array(10), 0, 9)).toThrow(RangeError);
});
