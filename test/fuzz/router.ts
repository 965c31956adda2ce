/** A router with every kind of interface and hostile packets on all of them; a contact flaps now and then. */
import { type Instant, InvariantError, ORIGIN, PacketPool, Rng, seconds } from '../../src/core/index.ts';
import { checkIpv4, checkIpv6, parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { DEFAULT_TRAFFIC_CLASSES, Router, withHold } from '../../src/router/index.ts';
import { fillHostilePacket } from '../support/hostile-packets.ts';
import type { FuzzTarget } from './target.ts';

const POOL_PACKETS = 256;
const FLAP_EVERY = 512;

export const target: FuzzTarget = {
  name: 'router',
  *inputs(seed, count) {
    const rng = new Rng(seed, 'fuzz/router');
    const buffer = new Uint8Array(2000);
    for (let i = 0; i < count; i++) yield { ingress: rng.below(4), octets: fillHostilePacket(rng, buffer) };
  },
  run(steps) {
    const pool = new PacketPool({ capacity: POOL_PACKETS, slotOctets: 2048 });
    const router = new Router({ pool, interfaces: interfaces(), routes: ROUTES });
    let now: Instant = ORIGIN;
    let count = 0;
    for (const { ingress, octets } of steps) {
      const packet = pool.copyOf(octets);
      if (packet === undefined) throw new InvariantError('the pool ran empty');
      router.receive(packet, ingress, now);
      now = (now + 20e6) as Instant;
      // Slower than packets come, so that queues stand, fill up and run the pool down.
      if (++count % 40 === 0) drain(router, pool, now, 1);
      if (pool.available === 0 || count % 2048 === 0) drain(router, pool, now);
      if (count % 64 === 0) router.handleTimeout(now);
      if (count % FLAP_EVERY === 0) {
        router.setInterfaceState(1 + ((count / FLAP_EVERY) % 3), (count / FLAP_EVERY) % 2 === 0, now);
        expectZero(router.imbalance(), 'imbalance');
      }
    }
    for (const index of [1, 2, 3]) router.setInterfaceState(index, true, now);
    drain(router, pool, now);
    now = (now + seconds(61)) as Instant;
    router.handleTimeout(now);
    drain(router, pool, now);
    expectZero(router.imbalance(), 'imbalance');
    expectZero(POOL_PACKETS - pool.available, 'packets that were never released');
  },
};

/** Whatever leaves has a right header of the length it says. */
function drain(router: Router, pool: PacketPool, now: Instant, most = Number.POSITIVE_INFINITY): void {
  for (let index = 0; index < 4; index++) {
    const { mtuOctets, kind, queue } = router.interfaces[index]!;
    for (let sent = 0; sent < most; sent++) {
      const packet = queue.dequeue(now);
      if (packet === undefined) break;
      const { arena, start, length } = packet;
      const fault = arena[start]! >>> 4 === 4 ? checkIpv4(arena, start, length) : checkIpv6(arena, start, length);
      if (fault !== undefined) throw new InvariantError(`sent a packet with ${fault}`);
      if (kind !== 'host' && length > mtuOctets)
        throw new InvariantError(`sent ${length} octets by an MTU of ${mtuOctets}`);
      pool.release(packet);
    }
  }
}

function expectZero(value: number, what: string): void {
  if (value !== 0) throw new InvariantError(`${what}: ${value}`);
}

const address = (text: string) => parseAddress(text)!;
const CLASSES = withHold(DEFAULT_TRAFFIC_CLASSES, { octets: 10_000, duration: seconds(5) });
const interfaces = () => [
  { name: 'host', kind: 'host' as const, mtuOctets: 1500, addresses: ['10.0.0.1', '2001:db8::1'].map(address) },
  {
    name: 'a',
    kind: 'link' as const,
    mtuOctets: 1500,
    addresses: ['10.9.0.1', '2001:db8:9::1'].map(address),
    classes: CLASSES.map((each) => ({ ...each, discipline: 'codel' as const, ecn: true })),
  },
  { name: 'b', kind: 'link' as const, mtuOctets: 576, limit: { octets: 4000 } },
  { name: 'c', kind: 'tunnel' as const, mtuOctets: 1480, limit: { packets: 3 } },
];
const ROUTES = (
  [
    ['0.0.0.0/0', 1],
    ['10.0.2.0/24', 2],
    ['10.0.3.0/24', 3],
    ['192.0.2.0/24', 2],
    ['2001:db8::/32', 1],
    ['2001:db8:2::/48', 2],
    ['239.0.0.0/8', 2],
  ] as const
).map(([prefix, to]) => ({ prefix: parsePrefix(prefix)!, interface: to }));
