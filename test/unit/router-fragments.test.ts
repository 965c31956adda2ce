import { describe, expect, test } from 'vitest';
import { seconds } from '../../src/core/index.ts';
import { checkIpv4, parseIpv4Packet } from '../../src/ip/index.ts';
import { echo4, ipv4, udp4 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

const UP = 1;
const NARROW = 2;
const LOCAL_ADDRESS = '10.9.0.1';

/** No kernel: the router answers for itself at 10.9.0.1. */
const relay = (mtuOctets = 576) =>
  new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
      { name: 'wide', kind: 'link', addresses: [LOCAL_ADDRESS] },
      { name: 'narrow', kind: 'link', mtuOctets },
    ],
    routes: [
      ['192.0.2.0/24', UP],
      ['10.0.2.0/24', NARROW],
    ],
  });

const repr = (octets: Uint8Array) => {
  const parsed = parseIpv4Packet(octets);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};

describe('fragmentation (RFC 791 section 3.2)', () => {
  test('1500 octets through an MTU of 576: 552 + 552 + 376 octets of payload at their offsets', () => {
    const t = relay();
    const packet = udp4({ from: '192.0.2.1', to: '10.0.2.2', payloadOctets: 1472, identification: 0x1234 });
    t.receive(packet, UP);
    const fragments = t.sent(NARROW).map(repr);
    expect(fragments.map((f) => [f.payload.length, f.fragmentOffset, f.moreFragments, f.identification])).toEqual([
      [552, 0, true, 0x1234],
      [552, 552, true, 0x1234],
      [376, 1104, false, 0x1234],
    ]);
    const joined = fragments.flatMap((f) => [...f.payload]);
    expect(Uint8Array.from(joined)).toEqual(packet.subarray(20));
    expect(t.router.imbalance()).toBe(0);
  });

  test('a fragment that is fragmented again keeps its place and its more-fragments flag', () => {
    const t = relay(300);
    const middle = udp4({
      from: '192.0.2.1',
      to: '10.0.2.2',
      payloadOctets: 552,
      fragmentOffset: 800,
      moreFragments: true,
    });
    t.receive(middle, UP);
    expect(t.sent(NARROW).map((p) => [repr(p).fragmentOffset, repr(p).moreFragments, p.length])).toEqual([
      [800, true, 300],
      [1080, true, 300],
    ]);
  });

  test('only options with the copied flag go into later fragments', () => {
    const t = relay(300);
    // Record route (not copied), then router alert (148, copied), then end.
    const options = Uint8Array.of(7, 7, 8, 1, 2, 3, 4, 148, 4, 0, 0, 0);
    t.receive(udp4({ from: '192.0.2.1', to: '10.0.2.2', payloadOctets: 500, options }), UP);
    const [first, second] = t.sent(NARROW);
    expect([...repr(first!).options]).toEqual([...options]);
    expect([...repr(second!).options]).toEqual([148, 4, 0, 0]);
    for (const p of [first!, second!]) expect(checkIpv4(p, 0, p.length)).toBeUndefined();
  });
});

/** An echo request to the router, cut at the given octets of its payload. */
function pieces(cuts: readonly number[], payloadOctets = 1000, identification = 7): Uint8Array[] {
  const { payload } = repr(echo4({ from: '192.0.2.1', to: LOCAL_ADDRESS, payloadOctets: payloadOctets - 8 }));
  return cuts.map((begin, i) => {
    const end = cuts[i + 1] ?? payload.length;
    return echo4({
      from: '192.0.2.1',
      to: LOCAL_ADDRESS,
      identification,
      payload: payload.slice(begin, end),
      fragmentOffset: begin,
      moreFragments: end < payload.length,
    });
  });
}

