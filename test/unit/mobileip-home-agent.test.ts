import { describe, expect, test } from 'vitest';
import { type Instant, milliseconds, Rng, seconds, Writer } from '../../src/core/index.ts';
import { parseIpv4Packet } from '../../src/ip/index.ts';
import {
  appendAuthentication,
  authenticate,
  emitRegistrationRequest,
  emitRevocation,
  emitRevocationAcknowledgement,
  HomeAgent,
  type HomeAgentOptions,
  high32,
  isAuthentic,
  joined,
  low32,
  ntpTimestamp,
  type OtherExtension,
  ofKind,
  parseRegistrationReply,
  parseRevocation,
  REPLY_CODE,
  type SecurityAssociation,
  SecurityAssociations,
  writeExtension,
} from '../../src/mobileip/index.ts';
import type { RegistrationRequestFields } from '../../src/mobileip/registration.ts';
import {
  account,
  association,
  HOME,
  HOME_AGENT,
  hmac,
  homeAgentOptions,
  ip,
  MOBILE_SPI,
  net,
  trueTime,
} from '../support/mobileip.ts';

const CARE_OF = ip('10.1.0.2');
const OTHER_CARE_OF = ip('10.2.0.2');
const at = (s: number): Instant => seconds(s) as number as Instant;
const now = at(1000);
const stamp = (time: Instant, offset = 0): bigint =>
  ntpTimestamp(trueTime(time)) + BigInt(Math.round(offset * 2 ** 32));

interface Asked extends Partial<RegistrationRequestFields> {
  readonly before?: readonly OtherExtension[];
  readonly after?: readonly OtherExtension[];
  readonly mobile?: SecurityAssociation | undefined;
  readonly foreign?: SecurityAssociation;
  readonly source?: number;
  readonly sourcePort?: number;
  readonly time?: Instant;
}

class Desk {
  readonly agent: HomeAgent;
  constructor(options: Partial<HomeAgentOptions> = {}) {
    this.agent = new HomeAgent(homeAgentOptions(new Rng(7), options));
  }

  payload(asked: Asked): Uint8Array {
    const { before = [], after = [], foreign, time = now } = asked;
    const mobile = 'mobile' in asked ? asked.mobile : association(MOBILE_SPI);
    const writer = emitRegistrationRequest(
      {
        lifetime: 300,
        homeAddress: HOME,
        homeAgent: HOME_AGENT,
        careOfAddress: CARE_OF,
        identification: stamp(time),
        reverseTunnel: true,
        ...asked,
      },
      before,
    );
    if (mobile !== undefined) authenticate(writer, 32, mobile, hmac);
    for (const extension of after) writeExtension(writer, extension);
    if (foreign !== undefined) authenticate(writer, 34, foreign, hmac);
    return writer.finish();
  }

  /** The reply, or undefined for silence. */
  send(payload: Uint8Array, { source = CARE_OF, sourcePort = 434, time = now }: Asked = {}) {
    const datagram = { source, sourcePort, destination: HOME_AGENT, destinationPort: 434, timeToLive: 60, payload };
    this.agent.handleInput(datagram, time);
    const sent = this.agent.pollTransmit();
    if (sent === undefined) return undefined;
    const parsed = parseRegistrationReply(sent.payload);
    if (!parsed.ok) throw new Error(parsed.reason);
    return { sent, ...parsed.value };
  }
  ask(asked: Asked = {}) {
    return this.send(this.payload(asked), asked);
  }
  code(asked: Asked = {}): number | undefined {
    return this.ask(asked)?.code;
  }
  transmits() {
    const sent = [];
    for (let each = this.agent.pollTransmit(); each !== undefined; each = this.agent.pollTransmit()) sent.push(each);
    return sent;
  }
}

