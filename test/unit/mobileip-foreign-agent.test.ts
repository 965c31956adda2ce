import { describe, expect, test } from 'vitest';
import { type Instant, plus, Rng, seconds } from '../../src/core/index.ts';
import {
  ALL_MOBILITY_AGENTS,
  authenticate,
  emitAgentAdvertisement,
  emitAgentSolicitation,
  emitRegistrationReply,
  emitRegistrationRequest,
  emitRevocation,
  FOREIGN_AGENT_DEFAULTS,
  ForeignAgent,
  type ForeignAgentOptions,
  type ForeignAgentTransmit,
  isAuthentic,
  nextSequence,
  ntpTimestamp,
  type OtherExtension,
  ofKind,
  parseAgentAdvertisement,
  parseRegistrationReply,
  parseRegistrationRequest,
  parseRevocation,
  parseRevocationAcknowledgement,
  REPLY_CODE,
  type SecurityAssociation,
  SecurityAssociations,
  writeExtension,
} from '../../src/mobileip/index.ts';
import type { RegistrationRequestFields } from '../../src/mobileip/registration.ts';
import { association, HOME, HOME_AGENT, hmac, ip, MOBILE_SPI, net, trueTime } from '../support/mobileip.ts';

const AGENT = ip('10.1.0.1');
const CARE_OF = ip('10.1.0.2');
const now = (1000 * 1e9) as Instant;
const later = (s: number): Instant => plus(now, seconds(s));
const LINK = 'space';
const identification = ntpTimestamp(trueTime(now));

interface Asked extends Partial<RegistrationRequestFields> {
  readonly after?: readonly OtherExtension[];
  readonly mobileForeign?: SecurityAssociation;
  readonly timeToLive?: number;
  readonly to?: number;
  readonly returnStation?: number;
  readonly time?: Instant;
}

function requestOf(asked: Asked = {}): Uint8Array {
  const writer = emitRegistrationRequest({
    lifetime: 300,
    homeAddress: HOME,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    identification,
    reverseTunnel: true,
    ...asked,
  });
  authenticate(writer, 32, association(MOBILE_SPI), hmac);
  for (const extension of asked.after ?? []) writeExtension(writer, extension);
  if (asked.mobileForeign !== undefined) authenticate(writer, 33, asked.mobileForeign, hmac);
  return writer.finish();
}

class Station {
  readonly agent: ForeignAgent;
  constructor(options: Partial<ForeignAgentOptions> = {}) {
    const rng = new Rng(3);
    this.agent = new ForeignAgent(
      {
        ...FOREIGN_AGENT_DEFAULTS,
        address: AGENT,
        careOfAddress: CARE_OF,
        ownAddresses: [AGENT, CARE_OF, ip('10.1.0.3')],
        mobileAssociations: new SecurityAssociations(),
        homeAssociations: new SecurityAssociations(),
        wallTime: trueTime,
        hmac,
        random: () => rng.uint32(),
        ...options,
      },
      [LINK],
    );
  }
  sent(): ForeignAgentTransmit[] {
    const all: ForeignAgentTransmit[] = [];
    for (let each = this.agent.pollTransmit(); each !== undefined; each = this.agent.pollTransmit()) all.push(each);
    return all;
  }
  ask(asked: Asked = {}, payload = requestOf(asked)): ForeignAgentTransmit[] {
    const { timeToLive = 255, to = AGENT, returnStation, time = now } = asked;
    const datagram = { source: HOME, sourcePort: 434, destination: to, destinationPort: 434, timeToLive, payload };
    const from = returnStation === undefined ? {} : { returnStation };
    this.agent.handleInput({ kind: 'request', link: LINK, datagram, ...from }, time);
    return this.sent();
  }
  /** The code of the denial to the mobile node; 'relayed' when it went on, undefined for silence. */
  code(asked: Asked = {}, payload = requestOf(asked)): number | 'relayed' | undefined {
    return codeOf(this.ask(asked, payload));
  }
  replyFrom(
    fields: {
      code?: number;
      lifetime?: number;
      identification?: bigint;
      foreign?: SecurityAssociation;
      source?: number;
      extra?: OtherExtension;
      time?: Instant;
    } = {},
  ): ForeignAgentTransmit[] {
    const { code = 0, lifetime = 300, foreign, source = HOME_AGENT, extra, time = now } = fields;
    const writer = emitRegistrationReply({
      code,
      lifetime,
      homeAddress: HOME,
      homeAgent: HOME_AGENT,
      identification: fields.identification ?? identification,
    });
    authenticate(writer, 32, association(MOBILE_SPI), hmac);
    if (extra !== undefined) writeExtension(writer, extra);
    if (foreign !== undefined) authenticate(writer, 34, foreign, hmac);
    return this.receive(writer.finish(), source, time);
  }
  receive(payload: Uint8Array, source = HOME_AGENT, time = now): ForeignAgentTransmit[] {
    const datagram = { source, sourcePort: 434, destination: CARE_OF, destinationPort: 434, timeToLive: 60, payload };
    this.agent.handleInput({ kind: 'datagram', datagram }, time);
    return this.sent();
  }
  link(up: boolean, time = now): ForeignAgentTransmit[] {
    this.agent.handleInput({ kind: 'link', link: LINK, up }, time);
    return this.sent();
  }
}