describe('reassembly of what is for the router itself', () => {
  test.each([[[0, 1, 2, 3]], [[3, 2, 1, 0]], [[2, 0, 3, 1]], [[0, 0, 1, 2, 2, 3]]])(
    'order %j: one echo reply with all 1000 octets',
    (order) => {
      const t = relay();
      const all = pieces([0, 200, 400, 800]);
      for (const i of order) t.receive(all[i]!, UP);
      const replies = t.sent(UP).map(repr);
      expect(replies.length).toBe(1);
      expect(replies[0]!.payload.length).toBe(1000);
      expect(replies[0]!.payload[0]).toBe(0);
      expect(replies[0]).toMatchObject({ source: ipv4(LOCAL_ADDRESS), destination: ipv4('192.0.2.1') });
      expect(t.router.imbalance()).toBe(0);
      expect(t.pool.available).toBe(t.pool.capacity);
    },
  );

  test('overlapping fragments spoil the whole datagram', () => {
    const t = relay();
    const all = pieces([0, 400, 800]);
    t.receive(all[0]!, UP);
    t.receive(pieces([392, 800])[0]!, UP);
    t.receive(all[1]!, UP);
    t.receive(all[2]!, UP);
    expect(t.sent(UP)).toEqual([]);
    expect(t.drops).toEqual(['fragment-overlap', 'fragment-overlap']);
    expect(t.router.imbalance()).toBe(0);
  });

  test('two last fragments that disagree, a piece behind the end, a piece past 65,535 octets', () => {
    const t = relay();
    t.receive(pieces([0, 800])[1]!, UP);
    t.receive(pieces([0, 808], 1008)[1]!, UP);
    expect(t.drops).toEqual(['fragment-overlap', 'fragment-overlap']);
    t.receive(udp4({ from: '192.0.2.1', to: LOCAL_ADDRESS, fragmentOffset: 65_528, payloadOctets: 100 }), UP);
    expect(t.drops.at(-1)).toBe('fragment');
    t.receive(udp4({ from: '192.0.2.1', to: LOCAL_ADDRESS, moreFragments: true, payload: new Uint8Array(9) }), UP);
    expect(t.drops.at(-1)).toBe('fragment');
    expect(t.router.imbalance()).toBe(0);
    expect(t.pool.available).toBe(t.pool.capacity);
  });

  test('after 60 s the rest is given up, with time exceeded (reassembly) when the first fragment is there', () => {
    const t = relay();
    t.receive(pieces([0, 400])[0]!, UP);
    expect(t.router.pollTimeout()).toMatchObject({ at: seconds(60) });
    t.now = seconds(60) as unknown as typeof t.now;
    t.router.handleTimeout(t.now);
    expect(t.drops).toEqual(['fragment-timeout']);
    expect(t.sent(UP).map((p) => [p[20], p[21]])).toEqual([[11, 1]]);
    expect(t.router.pollTimeout()).toBeUndefined();
  });

  test('a flood of first fragments is bounded by 16 datagrams', () => {
    const t = relay();
    for (let i = 0; i < 500; i++) t.receive(pieces([0, 400], 1000, i)[0]!, UP);
    expect(t.router.reassembler.fragments).toBe(16);
    expect(t.pool.capacity - t.pool.available).toBe(16);
    expect(t.router.imbalance()).toBe(0);
  });

  test('port and protocol unreachable; a wrong ICMP checksum is ignored', () => {
    const t = relay();
    t.receive(udp4({ from: '192.0.2.1', to: LOCAL_ADDRESS }), UP);
    t.receive(udp4({ from: '192.0.2.1', to: LOCAL_ADDRESS, protocol: 99 }), UP);
    const spoiled = echo4({ from: '192.0.2.1', to: LOCAL_ADDRESS });
    spoiled[30]! ^= 1;
    t.receive(spoiled, UP);
    expect(t.sent(UP).map((p) => [p[20], p[21]])).toEqual([
      [3, 3],
      [3, 2],
    ]);
    expect(t.drops).toEqual(['protocol', 'protocol', 'protocol']);
  });
});

describe('options', () => {
  const withOptions = (...options: number[]) =>
    udp4({ from: '192.0.2.1', to: '10.0.2.2', options: Uint8Array.from(options) });

  test('record route and timestamp are filled in from link to link', () => {
    const t = relay();
    t.now = seconds(5) as unknown as typeof t.now;
    t.receive(withOptions(7, 7, 4, 0, 0, 0, 0, 1), UP);
    t.receive(withOptions(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0), UP);
    t.receive(withOptions(68, 8, 9, 0x10, 0, 0, 0, 0), UP);
    const [route, time, full] = t.sent(NARROW).map((p) => [...repr(p).options]);
    expect(route).toEqual([7, 7, 8, 10, 0, 0, 1, 1]);
    expect(time).toEqual([68, 12, 13, 1, 10, 0, 0, 1, 0x80, 0, 0x13, 0x88]);
    expect(full).toEqual([68, 8, 9, 0x20, 0, 0, 0, 0]);
  });

  test('source routes are refused, malformed options reported with the octet at fault', () => {
    const t = relay();
    t.receive(withOptions(131, 7, 4, 10, 0, 2, 9, 0), UP);
    t.receive(withOptions(7, 40, 4, 0), UP);
    t.receive(withOptions(1, 1, 1, 7), UP);
    t.receive(withOptions(7, 3, 1, 0), UP);
    expect(t.drops).toEqual(['source-route', 'bad-options', 'bad-options', 'bad-options']);
    expect(t.sent(UP).map((p) => [p[20], p[21], p[24]])).toEqual([
      [3, 5, 0],
      [12, 0, 21],
      [12, 0, 23],
      [12, 0, 22],
    ]);
  });
});