describe('accepting (RFC 5944 section 3.8.2.2)', () => {
  test('a good request is accepted, bound, and answered with the mobile node authenticator', () => {
    const desk = new Desk();
    const reply = desk.ask()!;
    expect(reply.code).toBe(0);
    expect(reply.lifetime).toBe(300);
    expect(reply.identification).toBe(stamp(now));
    expect(reply.sent).toMatchObject({
      source: HOME_AGENT,
      destination: CARE_OF,
      sourcePort: 434,
      destinationPort: 434,
    });
    const [extension] = ofKind(reply.extensions, 'authentication');
    expect(isAuthentic(reply.sent.payload, extension!, association(MOBILE_SPI), hmac)).toBe(true);
    expect(desk.agent.bindings.find(HOME, CARE_OF)).toMatchObject({ lifetime: 300, reverseTunnel: true });
  });

  test('the lifetime is never increased, and reduced to what the agent grants', () => {
    const desk = new Desk({ maximumLifetime: 120 });
    expect(desk.ask({ lifetime: 30 })!.lifetime).toBe(30);
    expect(desk.ask({ lifetime: 0xffff, identification: stamp(now, 0.1) })!.lifetime).toBe(120);
    expect(new Desk({ maximumLifetime: 0xffff }).ask({ lifetime: 0xffff })!.lifetime).toBe(0xffff);
  });

  test('a binding ends with its lifetime; an infinite one does not', () => {
    const desk = new Desk({ maximumLifetime: 0xffff });
    desk.ask({ lifetime: 10 });
    expect(desk.agent.pollTimeout()?.at).toBe(now + seconds(10));
    desk.agent.handleTimeout((now + seconds(10)) as Instant);
    expect(desk.agent.bindings.size).toBe(0);
    expect(desk.agent.pollTransmit()).toBeUndefined();
    desk.ask({ lifetime: 0xffff, identification: stamp(now, 1) });
    expect(desk.agent.pollTimeout()).toBeUndefined();
  });

  test('lifetime 0 with the care-of address ends that binding, with the home address all', () => {
    const desk = new Desk();
    for (const [i, careOfAddress] of [CARE_OF, OTHER_CARE_OF].entries())
      desk.ask({ careOfAddress, simultaneousBindings: true, identification: stamp(now, i / 10) });
    expect(desk.agent.bindings.size).toBe(2);
    expect(desk.ask({ lifetime: 0, identification: stamp(now, 1) })).toMatchObject({ code: 0, lifetime: 0 });
    expect(desk.agent.bindings.of(HOME).map((each) => each.careOfAddress)).toEqual([OTHER_CARE_OF]);
    expect(desk.code({ lifetime: 0, careOfAddress: HOME, identification: stamp(now, 2) })).toBe(0);
    expect(desk.agent.bindings.size).toBe(0);
  });

  test('without S a new care-of address replaces the old', () => {
    const desk = new Desk();
    desk.ask();
    desk.ask({ careOfAddress: OTHER_CARE_OF, identification: stamp(now, 1) });
    expect(desk.agent.bindings.of(HOME).map((each) => each.careOfAddress)).toEqual([OTHER_CARE_OF]);
  });

  test('code 1 when simultaneous bindings are asked for and not supported', () => {
    expect(new Desk({ simultaneousBindings: false }).code({ simultaneousBindings: true })).toBe(1);
  });

  test('broadcasts are not supported: B is ignored, not rejected (section 3.8.2)', () => {
    expect(new Desk().code({ broadcasts: true })).toBe(0);
  });
});

describe('silence', () => {
  test('no authenticator at all (section 3.8.2.1 a)', () => {
    expect(new Desk().ask({ mobile: undefined })).toBeUndefined();
  });
  test('a mobile node that nobody knows', () => {
    expect(new Desk().ask({ homeAddress: ip('10.9.0.77') })).toBeUndefined();
  });
  test('an extension from 0 to 127 that is not understood discards the message; one from 128 is skipped (section 1.8)', () => {
    const unknown = (type: number): OtherExtension => ({ kind: 'skipped', type, data: new Uint8Array(3) });
    expect(new Desk().ask({ before: [unknown(99)] })).toBeUndefined();
    expect(new Desk().code({ before: [unknown(200)] })).toBe(0);
  });
  test('a foreign-home authenticator of an agent that shares no key (section 3.8.2.1 d)', () => {
    expect(new Desk().ask({ foreign: association(600) })).toBeUndefined();
  });
  test('what is not a request', () => {
    const desk = new Desk();
    for (const payload of [new Uint8Array(0), Uint8Array.of(1, 0, 0), Uint8Array.of(99, 1, 2, 3)])
      expect(desk.send(payload)).toBeUndefined();
  });
});

