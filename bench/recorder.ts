/** Time per 1500-octet datagram that the always-on recorder costs a link: its four taps, all of the packet or its first 128 octets. */
import { type Instant, PacketPool, type WallTime } from '../src/core/index.ts';
import { Recorder } from '../src/io/recorder.ts';
import type { Benchmark } from './benchmark.ts';

const BATCH = 64;

export function benchmarks(): Benchmark[] {
  const copied = new Uint8Array(1500);
  const to = new Uint8Array(1500 * BATCH);
  return [
    {
      name: 'copy of 1500 octets (the yardstick)',
      unit: 'packet',
      unitsPerRun: BATCH,
      yardstick: true,
      run() {
        for (let i = 0; i < BATCH; i++) to.set(copied, i * 1500);
        return to[1499]!;
      },
    },
    recording('four taps, whole packets', 65_536),
    recording('four taps, 128 octets of each', 128),
  ];
}

function recording(name: string, snapOctets: number): Benchmark {
  const link = { name: 'a', from: 'x', to: 'y', framing: 'frame-relay' } as const;
  const recorder = new Recorder({
    links: [{ name: 'space', directions: [link, link] }],
    epoch: 0n as WallTime,
    snapOctets,
  });
  const packet = new PacketPool({ capacity: 1, slotOctets: 2048 }).copyOf(new Uint8Array(1500))!;
  let now = 0;
  return {
    name,
    unit: 'packet',
    unitsPerRun: BATCH,
    run() {
      const { arena, start, end, id } = packet;
      for (let i = 0; i < BATCH; i++) {
        const at = ++now as Instant;
        recorder.packetIn(0, 0, packet, at);
        recorder.frameSent(0, 0, arena, start - 4, end + 2, id, now, now + 12_000, at, at);
        recorder.frameReceived(0, 0, arena, start - 4, end + 2, id, 'good', [], at);
        recorder.packetOut(0, 0, packet, at);
      }
      return recorder.ring.appended;
    },
  };
}
