import { beforeEach, describe, expect, test } from 'vitest';
import { type Instant, NEVER, type PacketBuffer, PacketPool, plus, seconds, toHex } from '../../src/core/index.ts';
import {
  emitIpv4Packet,
  type Ipv4Fields,
  type Ipv4Repr,
  internetChecksum,
  PROTOCOL,
  parseIpv4Packet,
} from '../../src/ip/index.ts';
import {
  type Attachment,
  type Binding,
  BindingTable,
  combinedEcn,
  decapsulate,
  emitGratuitousArp,
  encapsulate,
  ForeignAgentTunnel,
  HOLD_DEFAULTS,
  HomeAgentTunnel,
  keepaliveDatagram,
  MobileNodeTunnel,
  TunnelState,
  type Visitor,
  VisitorList,
} from '../../src/mobileip/index.ts';
import { CORRESPONDENT, HOME, HOME_AGENT, ip, net } from '../support/mobileip.ts';

const CARE_OF = ip('10.1.0.2');
const OTHER = ip('10.2.0.2');
const ROUTER = ip('10.255.0.1');
const now = 5e9 as Instant;
const pool = new PacketPool({ capacity: 64, slotOctets: 2048 });

const parse = (octets: Uint8Array): Ipv4Repr => {
  const parsed = parseIpv4Packet(octets);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};
const inner = (fields: Partial<Ipv4Fields> = {}): Uint8Array =>
  emitIpv4Packet({
    source: CORRESPONDENT,
    destination: HOME,
    protocol: 17,
    timeToLive: 60,
    payload: new Uint8Array(40),
    ...fields,
  });
const packet = (octets: Uint8Array): PacketBuffer => pool.copyOf(octets)!;
const tunnelled = (octets: Uint8Array, source = CARE_OF, destination = HOME_AGENT): PacketBuffer => {
  const each = packet(octets);
  encapsulate(each, source, destination);
  return each;
};
const binding = (fields: Partial<Binding> = {}): Binding => ({
  homeAddress: HOME,
  careOfAddress: CARE_OF,
  homeAgent: HOME_AGENT,
  requestSource: CARE_OF,
  requestPort: 434,
  identification: 1n,
  lifetime: 300,
  registeredAt: now,
  expiresAt: NEVER,
  coLocated: false,
  reverseTunnel: true,
  broadcasts: false,
  networks: [],
  ...fields,
});

class Home {
  readonly bindings = new BindingTable();
  readonly state = new TunnelState(1500);
  readonly out: Ipv4Repr[] = [];
  readonly raw: Uint8Array[] = [];
  readonly tunnel = new HomeAgentTunnel({
    address: HOME_AGENT,
    pool,
    state: this.state,
    bindings: this.bindings,
    carriesOwnDatagrams: false,
    send: (each) => {
      this.raw.push(each.view().slice());
      this.out.push(parse(each.view()));
      pool.release(each);
    },
  });
  dropped(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.tunnel.counters.snapshot()).filter(([name]) => name.startsWith('drop.')),
    );
  }
}

let free = 0;
beforeEach(() => {
  expect(free === 0 || pool.available === free, 'packets leak').toBe(true);
  free = pool.available;
});

describe('encapsulation (RFC 2003 section 3.1)', () => {
  const encapsulated = (fields: Partial<Ipv4Fields>) => {
    const each = tunnelled(inner(fields), HOME_AGENT, CARE_OF);
    const outer = parse(each.view());
    pool.release(each);
    return { outer, inside: parse(outer.payload) };
  };
  test('protocol 4, TTL of its own, type of service copied, inner TTL untouched', () => {
    const { outer, inside } = encapsulated({ dscp: 46, timeToLive: 9 });
    expect(outer).toMatchObject({ protocol: 4, timeToLive: 64, dscp: 46, source: HOME_AGENT, destination: CARE_OF });
    expect(inside.timeToLive).toBe(9);
  });
  test('inner DF means outer DF; without it too, so that the outer datagram is atomic and needs no identification (RFC 6864)', () => {
    for (const dontFragment of [true, false]) {
      const { outer, inside } = encapsulated({ dontFragment, identification: 77 });
      expect(outer.dontFragment).toBe(true);
      expect(outer.identification).toBe(0);
      expect(inside).toMatchObject({ dontFragment, identification: 77 });
    }
  });
  test('the TTL is not decremented at the exit', () => {
    const each = tunnelled(inner({ timeToLive: 1 }));
    expect(decapsulate(each)).toBeUndefined();
    expect(parse(each.view()).timeToLive).toBe(1);
    pool.release(each);
  });
});

