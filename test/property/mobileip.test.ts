import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketPool, Rng, toHex, Writer } from '../../src/core/index.ts';
import { emitIpv4Packet, parseIpv4Packet } from '../../src/ip/index.ts';
import {
  authenticate,
  decapsulate,
  decapsulateFromUdp,
  emitAgentAdvertisement,
  emitRegistrationReply,
  emitRegistrationRequest,
  emitRevocation,
  emitRevocationAcknowledgement,
  encapsulate,
  encapsulateInUdp,
  fragmentIpv4,
  HomeAgent,
  isAuthentic,
  type OtherExtension,
  ofKind,
  parseAgentAdvertisement,
  parseRegistrationReply,
  parseRegistrationRequest,
  parseRevocation,
  parseRevocationAcknowledgement,
} from '../../src/mobileip/index.ts';
import { association, HOME, HOME_AGENT, hmac, homeAgentOptions } from '../support/mobileip.ts';

const uint8 = fc.integer({ min: 0, max: 255 });
const uint16 = fc.integer({ min: 0, max: 65535 });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const octets = (maxLength: number) => fc.uint8Array({ maxLength });
const token = fc.string({
  minLength: 1,
  maxLength: 60,
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
});

const extension: fc.Arbitrary<OtherExtension> = fc.oneof(
  fc.constant({ kind: 'encapsulatingDelivery' as const }),
  token.map((identifier) => ({ kind: 'networkAccessIdentifier' as const, identifier })),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((challenge) => ({ kind: 'challenge' as const, challenge })),
  fc.record({ kind: fc.constant('revocationSupport' as const), inform: fc.boolean(), timestamp: uint32 }),
  fc.record({ kind: fc.constant('mobileNetworkRequest' as const), prefix: uint32, prefixLength: uint8 }),
  fc.record({
    kind: fc.constant('mobileNetworkAcknowledgement' as const),
    mode: fc.constantFrom('explicit' as const, 'implicit' as const),
    code: uint8,
    prefix: uint32,
    prefixLength: uint8,
  }),
  fc.record({
    kind: fc.constant('udpTunnelRequest' as const),
    force: fc.boolean(),
    registrationThroughForeignAgent: fc.boolean(),
    encapsulation: uint8,
    reserved3: uint16,
  }),
  fc.record({
    kind: fc.constant('udpTunnelReply' as const),
    code: uint8,
    forced: fc.boolean(),
    keepaliveSeconds: uint16,
  }),
  fc.record({ kind: fc.constant('skipped' as const), type: fc.integer({ min: 160, max: 255 }), data: octets(30) }),
);
const extensions = fc.array(extension, { maxLength: 6 });
const bare = (list: readonly OtherExtension[] | readonly object[]) => list.map((each) => ({ ...each, at: undefined }));

const request = fc.record({
  simultaneousBindings: fc.boolean(),
  broadcasts: fc.boolean(),
  decapsulationByMobileNode: fc.boolean(),
  minimalEncapsulation: fc.boolean(),
  greEncapsulation: fc.boolean(),
  reverseTunnel: fc.boolean(),
  reservedBit: fc.boolean(),
  lifetime: uint16,
  homeAddress: uint32,
  homeAgent: uint32,
  careOfAddress: uint32,
  identification: uint64,
});

