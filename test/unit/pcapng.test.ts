import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromHex, type WallTime } from '../../src/core/index.ts';
import { type CapturedPacket, LINK_TYPE, PACKET_FLAG, PcapngDecoder, PcapngEncoder } from '../../src/io/pcapng.ts';

const T0 = 962_798_400_123_456_789n as WallTime;
const packet = (fields: Partial<CapturedPacket> = {}): CapturedPacket => ({
  interfaceId: 0,
  at: T0,
  octets: fromHex('4500001c00010000400166d90a0000010a0000020800f7fe00000001'),
  originalOctets: 28,
  comment: '',
  flags: 0,
  packetId: 0n,
  ...fields,
});

function capture(packets: readonly CapturedPacket[]): Uint8Array {
  const encoder = new PcapngEncoder();
  encoder.sectionHeader('omni test', 'a comment');
  encoder.interfaceDescription({ name: 'link.up ip-in', linkType: LINK_TYPE.raw, bitPerSecond: 9600 });
  encoder.interfaceDescription({ name: 'link.up frame-sent', linkType: LINK_TYPE.frameRelay });
  for (const one of packets) encoder.packet(one);
  encoder.interfaceStatistics(0, T0, packets.length, 0);
  return encoder.take();
}

const PACKETS = [
  packet(),
  packet({ octets: fromHex('1841'), originalOctets: 600, comment: 'packet=7 größer', packetId: 7n, interfaceId: 1 }),
  packet({ at: (T0 + 1n) as WallTime, flags: (PACKET_FLAG.inbound + PACKET_FLAG.symbolError) as number }),
  packet({ octets: new Uint8Array(0), originalOctets: 0, packetId: 2n ** 53n }),
];

describe('pcapng', () => {
  test('what was written is read back', () => {
    const decoder = new PcapngDecoder();
    expect([...decoder.push(capture(PACKETS))]).toEqual(PACKETS);
    decoder.end();
    expect(decoder.problem).toBeUndefined();
    expect(decoder.application).toBe('omni test');
    expect(decoder.comment).toBe('a comment');
    expect(decoder.interfaces.map(({ name, bitPerSecond }) => [name, bitPerSecond])).toEqual([
      ['link.up ip-in', 9600],
      ['link.up frame-sent', undefined],
    ]);
  });

  test('any chunking gives the same packets', () => {
    const octets = capture(PACKETS);
    for (const size of [1, 3, 16, 100]) {
      const decoder = new PcapngDecoder();
      const got: CapturedPacket[] = [];
      for (let at = 0; at < octets.length; at += size) got.push(...decoder.push(octets.subarray(at, at + size)));
      expect(got).toEqual(PACKETS);
    }
  });

  test('every other byte order, resolution and unknown block is understood', () => {
    // Big-endian section, an interface with 2^-10 s ticks, an unknown block, one packet at tick 2048.
    const words = (...values: number[]): Buffer => {
      const buffer = Buffer.alloc(values.length * 4);
      for (const [i, value] of values.entries()) buffer.writeUInt32BE(value >>> 0, i * 4);
      return buffer;
    };
    const octets = Buffer.concat([
      words(0x0a0d0d0a, 28, 0x1a2b3c4d, 0x00010000, 0xffffffff, 0xffffffff, 28),
      words(1, 32, 0x00650000, 0, 0x00090001, 0x8a000000, 0, 32),
      words(0x80000001, 16, 0xdeadbeef, 16),
      words(6, 36, 0, 0, 2048, 1, 99, 0x45000000, 36),
    ]);
    const decoder = new PcapngDecoder();
    const [only] = [...decoder.push(octets)];
    expect(decoder.problem).toBeUndefined();
    expect(only).toMatchObject({ at: 2_000_000_000n, originalOctets: 99, octets: Uint8Array.of(0x45) });
  });

  test('a truncated or damaged capture ends with a reason and keeps what was good', () => {
    const octets = capture(PACKETS);
    const cut = new PcapngDecoder();
    expect([...cut.push(octets.subarray(0, octets.length - 30))]).toHaveLength(PACKETS.length);
    cut.end();
    expect(cut.problem).toBe('truncated');
    const other = new PcapngDecoder();
    expect([...other.push(new TextEncoder().encode('%PDF-1.4 is no capture'))]).toEqual([]);
    expect(other.problem).toBe('not-pcapng');
  });

  const tshark = spawnSync('tshark', ['--version']).status === 0;
  test.skipIf(!tshark)('tshark reads name, comment, packet id and flags', () => {
    const folder = mkdtempSync(join(tmpdir(), 'omni-pcapng-'));
    try {
      const file = join(folder, 'test.pcapng');
      writeFileSync(file, capture(PACKETS.slice(0, 3)));
      const fields = [
        'frame.interface_name',
        'frame.time_epoch',
        'frame.packet_id',
        'frame.comment',
        'frame.packet_flags',
      ];
      const { stdout } = spawnSync('tshark', ['-r', file, '-T', 'fields', ...fields.flatMap((f) => ['-e', f])], {
        encoding: 'utf8',
      });
      expect(stdout.trim().split('\n')).toEqual([
        'link.up ip-in\t962798400.123456789\t\t\t',
        'link.up frame-sent\t962798400.123456789\t7\tpacket=7 größer\t',
        'link.up ip-in\t962798400.123456790\t\t\t0x80000001',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
