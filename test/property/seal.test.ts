import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import loadAssembler from 'wabt';
import { toHex } from '../../src/core/index.ts';
import { countInsertedZeros, createSealingArena, sealFrame, writeFcs } from '../../src/hdlc/index.ts';
import { SEAL_MODULE } from '../../src/hdlc/seal-module.ts';

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

// Runs of ones of every length, across every boundary of 8, 64 and 128 bits.
const run = fc.record({ ones: fc.integer({ min: 0, max: 200 }), zeros: fc.integer({ min: 1, max: 70 }) });
const contents = fc.oneof(
  fc.array(octet, { maxLength: 400 }),
  fc.uint8Array({ maxLength: 1600 }),
  fc.array(run, { maxLength: 40 }).map((runs) => octetsOf(runs.flatMap(({ ones, zeros }) => bits(ones, zeros)))),
);

test('an arena of its own seals as any octets are sealed', () => {
  const { arena, seal } = createSealingArena(4096);
  expect(seal).not.toBe(sealFrame);
  fc.assert(
    fc.property(contents, fc.integer({ min: 0, max: 40 }), fc.constantFrom<16 | 32>(16, 32), (frame, start, width) => {
      const plain = new Uint8Array(arena.length);
      plain.set(frame, start);
      arena.fill(0xff);
      arena.set(frame, start);
      const end = start + frame.length;
      expect(seal(width, arena, start, end)).toBe(sealFrame(width, plain, start, end));
      const sealed = end + width / 8;
      expect(toHex(arena.subarray(start, sealed))).toBe(toHex(plain.subarray(start, sealed)));
      expect(arena[sealed]).toBe(0xff);
    }),
    { numRuns: 3000 },
  );
});

test('every run of ones at every place of 48 octets is counted', () => {
  const { arena, seal } = createSealingArena(64);
  const plain = new Uint8Array(64);
  for (let from = 0; from < 160; from++)
    for (let ones = 1; ones <= 180; ones++) {
      const frame = octetsOf([...bits(0, from), ...bits(ones, 384 - from - ones)]);
      arena.set(frame);
      plain.set(frame);
      if (seal(16, arena, 0, 48) !== sealFrame(16, plain, 0, 48)) expect.fail(`${ones} ones from bit ${from}`);
    }
});

test('an arena seals octets that are not its own, and refuses a frame that would pass its end', () => {
  const { arena, seal } = createSealingArena(64);
  const other = Uint8Array.of(0xff, 0xff, 0, 0);
  expect(seal(16, other, 0, 2)).toBe(sealFrame(16, Uint8Array.of(0xff, 0xff, 0, 0), 0, 2));
  expect(() => seal(16, arena, 0, 63)).toThrow(RangeError);
  expect(() => seal(16, arena, -1, 8)).toThrow(RangeError);
});

test('the module is what the assembler makes of its source', async () => {
  const assembler = await loadAssembler();
  const source = readFileSync(new URL('../../src/hdlc/seal.wat', import.meta.url), 'utf8');
  const module = assembler.parseWat('seal.wat', source, { simd: true });
  const { buffer } = module.toBinary({ log: false, write_debug_names: false });
  expect(Buffer.from(buffer).toString('base64')).toBe(SEAL_MODULE);
});

function bits(ones: number, zeros: number): number[] {
  return [...Array<number>(ones).fill(1), ...Array<number>(zeros).fill(0)];
}

/** Bits as they are sent, least significant of an octet first. */
function octetsOf(sent: readonly number[]): Uint8Array {
  const octets = new Uint8Array(Math.ceil(sent.length / 8));
  for (const [at, bit] of sent.entries()) octets[at >> 3]! |= bit << (at & 7);
  return octets;
}
