import { describe, expect, test, vi } from 'vitest';
import { TELEMETRY_PORT } from '../../src/apps/telemetry/config.ts';
import { type Duration, type Instant, milliseconds, seconds } from '../../src/core/index.ts';
import { PORT, PROTOCOL, parsePrefix } from '../../src/ip/index.ts';
import { DEFAULT_TRAFFIC_CLASSES, LatencyHistogram, type TrafficClass, withHold } from '../../src/router/index.ts';
import { echo4, udp4, udp6 } from '../support/ip-packets.ts';
import { TestRouter, type TestRouterOptions } from '../support/router.ts';

const HOST = 0;
const LINK = 1;

const bulk: TrafficClass = {
  name: 'bulk',
  matches: [],
  priority: 0,
  weight: 1,
  discipline: 'tail-drop',
  ecn: false,
};

function node(link: Partial<TestRouterOptions['interfaces'][number]> = {}): TestRouter {
  return new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1', '2001:db8::1'] },
      { name: 'link', kind: 'link', ...link },
    ],
    routes: [
      ['0.0.0.0/0', LINK],
      ['::/0', LINK],
    ],
  });
}

const out = (options: Parameters<typeof udp4>[0] = {}) => udp4({ from: '10.0.0.1', to: '192.0.2.1', ...options });
const at = (d: Duration): Instant => d as unknown as Instant;

test('the default classes know the port that telemetry uses', () => expect(PORT.telemetry).toBe(TELEMETRY_PORT));

describe('classes', () => {
  const classOf = (packet: Uint8Array, classes?: readonly TrafficClass[]): string => {
    const t = node(classes === undefined ? {} : { classes });
    t.receive(packet, HOST);
    return t.router.interfaces[LINK]!.queue.classes.find((queue) => queue.packets === 1)!.settings.name;
  };

  test.each([
    ['NTP', out({ destinationPort: 123 }), 'network-control'],
    ['NTP from a server', out({ sourcePort: 123, destinationPort: 40_000 }), 'network-control'],
    ['a registration', out({ destinationPort: 434 }), 'network-control'],
    ['ICMP', echo4({ from: '10.0.0.1', to: '192.0.2.1' }), 'network-control'],
    ['CS6', out({ dscp: 48 }), 'network-control'],
    ['port 123 of a protocol without ports', out({ protocol: 99, destinationPort: 123 }), 'files'],
    ['SSH', out({ protocol: PROTOCOL.tcp, destinationPort: 22 }), 'commands'],
    ['EF', out({ dscp: 46 }), 'commands'],
    ['telemetry', out({ destinationPort: PORT.telemetry }), 'telemetry'],
    ['mail', out({ protocol: PROTOCOL.tcp, destinationPort: 25 }), 'mail'],
    ['FTP', out({ protocol: PROTOCOL.tcp, sourcePort: 20 }), 'files'],
    ['NTP over IPv6', udp6({ from: '2001:db8::1', to: '2001:db8:9::1', destinationPort: 123 }), 'network-control'],
  ])('%s', (_, packet, name) => expect(classOf(packet)).toBe(name));

  test('addresses, and the first matching class wins', () => {
    const classes: TrafficClass[] = [
      { ...bulk, name: 'a', matches: [{ prefixes: [parsePrefix('192.0.2.0/24')!], dscps: [10] }] },
      { ...bulk, name: 'b', matches: [{ prefixes: [parsePrefix('192.0.2.0/24')!] }] },
      { ...bulk, name: 'c', matches: [{ prefixes: [parsePrefix('2001:db8:9::/48')!] }] },
      { ...bulk, name: 'rest' },
    ];
    expect(classOf(out({ dscp: 10 }), classes)).toBe('a');
    expect(classOf(out({ dscp: 11 }), classes)).toBe('b');
    expect(classOf(udp6({ from: '2001:db8::1', to: '2001:db8:9::1' }), classes)).toBe('c');
    expect(classOf(udp6({ from: '2001:db8::1', to: '2001:db8:8::1' }), classes)).toBe('rest');
  });

  test('a later fragment goes with its first', () => {
    const t = node();
    const first = out({
      destinationPort: PORT.telemetry,
      identification: 77,
      moreFragments: true,
      payloadOctets: 1000,
    });
    const later = out({ destinationPort: 1, identification: 77, fragmentOffset: 1008, payloadOctets: 100 });
    const stranger = out({
      destinationPort: PORT.telemetry,
      identification: 78,
      fragmentOffset: 1008,
      payloadOctets: 100,
    });
    for (const packet of [first, later, stranger]) t.receive(packet, HOST);
    const queued = t.router.interfaces[LINK]!.queue.classes.map((queue) => [queue.settings.name, queue.packets]);
    expect(Object.fromEntries(queued)).toMatchObject({ telemetry: 2, files: 1 });
  });
});