describe('codecs', () => {
  test('a request survives the round trip', () => {
    fc.assert(
      fc.property(request, extensions, (fields, list) => {
        const parsed = parseRegistrationRequest(emitRegistrationRequest(fields, list).finish());
        expect(parsed.ok).toBe(true);
        if (!parsed.ok) return;
        const { extensions: back, ...rest } = parsed.value;
        expect(rest).toEqual(fields);
        expect(bare(back)).toEqual(bare(list));
      }),
    );
  });

  test('a reply, a revocation and its acknowledgement survive it too', () => {
    const reply = fc.record({
      code: uint8,
      lifetime: uint16,
      homeAddress: uint32,
      homeAgent: uint32,
      identification: uint64,
    });
    fc.assert(
      fc.property(reply, extensions, (fields, list) => {
        const parsed = parseRegistrationReply(emitRegistrationReply(fields, list).finish());
        expect(parsed.ok && { ...parsed.value, extensions: bare(parsed.value.extensions) }).toEqual({
          ...fields,
          extensions: bare(list),
        });
      }),
    );
    const revocation = fc.record({
      fromHomeAgent: fc.boolean(),
      inform: fc.boolean(),
      homeAddress: uint32,
      homeDomainAddress: uint32,
      foreignDomainAddress: uint32,
      identifier: uint32,
    });
    fc.assert(
      fc.property(revocation, (fields) => {
        expect(parseRevocation(emitRevocation(fields).finish())).toEqual({
          ok: true,
          value: { ...fields, extensions: [] },
        });
        const { inform, homeAddress, identifier } = fields;
        const acknowledgement = { inform, homeAddress, identifier };
        expect(parseRevocationAcknowledgement(emitRevocationAcknowledgement(acknowledgement).finish())).toEqual({
          ok: true,
          value: { ...acknowledgement, extensions: [] },
        });
      }),
    );
  });

  test('an advertisement survives it', () => {
    const advertisement = fc.record({
      code: fc.constantFrom(0, 16),
      lifetime: uint16,
      routers: fc.array(fc.record({ address: uint32, preference: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }), {
        maxLength: 4,
      }),
      agent: fc.record({
        sequence: uint16,
        registrationLifetime: uint16,
        registrationRequired: fc.boolean(),
        busy: fc.boolean(),
        homeAgent: fc.boolean(),
        foreignAgent: fc.constant(true),
        minimalEncapsulation: fc.boolean(),
        greEncapsulation: fc.boolean(),
        reverseTunnel: fc.boolean(),
        udpTunnel: fc.boolean(),
        revocation: fc.boolean(),
        careOfAddresses: fc.array(uint32, { minLength: 1, maxLength: 5 }),
      }),
      prefixLengths: fc.array(uint8, { maxLength: 4 }),
      challenge: fc.uint8Array({ minLength: 1, maxLength: 20 }),
    });
    fc.assert(
      fc.property(advertisement, (fields) => {
        expect(parseAgentAdvertisement(emitAgentAdvertisement(fields))).toEqual({ ok: true, value: fields });
      }),
    );
  });

  test('parsers take any octets without throwing', () => {
    const parsers = [
      parseRegistrationRequest,
      parseRegistrationReply,
      parseRevocation,
      parseRevocationAcknowledgement,
      parseAgentAdvertisement,
    ];
    fc.assert(
      fc.property(octets(120), fc.constantFrom(1, 3, 7, 15, 9), (data, type) => {
        if (data.length > 0) data[0] = type;
        for (const parse of parsers) parse(data);
      }),
    );
  });
});

describe('authenticators', () => {
  test.each(['hmac-md5', 'hmac-sha-256'] as const)('any flipped bit of what %s covers is noticed', (algorithm) => {
    const shared = association(300, { algorithm, key: new Uint8Array(16).fill(7) });
    fc.assert(
      fc.property(request, extensions, fc.nat(), (fields, list, where) => {
        const writer = emitRegistrationRequest(fields, list);
        authenticate(writer, 32, shared, hmac);
        const message = writer.finish();
        const good = parseRegistrationRequest(message);
        if (!good.ok) throw new Error(good.reason);
        expect(isAuthentic(message, ofKind(good.value.extensions, 'authentication')[0]!, shared, hmac)).toBe(true);
        const bit = where % (message.length * 8);
        message[bit >> 3]! ^= 1 << (bit & 7);
        const parsed = parseRegistrationRequest(message);
        if (!parsed.ok) return;
        const found = ofKind(parsed.value.extensions, 'authentication')[0];
        expect(found !== undefined && isAuthentic(message, found, shared, hmac)).toBe(false);
      }),
    );
  });

  test('a home agent answers a bit-flipped request with 131, or not at all, and binds nothing', () => {
    fc.assert(
      fc.property(fc.nat(), (where) => {
        const agent = new HomeAgent(homeAgentOptions(new Rng(1)));
        const careOfAddress = 0x0a010002;
        const fields = { lifetime: 60, homeAddress: HOME, homeAgent: HOME_AGENT, careOfAddress, identification: 5n };
        const writer = emitRegistrationRequest(fields);
        authenticate(writer, 32, association(256), hmac);
        const payload = writer.finish();
        const bit = where % (payload.length * 8);
        payload[bit >> 3]! ^= 1 << (bit & 7);
        const from = { source: careOfAddress, sourcePort: 434, destination: HOME_AGENT, destinationPort: 434 };
        agent.handleInput({ ...from, timeToLive: 64, payload }, 0 as never);
        const reply = agent.pollTransmit();
        expect(reply === undefined || reply.payload[1] === 131).toBe(true);
        expect(agent.bindings.size).toBe(0);
      }),
    );
  });

  test('a message cut anywhere binds nothing', () => {
    const writer = new Writer();
    writer.octets(
      emitRegistrationRequest({
        lifetime: 60,
        homeAddress: HOME,
        homeAgent: HOME_AGENT,
        careOfAddress: 9,
        identification: 5n,
      }).finish(),
    );
    authenticate(writer, 32, association(256), hmac);
    const whole = writer.finish();
    for (let length = 0; length < whole.length; length++) {
      const agent = new HomeAgent(homeAgentOptions(new Rng(1)));
      const payload = whole.slice(0, length);
      agent.handleInput(
        { source: 9, sourcePort: 1, destination: HOME_AGENT, destinationPort: 434, timeToLive: 64, payload },
        0 as never,
      );
      expect(agent.bindings.size).toBe(0);
    }
  });
});

