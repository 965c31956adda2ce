/** Time per 1500-octet datagram in the router: received, looked up, classified, queued and taken out again. */
import { type Instant, type PacketBuffer, PacketPool, Rng } from '../src/core/index.ts';
import { checkIpv4, onesComplementSum, parseAddress, parsePrefix } from '../src/ip/index.ts';
import { type RouteOptions, Router } from '../src/router/index.ts';
import { udp4, udp6 } from '../test/support/ip-packets.ts';
import type { Benchmark } from './benchmark.ts';

const BATCH = 64;
const HOST = 0;
const LINK = 1;
const CROSS = 2;

export function benchmarks(): Benchmark[] {
  const outward = udp4({ from: '10.0.0.1', to: '192.0.2.1', payloadOctets: 1472 });
  const inward = udp4({ from: '192.0.2.1', to: '10.0.0.1', payloadOctets: 1472 });
  const across = udp4({ from: '192.0.2.1', to: '10.0.2.1', payloadOctets: 1472 });
  const rng = new Rng(1, 'bench/router');
  const many = Array.from({ length: 10_000 }, (): RouteOptions => {
    const prefix = parsePrefix(`${1 + rng.below(126)}.${rng.below(256)}.${rng.below(256)}.0/24`)!;
    return { prefix, interface: LINK };
  });
  const spread = Array.from({ length: 4096 }, () =>
    udp4({ from: '10.0.0.1', to: `${1 + rng.below(126)}.${rng.below(256)}.${rng.below(256)}.1`, payloadOctets: 1472 }),
  );
  const checksummed = new Uint8Array(1500);
  rng.fill(checksummed);
  return [
    {
      name: 'sum of 1500 octets (the yardstick)',
      unit: 'packet',
      unitsPerRun: BATCH,
      yardstick: true,
      run() {
        let sum = 0;
        for (let i = 0; i < BATCH; i++) for (let at = 0; at < checksummed.length; at++) sum += checksummed[at]!;
        return sum;
      },
    },
    forwarding('host to link', [outward], HOST, LINK),
    forwarding('link to host', [inward], LINK, HOST),
    forwarding('link to link, TTL and checksum', [across], LINK, CROSS),
    forwarding('host to link, IPv6', [udp6({ payloadOctets: 1452 })], HOST, LINK),
    forwarding('host to link, 10,000 routes, one destination', [outward], HOST, LINK, many),
    forwarding('host to link, 10,000 routes, 4096 destinations', spread, HOST, LINK, many),
    {
      name: 'Internet checksum of 1500 octets',
      unit: 'packet',
      unitsPerRun: BATCH,
      run() {
        let sum = 0;
        for (let i = 0; i < BATCH; i++) sum += onesComplementSum(checksummed, 0, 1500);
        return sum;
      },
    },
    {
      name: 'IPv4 header check',
      unit: 'packet',
      unitsPerRun: BATCH,
      run() {
        let sum = 0;
        for (let i = 0; i < BATCH; i++) sum += checkIpv4(outward, 0, 1500) === undefined ? 1 : 0;
        return sum;
      },
    },
  ];
}

function forwarding(
  name: string,
  packets: readonly Uint8Array[],
  from: number,
  to: number,
  routes: readonly RouteOptions[] = [],
): Benchmark {
  const pool = new PacketPool({ capacity: BATCH + 2 * packets.length, slotOctets: 2048 });
  const router = new Router({
    pool,
    interfaces: [
      {
        name: 'host',
        kind: 'host',
        mtuOctets: 1500,
        addresses: ['10.0.0.1', '2001:db8::1'].map((a) => parseAddress(a)!),
      },
      { name: 'link', kind: 'link', mtuOctets: 1500 },
      { name: 'cross', kind: 'link', mtuOctets: 1500 },
    ],
    routes: [
      { prefix: parsePrefix('0.0.0.0/0')!, interface: LINK },
      { prefix: parsePrefix('10.0.2.0/24')!, interface: CROSS },
      { prefix: parsePrefix('2001:db8::/32')!, interface: LINK },
      ...routes,
    ],
  });
  // The octets lie in their slots beforehand, as they do when a read batch has put them there.
  const slots = Array.from({ length: Math.max(BATCH, packets.length) }, (_, i): PacketBuffer => {
    const packet = pool.copyOf(packets[i % packets.length]!)!;
    return packet;
  });
  const source = router.output(to);
  const timeToLiveAt = 8;
  let now = 0;
  let next = 0;
  return {
    name,
    unit: 'packet',
    unitsPerRun: BATCH,
    run() {
      now += 1000;
      for (let i = 0; i < BATCH; i++) {
        const packet = slots[next]!;
        next = (next + 1) % slots.length;
        // Each pass decrements a TTL that must not run out: put it and its checksum back.
        const original = packets[((next + slots.length - 1) % slots.length) % packets.length]!;
        packet.arena[packet.start + timeToLiveAt] = original[timeToLiveAt]!;
        packet.arena[packet.start + 10] = original[10]!;
        packet.arena[packet.start + 11] = original[11]!;
        router.receive(packet, from, now as Instant);
      }
      router.pollReady();
      let sum = 0;
      for (let packet = source.dequeue(now as Instant); packet !== undefined; packet = source.dequeue(now as Instant))
        sum += packet.length;
      if (sum === 0) throw new Error('nothing was forwarded');
      return sum;
    },
  };
}