describe('ECN (RFC 6040)', () => {
  test('in: a copy; out: the table of section 4.2', () => {
    const table = [
      // outer: Not-ECT, ECT(1), ECT(0), CE
      [0, 0, 0, -1], // inner Not-ECT
      [1, 1, 1, 3], // inner ECT(1)
      [2, 1, 2, 3], // inner ECT(0)
      [3, 3, 3, 3], // inner CE
    ];
    for (let i = 0; i < 4; i++)
      for (let outer = 0; outer < 4; outer++) expect(combinedEcn(i, outer)).toBe(table[i]![outer]);
  });
  test('a mark set inside the tunnel arrives, with a good checksum; without ECN the packet is dropped', () => {
    const mark = (each: PacketBuffer) => {
      const { source, destination, payload } = parse(each.view());
      pool.release(each);
      return packet(emitIpv4Packet({ source, destination, payload, ecn: 3, protocol: 4 }));
    };
    const capable = mark(tunnelled(inner({ ecn: 2 })));
    expect(decapsulate(capable)).toBeUndefined();
    expect(parse(capable.view()).ecn).toBe(3);
    pool.release(capable);
    const incapable = mark(tunnelled(inner({ ecn: 0 })));
    expect(decapsulate(incapable)).toBe('ecn');
    pool.release(incapable);
  });
});

describe('the home agent intercepts (RFC 5944 section 4.2.3)', () => {
  test('to the care-of address, from the address in the Home Agent field', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(packet(inner()), now);
    expect(home.out[0]).toMatchObject({ source: HOME_AGENT, destination: CARE_OF, protocol: 4 });
    expect(home.out[0]!.payload).toEqual(inner());
  });
  test('to every care-of address with simultaneous bindings', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.bindings.put(binding({ careOfAddress: OTHER }));
    home.tunnel.intercept(packet(inner()), now);
    expect(home.out.map((each) => each.destination).sort()).toEqual([CARE_OF, OTHER].sort());
  });
  test('nobody is bound: host unreachable to the sender', () => {
    const home = new Home();
    home.tunnel.intercept(packet(inner()), now);
    expect(home.out[0]).toMatchObject({ protocol: 1, destination: CORRESPONDENT });
    expect([...home.out[0]!.payload.subarray(0, 2)]).toEqual([3, 1]);
    expect(home.dropped()).toEqual({ 'drop.no-binding': 1 });
  });
  test.each([
    ['its own address as source', { source: HOME_AGENT }, 'drop.loop'],
    ['the tunnel’s exit as source', { source: CARE_OF }, 'drop.loop'],
    ['TTL 0', { timeToLive: 0 }, 'drop.ttl'],
  ])('%s: not tunnelled (RFC 2003 section 3.2)', (_, fields, reason) => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(packet(inner(fields)), now);
    expect(home.dropped()).toEqual({ [reason]: 1 });
    expect(home.out).toHaveLength(0);
  });
  test('already encapsulated to the mobile node by its own care-of address: a loop; by another: nested', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(
      packet(emitIpv4Packet({ source: CARE_OF, destination: HOME, protocol: 4, payload: inner() })),
      now,
    );
    expect(home.dropped()).toEqual({ 'drop.loop': 1 });
    home.tunnel.intercept(
      packet(emitIpv4Packet({ source: ROUTER, destination: HOME, protocol: 4, payload: inner() })),
      now,
    );
    expect(parse(home.out[0]!.payload).protocol).toBe(4);
  });
  test('a mobile network behind a foreign agent: two headers; with a co-located address one (RFC 5177 section 7)', () => {
    const home = new Home();
    const networks = [net('10.40.0.0/24')];
    home.bindings.put(binding({ networks }));
    const bound = inner({ destination: ip('10.40.0.9') });
    home.tunnel.intercept(packet(bound), now);
    const middle = parse(home.out[0]!.payload);
    expect(middle).toMatchObject({ source: HOME_AGENT, destination: HOME, protocol: 4 });
    expect(middle.payload).toEqual(bound);
    home.bindings.put(binding({ networks, coLocated: true }));
    home.tunnel.intercept(packet(bound), now);
    expect(home.out[1]!.payload).toEqual(bound);
  });
});

