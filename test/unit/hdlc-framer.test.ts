import { describe, expect, test } from 'vitest';
import { fromHex, Rng } from '../../src/core/index.ts';
import {
  appendFlags,
  appendStuffed,
  BitBuffer,
  countInsertedZeros,
  fcs16,
  fcsIsGood,
  writeFcs,
} from '../../src/hdlc/index.ts';
import { bitsOfText, stuffedText, textOfBits } from '../support/line-bits.ts';

describe('BitBuffer', () => {
  test('packs bits least significant first and grows', () => {
    const bits = new BitBuffer(8);
    bits.append(1);
    bits.appendBits(0b0110, 4);
    bits.appendOctet(0x81);
    bits.appendBits(0xfedcba, 24);
    expect(textOfBits(bits)).toBe('1' + '0110' + '10000001' + '010111010011101101111111');
    expect(bits.octets[0]).toBe(0b00101101);
  });

  test('truncate leaves nothing behind in the last octet; clear starts anew in the same memory', () => {
    const bits = bitsOfText('1111111111111');
    bits.truncate(9);
    bits.append(0);
    bits.append(1);
    expect(textOfBits(bits)).toBe('11111111101');
    bits.clear();
    expect(bits.length).toBe(0);
    bits.appendBits(0, 3);
    expect(textOfBits(bits)).toBe('000');
  });

  test('flip and get; out of range throws', () => {
    const bits = bitsOfText('0000000000');
    bits.flip(9);
    expect(textOfBits(bits)).toBe('0000000001');
    expect(() => bits.flip(10)).toThrow(RangeError);
    expect(() => bits.get(-1)).toThrow(RangeError);
    expect(() => bits.truncate(11)).toThrow(RangeError);
    expect(() => bits.appendBits(0, 25)).toThrow(RangeError);
  });

  test('appendFrom copies any bit range at any offset, also of itself', () => {
    const rng = new Rng(1, 'bits');
    for (let round = 0; round < 300; round++) {
      const from = bitsOfText(Array.from({ length: rng.below(60) }, () => rng.below(2)).join(''));
      const to = bitsOfText('1'.repeat(rng.below(9)));
      const start = rng.below(from.length + 1);
      const end = start + rng.below(from.length - start + 1);
      const expected = textOfBits(to) + textOfBits(from).slice(start, end);
      to.appendFrom(from, start, end);
      expect(textOfBits(to)).toBe(expected);
    }
    const bits = bitsOfText('1011001110001111');
    bits.appendFrom(bits, 3, 16);
    expect(textOfBits(bits)).toBe('1011001110001111' + '1001110001111');
  });
});

describe('stuffing', () => {
  test('a fifth one that is the last bit is followed by a zero too', () => {
    expect(stuffedText(fromHex('f8'))).toBe('000111110');
    expect(countInsertedZeros(fromHex('f8'), 0, 1)).toBe(1);
  });

  test('the run of ones starts at zero after a flag and crosses octets', () => {
    expect(stuffedText(fromHex('01'))).toBe('10000000');
    expect(stuffedText(fromHex('f001'))).toBe('0000111110' + '0000000');
    expect(stuffedText(fromHex('ffff'))).toBe('1111101111101111101');
  });

  test('the worst case is a fifth more bits: all ones; zeros add nothing', () => {
    expect(countInsertedZeros(new Uint8Array(1000).fill(0xff), 0, 1000)).toBe(1600);
    expect(countInsertedZeros(new Uint8Array(1000), 0, 1000)).toBe(0);
  });

  test('random octets need one zero in 62 bits (1.61 %)', () => {
    const octets = new Uint8Array(1_000_000);
    new Rng(7, 'stuffing').fill(octets);
    expect(countInsertedZeros(octets, 0, octets.length) / (8 * octets.length)).toBeCloseTo(1 / 62, 4);
  });

  test('appends behind what is there, a part of an array, at any bit', () => {
    for (let fill = 0; fill < 8; fill++) {
      const bits = bitsOfText('1'.repeat(fill));
      appendStuffed(bits, fromHex('00ff00f800'), 1, 4);
      appendFlags(bits, 2);
      expect(textOfBits(bits)).toBe(
        `${'1'.repeat(fill)}${'111110111'}${'00000000'}${'000111110'}${'0111111001111110'}`,
      );
    }
  });

  test('ranges outside the array throw', () => {
    expect(() => countInsertedZeros(new Uint8Array(3), 0, 4)).toThrow(RangeError);
    expect(() => appendStuffed(new BitBuffer(), new Uint8Array(3), 2, 1)).toThrow(RangeError);
    expect(() => fcs16(new Uint8Array(3), -1, 2)).toThrow(RangeError);
    expect(() => writeFcs(16, new Uint8Array(3), 0, 2)).toThrow(RangeError);
    expect(() => fcsIsGood(32, new Uint8Array(3), 0, 4)).toThrow(RangeError);
  });
});