function codeOf(sent: readonly ForeignAgentTransmit[]): number | 'relayed' | undefined {
  const [first] = sent;
  if (first?.kind !== 'datagram') return undefined;
  if (first.link === undefined) return 'relayed';
  const parsed = parseRegistrationReply(first.datagram.payload);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value.code;
}

const datagramOf = (sent: ForeignAgentTransmit | undefined) => {
  if (sent?.kind !== 'datagram') throw new Error('no datagram');
  return sent.datagram;
};

describe('relaying (RFC 5944 section 3.7.2.2)', () => {
  test('unchanged up to the mobile-home authenticator, from the care-of address to the home agent', () => {
    const payload = requestOf();
    const [sent] = new Station().ask({}, payload);
    const datagram = datagramOf(sent);
    expect(datagram).toMatchObject({ source: CARE_OF, destination: HOME_AGENT, destinationPort: 434 });
    expect(datagram.payload).toEqual(payload);
  });
  test('what was for the foreign agent alone is removed; its own come behind, then its authenticator', () => {
    const shared = association(600);
    const station = new Station({ homeAssociations: new SecurityAssociations().add(HOME_AGENT, shared) });
    const [sent] = station.ask({ after: [{ kind: 'encapsulatingDelivery' }] });
    const { payload } = datagramOf(sent);
    const parsed = parseRegistrationRequest(payload);
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(parsed.value.extensions.map((each) => (each.kind === 'authentication' ? each.type : each.kind))).toEqual([
      32,
      'revocationSupport',
      34,
    ]);
    expect(isAuthentic(payload, ofKind(parsed.value.extensions, 'authentication')[1]!, shared, hmac)).toBe(true);
  });
  test('no foreign-home authenticator on a deregistration (section 3.5.4)', () => {
    const station = new Station({ homeAssociations: new SecurityAssociations().add(HOME_AGENT, association(600)) });
    const parsed = parseRegistrationRequest(datagramOf(station.ask({ lifetime: 0 })[0]).payload);
    expect(parsed.ok && ofKind(parsed.value.extensions, 'authentication').map((each) => each.type)).toEqual([32]);
  });
  test('an extension up to 127 that is not understood discards in silence; one from 128 does not (section 1.8)', () => {
    expect(new Station().code({ after: [{ kind: 'skipped', type: 99, data: new Uint8Array(2) }] })).toBeUndefined();
    expect(new Station().code({ after: [{ kind: 'skipped', type: 250, data: new Uint8Array(2) }] })).toBe('relayed');
  });
});