describe('every denial', () => {
  test('128: the binding cannot be stored', () => {
    const desk = new Desk();
    desk.agent.storageFailed = true;
    expect(desk.code()).toBe(128);
  });
  test('129: the account is closed, or the care-of address is not served', () => {
    expect(new Desk({ mobileNodes: [account({ enabled: false })] }).code()).toBe(129);
    expect(new Desk({ careOfNetworks: [net('10.7.0.0/16')] }).code()).toBe(129);
  });
  test('130: all bindings are taken', () => {
    expect(new Desk({ maximumBindings: 0 }).code()).toBe(130);
  });
  test('131: a wrong key, an unknown SPI; answered with a good authenticator and not without end', () => {
    const desk = new Desk();
    const forged = association(MOBILE_SPI, { key: new Uint8Array(16) });
    const reply = desk.ask({ mobile: forged })!;
    expect(reply.code).toBe(131);
    const [extension] = ofKind(reply.extensions, 'authentication');
    expect(isAuthentic(reply.sent.payload, extension!, association(MOBILE_SPI), hmac)).toBe(true);
    expect(desk.code({ mobile: association(999) })).toBe(131);
    let answered = 0;
    for (let i = 0; i < 100; i++) if (desk.ask({ mobile: forged }) !== undefined) answered++;
    expect(answered).toBeLessThan(10);
    expect(desk.agent.bindings.size).toBe(0);
    // None of it spoils the real one.
    expect(desk.code()).toBe(0);
  });
  test('132: the foreign agent shares a key and its authenticator is missing, double or wrong', () => {
    const foreignAssociations = new SecurityAssociations().add(CARE_OF, association(600));
    const wrong = association(600, { key: new Uint8Array(16) });
    expect(new Desk({ foreignAssociations }).code()).toBe(132);
    expect(new Desk({ foreignAssociations }).code({ foreign: wrong })).toBe(132);
    const desk = new Desk({ foreignAssociations });
    const twice = appendAuthentication(desk.payload({ foreign: association(600) }), 34, association(600), hmac);
    expect(desk.send(twice)?.code).toBe(132);
    const good = desk.ask({ foreign: association(600), identification: stamp(now, 1) })!;
    expect(good.code).toBe(0);
    const extensions = ofKind(good.extensions, 'authentication');
    expect(extensions.map((each) => each.type)).toEqual([32, 34]);
    expect(isAuthentic(good.sent.payload, extensions[1]!, association(600), hmac)).toBe(true);
  });
  test('no foreign-home authenticator is asked of, or put on, a deregistration (section 3.5.4)', () => {
    const desk = new Desk({ foreignAssociations: new SecurityAssociations().add(CARE_OF, association(600)) });
    desk.ask({ foreign: association(600) });
    const reply = desk.ask({ lifetime: 0, identification: stamp(now, 1) })!;
    expect(reply.code).toBe(0);
    expect(ofKind(reply.extensions, 'authentication').map((each) => each.type)).toEqual([32]);
  });
  test('133: see the section on replay protection below', () => {
    expect(new Desk().code({ identification: stamp(now, -8) })).toBe(133);
  });
  test('134: a reserved bit, and a care-of address that cannot be one', () => {
    expect(new Desk().code({ reservedBit: true })).toBe(134);
    for (const careOfAddress of [HOME, 0, ip('224.0.0.5'), ip('127.0.0.1')])
      expect(new Desk().code({ careOfAddress })).toBe(134);
  });
  test('135: more simultaneous bindings than allowed', () => {
    const desk = new Desk({ maximumBindingsPerNode: 1 });
    desk.ask();
    const asked = { careOfAddress: OTHER_CARE_OF, identification: stamp(now, 1) };
    expect(desk.code({ ...asked, simultaneousBindings: true })).toBe(135);
    expect(desk.code({ ...asked, identification: stamp(now, 2) })).toBe(0);
  });
  test('136: to the broadcast address of the home network; the reply names the agent (dynamic discovery)', () => {
    const reply = new Desk().ask({ homeAgent: ip('10.9.0.255') })!;
    expect(reply.code).toBe(136);
    expect(reply.homeAgent).toBe(HOME_AGENT);
  });
  test('137, 138: reverse tunnels refused or required (RFC 3024 section 4.3.1)', () => {
    expect(new Desk({ reverseTunnel: 'refused' }).code()).toBe(137);
    expect(new Desk({ reverseTunnel: 'required' }).code({ reverseTunnel: false })).toBe(138);
    expect(new Desk({ reverseTunnel: 'refused' }).code({ reverseTunnel: false })).toBe(0);
  });
  test('139: minimal encapsulation or GRE', () => {
    expect(new Desk().code({ minimalEncapsulation: true })).toBe(139);
    expect(new Desk().code({ greEncapsulation: true })).toBe(139);
  });
});