describe('the MTU (RFC 2003 section 5.1)', () => {
  const long = (dontFragment: boolean, octets = 1500) => inner({ dontFragment, payload: new Uint8Array(octets - 20) });
  test('DF and too long: fragmentation needed with the tunnel’s MTU less 20', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(packet(long(true)), now);
    const [icmp] = home.out;
    expect([icmp!.protocol, icmp!.payload[0], icmp!.payload[1]]).toEqual([1, 3, 4]);
    expect((icmp!.payload[6]! << 8) | icmp!.payload[7]!).toBe(1480);
    expect(home.dropped()).toEqual({ 'drop.too-big': 1 });
  });
  test('no DF: the inner datagram is fragmented, not the outer', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(packet(long(false)), now);
    expect(home.out).toHaveLength(2);
    for (const outer of home.out)
      expect(outer).toMatchObject({ dontFragment: true, moreFragments: false, protocol: 4 });
    expect(home.out.map((outer) => parse(outer.payload).moreFragments)).toEqual([true, false]);
  });
  test('exactly what fits goes through', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.intercept(packet(long(true, 1480)), now);
    expect(home.raw[0]).toHaveLength(1500);
  });
});

describe('ICMP from inside the tunnel (RFC 2003 section 4)', () => {
  /** An error of this type about a datagram that the home agent tunnelled, quoting `quoted` octets of it. */
  const errorAbout = (type: number, code: number, parameter = 0, quoted = 100, exit = CARE_OF) => {
    const outer = tunnelled(inner({ dontFragment: true, payload: new Uint8Array(1300) }), HOME_AGENT, exit);
    const payload = new Uint8Array(8 + quoted);
    payload[0] = type;
    payload[1] = code;
    payload[6] = parameter >>> 8;
    payload[7] = parameter & 255;
    payload.set(outer.view().subarray(0, quoted), 8);
    pool.release(outer);
    let sum = 0;
    for (let i = 0; i < payload.length; i += 2) sum += (payload[i]! << 8) | (payload[i + 1] ?? 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    payload[2] = (~sum >>> 8) & 255;
    payload[3] = ~sum & 255;
    return emitIpv4Packet({ source: ROUTER, destination: HOME_AGENT, protocol: 1, payload });
  };
  const relayed = (type: number, code: number, parameter = 0, quoted = 100) => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.handleIcmp(errorAbout(type, code, parameter, quoted), now);
    const [icmp] = home.out;
    return icmp === undefined
      ? undefined
      : {
          to: icmp.destination,
          type: icmp.payload[0],
          code: icmp.payload[1],
          mtu: (icmp.payload[6]! << 8) | icmp.payload[7]!,
        };
  };
  test.each([
    ['net unreachable', 3, 0, { type: 3, code: 0 }],
    ['host unreachable', 3, 1, { type: 3, code: 1 }],
    ['time exceeded, as host unreachable', 11, 0, { type: 3, code: 1 }],
  ])('%s is relayed to the original sender', (_, type, code, expected) => {
    expect(relayed(type, code)).toMatchObject({ to: CORRESPONDENT, ...expected });
  });
  test('too big is relayed with the MTU less the tunnel header', () => {
    expect(relayed(3, 4, 1200)).toEqual({ to: CORRESPONDENT, type: 3, code: 4, mtu: 1180 });
  });
  test.each([
    ['port unreachable', 3, 3],
    ['source route failed', 3, 5],
    ['source quench', 4, 0],
    ['redirect', 5, 1],
    ['echo', 8, 0],
  ])('%s is not', (_, type, code) => {
    expect(relayed(type, code)).toBeUndefined();
  });
  test('only 8 octets came back: nobody can be told, but the soft state knows, and tells the next sender', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.handleIcmp(errorAbout(3, 4, 600, 28), now);
    expect(home.out).toHaveLength(0);
    expect(home.state.innerMtu(CARE_OF, now)).toBe(580);
    home.tunnel.intercept(packet(inner({ dontFragment: true, payload: new Uint8Array(900) })), now);
    expect((home.out[0]!.payload[6]! << 8) | home.out[0]!.payload[7]!).toBe(580);
    // RFC 1191 section 6.3: after ten minutes it may be raised again.
    expect(home.state.innerMtu(CARE_OF, plus(now, seconds(601)))).toBe(1480);
  });
  test('an unreachable exit: the sender is told and the datagram is sent all the same (section 5)', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.handleIcmp(errorAbout(11, 0, 0, 28), now);
    home.tunnel.intercept(packet(inner()), now);
    expect(home.out.map((each) => each.protocol)).toEqual([1, 4]);
    home.tunnel.intercept(packet(inner()), plus(now, seconds(11)));
    expect(home.out.map((each) => each.protocol)).toEqual([1, 4, 4]);
  });
  test('protocol unreachable is told as host unreachable, but not while an agent may be starting again (section 4.1)', () => {
    const home = new Home();
    home.bindings.put(binding());
    const refused = (after: number) => {
      home.tunnel.handleIcmp(errorAbout(3, 2), plus(now, seconds(after)));
      return home.out.splice(0).map(({ destination, payload }) => ({ to: destination, code: payload[1] }));
    };
    for (const after of [0, 1, 4, 9.9]) expect(refused(after)).toEqual([]);
    home.tunnel.intercept(packet(inner()), plus(now, seconds(9.95)));
    expect(home.out.splice(0).map((each) => each.protocol)).toEqual([4]);
    expect(refused(10)).toEqual([{ to: CORRESPONDENT, code: 1 }]);
    // A station that is left alone for long enough is a new case.
    for (const after of [60, 69]) expect(refused(after)).toEqual([]);
  });
  test('what arrives out of the tunnel ends every belief that its exit is away', () => {
    const home = new Home();
    home.bindings.put(binding());
    const outward = inner({ source: HOME, destination: CORRESPONDENT });
    home.tunnel.handleIcmp(errorAbout(3, 1), now);
    home.tunnel.receive(tunnelled(outward), now);
    home.out.splice(0);
    home.tunnel.intercept(packet(inner()), now);
    expect(home.out.splice(0).map((each) => each.protocol)).toEqual([4]);
    home.tunnel.handleIcmp(errorAbout(3, 2), now);
    home.tunnel.receive(tunnelled(outward), plus(now, seconds(5)));
    home.out.splice(0);
    home.tunnel.handleIcmp(errorAbout(3, 2), plus(now, seconds(11)));
    expect(home.out).toEqual([]);
  });
  test('a router that does not tell its MTU: the next plateau (RFC 1191 section 7.1)', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.handleIcmp(errorAbout(3, 4, 0, 28), now);
    expect(home.state.innerMtu(CARE_OF, now)).toBe(1006 - 20);
  });
  test('errors about what is not our tunnel are not believed, and none raises an MTU', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.handleIcmp(errorAbout(3, 4, 600, 100, ip('10.99.0.1')), now);
    home.tunnel.handleIcmp(errorAbout(3, 4, 60_000), now);
    expect(home.state.innerMtu(CARE_OF, now)).toBe(1480);
  });
  test('ICMP errors are limited in rate', () => {
    const home = new Home();
    for (let i = 0; i < 200; i++) home.tunnel.intercept(packet(inner()), now);
    expect(home.out.length).toBeLessThanOrEqual(20);
    expect(home.tunnel.counters.get('icmp.suppressed')).toBe(180);
  });
});

