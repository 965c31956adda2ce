import { expect, test } from 'vitest';
import { type Instant, NANOSECONDS_PER_SECOND, Rng, seconds, toMilliseconds } from '../../src/core/index.ts';
import { PORT } from '../../src/ip/index.ts';
import { DEFAULT_TRAFFIC_CLASSES, type TrafficClass } from '../../src/router/index.ts';
import { udp4 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

const RATE = 38_400;
const LINK = 1;
/** Frame Relay, RFC 2427 header and FCS-16 with one flag, no stuffing: 7 octets. */
const frameTime = (ipOctets: number): number => Math.round(((ipOctets + 7) * 8 * NANOSECONDS_PER_SECOND) / RATE);

const FIFO: TrafficClass[] = [
  { name: 'all', matches: [], priority: 0, weight: 1, discipline: 'tail-drop', ecn: false },
];

/**
 * An hour of a 38.4 kbit/s downlink whose bulk class is never empty, with telemetry about every 0.9 s and NTP about every 8.4 s,
 * at random moments. Returns the waiting times of each by the router's own histograms, in ms.
 */
function downlink(classes: readonly TrafficClass[], seed: string) {
  const t = new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
      { name: 'downlink', kind: 'link', classes, limit: { packets: 20 }, rateBitPerSec: RATE },
    ],
    routes: [['0.0.0.0/0', LINK]],
  });
  const rng = new Rng(seed, 'arrivals');
  const bulk = udp4({ from: '10.0.0.1', to: '192.0.2.1', payloadOctets: 1472, sourcePort: 20 });
  const flows = {
    telemetry: {
      packet: udp4({ from: '10.0.0.1', to: '192.0.2.1', payloadOctets: 200, destinationPort: PORT.telemetry }),
      every: 0.5,
    },
    ntp: { packet: udp4({ from: '10.0.0.1', to: '192.0.2.1', payloadOctets: 48, destinationPort: 123 }), every: 8 },
  };
  const next = { telemetry: 0, ntp: 0 };
  const waits = { telemetry: 0, ntp: 0 };
  // A packet that waits behind an earlier one of its own flow is the flow's doing, not the queue's.
  const apart = frameTime(1500) + frameTime(228) + frameTime(76);
  let free = 0;
  const end = seconds(3600);
  const queue = t.router.interfaces[LINK]!.queue;
  while (t.now < end) {
    const at = Math.min(free, next.telemetry, next.ntp);
    t.now = at as Instant;
    for (const name of ['telemetry', 'ntp'] as const) {
      if (next[name] !== at) continue;
      t.receive(flows[name].packet, 0);
      next[name] = Math.round(at + rng.exponential() * flows[name].every * NANOSECONDS_PER_SECOND) + apart;
    }
    if (free !== at) continue;
    while (queue.packets < 20) t.receive(bulk, 0);
    const packet = queue.dequeue(t.now)!;
    const port = (packet.arena[packet.start + 22]! << 8) | packet.arena[packet.start + 23]!;
    const wait = t.now - packet.queuedAt;
    if (port === 123) waits.ntp = Math.max(waits.ntp, wait);
    if (port === PORT.telemetry) waits.telemetry = Math.max(waits.telemetry, wait);
    free = at + frameTime(packet.length);
    t.pool.release(packet);
  }
  expect(t.router.imbalance()).toBe(0);
  return { waits, t };
}

test('with bulk saturating 38.4 kbit/s, NTP waits at most one maximum frame’s time, telemetry that and a time packet’s', () => {
  const largest = frameTime(1500);
  const rows: string[] = [];
  for (const seed of ['a', 'b', 'c']) {
    const strict = downlink(DEFAULT_TRAFFIC_CLASSES, seed);
    const fifo = downlink(FIFO, seed);
    const classes = strict.t.router.snapshot(strict.t.now).interfaces[LINK]!.output.classes;
    for (const name of ['ntp', 'telemetry'] as const) {
      const p99 = classes.find((each) => each.name === (name === 'ntp' ? 'network-control' : name))!.wait;
      rows.push(
        `${seed} ${name.padEnd(9)} strict: p99 ${(p99.p99Microseconds / 1000).toFixed(0)} ms, most ${toMilliseconds(strict.waits[name] as Instant).toFixed(1)} ms; ` +
          `one queue: most ${toMilliseconds(fifo.waits[name] as Instant).toFixed(0)} ms`,
      );
    }
    expect(strict.waits.ntp).toBeLessThanOrEqual(largest);
    // A time packet may go first; it is 17 ms long.
    expect(strict.waits.telemetry).toBeLessThanOrEqual(largest + frameTime(76));
    expect(fifo.waits.ntp).toBeGreaterThan(5 * largest);
    // Nothing is wasted on priority: the line was never idle, so bulk had all that was left.
    const sent = classes.reduce(
      (sum, each) => sum + frameTime(0) * each.sentPackets + (each.sentOctets * 8e9) / RATE,
      0,
    );
    expect(sent).toBeGreaterThan(seconds(3599));
  }
  console.log(`one maximum frame: ${toMilliseconds(largest as Instant).toFixed(1)} ms\n${rows.join('\n')}`);
});
