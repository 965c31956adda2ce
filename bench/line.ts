/** One direction of a link in memory: transmitter, lazy receiver and delay line, per IP octet carried, with no kernel. */
import { ALWAYS, Line, NO_NOISE, type NoiseConfig, Timeline } from '../src/channel/index.js';
import { type Instant, NEVER, type PacketBuffer, PacketPool, type PacketSource, Rng } from '../src/core/index.js';
import { frameRelay } from '../src/hdlc/index.js';
import { internetChecksum } from '../src/ip/index.js';
import type { Benchmark } from './benchmark.js';

const BATCH = 64;

export function benchmarks(): Benchmark[] {
  return [
    line('1500-octet packets', 1500, undefined, NO_NOISE),
    line('40-octet packets', 40, undefined, NO_NOISE),
    line('1500-octet packets, BER 1e-6', 1500, undefined, { kind: 'independent', ber: 1e-6 }),
    line('trains of 44 segments', 52 + 44 * 1448, 1448, NO_NOISE),
    line('trains of 44 segments, BER 1e-7', 52 + 44 * 1448, 1448, { kind: 'independent', ber: 1e-7 }),
  ];
}

function line(name: string, octets: number, segmentOctets: number | undefined, noise: NoiseConfig): Benchmark {
  const pool = new PacketPool({ capacity: 4 * BATCH, slotOctets: 65_664 });
  const contents = new Uint8Array(octets);
  new Rng(1, name).fill(contents);
  contents[0] = 0x45;
  contents[2] = octets >>> 8;
  contents[3] = octets;
  contents[9] = 6;
  contents[32] = 0x80;
  const checksum = internetChecksum(contents, 0, 20);
  contents[10] = checksum >>> 8;
  contents[11] = checksum;
  const waiting: PacketBuffer[] = [];
  const source: PacketSource = { dequeue: () => waiting.pop(), nextReadyAt: () => NEVER };
  const link = new Line({
    name: 'bench',
    link: 0,
    direction: 0,
    seed: 1,
    settings: {
      rate: Timeline.constant(1e10),
      delay: Timeline.constant<number>(1000),
      jitter: Timeline.constant<number>(0),
      noise: Timeline.constant(noise),
    },
    carrier: ALWAYS,
    inFlightAtLos: 'arrive',
    encapsulation: frameRelay(),
    fcs: 16,
    lineCoding: [],
    flagsBetweenFrames: 1,
    maximumFrameOctets: 2000,
    pool,
    source,
  });
  let now = 0;
  return {
    name,
    unit: 'octet',
    unitsPerRun: BATCH * octets,
    run() {
      for (let i = 0; i < BATCH; i++) {
        const packet = pool.acquire()!;
        // The addon has just written it: warm in the cache, as after a read.
        packet.arena.set(contents, packet.start);
        packet.length = octets;
        packet.queuedAt = now as Instant;
        if (segmentOctets !== undefined) packet.train = { headerOctets: 52, segmentOctets };
        waiting.push(packet);
      }
      // As long as the frames take, so that hardly any fill is told of.
      now += Math.ceil((BATCH * (octets + 60) * 8.5) / 10);
      link.handleTimeout((now + 1e4) as Instant);
      let delivered = 0;
      for (let packet = link.pollDelivered(); packet !== undefined; packet = link.pollDelivered()) {
        delivered += packet.length;
        pool.release(packet);
      }
      return delivered;
    },
  };
}