describe('the home agent receives (RFC 3024 section 4.3.2)', () => {
  const outward = (fields: Partial<Ipv4Fields> = {}) => inner({ source: HOME, destination: CORRESPONDENT, ...fields });
  test('from the care-of address and the home address of one binding: forwarded as it was', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.tunnel.receive(tunnelled(outward()), now);
    expect(home.raw[0]).toEqual(outward());
  });
  test.each([
    ['another care-of address', binding(), OTHER, {}, 'drop.reverse-no-binding'],
    ['another inner source', binding(), CARE_OF, { source: ip('10.9.0.66') }, 'drop.reverse-no-binding'],
    ['a binding without reverse tunnel', binding({ reverseTunnel: false }), CARE_OF, {}, 'drop.reverse-no-binding'],
    [
      'a binding by UDP',
      binding({ udpTunnel: { address: CARE_OF, port: 40_000 } }),
      CARE_OF,
      {},
      'drop.reverse-encapsulation',
    ],
  ])('%s: silence, and a count', (_, bound, source, fields, reason) => {
    const home = new Home();
    home.bindings.put(bound);
    home.tunnel.receive(tunnelled(outward(fields), source), now);
    expect(home.out).toHaveLength(0);
    expect(home.dropped()).toEqual({ [reason]: 1 });
  });
  test('a mobile network through its router’s own tunnel in the foreign agent’s; other sources not', () => {
    const home = new Home();
    home.bindings.put(binding({ networks: [net('10.40.0.0/24')] }));
    const nested = (source: string) =>
      tunnelled(
        emitIpv4Packet({
          source: HOME,
          destination: HOME_AGENT,
          protocol: 4,
          payload: outward({ source: ip(source) }),
        }),
      );
    home.tunnel.receive(nested('10.40.0.9'), now);
    expect(home.out[0]).toMatchObject({ source: ip('10.40.0.9'), destination: CORRESPONDENT });
    home.tunnel.receive(nested('10.50.0.9'), now);
    expect(home.dropped()).toEqual({ 'drop.reverse-source': 1 });
  });
  test('for a while after a move the old care-of address is believed, and may return what it could not deliver', () => {
    const home = new Home();
    home.bindings.put(binding());
    home.bindings.remove(binding(), plus(now, seconds(30)));
    home.bindings.put(binding({ careOfAddress: OTHER }));
    home.tunnel.receive(tunnelled(outward()), now);
    home.tunnel.receive(tunnelled(inner()), now);
    expect(home.out.map((each) => each.destination)).toEqual([CORRESPONDENT, OTHER]);
    home.tunnel.receive(tunnelled(outward()), plus(now, seconds(31)));
    home.tunnel.receive(tunnelled(inner()), plus(now, seconds(31)));
    expect(home.dropped()).toEqual({ 'drop.reverse-no-binding': 2 });
  });
});