describe('replay protection (section 5.7)', () => {
  test('timestamps: 7 s by default, strictly increasing, and what was accepted is not accepted again', () => {
    const desk = new Desk();
    expect(desk.code({ identification: stamp(now, -6.9) })).toBe(0);
    expect(desk.code({ identification: stamp(now, -6.9) })).toBe(133);
    expect(desk.code({ identification: stamp(now, -6.95) })).toBe(133);
    expect(desk.code({ identification: stamp(now, 6.9) })).toBe(0);
    expect(desk.code({ identification: stamp(now, 7.1) })).toBe(133);
  });
  test('code 133 carries the low half as it came and the time of the home agent in the high half', () => {
    const identification = stamp(now, 5000) | 0xabcdn;
    const reply = new Desk().ask({ identification })!;
    expect(low32(reply.identification)).toBe(low32(identification));
    expect(high32(reply.identification)).toBe(high32(stamp(now)));
  });
  test('a denied request cannot be replayed once the policy has changed', () => {
    const desk = new Desk({ reverseTunnel: 'refused' });
    const payload = desk.payload({});
    expect(desk.send(payload)?.code).toBe(137);
    expect(desk.send(payload)?.code).toBe(133);
  });
  test('the tolerance is the configured one', () => {
    expect(new Desk({ timestampTolerance: milliseconds(3500) }).code({ identification: stamp(now, 4) })).toBe(133);
  });
  test('nonces: the first request learns one, each reply gives the next', () => {
    const mobile = association(MOBILE_SPI, { replay: 'nonce' });
    const desk = new Desk({ mobileAssociations: new SecurityAssociations().add(HOME, mobile) });
    const first = desk.ask({ mobile, identification: joined(0, 77) })!;
    expect(first.code).toBe(133);
    expect(low32(first.identification)).toBe(77);
    const second = desk.ask({ mobile, identification: joined(high32(first.identification), 78) })!;
    expect(second.code).toBe(0);
    expect(high32(second.identification)).not.toBe(high32(first.identification));
    expect(desk.code({ mobile, identification: joined(high32(first.identification), 79) })).toBe(133);
    expect(desk.code({ mobile, identification: joined(high32(second.identification), 80) })).toBe(0);
  });
  test('nonces: the same octets again, because the reply was lost, are accepted with what is left of the lifetime', () => {
    const mobile = association(MOBILE_SPI, { replay: 'nonce' });
    const desk = new Desk({ mobileAssociations: new SecurityAssociations().add(HOME, mobile) });
    const nonce = high32(desk.ask({ mobile, identification: joined(0, 1) })!.identification);
    const payload = desk.payload({ mobile, identification: joined(nonce, 2), lifetime: 100 });
    expect(desk.send(payload)).toMatchObject({ code: 0, lifetime: 100 });
    const later = (now + seconds(30)) as Instant;
    const again = desk.send(payload, { time: later })!;
    expect(again).toMatchObject({ code: 0, lifetime: 70 });
    expect(desk.agent.bindings.find(HOME, CARE_OF)!.expiresAt).toBe(now + seconds(100));
  });
  test('what is accepted survives a restart, and so does the binding', () => {
    const desk = new Desk();
    const payload = desk.payload({});
    desk.send(payload);
    const event = desk.agent.pollEvent()!;
    if (event.kind !== 'bound') throw new Error(event.kind);
    const successor = new Desk();
    successor.agent.restore([{ homeAddress: HOME, replay: event.replay, bindings: [event.binding] }], now);
    expect(successor.agent.bindings.find(HOME, CARE_OF)).toBeDefined();
    expect(successor.send(payload)?.code).toBe(133);
    const late = new Desk();
    late.agent.restore([{ homeAddress: HOME, replay: event.replay, bindings: [event.binding] }], at(2000));
    expect(late.agent.bindings.size).toBe(0);
  });
});

