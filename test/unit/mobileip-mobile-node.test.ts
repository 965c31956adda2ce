import { describe, expect, test } from 'vitest';
import { type Duration, type Instant, milliseconds, plus, Rng, seconds, toSeconds } from '../../src/core/index.ts';
import {
  authenticate,
  emitAgentAdvertisement,
  emitRegistrationReply,
  hasRestarted,
  joined,
  low32,
  MOBILE_NODE_DEFAULTS,
  MobileNode,
  type MobileNodeLink,
  type MobileNodeOptions,
  type MobileNodeTransmit,
  type OtherExtension,
  ofKind,
  parseRegistrationRequest,
  registrationTime,
  type SecurityAssociation,
  SecurityAssociations,
  writeExtension,
} from '../../src/mobileip/index.ts';
import { association, HOME, HOME_AGENT, hmac, ip, MOBILE_SPI, net, trueTime } from '../support/mobileip.ts';

const AGENT = ip('10.1.0.1');
const CARE_OF = ip('10.1.0.2');
const now = (1000 * 1e9) as Instant;
const later = (s: number): Instant => plus(now, seconds(s));
const KNOWN: Partial<MobileNodeLink> = { discovery: 'link-up', agent: { address: AGENT, careOfAddress: CARE_OF } };

class Spacecraft {
  readonly node: MobileNode;
  constructor(options: Partial<MobileNodeOptions> = {}, link: Partial<MobileNodeLink> = KNOWN) {
    const rng = new Rng(5);
    this.node = new MobileNode({
      ...MOBILE_NODE_DEFAULTS,
      homeAddress: HOME,
      homeAgent: HOME_AGENT,
      homeAssociation: association(MOBILE_SPI),
      foreignAssociations: new SecurityAssociations(),
      links: [{ name: 'space', discovery: 'advertisement', registrationTime: milliseconds(600), ...link }],
      wallTime: trueTime,
      hmac,
      random: () => rng.uint32(),
      ...options,
    });
  }
  sent(): MobileNodeTransmit[] {
    const all: MobileNodeTransmit[] = [];
    for (let each = this.node.pollTransmit(); each !== undefined; each = this.node.pollTransmit()) all.push(each);
    return all;
  }
  up(time = now): MobileNodeTransmit[] {
    this.node.handleInput({ kind: 'link', link: 'space', up: true }, time);
    return this.sent();
  }
  hear(
    fields: { sequence?: number; busy?: boolean; lifetime?: number; homeAgent?: boolean; source?: number } = {},
    time = now,
  ) {
    const { sequence = 0, busy = false, lifetime = 1800, homeAgent = false, source = AGENT } = fields;
    const payload = emitAgentAdvertisement({
      code: 16,
      lifetime,
      routers: [],
      agent: {
        sequence,
        registrationLifetime: 500,
        registrationRequired: false,
        busy,
        homeAgent,
        foreignAgent: !homeAgent,
        minimalEncapsulation: false,
        greEncapsulation: false,
        reverseTunnel: true,
        udpTunnel: false,
        revocation: false,
        careOfAddresses: homeAgent ? [] : [CARE_OF],
      },
      prefixLengths: [],
    });
    const message = { source, destination: ip('224.0.0.1'), timeToLive: 1, payload };
    this.node.handleInput({ kind: 'advertisement', link: 'space', message }, time);
    return this.sent();
  }
  answer(
    request: MobileNodeTransmit | undefined,
    fields: {
      code?: number;
      lifetime?: number;
      identification?: (asked: bigint) => bigint;
      mobile?: SecurityAssociation | null;
      homeAgent?: number;
      extra?: OtherExtension;
      foreign?: SecurityAssociation;
    } = {},
    time = now,
  ) {
    const { value } = requestIn(request);
    const writer = emitRegistrationReply(
      {
        code: fields.code ?? 0,
        lifetime: fields.lifetime ?? value.lifetime,
        homeAddress: HOME,
        homeAgent: fields.homeAgent ?? HOME_AGENT,
        identification: fields.identification?.(value.identification) ?? value.identification,
      },
      [],
    );
    if (fields.mobile !== null) authenticate(writer, 32, fields.mobile ?? association(MOBILE_SPI), hmac);
    if (fields.extra !== undefined) writeExtension(writer, fields.extra);
    if (fields.foreign !== undefined) authenticate(writer, 33, fields.foreign, hmac);
    const datagram = {
      source: AGENT,
      sourcePort: 434,
      destination: HOME,
      destinationPort: 434,
      timeToLive: 64,
      payload: writer.finish(),
    };
    this.node.handleInput({ kind: 'datagram', link: 'space', datagram }, time);
    return this.sent();
  }
  /** Runs the machine's own deadlines until `end`; what it sent, with times in seconds after `now`. */
  run(end: Instant): { at: number; sent: MobileNodeTransmit }[] {
    const out: { at: number; sent: MobileNodeTransmit }[] = [];
    for (let turns = 0; turns < 10_000; turns++) {
      const deadline = this.node.pollTimeout();
      if (deadline === undefined || deadline.at > end) return out;
      this.node.handleTimeout(deadline.at);
      for (const sent of this.sent()) out.push({ at: toSeconds((deadline.at - now) as Duration), sent });
    }
    throw new Error('the machine does not rest');
  }
}