describe('every denial', () => {
  test('64: no route to visitors can be made', () => {
    const station = new Station();
    station.agent.forwardingFailed = true;
    expect(station.code()).toBe(64);
  });
  test('65: a home agent that is not served', () => {
    expect(new Station({ homeAgentNetworks: [net('172.16.0.0/12')] }).code()).toBe(65);
  });
  test('66: too many visitors, or too many requests pending', () => {
    expect(new Station({ maximumVisitors: 0 }).code()).toBe(66);
    const station = new Station({ maximumPending: 2 });
    const homes = [ip('10.9.0.6'), ip('10.9.0.7'), ip('10.9.0.8')];
    expect(homes.map((homeAddress) => station.code({ homeAddress }))).toEqual(['relayed', 'relayed', 66]);
  });
  test('67: the mobile node shares a key and its authenticator is missing, double or wrong', () => {
    const shared = association(700);
    const make = () => new Station({ mobileAssociations: new SecurityAssociations().add(HOME, shared) });
    expect(make().code()).toBe(67);
    expect(make().code({ mobileForeign: association(700, { key: new Uint8Array(16) }) })).toBe(67);
    expect(make().code({ mobileForeign: shared })).toBe('relayed');
    const station = make();
    station.ask({ mobileForeign: shared });
    const { payload } = datagramOf(station.replyFrom()[0]);
    const parsed = parseRegistrationReply(payload);
    const extension = parsed.ok ? ofKind(parsed.value.extensions, 'authentication').at(-1)! : undefined;
    expect(extension?.type).toBe(33);
    expect(isAuthentic(payload, extension!, shared, hmac)).toBe(true);
  });
  test('68: the home agent shares a key and its authenticator is missing or wrong', () => {
    const homeAssociations = new SecurityAssociations().add(HOME_AGENT, association(600));
    for (const foreign of [undefined, association(600, { key: new Uint8Array(16) })]) {
      const station = new Station({ homeAssociations });
      station.ask();
      expect(codeOf(station.replyFrom(foreign === undefined ? {} : { foreign }))).toBe(68);
      expect(station.agent.visitors.size).toBe(0);
    }
    const good = new Station({ homeAssociations });
    good.ask();
    expect(codeOf(good.replyFrom({ foreign: association(600) }))).toBe(0);
    expect(good.agent.visitors.size).toBe(1);
  });
  test('69: a lifetime too long; the reply carries the longest', () => {
    const station = new Station({ maximumLifetime: 120 });
    const parsed = parseRegistrationReply(datagramOf(station.ask()[0]).payload);
    expect(parsed.ok && [parsed.value.code, parsed.value.lifetime]).toEqual([69, 120]);
    expect(new Station({ maximumLifetime: 0xffff }).code({ lifetime: 0xffff })).toBe('relayed');
  });
  test('70: a reserved bit, no authorization, delivery style without T, or a malformed extension', () => {
    expect(new Station().code({ reservedBit: true })).toBe(70);
    expect(new Station().code({ reverseTunnel: false, after: [{ kind: 'encapsulatingDelivery' }] })).toBe(70);
    expect(new Station().code({}, requestOf().subarray(0, 24))).toBe(70);
    expect(new Station().code({}, requestOf().subarray(0, 40))).toBe(70);
  });
  test('71: a reply of the home agent that is malformed', () => {
    const station = new Station();
    station.ask();
    const writer = emitRegistrationReply({
      code: 0,
      lifetime: 300,
      homeAddress: HOME,
      homeAgent: HOME_AGENT,
      identification,
    });
    expect(codeOf(station.receive(writer.uint8(32).uint8(200).finish()))).toBe(71);
  });
  test('72: minimal encapsulation or GRE', () => {
    expect(new Station().code({ minimalEncapsulation: true })).toBe(72);
    expect(new Station().code({ greEncapsulation: true })).toBe(72);
  });
  test('74, 75, 79: reverse tunnels refused, required, of a style that is not there (RFC 3024)', () => {
    expect(new Station({ reverseTunnel: 'refused' }).code()).toBe(74);
    expect(new Station({ reverseTunnel: 'required' }).code({ reverseTunnel: false })).toBe(75);
    const encapsulating = { after: [{ kind: 'encapsulatingDelivery' as const }] };
    expect(new Station({ encapsulatingDelivery: false }).code(encapsulating)).toBe(79);
  });
  test('76: TTL not 255; but TTL 1 to 224.0.0.11 is a neighbour too (RFC 3024 section 4.2.1, RFC 5944 section 3.6.1.1)', () => {
    expect(new Station().code({ timeToLive: 254 })).toBe(76);
    expect(new Station().code({ timeToLive: 1 })).toBe(76);
    expect(new Station().code({ timeToLive: 1, to: ALL_MOBILITY_AGENTS })).toBe('relayed');
    expect(new Station().code({ timeToLive: 64, reverseTunnel: false })).toBe('relayed');
  });
  test('the return link of another station: believed when configured, one hop further away', () => {
    const returnStation = ip('10.2.0.2');
    const make = () => new Station({ returnStations: [returnStation] });
    expect(make().code({ timeToLive: 254, returnStation })).toBe('relayed');
    expect(make().code({ timeToLive: 253, returnStation })).toBe(76);
    expect(make().code({ timeToLive: 254, returnStation: ip('10.3.0.2') })).toBeUndefined();
  });
  test('77: a care-of address that is not ours, without D', () => {
    expect(new Station().code({ careOfAddress: ip('10.1.0.9') })).toBe(77);
    expect(new Station().code({ careOfAddress: ip('10.1.0.9'), decapsulationByMobileNode: true })).toBe('relayed');
  });
  test('78: no reply for 7 seconds', () => {
    const station = new Station();
    station.ask();
    expect(station.agent.pollTimeout()?.at).toBe(later(7));
    station.agent.handleTimeout(later(7));
    expect(codeOf(station.sent())).toBe(78);
  });
  test.each([
    [0, 80],
    [1, 81],
    [3, 82],
    [2, 88],
    [13, 88],
  ])('an ICMP unreachable of code %i in place of a reply gives %i (section 3.7.3)', (icmp, code) => {
    const station = new Station();
    station.ask();
    station.agent.handleInput({ kind: 'unreachable', homeAgent: HOME_AGENT, code: icmp }, now);
    expect(codeOf(station.sent())).toBe(code);
  });
  test('96, 97: no home address where it is needed, or no NAI with it (RFC 2794)', () => {
    expect(new Station({ zeroHomeAddress: false }).code({ homeAddress: 0 })).toBe(96);
    expect(new Station().code({ homeAddress: 0 })).toBe(97);
  });
  test('104, 105, 106: challenges unknown, missing, used twice or too old (RFC 4721)', () => {
    const station = new Station({ challenge: true });
    const challenges = [0, 2, 4].map((s) => {
      station.agent.handleInput({ kind: 'link', link: LINK, up: false }, later(s));
      const [advertisement] = station.link(true, later(s));
      const parsed =
        advertisement?.kind === 'icmp' ? parseAgentAdvertisement(advertisement.message.payload) : undefined;
      if (parsed?.ok !== true || parsed.value.challenge === undefined) throw new Error('no challenge');
      return parsed.value.challenge;
    });
    const ask = (challenge: Uint8Array | undefined, s: number) =>
      station.code({ after: challenge === undefined ? [] : [{ kind: 'challenge', challenge }], time: later(s) });
    expect(ask(undefined, 10)).toBe(105);
    expect(ask(new Uint8Array(4), 20)).toBe(104);
    expect(ask(challenges[0], 30)).toBe(106);
  });
  test('a challenge is good once', () => {
    const station = new Station({ challenge: true });
    const [advertisement] = station.link(true);
    const parsed = advertisement?.kind === 'icmp' ? parseAgentAdvertisement(advertisement.message.payload) : undefined;
    const challenge = parsed?.ok === true ? parsed.value.challenge! : new Uint8Array(0);
    expect(station.code({ after: [{ kind: 'challenge', challenge }] })).toBe('relayed');
    expect(station.code({ after: [{ kind: 'challenge', challenge }] })).toBe(106);
  });
  test('194: the home agent’s address is one of our own', () => {
    expect(new Station().code({ homeAgent: ip('10.1.0.3') })).toBe(194);
  });
  test('not more than one denial a second to one mobile node', () => {
    const station = new Station({ maximumVisitors: 0 });
    const answers = [0, 0.3, 0.9, 1.1].map((s) => station.code({ time: later(s) }));
    expect(answers).toEqual([66, undefined, undefined, 66]);
  });
  test('every code that a foreign agent may send is in this file', () => {
    const here = [
      64, 65, 66, 67, 68, 69, 70, 71, 72, 74, 75, 76, 77, 78, 79, 80, 81, 82, 88, 96, 97, 104, 105, 106, 194,
    ];
    expect(Object.values(REPLY_CODE).filter((code) => (code >= 64 && code < 128) || code === 194)).toEqual(here);
  });
});