describe('keys', () => {
  test('HMAC-SHA-256 with its own SPI beside HMAC-MD5', () => {
    const strong = association(700, { algorithm: 'hmac-sha-256', key: new Uint8Array(32).fill(9) });
    const mobileAssociations = new SecurityAssociations().add(HOME, association(MOBILE_SPI)).add(HOME, strong);
    const reply = new Desk({ mobileAssociations }).ask({ mobile: strong })!;
    expect(reply.code).toBe(0);
    const [extension] = ofKind(reply.extensions, 'authentication');
    expect(extension!.authenticator).toHaveLength(32);
    expect(isAuthentic(reply.sent.payload, extension!, strong, hmac)).toBe(true);
  });
  test('SPIs 0 to 255 are reserved', () => {
    expect(() => new SecurityAssociations().add(HOME, association(255))).toThrow(RangeError);
  });
});

describe('a NAI in place of the home address (RFC 2794)', () => {
  const mobileNodes = [account({ networkAccessIdentifier: 'sat@omni.example' })];
  const mobileAssociations = new SecurityAssociations().add('sat@omni.example', association(MOBILE_SPI));
  const before: OtherExtension[] = [{ kind: 'networkAccessIdentifier', identifier: 'sat@omni.example' }];
  test('the home agent gives the home address', () => {
    const reply = new Desk({ mobileNodes, mobileAssociations }).ask({ homeAddress: 0, before })!;
    expect(reply.code).toBe(0);
    expect(reply.homeAddress).toBe(HOME);
    expect(ofKind(reply.extensions, 'networkAccessIdentifier')[0]?.identifier).toBe('sat@omni.example');
  });
  test('an identifier that nobody has is silence', () => {
    const other: OtherExtension[] = [{ kind: 'networkAccessIdentifier', identifier: 'eve@omni.example' }];
    expect(new Desk({ mobileNodes, mobileAssociations }).ask({ homeAddress: 0, before: other })).toBeUndefined();
  });
});

describe('mobile networks (RFC 5177)', () => {
  const router = account({ mobileRouter: true, networks: [net('10.40.0.0/24'), net('10.41.0.0/16')] });
  const asked = (prefix: string, length: number): OtherExtension => ({
    kind: 'mobileNetworkRequest',
    prefix: ip(prefix),
    prefixLength: length,
  });
  test('explicit: acknowledged, bound, and looked up', () => {
    const desk = new Desk({ mobileNodes: [router] });
    const reply = desk.ask({ before: [asked('10.40.0.0', 24)] })!;
    expect(reply.code).toBe(0);
    expect(ofKind(reply.extensions, 'mobileNetworkAcknowledgement')).toMatchObject([{ mode: 'explicit', code: 0 }]);
    expect(desk.agent.bindings.lookup(ip('10.40.0.9'))[0]?.homeAddress).toBe(HOME);
    expect(desk.agent.bindings.lookup(ip('10.41.0.9'))).toHaveLength(0);
  });
  test('a prefix that is no longer asked for is no longer served (section 6.3)', () => {
    const desk = new Desk({ mobileNodes: [router] });
    desk.ask({ before: [asked('10.40.0.0', 24), asked('10.41.0.0', 16)] });
    expect(desk.agent.bindings.lookup(ip('10.41.7.7'))).toHaveLength(1);
    desk.ask({ before: [asked('10.40.0.0', 24)], identification: stamp(now, 1) });
    expect(desk.agent.bindings.lookup(ip('10.41.7.7'))).toHaveLength(0);
    expect(desk.agent.bindings.lookup(ip('10.40.0.1'))).toHaveLength(1);
  });
  test('one good prefix of three is success; each is told its own code', () => {
    const before = [asked('10.40.0.0', 24), asked('172.16.0.0', 12), asked('10.0.0.0', 0)];
    const reply = new Desk({ mobileNodes: [router] }).ask({ before })!;
    expect(reply.code).toBe(0);
    expect(ofKind(reply.extensions, 'mobileNetworkAcknowledgement').map((each) => each.code)).toEqual([0, 2, 1]);
  });
  test('147: none is good', () => {
    expect(new Desk({ mobileNodes: [router] }).code({ before: [asked('172.16.0.0', 12)] })).toBe(147);
  });
  test('148: not a mobile router', () => {
    expect(new Desk().code({ before: [asked('10.40.0.0', 24)] })).toBe(148);
  });
  test('implicit: served without being asked, with sub-type 2', () => {
    const mobileNodes = [{ ...router, implicitNetworks: true }];
    const reply = new Desk({ mobileNodes }).ask()!;
    expect(ofKind(reply.extensions, 'mobileNetworkAcknowledgement').map((each) => each.mode)).toEqual([
      'implicit',
      'implicit',
    ]);
  });
  test('a prefix behind the authenticator is nobody’s word (section 10)', () => {
    const reply = new Desk({ mobileNodes: [router] }).ask({ after: [asked('10.40.0.0', 24)] })!;
    expect(ofKind(reply.extensions, 'mobileNetworkAcknowledgement')).toHaveLength(0);
  });
});