function requestIn(transmit: MobileNodeTransmit | undefined) {
  if (transmit?.kind !== 'datagram') throw new Error('no request');
  const parsed = parseRegistrationRequest(transmit.datagram.payload);
  if (!parsed.ok) throw new Error(parsed.reason);
  return { datagram: transmit.datagram, value: parsed.value };
}

describe('requests (RFC 5944 section 3.6.1)', () => {
  test('from the home address to the agent, TTL 255 for the reverse tunnel (RFC 3024 section 4.1.1)', () => {
    const { datagram, value } = requestIn(new Spacecraft().up()[0]);
    expect(datagram).toMatchObject({ source: HOME, destination: AGENT, destinationPort: 434, timeToLive: 255 });
    expect(value).toMatchObject({ reverseTunnel: true, decapsulationByMobileNode: false, careOfAddress: CARE_OF });
  });
  test('co-located: from the care-of address to the home agent, with D', () => {
    const careOfAddress = ip('10.1.0.7');
    const { datagram, value } = requestIn(new Spacecraft({}, { discovery: 'co-located', careOfAddress }).up()[0]);
    expect(datagram).toMatchObject({ source: careOfAddress, destination: HOME_AGENT });
    expect(value).toMatchObject({ decapsulationByMobileNode: true, careOfAddress });
  });
  test('the agent’s longest registration is not exceeded', () => {
    const spacecraft = new Spacecraft({}, {});
    spacecraft.up();
    expect(requestIn(spacecraft.hear()[0]).value.lifetime).toBe(500);
  });
  test('order of extensions: home agent’s, its authenticator, foreign agent’s, its authenticator (section 3.6.1.3)', () => {
    const foreignAssociations = new SecurityAssociations().add(AGENT, association(700));
    const networks = [net('10.40.0.0/24')];
    const { value } = requestIn(new Spacecraft({ foreignAssociations, networks, delivery: 'encapsulating' }).up()[0]);
    expect(value.extensions.map((each) => (each.kind === 'authentication' ? each.type : each.kind))).toEqual([
      'mobileNetworkRequest',
      32,
      'encapsulatingDelivery',
      33,
    ]);
  });
  test('a deregistration carries no prefix (RFC 5177 section 5)', () => {
    const spacecraft = new Spacecraft({ networks: [net('10.40.0.0/24')] });
    spacecraft.answer(spacecraft.up()[0]);
    spacecraft.node.deregister(later(10));
    const { value } = requestIn(spacecraft.sent()[0]);
    expect(value.lifetime).toBe(0);
    expect(ofKind(value.extensions, 'mobileNetworkRequest')).toHaveLength(0);
  });
});

describe('retransmission (section 3.6.3)', () => {
  test('not before a second, each wait twice the one before, up to the longest', () => {
    const spacecraft = new Spacecraft();
    spacecraft.up();
    const times = spacecraft.run(later(80)).map((each) => each.at);
    expect(times).toEqual([1, 3, 7, 15, 31, 47, 63, 79]);
  });
  test('the first wait covers transmission, two round trips and 100 ms', () => {
    const time = registrationTime(2000, 128_000, milliseconds(600));
    // 100 octets each way: 400 ms at 2 kbit/s and 6.25 ms at 128; 1200 ms; 100 ms.
    expect(time / 1e6).toBeCloseTo(1706.25, 2);
    const spacecraft = new Spacecraft({}, { ...KNOWN, registrationTime: time });
    spacecraft.up();
    expect(spacecraft.run(later(3)).map((each) => each.at)).toEqual([1.70625]);
  });
  test('timestamps: a new identification, above every one before; nonces: the same octets', () => {
    const stamped = new Spacecraft();
    const identifications = [...stamped.up(), ...stamped.run(later(20)).map((each) => each.sent)].map(
      (each) => requestIn(each).value.identification,
    );
    expect([...identifications].sort((a, b) => (a < b ? -1 : 1))).toEqual(identifications);
    expect(new Set(identifications).size).toBe(identifications.length);
    const nonce = new Spacecraft({ homeAssociation: association(MOBILE_SPI, { replay: 'nonce' }) });
    const [first, ...rest] = [...nonce.up(), ...nonce.run(later(20)).map((each) => each.sent)];
    for (const each of rest) expect(requestIn(each).datagram.payload).toEqual(requestIn(first).datagram.payload);
  });
});