describe('disciplines', () => {
  test('strict priority: the order of the classes, first in first out within one', () => {
    const t = node();
    const sent = [
      out({ identification: 1 }),
      out({ identification: 2, destinationPort: PORT.telemetry }),
      out({ identification: 3, destinationPort: 123 }),
      out({ identification: 4, destinationPort: PORT.telemetry }),
      out({ identification: 5, destinationPort: PORT.command }),
    ];
    for (const packet of sent) t.receive(packet, HOST);
    expect(t.sent(LINK).map((p) => p[5])).toEqual([3, 5, 2, 4, 1]);
  });

  test('deficit round robin: octets by weight 3 : 1, whatever the packet sizes', () => {
    const classes: TrafficClass[] = [
      { ...bulk, name: 'small', matches: [{ dscps: [8] }], weight: 3 },
      { ...bulk, name: 'large', weight: 1 },
    ];
    const t = node({ classes, limit: { packets: 100_000 } });
    for (let i = 0; i < 3500; i++) t.receive(out({ dscp: 8, payloadOctets: 172 }), HOST);
    for (let i = 0; i < 500; i++) t.receive(out({ payloadOctets: 1372 }), HOST);
    const octets = [0, 0];
    for (let i = 0; i < 1000; i++) {
      const packet = t.router.output(LINK).dequeue(t.now)!;
      octets[packet.trafficClass]! += packet.length;
      t.pool.release(packet);
    }
    expect(octets[0]! / octets[1]!).toBeGreaterThan(2.9);
    expect(octets[0]! / octets[1]!).toBeLessThan(3.1);
  });

  test('limits are per class, in packets or octets: a full bulk queue does not cost a control packet', () => {
    const classes: TrafficClass[] = [
      { ...bulk, name: 'control', matches: [{ ports: [123] }], limitOctets: 256 },
      { ...bulk, name: 'rest', priority: 1 },
    ];
    const t = node({ classes, limit: { packets: 2 } });
    for (let i = 0; i < 4; i++) t.receive(out(), HOST);
    for (let i = 0; i < 4; i++) t.receive(out({ destinationPort: 123 }), HOST);
    expect(t.drops).toEqual(['queue-full', 'queue-full', 'queue-full', 'queue-full']);
    expect(t.router.interfaces[LINK]!.queue.classes.map((queue) => queue.packets)).toEqual([2, 2]);
  });
});

describe('CoDel (RFC 8289) and ECN (RFC 3168)', () => {
  /** A line that sends a packet every 12 ms, and 13 packets that come where 12 can go: a standing queue. */
  function overload(classes: readonly TrafficClass[], ecn: number, total: number) {
    const t = node({ classes, limit: { packets: 100_000 } });
    const packets: Uint8Array[] = [];
    let waiting = 0;
    let worstLate = 0;
    for (let tick = 0; tick < total; tick++) {
      t.now = at(milliseconds(tick * 12));
      t.receive(out({ ecn }), HOST);
      if (tick % 12 === 0) t.receive(out({ ecn }), HOST);
      const packet = t.router.output(LINK).dequeue(t.now);
      if (packet === undefined) continue;
      waiting = t.now - packet.queuedAt;
      if (tick > total / 2) worstLate = Math.max(worstLate, waiting);
      packets.push(packet.view().slice());
      t.pool.release(packet);
    }
    return { t, packets, worstLate };
  }
  const codel: TrafficClass = { ...bulk, discipline: 'codel', codelTarget: milliseconds(20) };

  test('drops until the standing queue is gone; tail drop lets it grow', () => {
    const tail = overload([bulk], 0, 4000);
    const managed = overload([codel], 0, 4000);
    expect(tail.worstLate).toBeGreaterThan(seconds(3));
    expect(managed.worstLate).toBeLessThan(milliseconds(500));
    const codelDrops = managed.t.drops.filter((reason) => reason === 'codel').length;
    // 4000 / 12 packets too many came; CoDel drops about those.
    expect(codelDrops).toBeGreaterThan(280);
    expect(codelDrops).toBeLessThan(400);
    expect(managed.t.router.imbalance()).toBe(0);
  });

  test('marks ECN-capable packets instead, with a right checksum, and drops none', () => {
    const { t, packets } = overload([{ ...codel, ecn: true }], 2, 4000);
    const marked = packets.filter((p) => (p[1]! & 3) === 3);
    expect(marked.length).toBeGreaterThan(50);
    expect(t.drops).toEqual([]);
    expect(t.router.snapshot(t.now).interfaces[LINK]!.output.classes[0]!.markedPackets).toBe(marked.length);
    for (const p of marked) {
      const sum = Array.from({ length: 10 }, (_, i) => (p[2 * i]! << 8) | p[2 * i + 1]!).reduce((a, b) => a + b);
      expect(((sum & 0xffff) + (sum >>> 16)) & 0xffff).toBe(0xffff);
    }
  });

  test('a slow line raises the target to one full packet: a lone bulk transfer is left alone', () => {
    const t = node({ classes: [{ ...codel, codelTarget: milliseconds(5) }], rateBitPerSec: 9600 });
    for (let i = 0; i < 100; i++) {
      t.now = at(milliseconds(i * 1250));
      t.receive(out({ payloadOctets: 1472 }), HOST);
      const packet = t.router.output(LINK).dequeue(t.now);
      if (packet !== undefined) t.pool.release(packet);
    }
    expect(t.drops).toEqual([]);
  });
});