describe('NAT traversal (RFC 3519 section 4.6)', () => {
  const request = (fields: object = {}): OtherExtension => ({
    kind: 'udpTunnelRequest',
    force: false,
    registrationThroughForeignAgent: false,
    encapsulation: 0,
    reserved3: 0,
    ...fields,
  });
  const coLocated = { decapsulationByMobileNode: true, careOfAddress: ip('192.168.1.5') };
  const NAT = ip('203.0.113.9');
  test('a source that is not the care-of address is a NAT: the tunnel goes to it, keepalives every 110 s', () => {
    const desk = new Desk();
    const reply = desk.ask({ ...coLocated, before: [request()], source: NAT, sourcePort: 40_000 })!;
    expect(reply.code).toBe(0);
    expect(ofKind(reply.extensions, 'udpTunnelReply')).toMatchObject([
      { code: 0, forced: false, keepaliveSeconds: 110 },
    ]);
    expect(desk.agent.bindings.find(HOME, NAT)?.udpTunnel).toEqual({ address: NAT, port: 40_000 });
    expect(desk.code({ ...coLocated, lifetime: 0, source: NAT, identification: stamp(now, 1) })).toBe(0);
    expect(desk.agent.bindings.size).toBe(0);
  });
  test('no NAT: declined with 64; forced: 129 unless allowed', () => {
    const plain = { ...coLocated, source: coLocated.careOfAddress };
    const declined = new Desk().ask({ ...plain, before: [request()] })!;
    expect(declined.code).toBe(0);
    expect(ofKind(declined.extensions, 'udpTunnelReply')[0]?.code).toBe(64);
    expect(new Desk().code({ ...plain, before: [request({ force: true })] })).toBe(129);
    const forced = new Desk({ forcedUdpTunnel: true }).ask({ ...plain, before: [request({ force: true })] })!;
    expect(ofKind(forced.extensions, 'udpTunnelReply')).toMatchObject([{ code: 0, forced: true }]);
  });
  test('129: a NAT, and traversal not allowed', () => {
    expect(new Desk({ udpTunnel: 'refused' }).code({ ...coLocated, before: [request()], source: NAT })).toBe(129);
  });
  test('134: D and the place of the extension contradict each other, or Reserved 3 is not zero', () => {
    expect(new Desk().code({ before: [request()], source: NAT })).toBe(134);
    expect(new Desk().code({ ...coLocated, after: [request()], source: NAT })).toBe(134);
    expect(new Desk().code({ ...coLocated, before: [request({ reserved3: 1 })], source: NAT })).toBe(134);
  });
  test('142: another encapsulation in the UDP tunnel', () => {
    expect(new Desk().code({ ...coLocated, before: [request({ encapsulation: 47 })], source: NAT })).toBe(142);
  });
  test('from a foreign agent behind a NAT, behind the mobile node’s authenticator: the reply likewise', () => {
    const reply = new Desk().ask({ after: [request()], source: NAT })!;
    expect(reply.code).toBe(0);
    const [tunnel] = ofKind(reply.extensions, 'udpTunnelReply');
    expect(tunnel!.at).toBeGreaterThan(ofKind(reply.extensions, 'authentication')[0]!.at);
  });
});