describe('solicitations (section 2.4)', () => {
  test('three, a second apart, then intervals that double to a minute; TTL 1', () => {
    const spacecraft = new Spacecraft({}, { discovery: 'solicit' });
    const [first] = spacecraft.up();
    expect(first).toMatchObject({ kind: 'icmp', message: { timeToLive: 1, destination: ip('224.0.0.11') } });
    const times = [0, ...spacecraft.run(later(600)).map((each) => each.at)];
    const intervals = times.slice(1).map((time, i) => time - times[i]!);
    const nominal = [1, 1, 2, 4, 8, 16, 32, 60, 60, 60];
    for (const [i, interval] of intervals.slice(0, nominal.length).entries()) {
      expect(interval).toBeGreaterThanOrEqual(nominal[i]!);
      expect(interval).toBeLessThanOrEqual(nominal[i]! * 1.25);
    }
    expect(intervals.length).toBeGreaterThan(9);
  });
  test('an advertisement stops them; when it runs out without another they begin again (Algorithm 1)', () => {
    const spacecraft = new Spacecraft({}, { discovery: 'solicit' });
    spacecraft.up();
    const [request] = spacecraft.hear({ lifetime: 100 }, later(0.5));
    spacecraft.answer(request, {}, later(1));
    expect(spacecraft.run(later(99.9))).toHaveLength(0);
    expect(spacecraft.run(later(103))[0]?.sent.kind).toBe('icmp');
  });
});

describe('replies (section 3.6.2)', () => {
  test('accepted: the lifetime counts from the sending, the smaller of both (section 3.6.2.2)', () => {
    const spacecraft = new Spacecraft();
    const [request] = spacecraft.up();
    spacecraft.answer(request, { lifetime: 0xfff0 }, later(0.9));
    expect(spacecraft.node.registration?.lifetime).toBe(1800);
    expect(spacecraft.node.registration?.expiresAt).toBe(later(1800));
    const other = new Spacecraft();
    other.answer(other.up()[0], { lifetime: 30 }, later(0.5));
    expect(other.node.registration?.expiresAt).toBe(later(30));
  });
  test.each([
    ['another low half of the identification', { identification: (asked: bigint) => asked ^ 1n }],
    ['no mobile-home authenticator', { mobile: null }],
    ['a wrong one', { mobile: association(MOBILE_SPI, { key: new Uint8Array(16) }) }],
    ['a home agent’s denial without authenticator', { code: 133, mobile: null }],
  ])('%s: silence', (_, fields) => {
    const spacecraft = new Spacecraft();
    const [request] = spacecraft.up();
    expect(spacecraft.answer(request, fields)).toHaveLength(0);
    expect(spacecraft.node.registration).toBeUndefined();
    // And the right one is still taken.
    spacecraft.answer(request);
    expect(spacecraft.node.registration).toBeDefined();
  });
  test('a foreign agent that shares a key must authenticate its replies', () => {
    const foreignAssociations = new SecurityAssociations().add(AGENT, association(700));
    const spacecraft = new Spacecraft({ foreignAssociations });
    const [request] = spacecraft.up();
    spacecraft.answer(request);
    expect(spacecraft.node.registration).toBeUndefined();
    spacecraft.answer(request, { foreign: association(700) });
    expect(spacecraft.node.registration).toBeDefined();
  });
  test('only the reply to the latest request counts', () => {
    const spacecraft = new Spacecraft();
    const [first] = spacecraft.up();
    const [second] = spacecraft.run(later(1));
    spacecraft.answer(first, {}, later(1.5));
    expect(spacecraft.node.registration).toBeUndefined();
    spacecraft.answer(second!.sent, {}, later(1.6));
    expect(spacecraft.node.registration?.sentAt).toBe(later(1));
  });
});

