import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Instant, milliseconds, seconds } from '../../src/core/index.ts';
import {
  checkIpv4,
  formatIpv4,
  formatIpv6,
  parseAddress,
  parseIpv4,
  parseIpv4Packet,
  parseIpv6,
  parseIpv6Packet,
  prefixContains,
  prefixOf,
} from '../../src/ip/index.ts';
import { DEFAULT_TRAFFIC_CLASSES, RouteTable, withHold } from '../../src/router/index.ts';
import { hostileIpPacket } from '../support/hostile-packets.ts';
import { udp4 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

describe('addresses', () => {
  const octets16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((o) => o.map((v, i) => (i % 3 === 0 ? 0 : v)));
  test('text round trips', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (a) => parseIpv4(formatIpv4(a)) === a));
    fc.assert(
      fc.property(octets16, (a) => {
        expect(parseIpv6(formatIpv6(a))).toEqual(a);
      }),
    );
  });
  test('any text parses to an address or undefined', () => {
    const text = fc.stringMatching(/^[0-9a-f:.]{0,40}$/);
    fc.assert(fc.property(fc.oneof(text, fc.string()), (t) => void parseAddress(t)));
  });
});

test('longest-prefix match equals a linear search, through additions, removals and states of interfaces', () => {
  const route = fc.record({
    address: fc.nat(0xffffffff).map((a) => (a & 0xf0f000ff) >>> 0),
    length: fc.integer({ min: 0, max: 32 }),
    interface: fc.nat(3),
    preference: fc.nat(3),
  });
  fc.assert(
    fc.property(
      fc.array(route, { maxLength: 40 }),
      fc.array(fc.nat(39), { maxLength: 10 }),
      fc.array(fc.constantFrom('up', 'holding', 'down'), { minLength: 4, maxLength: 4 }),
      fc.array(fc.nat(0xffffffff), { maxLength: 40 }),
      (specs, removals, states, others) => {
        const table = new RouteTable((i) => states[i]!);
        let routes = specs.map((s) => ({ ...s, prefix: prefixOf(s.address, s.length) }));
        const key = (r: (typeof routes)[number]) => `${r.prefix.address}/${r.length}/${r.interface}/${r.preference}`;
        for (const r of routes) table.add(r);
        routes = [...new Map(routes.map((r) => [key(r), r])).values()];
        for (const i of removals) {
          const gone = specs[i];
          if (gone === undefined) continue;
          const whole = { ...gone, prefix: prefixOf(gone.address, gone.length) };
          const had = routes.some((r) => key(r) === key(whole));
          expect(table.remove(whole)).toBe(had);
          routes = routes.filter((r) => key(r) !== key(whole));
        }
        expect(table.size).toBe(routes.length);
        const destinations = [...specs.map((s) => s.address), ...others].filter((d) => d >>> 28 !== 14);
        for (const destination of [...destinations, ...destinations]) {
          const octets = Uint8Array.of(destination >>> 24, destination >>> 16, destination >>> 8, destination);
          const matching = routes.filter((r) => (r.prefix.address as number) >>> 28 !== 14 || r.length < 4);
          expect(table.lookup4(octets, 0)).toBeOneOf(slowLookup(matching, destination, states));
        }
      },
    ),
  );
});

/** All interfaces that would be right: routes of one prefix and preference are equals. */
function slowLookup(
  routes: readonly { prefix: ReturnType<typeof prefixOf>; length: number; interface: number; preference: number }[],
  destination: number,
  states: readonly string[],
): number[] {
  let withdrawn = false;
  for (let length = 32; length >= 0; length--) {
    const here = routes.filter((r) => r.length === length && prefixContains(r.prefix, destination));
    for (const state of ['up', 'holding']) {
      const usable = here.filter((r) => states[r.interface] === state);
      const best = Math.min(...usable.map((r) => r.preference));
      if (usable.length > 0) return usable.filter((r) => r.preference === best).map((r) => r.interface);
    }
    withdrawn ||= here.length > 0;
  }
  return [withdrawn ? -3 : -1];
}

