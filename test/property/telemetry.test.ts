import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeTelemetry,
  encodeTelemetry,
  type Parameter,
  parseSpacePackets,
  SPACECRAFT,
  type Value,
} from '../../src/apps/telemetry/index.ts';
import type { WallTime } from '../../src/core/index.ts';

function arbitraryOf({ type, calibration }: Parameter): fc.Arbitrary<Value> {
  switch (type.kind) {
    case 'boolean':
      return fc.boolean();
    case 'enumerated':
      return fc.constantFrom(...type.labels);
    case 'text':
      return fc.string({ maxLength: type.octets, unit: 'grapheme-ascii' });
    case 'float':
      return type.bits === 32 ? fc.float({ noNaN: true }) : fc.double({ noNaN: true });
    default: {
      const highest = (1n << BigInt(type.kind === 'signed' ? type.bits - 1 : type.bits)) - 1n;
      const lowest = type.kind === 'signed' ? -highest - 1n : 0n;
      const raw = fc.bigInt({ min: lowest, max: highest });
      if (calibration !== undefined) return raw.map((r) => Number(r) * calibration.slope + calibration.offset);
      return type.bits === 64 ? raw : raw.map(Number);
    }
  }
}

test('every packet of the dictionary decodes to what was encoded', () => {
  for (const definition of SPACECRAFT.packets) {
    const values = fc.record(Object.fromEntries(definition.parameters.map((p) => [p.name, arbitraryOf(p)])));
    fc.assert(
      fc.property(
        values,
        fc.integer({ min: 0, max: 16_383 }),
        fc.bigInt({ min: 0n, max: (1n << 48n) - 1n }),
        (given, count, units) => {
          const time = ((units * 1_000_000_000n + 65_535n) / 65_536n) as WallTime;
          const decoded = decodeTelemetry(SPACECRAFT, encodeTelemetry(definition, count, time, given));
          if (!decoded.ok) throw new Error(decoded.reason);
          expect(decoded.value.sequenceCount).toBe(count);
          expect(decoded.value.time).toBe(time);
          for (const { parameter, value } of decoded.value.fields)
            if (parameter.calibration === undefined) expect(value).toEqual(given[parameter.name]);
            else expect(Number(value)).toBeCloseTo(Number(given[parameter.name]), 6);
        },
      ),
      { numRuns: 40 },
    );
  }
});

test('any octets: decoding is total and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      decodeTelemetry(SPACECRAFT, octets);
      const parsed = parseSpacePackets(octets);
      if (parsed.ok) expect(parsed.value.reduce((sum, p) => sum + p.octets.length, 0)).toBe(octets.length);
    }),
    { numRuns: 5000 },
  );
});