describe('denials that repair themselves (section 3.6.2.3)', () => {
  const next = (options: Partial<MobileNodeOptions>, fields: Parameters<Spacecraft['answer']>[1], link = KNOWN) => {
    const spacecraft = new Spacecraft(options, link);
    const [request] = spacecraft.up();
    spacecraft.answer(request, fields, later(0.2));
    const retried = spacecraft.run(later(5))[0];
    return retried === undefined
      ? undefined
      : { at: retried.at, ...requestIn(retried.sent), first: requestIn(request).value };
  };
  test('69: with the lifetime of the reply, a second after the first request', () => {
    const retried = next({}, { code: 69, lifetime: 120, mobile: null })!;
    expect(retried.at).toBe(1);
    expect(retried.value.lifetime).toBe(120);
  });
  test('133: with the time of the home agent, above what it has accepted', () => {
    const identification = (asked: bigint) => joined(Number(asked >> 32n) + 7200, low32(asked));
    const retried = next({}, { code: 133, identification })!;
    const ahead = Number((retried.value.identification - retried.first.identification) >> 32n);
    expect(Math.abs(ahead - 7201)).toBeLessThanOrEqual(1);
  });
  test('136: with the home agent that answered', () => {
    const retried = next({ homeAgent: ip('10.9.0.255') }, { code: 136, homeAgent: HOME_AGENT })!;
    expect(retried.value.homeAgent).toBe(HOME_AGENT);
  });
  test('75 and 138: with T', () => {
    for (const fields of [{ code: 75, mobile: null }, { code: 138 }])
      expect(next({ reverseTunnel: false }, fields)!.value.reverseTunnel).toBe(true);
  });
  test('79: with direct delivery', () => {
    const retried = next({ delivery: 'encapsulating' }, { code: 79, mobile: null })!;
    expect(ofKind(retried.value.extensions, 'encapsulatingDelivery')).toHaveLength(0);
  });
  test('147 and 148: without prefixes (RFC 5177 section 5.1)', () => {
    for (const code of [147, 148]) {
      const retried = next({ networks: [net('10.40.0.0/24')] }, { code })!;
      expect(ofKind(retried.value.extensions, 'mobileNetworkRequest')).toHaveLength(0);
    }
  });
  test('106: with the challenge that the reply brings (RFC 4721)', () => {
    const challenge = Uint8Array.of(1, 2, 3, 4);
    const retried = next({}, { code: 106, mobile: null, extra: { kind: 'challenge', challenge } })!;
    expect(ofKind(retried.value.extensions, 'challenge')[0]?.challenge).toEqual(challenge);
  });
  test('78, 80 to 82, 88: the home agent is away; asked again after 1, 2, 4 and at most 10 seconds', () => {
    const spacecraft = new Spacecraft();
    let [request] = spacecraft.up();
    let at = 0;
    for (const [code, wait] of [
      [82, 1],
      [78, 2],
      [80, 4],
      [88, 8],
      [81, 10],
    ] as const) {
      spacecraft.answer(request, { code, mobile: null }, later(at));
      expect(spacecraft.run(later(at + wait - 0.1))).toHaveLength(0);
      const [next] = spacecraft.run(later(at + wait));
      at += wait;
      request = next?.sent;
    }
  });
  test('130: not before ten seconds; 131: not before a minute', () => {
    for (const [code, pause] of [
      [130, 10],
      [131, 60],
    ] as const) {
      const spacecraft = new Spacecraft();
      const [request] = spacecraft.up();
      spacecraft.answer(request, { code }, later(0.2));
      expect(spacecraft.run(later(200))[0]?.at).toBeCloseTo(pause + 0.2, 3);
    }
  });
});