describe('replies (section 3.7.3)', () => {
  test('relayed to the home address by the link it came from; the visitor’s life begins with the forwarding', () => {
    const station = new Station();
    station.ask();
    const [sent] = station.replyFrom({ time: later(2) });
    expect(sent).toMatchObject({ kind: 'datagram', link: LINK, datagram: { source: AGENT, destination: HOME } });
    expect(station.agent.visitors.find(HOME)?.expiresAt).toBe(later(302));
    station.agent.handleTimeout(later(302));
    expect(station.agent.visitors.size).toBe(0);
    expect(station.sent()).toHaveLength(0);
  });
  test('never longer than the home agent granted, nor than was asked for', () => {
    const station = new Station();
    station.ask({ lifetime: 100 });
    station.replyFrom({ lifetime: 60 });
    expect(station.agent.visitors.find(HOME)?.lifetime).toBe(60);
    station.ask({ lifetime: 100 });
    station.replyFrom({ lifetime: 5000 });
    expect(station.agent.visitors.find(HOME)?.lifetime).toBe(100);
  });
  test('silence for a reply that nobody waits for: another identification, another sender', () => {
    const station = new Station();
    station.ask();
    expect(station.replyFrom({ identification: identification ^ 1n })).toHaveLength(0);
    expect(station.replyFrom({ source: ip('10.66.0.1') })).toHaveLength(0);
    expect(station.agent.visitors.size).toBe(0);
    // 133 brings another high half: only the low one is compared.
    expect(codeOf(station.replyFrom({ code: 133, identification: identification ^ (1n << 40n) }))).toBe(133);
  });
  test('a denial leaves the visitor’s entry as it is; an accepted deregistration removes it', () => {
    const station = new Station();
    station.ask();
    station.replyFrom();
    station.ask({ identification: identification + 1n });
    station.replyFrom({ code: 130, identification: identification + 1n });
    expect(station.agent.visitors.size).toBe(1);
    station.ask({ lifetime: 0, identification: identification + 2n });
    expect(station.agent.visitors.size).toBe(1);
    station.replyFrom({ lifetime: 0, identification: identification + 2n });
    expect(station.agent.visitors.size).toBe(0);
  });
  test('extensions behind the mobile-home authenticator stay here', () => {
    const station = new Station();
    station.ask();
    const [sent] = station.replyFrom({ extra: { kind: 'revocationSupport', inform: true, timestamp: 5 } });
    const parsed = parseRegistrationReply(datagramOf(sent).payload);
    expect(parsed.ok && parsed.value.extensions.map((each) => each.kind)).toEqual(['authentication']);
    expect(station.agent.visitors.find(HOME)?.revocation).toEqual({ inform: true, timestamp: 5 });
  });
});