describe('hold for contact', () => {
  const holding = (duration = seconds(600), octets = 1000) => withHold(DEFAULT_TRAFFIC_CLASSES, { octets, duration });

  test('held while down, sent first come first served after AOS, counted apart', () => {
    const t = node({ classes: holding(), up: false });
    for (let i = 1; i <= 3; i++) t.receive(out({ identification: i }), HOST);
    expect(t.sent(LINK)).toEqual([]);
    expect(t.router.pollReady()).toBeUndefined();
    t.now = at(seconds(300));
    t.router.setInterfaceState(LINK, true, t.now);
    expect(t.router.pollReady()).toBe(LINK);
    t.receive(out({ identification: 4 }), HOST);
    expect(t.sent(LINK).map((p) => p[5])).toEqual([1, 2, 3, 4]);
    const files = t.router.interfaces[LINK]!.queue.classes.at(-1)!;
    expect([files.held.count, files.wait.count]).toEqual([3, 1]);
    expect(files.held.max).toBe(seconds(300));
    expect(t.router.imbalance()).toBe(0);
  });

  test('up to so many octets, and so long', () => {
    const t = node({ classes: holding(seconds(10), 300), up: false });
    t.receive(out(), HOST);
    t.now = at(seconds(4));
    t.receive(out(), HOST);
    t.receive(out(), HOST);
    expect(t.drops).toEqual(['queue-full']);
    const deadline = t.router.pollTimeout()!;
    expect(deadline.at).toBe(seconds(10) + 1);
    t.router.handleTimeout(deadline.at);
    expect(t.drops).toEqual(['queue-full', 'age']);
    expect(t.router.pollTimeout()!.at).toBe(seconds(14) + 1);
  });

  test('when the next packet is too old is asked of the queues that changed, not of all', () => {
    const t = node({ classes: holding(seconds(10)), up: false });
    t.router.pollTimeout();
    const asked = t.router.interfaces.map(({ queue }) => vi.spyOn(queue, 'nextExpiryAt'));
    t.receive(out(), HOST);
    expect(t.router.pollTimeout()!.at).toBe(seconds(10) + 1);
    expect(t.router.pollTimeout()!.at).toBe(seconds(10) + 1);
    expect(asked.map(({ mock }) => mock.calls.length)).toEqual([0, 1]);
    // At AOS the packet goes; a timer that comes all the same finds nothing.
    t.router.setInterfaceState(LINK, true, t.now);
    expect(t.sent(LINK)).toHaveLength(1);
    t.router.handleTimeout(at(seconds(11)));
    expect(t.router.pollTimeout()).toBeUndefined();
    expect(t.drops).toEqual([]);
  });

  test('NTP and registrations are never held: dropped as stale at LOS, on arrival, and when too old', () => {
    const t = node({ classes: holding() });
    const ntp = out({ destinationPort: 123 });
    t.receive(ntp, HOST);
    t.now = at(seconds(4) as Duration);
    expect(t.sent(LINK).length).toBe(1);
    t.receive(ntp, HOST);
    t.now = at((seconds(8) + 1) as Duration);
    expect(t.sent(LINK).length).toBe(0);
    t.receive(out({ destinationPort: 434 }), HOST);
    t.receive(out(), HOST);
    t.router.setInterfaceState(LINK, false, t.now);
    t.receive(ntp, HOST);
    expect(t.drops).toEqual(['stale', 'stale', 'stale']);
    expect(t.router.interfaces[LINK]!.queue.packets).toBe(1);
    expect(t.router.imbalance()).toBe(0);
  });

  test('nor are they held by a class of one’s own that holds everything, IPv4 or IPv6', () => {
    const t = node({ classes: withHold([{ ...bulk }], { octets: 10_000, duration: seconds(600) }) });
    t.receive(out({ destinationPort: 434 }), HOST);
    t.router.setInterfaceState(LINK, false, t.now);
    t.receive(out({ destinationPort: 123 }), HOST);
    t.receive(udp6({ from: '2001:db8::1', to: '2001:db8:9::1', destinationPort: 123 }), HOST);
    t.receive(out({ protocol: PROTOCOL.tcp, destinationPort: 123 }), HOST);
    expect(t.drops).toEqual(['stale', 'stale', 'stale']);
    expect(t.router.interfaces[LINK]!.queue.packets).toBe(1);
    expect(t.router.imbalance()).toBe(0);
  });

  test('a class says off where the link holds', () => {
    const classes = withHold(
      [
        { ...bulk, name: 'off', matches: [{ dscps: [8] }], hold: 'off' },
        { ...bulk, name: 'rest' },
      ],
      { octets: 10_000, duration: seconds(600) },
    );
    const t = node({ classes, up: false });
    t.receive(out({ dscp: 8 }), HOST);
    t.receive(out(), HOST);
    expect(t.drops).toEqual(['link-down']);
    expect(t.router.interfaces[LINK]!.queue.packets).toBe(1);
  });

  test('held packets never take the last eighth of the pool', () => {
    const t = node({ classes: withHold([{ ...bulk }], { octets: 1e9, duration: seconds(600) }), up: false });
    for (let i = 0; i < 5000; i++) t.receive(out({ payloadOctets: 1 }), HOST);
    expect(t.pool.available).toBe(t.pool.capacity / 8);
    expect(new Set(t.drops)).toEqual(new Set(['no-buffer']));
    expect(t.router.imbalance()).toBe(0);
  });

  test('a link that holds keeps its routes; what it holds takes another way as soon as there is one', () => {
    const t = new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
        { name: 'a', kind: 'link', classes: holding(), up: false },
        { name: 'b', kind: 'link', classes: holding(), up: false },
      ],
      routes: [
        ['0.0.0.0/0', 1, 1],
        ['0.0.0.0/0', 2, 2],
      ],
    });
    t.receive(out({ identification: 1 }), HOST);
    t.now = at(seconds(50));
    t.router.setInterfaceState(2, true, t.now);
    expect(t.sent(2).map((p) => p[5])).toEqual([1]);
    expect(t.router.interfaces[2]!.queue.classes.at(-1)!.wait.max).toBe(0);
    expect(t.router.interfaces[2]!.queue.classes.at(-1)!.held.max).toBe(seconds(50));
    expect(t.router.imbalance()).toBe(0);
  });
  test('what a link holds takes a new route as soon as there is one, not only when a link comes or goes', () => {
    const t = new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
        { name: 'a', kind: 'link', classes: holding(), up: false },
        { name: 'b', kind: 'link', classes: holding(), up: true },
      ],
      routes: [['0.0.0.0/0', 1, 1]],
    });
    t.receive(out({ identification: 1 }), HOST);
    t.router.changeRoutes([{ prefix: parsePrefix('0.0.0.0/0')!, interface: 2, preference: 0 }], [], at(seconds(50)));
    expect(t.sent(2).map((p) => p[5])).toEqual([1]);
    expect(t.router.imbalance()).toBe(0);
  });
});