describe('move detection (section 2.4.2)', () => {
  test('sequence numbers: less than before and below 256 is a restart; 65535 to 256 is not (section 2.4.4)', () => {
    expect(hasRestarted(100, 0)).toBe(true);
    expect(hasRestarted(65535, 256)).toBe(false);
    expect(hasRestarted(300, 299)).toBe(false);
    expect(hasRestarted(300, 255)).toBe(true);
    expect(hasRestarted(5, 6)).toBe(false);
  });
  test('a restarted agent is registered with again at once', () => {
    const spacecraft = new Spacecraft({}, {});
    spacecraft.up();
    spacecraft.answer(spacecraft.hear({ sequence: 0 })[0]);
    expect(spacecraft.hear({ sequence: 1 }, later(5))).toHaveLength(0);
    expect(spacecraft.hear({ sequence: 0 }, later(10))).toHaveLength(1);
  });
  test('an agent that was never heard and now advertises number 0 has begun since: registered with again', () => {
    const spacecraft = new Spacecraft();
    spacecraft.answer(spacecraft.up()[0]);
    expect(spacecraft.hear({ sequence: 7 }, later(5))).toHaveLength(0);
    const other = new Spacecraft();
    other.answer(other.up()[0]);
    expect(other.hear({ sequence: 0 }, later(5))).toHaveLength(1);
  });
  test('a busy agent is not asked, except by whom it serves', () => {
    const spacecraft = new Spacecraft({}, {});
    spacecraft.up();
    expect(spacecraft.hear({ busy: true })).toHaveLength(0);
    const [request] = spacecraft.hear({ sequence: 1 }, later(1));
    spacecraft.answer(request, { lifetime: 100 }, later(1));
    spacecraft.hear({ sequence: 2, busy: true }, later(2));
    expect(spacecraft.run(later(101)).some((each) => each.sent.kind === 'datagram')).toBe(true);
  });
  test('at home: deregistered with the home address as care-of address (section 3.6.1.2)', () => {
    const spacecraft = new Spacecraft({}, {});
    spacecraft.up();
    const { datagram, value } = requestIn(spacecraft.hear({ homeAgent: true, source: HOME_AGENT })[0]);
    expect(datagram.destination).toBe(HOME_AGENT);
    expect(value).toMatchObject({ lifetime: 0, careOfAddress: HOME });
    spacecraft.answer({ kind: 'datagram', link: 'space', datagram }, { lifetime: 0 });
    expect(spacecraft.node.state).toBe('home');
    expect(spacecraft.run(later(100))).toHaveLength(0);
  });
});

describe('links of other kinds', () => {
  const both = (extra: MobileNodeLink) =>
    new Spacecraft({
      links: [{ name: 'space', registrationTime: milliseconds(600), ...KNOWN } as MobileNodeLink, extra],
    });
  const other = (spacecraft: Spacecraft, up: boolean, time: Instant) => {
    spacecraft.node.handleInput({ kind: 'link', link: 'other', up }, time);
    return spacecraft.sent();
  };

  test('the home LAN comes before any station: deregistered with the home address (RFC 5944 section 3.6.1.2)', () => {
    const spacecraft = both({ name: 'other', discovery: 'home', registrationTime: seconds(1) });
    spacecraft.answer(spacecraft.up()[0]);
    const [request] = other(spacecraft, true, later(5));
    const { datagram, value } = requestIn(request);
    expect(datagram.destination).toBe(HOME_AGENT);
    expect(value).toMatchObject({ lifetime: 0, careOfAddress: HOME });
    spacecraft.answer(request, {}, later(6));
    expect(spacecraft.node.state).toBe('home');
    // The cable is pulled: the station that was there all the time.
    const [away] = other(spacecraft, false, later(20));
    expect(requestIn(away).value).toMatchObject({ careOfAddress: CARE_OF, lifetime: 1800 });
  });
  test('a link that only transmits is nobody to register with; without it its partner is of no use', () => {
    const spacecraft = new Spacecraft({
      links: [
        { name: 'space', registrationTime: milliseconds(600), transmitVia: 'other', ...KNOWN } as MobileNodeLink,
        { name: 'other', discovery: 'none', registrationTime: seconds(1) },
      ],
    });
    expect(spacecraft.up()).toHaveLength(0);
    const [request] = other(spacecraft, true, later(1));
    expect(request).toMatchObject({ link: 'other', datagram: { destination: AGENT } });
  });
});

test('a registration is renewed early enough for four attempts, and kept until it ends', () => {
  const spacecraft = new Spacecraft();
  spacecraft.answer(spacecraft.up()[0], { lifetime: 300 });
  const attempts = spacecraft.run(later(299.9));
  expect(attempts[0]?.at).toBe(270);
  expect(attempts.length).toBeGreaterThanOrEqual(4);
  expect(spacecraft.node.registration).toBeDefined();
  spacecraft.run(later(301));
  expect(spacecraft.node.registration).toBeUndefined();
});

test('the link comes back within the lifetime: traffic resumes before the renewal is answered', () => {
  const spacecraft = new Spacecraft();
  spacecraft.answer(spacecraft.up()[0]);
  spacecraft.node.handleInput({ kind: 'link', link: 'space', up: false }, later(100));
  expect(spacecraft.node.state).toBe('out of contact');
  while (spacecraft.node.pollEvent() !== undefined);
  expect(spacecraft.up(later(200))).toHaveLength(1);
  expect(spacecraft.node.pollEvent()).toMatchObject({ kind: 'resumed' });
});