describe('the foreign agent', () => {
  const visitor = (fields: Partial<Visitor> = {}): Visitor => ({
    homeAddress: HOME,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    link: 'space',
    lifetime: 300,
    registeredAt: now,
    expiresAt: NEVER,
    reverseTunnel: true,
    delivery: 'direct',
    udpTunnel: false,
    ...fields,
  });
  const station = (...visitors: Visitor[]) => {
    const list = new VisitorList();
    for (const each of visitors) list.put(each);
    const sent: Ipv4Repr[] = [];
    const delivered: Uint8Array[] = [];
    const tunnel = new ForeignAgentTunnel({
      ...HOLD_DEFAULTS,
      holdOctets: 300,
      address: CARE_OF,
      pool,
      state: new TunnelState(1500),
      visitors: list,
      returnStations: [],
      send: (each) => {
        sent.push(parse(each.view()));
        pool.release(each);
      },
      deliver: (each) => {
        delivered.push(each.view().slice());
        pool.release(each);
      },
    });
    return { tunnel, sent, delivered, list };
  };
  const inward = () => tunnelled(inner(), HOME_AGENT, CARE_OF);

  test('delivers to visitors, and is silent about everybody else (RFC 5944 section 4.2.2)', () => {
    const { tunnel, sent, delivered } = station(visitor());
    tunnel.receive(inward(), now);
    expect(delivered).toEqual([inner()]);
    tunnel.receive(tunnelled(inner({ destination: ip('10.9.0.99') }), HOME_AGENT, CARE_OF), now);
    tunnel.receive(tunnelled(inner(), ROUTER, CARE_OF), now);
    expect(sent).toHaveLength(0);
    expect(tunnel.counters.snapshot()).toMatchObject({ 'drop.no-visitor': 1, 'drop.not-home-agent': 1 });
  });
  test('direct delivery: everything of the visitor’s goes into the reverse tunnel', () => {
    const { tunnel, sent } = station(visitor());
    tunnel.fromLink(packet(inner({ source: HOME, destination: CORRESPONDENT })), now);
    expect(sent[0]).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, protocol: 4 });
  });
  test('encapsulating delivery: what is addressed to the agent is reverse-tunnelled, the rest goes its way (RFC 3024 section 5.4)', () => {
    const { tunnel, sent } = station(visitor({ delivery: 'encapsulating' }));
    const plain = inner({ source: HOME, destination: CORRESPONDENT });
    tunnel.fromLink(packet(emitIpv4Packet({ source: HOME, destination: CARE_OF, protocol: 4, payload: plain })), now);
    tunnel.fromLink(packet(plain), now);
    expect(sent.map((each) => each.destination)).toEqual([HOME_AGENT, CORRESPONDENT]);
    expect(sent[0]!.payload).toEqual(plain);
  });
  test('a source that is no visitor goes nowhere', () => {
    const { tunnel, sent } = station(visitor());
    tunnel.fromLink(packet(inner({ source: ip('10.9.0.77'), destination: CORRESPONDENT })), now);
    expect(sent).toHaveLength(0);
  });
  test('holds for a visitor out of view, within limits, and delivers when it is back', () => {
    const { tunnel, delivered } = station(visitor());
    tunnel.linkDown('space');
    for (let i = 0; i < 7; i++) tunnel.receive(inward(), now);
    expect(tunnel.heldPackets).toBe(5);
    expect(tunnel.counters.get('drop.hold-full')).toBe(2);
    tunnel.linkUp('space', now);
    expect(delivered).toHaveLength(5);
    expect(tunnel.heldPackets).toBe(0);
  });
  test('a visitor that has moved is served until it can know: its reverse tunnel, and what was on its way to it', () => {
    const { tunnel, sent, delivered, list } = station(visitor());
    tunnel.departed(list.remove(HOME)!, true, now);
    const outward = () => packet(inner({ source: HOME, destination: CORRESPONDENT }));
    tunnel.fromLink(outward(), plus(now, seconds(3)));
    expect(sent[0]).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, protocol: 4 });
    tunnel.receive(inward(), plus(now, seconds(3)));
    expect(delivered).toHaveLength(1);
    // Out of view it follows the mobile node.
    tunnel.linkDown('space');
    tunnel.receive(inward(), plus(now, seconds(3)));
    expect(sent[1]).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, protocol: 4 });
    tunnel.linkUp('space', now);
    tunnel.fromLink(outward(), plus(now, seconds(5)));
    tunnel.receive(inward(), plus(now, seconds(5)));
    expect(tunnel.counters.get('drop.no-visitor')).toBe(2);
    // One that left for another reason is gone at once.
    const other = station(visitor());
    other.tunnel.departed(other.list.remove(HOME)!, false, now);
    other.tunnel.fromLink(outward(), now);
    expect(other.sent).toHaveLength(0);
  });
  test('datagrams that overtake the reply are delivered to the visitor to be, from its home agent only', () => {
    const { tunnel, delivered, list } = station(visitor());
    const { homeAgent, careOfAddress, link, lifetime, reverseTunnel, delivery } = list.remove(HOME)!;
    const times = { relayedAt: now, expiresAt: plus(now, seconds(7)), identification: 1n };
    const request = { homeAddress: HOME, homeAgent, careOfAddress, link, lifetime, reverseTunnel, delivery, ...times };
    list.addPending({ ...request, replySource: CARE_OF, replyPort: 434 });
    tunnel.receive(inward(), now);
    tunnel.receive(tunnelled(inner(), ROUTER, CARE_OF), now);
    expect(delivered).toEqual([inner()]);
    list.addPending({ ...request, lifetime: 0, replySource: CARE_OF, replyPort: 434 });
    tunnel.receive(inward(), now);
    expect(tunnel.counters.get('drop.no-visitor')).toBe(2);
  });
  test('returns what it holds through the tunnel when the visitor has moved; forgets it after a while', () => {
    const { tunnel, sent, list } = station(visitor());
    tunnel.linkDown('space');
    tunnel.receive(inward(), now);
    tunnel.departed(list.remove(HOME)!, true, now);
    expect(sent[0]).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, protocol: 4 });
    expect(sent[0]!.payload).toEqual(inner());
    list.put(visitor());
    tunnel.receive(inward(), now);
    tunnel.handleTimeout(plus(now, seconds(61)));
    expect(tunnel.counters.get('drop.hold-age')).toBe(1);
  });
});