describe('LatencyHistogram', () => {
  test('quantiles lie at most one bucket above the truth, from 1 µs to hours', () => {
    const histogram = new LatencyHistogram();
    const waits = Array.from({ length: 1000 }, (_, i) => milliseconds(1.5 * (i + 1)));
    for (const wait of waits) histogram.record(wait);
    for (const fraction of [0.01, 0.5, 0.9, 0.99, 1]) {
      const truth = waits[Math.ceil(fraction * 1000) - 1]!;
      expect(histogram.quantile(fraction)).toBeGreaterThanOrEqual(truth);
      expect(histogram.quantile(fraction)).toBeLessThanOrEqual(truth * 1.25);
    }
    expect(histogram.max).toBe(milliseconds(1500));
    const extreme = new LatencyHistogram();
    for (const wait of [0, 999, 1000, 1001, 1e6, 268e9, 269e9, 1e12, 1e15]) extreme.record(wait as Duration);
    expect(extreme.snapshot().cumulative).toMatchInlineSnapshot(`
      [
        [
          1,
          2,
        ],
        [
          1.25,
          4,
        ],
        [
          1024,
          5,
        ],
        [
          268435456,
          6,
        ],
        [
          335544320,
          7,
        ],
        [
          1073741824,
          8,
        ],
        [
          17179869184,
          9,
        ],
      ]
    `);
  });
});