describe('revocation (RFC 3543)', () => {
  const key = association(600);
  const foreignAssociations = new SecurityAssociations().add(CARE_OF, key).add(OTHER_CARE_OF, key);
  const support = (timestamp = high32(stamp(now))): OtherExtension => ({
    kind: 'revocationSupport',
    inform: true,
    timestamp,
  });
  const bound = () => {
    const desk = new Desk({ foreignAssociations });
    const reply = desk.ask({ after: [support()], foreign: key })!;
    return { desk, reply };
  };
  const revocation = (fields: object = {}, shared = key) => {
    const writer = emitRevocation({
      fromHomeAgent: false,
      inform: true,
      homeAddress: HOME,
      homeDomainAddress: HOME_AGENT,
      foreignDomainAddress: CARE_OF,
      identifier: high32(stamp(now)) + 1,
      ...fields,
    });
    authenticate(writer, 34, shared, hmac);
    return writer.finish();
  };

  test('support is answered between the two authenticators, and only when it was offered', () => {
    const { reply } = bound();
    const [mobile, foreign] = ofKind(reply.extensions, 'authentication');
    const [extension] = ofKind(reply.extensions, 'revocationSupport');
    expect(extension!.at).toBeGreaterThan(mobile!.at);
    expect(extension!.at).toBeLessThan(foreign!.at);
    expect(
      ofKind(new Desk({ foreignAssociations }).ask({ foreign: key })!.extensions, 'revocationSupport'),
    ).toHaveLength(0);
  });

  test('moving on revokes at the old foreign agent, repeated with new identifiers until acknowledged', () => {
    const { desk } = bound();
    const asked = { careOfAddress: OTHER_CARE_OF, source: OTHER_CARE_OF, identification: stamp(now, 1) };
    desk.agent.handleInput(
      {
        source: OTHER_CARE_OF,
        sourcePort: 434,
        destination: HOME_AGENT,
        destinationPort: 434,
        timeToLive: 60,
        payload: desk.payload({ ...asked, after: [support()], foreign: key }),
      },
      now,
    );
    const [, first] = desk.transmits();
    expect(first).toMatchObject({ destination: CARE_OF, destinationPort: 434 });
    const parsed = parseRevocation(first!.payload);
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(parsed.value).toMatchObject({
      fromHomeAgent: true,
      inform: false,
      homeAddress: HOME,
      foreignDomainAddress: CARE_OF,
    });
    desk.agent.handleTimeout((now + seconds(1)) as Instant);
    const [second] = desk.transmits();
    const again = parseRevocation(second!.payload);
    expect(again.ok && again.value.identifier).toBe(parsed.value.identifier + 1);
    const writer = emitRevocationAcknowledgement({
      inform: false,
      homeAddress: HOME,
      identifier: parsed.value.identifier + 1,
    });
    authenticate(writer, 34, key, hmac);
    expect(desk.send(writer.finish())).toBeUndefined();
    desk.agent.handleTimeout((now + seconds(60)) as Instant);
    expect(desk.transmits()).toHaveLength(0);
  });

  test('a revocation by the foreign agent ends the binding and is acknowledged, again when repeated', () => {
    const { desk } = bound();
    const from = { source: CARE_OF, sourcePort: 434, destination: HOME_AGENT, destinationPort: 434, timeToLive: 60 };
    for (let i = 0; i < 2; i++) {
      desk.agent.handleInput({ ...from, payload: revocation({ identifier: high32(stamp(now)) + 1 + i }) }, now);
      expect(desk.agent.bindings.size).toBe(0);
      expect(desk.transmits().map((each) => each.payload[0])).toEqual([15]);
    }
  });

  test.each([
    ['a wrong key', {}, association(600, { key: new Uint8Array(16) })],
    ['older than the registration', { identifier: high32(stamp(now)) - 5 }, key],
    ['a reflection of our own', { fromHomeAgent: true }, key],
    ['about another home agent', { homeDomainAddress: 9 }, key],
    ['about another care-of address', { foreignDomainAddress: OTHER_CARE_OF }, key],
  ])('%s is discarded in silence', (_, fields, shared) => {
    const { desk } = bound();
    expect(desk.send(revocation(fields, shared))).toBeUndefined();
    expect(desk.agent.bindings.size).toBe(1);
  });

  test('an operator’s revocation asks that the mobile node be told', () => {
    const { desk } = bound();
    expect(desk.agent.revoke(HOME, now)).toBe(1);
    const parsed = parseRevocation(desk.transmits()[0]!.payload);
    expect(parsed.ok && parsed.value.inform).toBe(true);
  });
});

test('every code that a home agent may send has a test here', () => {
  const denied = Object.values(REPLY_CODE).filter((code) => code >= 128 && code !== 194);
  const source = [128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 142, 147, 148];
  expect(denied).toEqual(source);
});

test('a request in one IP datagram is in the class of network control', async () => {
  const { emitUdpDatagram } = await import('../../src/mobileip/index.ts');
  const datagram = {
    source: 1,
    sourcePort: 434,
    destination: 2,
    destinationPort: 434,
    timeToLive: 255,
    payload: new Writer().finish(),
  };
  const parsed = parseIpv4Packet(emitUdpDatagram(datagram));
  expect(parsed.ok && parsed.value.dscp).toBe(48);
});
