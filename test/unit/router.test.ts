import { describe, expect, test } from 'vitest';
import { checkIpv4, parseIpv4Packet, parseIpv6Packet } from '../../src/ip/index.ts';
import { echo4, ipv4, udp4, udp6 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

const HOST = 0;
const UP = 1;
const DOWN = 2;

/** A relay: its kernel, a link to the ground (default), a link to another spacecraft at 10.0.2.0/24. */
const relay = (overrides: { mtuOctets?: number } = {}) =>
  new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1', '2001:db8::1'] },
      { name: 'ground', kind: 'link' },
      { name: 'cross', kind: 'link', ...overrides },
    ],
    routes: [
      ['0.0.0.0/0', UP],
      ['10.0.2.0/24', DOWN],
      ['::/0', UP],
      ['2001:db8:2::/48', DOWN],
    ],
  });

const ttl = (packet: Uint8Array): number => packet[8]!;

describe('forwarding', () => {
  test('host to link and link to host keep the TTL: kernel and router are one hop', () => {
    const t = relay();
    t.receive(udp4({ from: '10.0.0.1', to: '192.0.2.1', timeToLive: 1 }), HOST);
    expect(t.sent(UP).map(ttl)).toEqual([1]);
    t.receive(udp4({ from: '192.0.2.1', to: '10.0.0.1', timeToLive: 1 }), UP);
    expect(t.sent(HOST).map(ttl)).toEqual([1]);
    expect(t.drops).toEqual([]);
  });

  test('link to link decrements the TTL with a right checksum, IPv4 and IPv6', () => {
    const t = relay();
    t.receive(udp4({ from: '192.0.2.1', to: '10.0.2.7', timeToLive: 9 }), UP);
    t.receive(udp6({ from: '2001:db8:9::1', to: '2001:db8:2::7', hopLimit: 9 }), UP);
    const [four, six] = t.sent(DOWN);
    expect(ttl(four!)).toBe(8);
    expect(checkIpv4(four!, 0, four!.length)).toBeUndefined();
    expect(six![7]).toBe(8);
  });

  test('TTL 1 from link to link: time exceeded from the node’s address, quoting the datagram unchanged', () => {
    const t = relay();
    const packet = udp4({ from: '192.0.2.1', to: '10.0.2.7', timeToLive: 1, payloadOctets: 1000 });
    t.receive(packet, UP);
    expect(t.drops).toEqual(['ttl']);
    const [error] = t.sent(UP).map((octets) => parseIpv4Packet(octets));
    if (error?.ok !== true) throw new Error('no error message');
    expect(error.value).toMatchObject({
      source: ipv4('10.0.0.1'),
      destination: ipv4('192.0.2.1'),
      protocol: 1,
      dscp: 48,
    });
    expect([...error.value.payload.subarray(0, 2)]).toEqual([11, 0]);
    expect(error.value.payload.length + 20).toBe(576);
    expect(error.value.payload.subarray(8)).toEqual(packet.subarray(0, 548));
  });

  test('don’t fragment and too long: fragmentation needed with the next-hop MTU; IPv6 packet too big', () => {
    const t = relay({ mtuOctets: 576 });
    t.receive(udp4({ from: '192.0.2.1', to: '10.0.2.7', dontFragment: true, payloadOctets: 1000 }), UP);
    t.receive(udp6({ from: '2001:db8:9::1', to: '2001:db8:2::7', payloadOctets: 1300 }), UP);
    const [four, six] = t.sent(UP);
    const error4 = parseIpv4Packet(four!);
    expect(error4.ok && [...error4.value.payload.subarray(0, 8)].filter((_, i) => i !== 2 && i !== 3)).toEqual([
      3, 4, 0, 0, 2, 64,
    ]);
    const error6 = parseIpv6Packet(six!);
    expect(error6.ok && [...error6.value.payload.subarray(0, 2), ...error6.value.payload.subarray(4, 8)]).toEqual([
      2, 0, 0, 0, 2, 64,
    ]);
    expect(six!.length).toBe(1280);
    expect(t.drops).toEqual(['mtu', 'mtu']);
  });

  test('a datagram back to where it came from, host side, is a loop; no route is net unreachable', () => {
    const t = new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
        { name: 'link', kind: 'link', mtuOctets: 1500 },
      ],
      routes: [['10.0.0.0/8', HOST]],
    });
    t.receive(udp4({ from: '10.0.0.1', to: '10.9.9.9' }), HOST);
    t.receive(udp4({ from: '10.0.0.1', to: '192.0.2.1' }), HOST);
    expect(t.drops).toEqual(['host-loop', 'no-route']);
    expect(t.sent(HOST).map((p) => [p[20], p[21]])).toEqual([
      [3, 1],
      [3, 0],
    ]);
  });

  test('link padding is cut off', () => {
    const t = relay();
    const packet = udp4({ from: '192.0.2.1', to: '10.0.0.1', payloadOctets: 3 });
    const padded = new Uint8Array(60);
    padded.set(packet);
    t.receive(padded, UP);
    expect(t.sent(HOST)).toEqual([packet]);
  });

  test('agent discovery: link-scope packets go from the kernel to every link and from a link to the kernel, never further', () => {
    const t = relay();
    const solicitation = echo4({ from: '10.0.0.1', to: '224.0.0.11', timeToLive: 1 });
    t.receive(solicitation, HOST);
    expect(t.sent(UP)).toEqual([solicitation]);
    expect(t.sent(DOWN)).toEqual([solicitation]);
    t.receive(echo4({ from: '192.0.2.1', to: '255.255.255.255', timeToLive: 1 }), UP);
    expect(t.sent(HOST).length).toBe(1);
    expect(t.sent(DOWN)).toEqual([]);
    expect(t.router.imbalance()).toBe(0);
  });

  test('ICMP errors are limited: 10 at once, then 5 a second', () => {
    const t = relay();
    const expired = () => t.receive(udp4({ from: '192.0.2.1', to: '10.0.2.7', timeToLive: 1 }), UP);
    for (let i = 0; i < 50; i++) expired();
    expect(t.sent(UP).length).toBe(10);
    t.now = 1e9 as typeof t.now;
    for (let i = 0; i < 50; i++) expired();
    expect(t.sent(UP).length).toBe(5);
    expect(t.router.snapshot(t.now).icmpErrorsSuppressed).toBe(85);
  });
});

