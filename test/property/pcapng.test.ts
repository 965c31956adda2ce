import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { WallTime } from '../../src/core/index.ts';
import { PcapngDecoder, PcapngEncoder } from '../../src/io/pcapng.ts';
import { parseSegment } from '../../src/lab/trace/index.ts';

test('the pcapng reader is total: random and bit-flipped input ends, never throws', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 80 }), fc.string({ maxLength: 20 })), { maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      (packets, flips) => {
        const encoder = new PcapngEncoder();
        encoder.sectionHeader('x');
        encoder.interfaceDescription({ name: 'i', linkType: 101 });
        for (const [data, comment] of packets)
          encoder.packet({
            interfaceId: 0,
            at: 5n as WallTime,
            octets: data,
            originalOctets: data.length,
            comment,
            flags: 0,
            packetId: 1n,
          });
        const octets = encoder.take();
        for (const flip of flips) octets[(flip >>> 3) % octets.length]! ^= 1 << (flip & 7);
        const decoder = new PcapngDecoder();
        const got = [...decoder.push(octets)];
        decoder.end();
        expect(got.length).toBeLessThanOrEqual(packets.length + flips.length);
        if (flips.length === 0) expect(got.map((p) => [p.octets, p.comment])).toEqual(packets);
      },
    ),
  );
});

test('the TCP segment parser is total', () => {
  fc.assert(
    fc.property(fc.constantFrom(0x45, 0x4f, 0x46, 0x60), fc.uint8Array({ maxLength: 120 }), (first, octets) => {
      if (octets.length > 9) {
        octets[0] = first;
        octets[first === 0x60 ? 6 : 9] = 6;
      }
      const segment = parseSegment(octets, 0);
      if (segment !== undefined) expect(segment.payloadOctets).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 2000 },
  );
});
