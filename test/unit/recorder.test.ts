import { describe, expect, test } from 'vitest';
import { type Instant, PacketPool, Rng, type WallTime } from '../../src/core/index.ts';
import type { Capture } from '../../src/io/capture.ts';
import { PacketRing } from '../../src/io/packet-ring.ts';
import { type CapturedPacket, PcapngDecoder } from '../../src/io/pcapng.ts';
import { Recorder } from '../../src/io/recorder.ts';

const at = (n: number): Instant => n as Instant;
const link = (name: string) =>
  ({
    name,
    directions: [
      { name: 'up', from: 'surrey', to: 'spacecraft', bitPerSecond: 9600, framing: 'frame-relay' },
      { name: 'down', from: 'spacecraft', to: 'surrey', bitPerSecond: 38400, framing: 'frame-relay' },
    ],
  }) as const;

function recorder(options: { ringOctets?: number; snapOctets?: number } = {}): Recorder {
  return new Recorder({ links: [link('space')], epoch: 1_000_000_000_000_000_000n as WallTime, ...options });
}

function all(capture: Capture): { names: string[]; packets: CapturedPacket[] } {
  const decoder = new PcapngDecoder();
  const packets: CapturedPacket[] = [];
  for (let octets = capture.read(100); octets !== undefined; octets = capture.read(100))
    packets.push(...decoder.push(octets));
  packets.push(...decoder.push(capture.finish()));
  decoder.end();
  expect(decoder.problem).toBeUndefined();
  return { names: packets.map((p) => decoder.interfaces[p.interfaceId]!.name), packets };
}

/** One packet's life: in, sent, hit, dropped. */
function live(to: Recorder): void {
  const pool = new PacketPool({ capacity: 2, slotOctets: 256 });
  const packet = pool.copyOf(Uint8Array.from({ length: 40 }, (_, i) => i))!;
  const frame = Uint8Array.from({ length: 46 }, (_, i) => 100 + i);
  to.packetIn(0, 1, packet, at(1000));
  to.frameSent(0, 1, frame, 0, 46, packet.id, 800, 1176, at(2000), at(9_793_666));
  to.frameReceived(0, 1, frame, 0, 46, packet.id, 'fcs', [17, 301], at(20_000_000));
  to.packetDropped(0, 1, packet, 'noise-fcs', at(20_000_000));
}

describe('the recorder', () => {
  test('tells a packet by four taps, each an interface, with what happened in the comment', () => {
    const to = recorder();
    live(to);
    const { names, packets } = all(to.capture({}, 'ring'));
    expect(names.map((name, i) => [name, packets[i]!.comment, packets[i]!.originalOctets])).toMatchInlineSnapshot(`
      [
        [
          "space.down ip-in",
          "packet=1 class=0",
          40,
        ],
        [
          "space.down frame-sent",
          "packet=1 first-bit=800 bits=376 lasts=0.009791666",
          46,
        ],
        [
          "space.down frame-received",
          "packet=1 outcome=fcs flips=2 flipped=17,301",
          46,
        ],
        [
          "space.down dropped",
          "packet=1 drop=noise-fcs",
          40,
        ],
      ]
    `);
    expect(packets.every((p) => p.packetId === 1n)).toBe(true);
    expect(packets[0]!.at).toBe(1_000_000_000_000_001_000n);
    expect(packets[2]!.flags >>> 0).toBe(0x01000001);
  });

  test('a capture selects links, directions, taps, and what one node sees', () => {
    const to = recorder();
    live(to);
    expect(all(to.capture({ taps: ['frame-sent'] }, 'ring')).names).toEqual(['space.down frame-sent']);
    expect(all(to.capture({ directions: ['up'] }, 'ring')).names).toEqual([]);
    expect(all(to.capture({ links: ['other'] }, 'ring')).names).toEqual([]);
    expect(all(to.capture({ at: 'spacecraft' }, 'ring')).names).toEqual(['space.down ip-in']);
    expect(all(to.capture({}, 'now')).names).toEqual([]);
  });

  test('a snap length cuts while no capture runs, the original length stays', () => {
    const to = recorder({ snapOctets: 10 });
    live(to);
    const capture = to.capture({}, 'ring');
    const { packets } = all(capture);
    const later = to.capture({}, 'now');
    live(to);
    expect(all(later).packets.map((p) => p.octets.length)).toEqual([40, 46, 46, 40]);
    capture.close();
    later.close();
    later.close();
    const last = to.capture({}, 'now');
    last.close();
    live(to);
    expect(all(last).packets[0]!.octets.length).toBe(10);
    expect(packets.map((p) => [p.octets.length, p.originalOctets])).toEqual([
      [10, 40],
      [10, 46],
      [10, 46],
      [10, 40],
    ]);
  });

  test('what a slow reader missed is counted', () => {
    const to = recorder({ ringOctets: 1 << 16 });
    const capture = to.capture({}, 'now');
    for (let i = 0; i < 1000; i++) live(to);
    const { packets } = all(capture);
    expect(packets.length + capture.missed).toBe(4000);
    expect(capture.missed).toBeGreaterThan(1000);
  });
});

describe('the ring', () => {
  test('keeps the newest records whole, whatever their sizes', () => {
    const rng = new Rng(1, 'ring');
    const ring = new PacketRing(1 << 16);
    const source = new Uint8Array(2000);
    rng.fill(source);
    const written: { start: number; end: number; flips: number[] }[] = [];
    for (let i = 0; i < 3000; i++) {
      const start = rng.below(1000);
      const end = start + rng.below(1000);
      const flips = Array.from({ length: rng.below(4) === 0 ? rng.below(70) : 0 }, () => rng.below(5000));
      ring.append(3, 1, 2, 5, 9, i, i * 3, 1, 2, 3, source, start, end, 5000, flips);
      written.push({ start, end, flips });
      if (i % 100 !== 99) continue;
      let count = 0;
      for (let found = ring.read(0); found !== undefined; found = ring.read(found.next)) {
        const { record } = found;
        const expected = written[record.sequence]!;
        expect(record).toMatchObject({ link: 3, direction: 1, tap: 2, outcome: 5, reason: 9, at: record.sequence });
        expect(Buffer.compare(record.octets, source.subarray(expected.start, expected.end))).toBe(0);
        expect(record.flippedBits).toEqual(expected.flips.slice(0, 64));
        count++;
        if (record.sequence === i) expect(ring.read(found.next)).toBeUndefined();
      }
      expect(count).toBeGreaterThan(50);
    }
  });
});