describe('advertisements (sections 2.1 and 2.3)', () => {
  const parse = (sent: ForeignAgentTransmit | undefined) => {
    if (sent?.kind !== 'icmp') throw new Error('no advertisement');
    const parsed = parseAgentAdvertisement(sent.message.payload);
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.value;
  };
  test('TTL 1 to 224.0.0.1, F with a care-of address, sequence from 0, 48 octets of IP', () => {
    const [sent] = new Station().link(true);
    expect(sent).toMatchObject({
      kind: 'icmp',
      message: { source: AGENT, destination: ip('224.0.0.1'), timeToLive: 1 },
    });
    expect(parse(sent).agent).toMatchObject({
      sequence: 0,
      foreignAgent: true,
      reverseTunnel: true,
      careOfAddresses: [CARE_OF],
    });
    expect(sent?.kind === 'icmp' && 20 + sent.message.payload.length).toBe(48);
  });
  test('after 65535 comes 256, so that 0 to 255 means a restart (section 2.3.2)', () => {
    expect([0, 1, 255, 65534, 65535].map(nextSequence)).toEqual([1, 2, 256, 65535, 256]);
  });
  test('link-up: one per contact; solicited: one after the start, then on demand; both answer a solicitation', () => {
    for (const [advertisement, second] of [
      ['link-up', 1],
      ['solicited', 0],
    ] as const) {
      const station = new Station({ advertisement });
      expect(station.link(true)).toHaveLength(1);
      expect(station.agent.pollTimeout()).toBeUndefined();
      station.link(false, later(100));
      expect(station.link(true, later(200))).toHaveLength(second);
      const message = {
        source: HOME,
        destination: ALL_MOBILITY_AGENTS,
        timeToLive: 1,
        payload: emitAgentSolicitation(),
      };
      station.agent.handleInput({ kind: 'solicitation', link: LINK, message }, later(205));
      expect(station.sent()).toHaveLength(1);
      // Not more than one a second, however often it is asked.
      station.agent.handleInput({ kind: 'solicitation', link: LINK, message }, later(205.2));
      expect(station.sent()).toHaveLength(0);
      station.agent.handleTimeout(later(206));
      expect(station.sent()).toHaveLength(1);
    }
  });
  test('solicited: a start out of contact needs none, because a mobile node registers anew with every contact', () => {
    const station = new Station({ advertisement: 'solicited' });
    expect(station.link(false)).toHaveLength(0);
    expect(station.link(true, later(100))).toHaveLength(0);
    // In contact it does: nothing else tells visitors that their entries are gone.
    expect(new Station({ advertisement: 'solicited' }).link(true)).toHaveLength(1);
  });
  test('periodic: three at most 16 s apart, then at random within the last quarter of the interval', () => {
    const station = new Station({ advertisement: 'periodic', advertisementInterval: 100 });
    station.link(true);
    const times: number[] = [0];
    for (let i = 0; i < 8; i++) {
      const deadline = station.agent.pollTimeout()!;
      station.agent.handleTimeout(deadline.at);
      expect(station.sent()).toHaveLength(1);
      times.push((deadline.at - now) / 1e9);
    }
    const intervals = times.slice(1).map((time, i) => time - times[i]!);
    expect(Math.max(...intervals.slice(0, 2))).toBeLessThanOrEqual(16);
    for (const interval of intervals.slice(2)) {
      expect(interval).toBeGreaterThanOrEqual(75);
      expect(interval).toBeLessThanOrEqual(100);
    }
    expect(new Set(intervals).size).toBeGreaterThan(4);
  });
  test('B when there is no room, and never B or R without F, nor F without a care-of address (section 2.1.1)', () => {
    expect(parse(new Station({ maximumVisitors: 0 }).link(true)[0]).agent.busy).toBe(true);
    const good = parse(new Station().link(true)[0]);
    const agent = { ...good.agent, foreignAgent: false, homeAgent: true };
    expect(() => emitAgentAdvertisement({ ...good, agent: { ...agent, busy: true } })).toThrow(RangeError);
    expect(() => emitAgentAdvertisement({ ...good, agent: { ...agent, registrationRequired: true } })).toThrow(
      RangeError,
    );
    expect(() => emitAgentAdvertisement({ ...good, agent: { ...good.agent, careOfAddresses: [] } })).toThrow(
      RangeError,
    );
  });
});