describe('the mobile node', () => {
  const attachment: Attachment = {
    agent: ip('10.1.0.1'),
    careOfAddress: CARE_OF,
    coLocated: false,
    delivery: 'direct',
    reverseTunnel: true,
    udpTunnel: false,
  };
  const node = (fields: Partial<Attachment> = {}) => {
    const sent: Ipv4Repr[] = [];
    const tunnel = new MobileNodeTunnel({
      address: HOME,
      homeAgent: HOME_AGENT,
      networks: [net('10.40.0.0/24')],
      pool,
      state: new TunnelState(1500),
      send: (each) => {
        sent.push(parse(each.view()));
        pool.release(each);
      },
    });
    tunnel.attachment = { ...attachment, ...fields };
    return { tunnel, sent };
  };
  const outward = (source: number) => inner({ source, destination: CORRESPONDENT });
  test.each([
    ['direct', {}, HOME, []],
    ['direct, from the mobile network', {}, ip('10.40.0.9'), [[HOME, HOME_AGENT]]],
    ['encapsulating', { delivery: 'encapsulating' }, HOME, [[HOME, ip('10.1.0.1')]]],
    [
      'encapsulating, from the mobile network',
      { delivery: 'encapsulating' },
      ip('10.40.0.9'),
      [
        [HOME, ip('10.1.0.1')],
        [HOME, HOME_AGENT],
      ],
    ],
    ['co-located', { coLocated: true }, HOME, [[CARE_OF, HOME_AGENT]]],
    ['co-located, from the mobile network', { coLocated: true }, ip('10.40.0.9'), [[CARE_OF, HOME_AGENT]]],
  ] as const)('%s: the right headers', (_, fields, source, headers) => {
    const { tunnel, sent } = node(fields);
    tunnel.output(packet(outward(source)), now);
    let each = sent[0]!;
    for (const [from, to] of headers) {
      expect(each).toMatchObject({ source: from, destination: to, protocol: 4 });
      each = parse(each.payload);
    }
    expect(each).toMatchObject({ source, destination: CORRESPONDENT });
  });
  test('a source that is not on the mobile network is dropped (RFC 5177 section 10)', () => {
    const { tunnel, sent } = node();
    tunnel.output(packet(outward(ip('10.66.0.1'))), now);
    expect(sent).toHaveLength(0);
  });
  test('the keepalive of a NAT’s mapping: an ICMP echo request to the home agent, in the UDP tunnel (RFC 3519 section 4.9)', () => {
    const { tunnel, sent } = node({ coLocated: true, udpTunnel: true });
    tunnel.output(packet(keepaliveDatagram(HOME, HOME_AGENT, 7)), now);
    expect(sent[0]).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, protocol: PROTOCOL.udp });
    const inside = parse(sent[0]!.payload.subarray(8 + 4));
    expect(inside).toMatchObject({ source: HOME, destination: HOME_AGENT, protocol: PROTOCOL.icmp });
    expect([inside.payload[0], inside.payload[1]]).toEqual([8, 0]);
    expect(internetChecksum(inside.payload, 0, inside.payload.length)).toBe(0);
  });
  test('takes out what its home agent tunnels, and nobody else', () => {
    const { tunnel, sent } = node({ coLocated: true });
    tunnel.receive(tunnelled(inner(), HOME_AGENT, CARE_OF), now);
    tunnel.receive(tunnelled(inner({ destination: ip('10.40.0.9') }), HOME_AGENT, HOME), now);
    expect(sent.map((each) => each.destination)).toEqual([HOME, ip('10.40.0.9')]);
    tunnel.receive(tunnelled(inner(), ROUTER, CARE_OF), now);
    tunnel.receive(tunnelled(inner({ destination: ip('10.77.0.9') }), HOME_AGENT, CARE_OF), now);
    expect(sent).toHaveLength(2);
  });
});

test('a gratuitous ARP is a broadcast request with sender and target alike (RFC 5944 section 4.6, RFC 826)', () => {
  const frame = emitGratuitousArp(HOME, new Uint8Array([2, 0, 0, 0, 0, 5]));
  expect(toHex(frame)).toBe(
    'ffffffffffff0200000000050806' + '0001080006040001' + '020000000005' + '0a090005' + '000000000000' + '0a090005',
  );
});