const datagram = fc.record({
  source: fc.integer({ min: 0x01000000, max: 0x7e000000 }),
  destination: uint32,
  dscp: fc.integer({ min: 0, max: 63 }),
  ecn: fc.integer({ min: 0, max: 3 }),
  identification: uint16,
  dontFragment: fc.boolean(),
  timeToLive: fc.integer({ min: 1, max: 255 }),
  protocol: uint8,
  options: fc.constantFrom(new Uint8Array(0), Uint8Array.of(0x94, 4, 0, 0), Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0)),
  payload: octets(600),
});

describe('tunnels', () => {
  const pool = new PacketPool({ capacity: 4, slotOctets: 2048 });

  test('what goes in comes out, in IP and in UDP', () => {
    fc.assert(
      fc.property(datagram, fc.boolean(), (fields, udp) => {
        const inner = emitIpv4Packet(fields);
        const packet = pool.copyOf(inner)!;
        if (udp) encapsulateInUdp(packet, { source: 1, sourcePort: 434, destination: 2, destinationPort: 40000 });
        else encapsulate(packet, 0x0a090001, 0x0a010002);
        const outer = parseIpv4Packet(packet.view());
        expect(outer.ok && outer.value.dontFragment && outer.value.dscp === fields.dscp).toBe(true);
        if (udp) expect(decapsulateFromUdp(packet)).toBe(434);
        else expect(decapsulate(packet)).toBeUndefined();
        expect(toHex(packet.view())).toBe(toHex(inner));
        pool.release(packet);
      }),
    );
  });

  test('a decapsulator takes any octets', () => {
    fc.assert(
      fc.property(octets(200), (data) => {
        const packet = pool.copyOf(data)!;
        decapsulate(packet);
        decapsulateFromUdp(packet);
        pool.release(packet);
      }),
    );
  });

  test('fragments fit, carry everything once, and keep the offsets', () => {
    fc.assert(
      fc.property(datagram, fc.integer({ min: 68, max: 576 }), (fields, mtu) => {
        const inner = emitIpv4Packet({ ...fields, dontFragment: false });
        const fragments = fragmentIpv4(inner, 0, mtu)!;
        const whole = new Uint8Array(fields.payload.length);
        for (const [i, fragment] of fragments.entries()) {
          expect(fragment.length).toBeLessThanOrEqual(mtu);
          const parsed = parseIpv4Packet(fragment);
          if (!parsed.ok) throw new Error(parsed.reason);
          expect(parsed.value.moreFragments).toBe(i < fragments.length - 1);
          whole.set(parsed.value.payload, parsed.value.fragmentOffset);
        }
        expect(whole).toEqual(fields.payload);
      }),
    );
  });
});