describe('revocation (RFC 3543)', () => {
  const shared = association(600);
  const visited = () => {
    const station = new Station({ homeAssociations: new SecurityAssociations().add(HOME_AGENT, shared) });
    station.link(true);
    station.ask();
    const timestamp = Number(identification >> 32n);
    station.replyFrom({ foreign: shared, extra: { kind: 'revocationSupport', inform: true, timestamp } });
    expect(station.agent.visitors.size).toBe(1);
    return { station, timestamp };
  };
  const revocation = (identifier: number, inform: boolean, fromHomeAgent = true) => {
    const fields = { homeAddress: HOME, homeDomainAddress: HOME_AGENT, foreignDomainAddress: CARE_OF };
    const writer = emitRevocation({ ...fields, fromHomeAgent, inform, identifier });
    authenticate(writer, 34, shared, hmac);
    return writer.finish();
  };
  test('ends the visit, is acknowledged, and tells the mobile node by an advertisement numbered 0', () => {
    const { station, timestamp } = visited();
    const sent = station.receive(revocation(timestamp + 5, true), HOME_AGENT, later(5));
    expect(station.agent.visitors.size).toBe(0);
    const acknowledgement = sent.find((each) => each.kind === 'datagram');
    const parsed = parseRevocationAcknowledgement(datagramOf(acknowledgement).payload);
    expect(parsed.ok && [parsed.value.inform, parsed.value.identifier]).toEqual([true, timestamp + 5]);
    const advertisement = sent.find((each) => each.kind === 'icmp');
    const said = advertisement?.kind === 'icmp' ? parseAgentAdvertisement(advertisement.message.payload) : undefined;
    expect(said?.ok && said.value.agent.sequence).toBe(0);
  });
  test('I not set: the mobile node, which has moved, is not told', () => {
    const { station, timestamp } = visited();
    const sent = station.receive(revocation(timestamp + 5, false), HOME_AGENT, later(5));
    expect(sent.map((each) => each.kind)).toEqual(['datagram']);
  });
  test('older than the registration, reflected, or for nobody: silence', () => {
    const { station, timestamp } = visited();
    expect(station.receive(revocation(timestamp - 5, true))).toHaveLength(0);
    expect(station.receive(revocation(timestamp + 5, true, false))).toHaveLength(0);
    expect(
      new Station({ homeAssociations: new SecurityAssociations().add(HOME_AGENT, shared) }).receive(
        revocation(timestamp + 5, true),
      ),
    ).toHaveLength(0);
    expect(station.agent.visitors.size).toBe(1);
  });
  test('an orderly stop revokes at the home agent and advertises busy', () => {
    const { station } = visited();
    station.agent.drain(later(3));
    const sent = station.sent();
    const message = sent.find((each) => each.kind === 'datagram');
    const parsed = parseRevocation(datagramOf(message).payload);
    expect(parsed.ok && parsed.value.fromHomeAgent).toBe(false);
    const advertisement = sent.find((each) => each.kind === 'icmp');
    const said = advertisement?.kind === 'icmp' ? parseAgentAdvertisement(advertisement.message.payload) : undefined;
    expect(said?.ok && [said.value.agent.busy, said.value.agent.sequence]).toEqual([true, 0]);
  });
});