describe('any octets', () => {
  const anyPacket = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.tuple(fc.nat(0xffffffff), fc.nat(1000)).map(([seed, n]) => hostileIpPacket(`${seed}/${n}`)),
  );

  test('parsers are total', () => {
    fc.assert(
      fc.property(anyPacket, (octets) => {
        parseIpv4Packet(octets);
        parseIpv6Packet(octets);
      }),
    );
  });

  test('a router neither throws nor loses count nor keeps packets, whatever comes by whichever interface', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyPacket, fc.nat(3), fc.nat(20)), { maxLength: 60 }),
        fc.array(fc.tuple(fc.nat(59), fc.nat(3), fc.boolean()), { maxLength: 10 }),
        (arrivals, flaps) => {
          const classes = withHold(DEFAULT_TRAFFIC_CLASSES, { octets: 10_000, duration: seconds(5) });
          const t = new TestRouter({
            interfaces: [
              { name: 'host', kind: 'host', addresses: ['10.0.0.1', '2001:db8::1'] },
              { name: 'a', kind: 'link', addresses: ['10.9.0.1', '2001:db8:9::1'], classes },
              { name: 'b', kind: 'link', mtuOctets: 576 },
              { name: 'c', kind: 'tunnel', mtuOctets: 1480, limit: { packets: 3 } },
            ],
            routes: [
              ['0.0.0.0/0', 1],
              ['10.0.2.0/24', 2],
              ['10.0.3.0/24', 3],
              ['10.0.3.0/24', 1, 20],
              ['::/0', 2],
              ['239.0.0.0/8', 2],
            ],
            poolPackets: 128,
          });
          for (const [i, [octets, ingress, wait]] of arrivals.entries()) {
            for (const [when, which, up] of flaps)
              if (when === i && which > 0) t.router.setInterfaceState(which, up, t.now);
            if (t.pool.available > 0) t.receive(octets.subarray(0, t.pool.largestPacketOctets), ingress);
            t.now = (t.now + milliseconds(wait * 100)) as Instant;
            t.router.handleTimeout(t.now);
            if (wait === 0) for (const index of [0, 1, 2, 3]) for (const p of t.sent(index)) expectWellFormed(p);
            expect(t.router.imbalance()).toBe(0);
          }
          for (const index of [1, 2, 3]) t.router.setInterfaceState(index, true, t.now);
          for (const index of [0, 1, 2, 3]) for (const p of t.sent(index)) expectWellFormed(p);
          t.now = (t.now + seconds(61)) as Instant;
          t.router.handleTimeout(t.now);
          for (const index of [0, 1, 2, 3]) t.sent(index);
          expect(t.router.imbalance()).toBe(0);
          expect(t.pool.available).toBe(t.pool.capacity);
        },
      ),
      { numRuns: 300 },
    );
  });

  function expectWellFormed(p: Uint8Array): void {
    if (p[0]! >>> 4 === 4) expect(checkIpv4(p, 0, p.length)).toBeUndefined();
    else expect(parseIpv6Packet(p).ok).toBe(true);
  }
});

test('a routing loop between two routers ends by TTL', () => {
  const make = (address: string) =>
    new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: [address] },
        { name: 'there', kind: 'link' },
        { name: 'source', kind: 'link' },
      ],
      routes: [
        ['0.0.0.0/0', 1],
        ['192.0.2.0/24', 2],
      ],
    });
  const routers = [make('10.0.0.1'), make('10.0.0.2')];
  routers[0]!.receive(udp4({ from: '192.0.2.1', to: '203.0.113.9', timeToLive: 255 }), 2);
  let hops = 0;
  for (let turn = 0; turn < 1000; turn++) {
    const from = routers[turn % 2]!;
    const to = routers[(turn + 1) % 2]!;
    for (const packet of from.sent(1)) {
      hops++;
      to.receive(packet, 1);
    }
  }
  // 254 times the datagram, and no more: the error about it leaves by the other link.
  expect(hops).toBe(254);
  expect([...routers[0]!.drops, ...routers[1]!.drops]).toEqual(['ttl']);
  expect(routers.flatMap((r) => r.sent(2)).map((p) => p[20])).toEqual([11]);
});