describe('martians (RFC 1812 section 5.3.7)', () => {
  test.each([
    ['127.0.0.1', '10.0.0.1', 'martian-source'],
    ['224.0.0.1', '10.0.0.1', 'martian-source'],
    ['240.0.0.1', '10.0.0.1', 'martian-source'],
    ['0.0.0.0', '10.0.0.1', 'martian-source'],
    ['10.0.0.1', '10.0.0.1', 'own-source'],
    ['192.0.2.1', '127.0.0.1', 'martian-destination'],
    ['192.0.2.1', '0.0.0.0', 'martian-destination'],
    ['192.0.2.1', '240.0.0.1', 'martian-destination'],
  ])('%s to %s from a link: %s, and no ICMP error', (from, to, reason) => {
    const t = relay();
    t.receive(udp4({ from, to }), UP);
    expect(t.drops).toEqual([reason]);
    expect([HOST, UP, DOWN].flatMap((i) => t.sent(i))).toEqual([]);
    expect(t.router.imbalance()).toBe(0);
  });
});

describe('link state', () => {
  const two = () =>
    new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
        { name: 'preferred', kind: 'link' },
        { name: 'other', kind: 'link' },
      ],
      routes: [
        ['0.0.0.0/0', 1, 1],
        ['0.0.0.0/0', 2, 2],
      ],
    });

  test('LOS moves what is queued and what comes to the other station; AOS moves it back', () => {
    const t = two();
    const packet = udp4({ from: '10.0.0.1', to: '192.0.2.1' });
    t.receive(packet, HOST);
    t.router.setInterfaceState(1, false, t.now);
    t.receive(packet, HOST);
    expect(t.sent(1)).toEqual([]);
    expect(t.sent(2).length).toBe(2);
    t.router.setInterfaceState(1, true, t.now);
    t.receive(packet, HOST);
    expect(t.sent(1).length).toBe(1);
    expect(t.router.imbalance()).toBe(0);
    expect(t.drops).toEqual([]);
  });

  test('no contact at all: dropped as link-down, host unreachable', () => {
    const t = two();
    const packet = udp4({ from: '10.0.0.1', to: '192.0.2.1' });
    t.receive(packet, HOST);
    t.router.setInterfaceState(2, false, t.now);
    t.router.setInterfaceState(1, false, t.now);
    t.receive(packet, HOST);
    expect(t.drops).toEqual(['link-down', 'link-down']);
    expect(t.sent(HOST).map((p) => [p[20], p[21]])).toEqual([[3, 1]]);
    expect(t.router.imbalance()).toBe(0);
  });
});

test('pollReady names an interface once, until its queue was drained', () => {
  const t = relay();
  const packet = udp4({ from: '10.0.0.1', to: '192.0.2.1' });
  t.receive(packet, HOST);
  t.receive(packet, HOST);
  expect(t.router.pollReady()).toBe(UP);
  expect(t.router.pollReady()).toBeUndefined();
  t.sent(UP);
  t.receive(packet, HOST);
  expect(t.router.pollReady()).toBe(UP);
});

test('a full queue drops the newcomer; the numbers of the interface add up', () => {
  const t = new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
      { name: 'link', kind: 'link', limit: { packets: 3 } },
    ],
    routes: [['0.0.0.0/0', 1]],
  });
  for (let i = 0; i < 5; i++) t.receive(udp4({ from: '10.0.0.1', to: '192.0.2.1', identification: i }), HOST);
  expect(t.drops).toEqual(['queue-full', 'queue-full']);
  const { output } = t.router.snapshot(t.now).interfaces[1]!;
  expect(output).toMatchObject({ packets: 5, sentPackets: 0, queuedPackets: 3, dropped: { 'queue-full': 2 } });
  expect(t.sent(1).map((p) => p[5])).toEqual([0, 1, 2]);
  expect(t.pool.available).toBe(t.pool.capacity);
});

test('nothing is dropped on the way to the kernel, however much arrives at once', () => {
  const t = new TestRouter({
    interfaces: [
      { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
      { name: 'link', kind: 'link' },
    ],
    routes: [['0.0.0.0/0', 1]],
  });
  const packet = udp4({ from: '192.0.2.1', to: '10.0.0.1', payloadOctets: 8 });
  for (let i = 0; i < 2000; i++) t.receive(packet, 1);
  expect(t.drops).toEqual([]);
  expect(t.sent(HOST)).toHaveLength(2000);
});
