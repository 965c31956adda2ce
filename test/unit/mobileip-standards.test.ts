// What implementers of Mobile IP get wrong, where it belongs to no one agent: checksums, what an authenticator covers, sizes of extensions,
// what a missing extension means, security exceptions. The other clauses stand with their agents, by section too.
import { describe, expect, test } from 'vitest';
import { type Instant, milliseconds, PacketPool, Rng, toHex, Writer } from '../../src/core/index.ts';
import { emitIpv4Packet, PROTOCOL } from '../../src/ip/index.ts';
import {
  authenticate,
  BindingTable,
  emitAgentAdvertisement,
  emitAgentSolicitation,
  emitRegistrationReply,
  emitRegistrationRequest,
  emitUdpDatagram,
  encapsulate,
  FOREIGN_AGENT_DEFAULTS,
  ForeignAgent,
  HomeAgent,
  HomeAgentTunnel,
  MOBILE_NODE_DEFAULTS,
  MobileNode,
  type MobileNodeOptions,
  ntpTimestamp,
  type OtherExtension,
  parseAgentAdvertisement,
  parseRegistrationReply,
  parseRegistrationRequest,
  parseUdpDatagram,
  SecurityAssociations,
  TunnelState,
  writeExtension,
} from '../../src/mobileip/index.ts';
import {
  account,
  association,
  CORRESPONDENT,
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
const AGENT = ip('10.1.0.1');
const now = (1000 * 1e9) as Instant;
const ports = { sourcePort: 434, destinationPort: 434, timeToLive: 255 };

describe('RFC 5944 section 3.1: the UDP checksum', () => {
  const datagram = { source: HOME, destination: AGENT, ...ports, payload: new Uint8Array([1, 2, 3, 4, 5]) };
  test('is sent, and must be good', () => {
    const octets = emitUdpDatagram(datagram);
    expect((octets[26]! << 8) | octets[27]!).not.toBe(0);
    expect(parseUdpDatagram(octets)).toMatchObject(datagram);
    for (let bit = 0; bit < 8 * 5; bit++) {
      const wrong = octets.slice();
      wrong[28 + (bit >>> 3)]! ^= 1 << (bit & 7);
      expect(parseUdpDatagram(wrong)).toBeUndefined();
    }
  });
  test('zero is none, and accepted', () => {
    const octets = emitUdpDatagram(datagram);
    octets[26] = octets[27] = 0;
    expect(parseUdpDatagram(octets)).toMatchObject(datagram);
  });
});

test('RFC 5944 section 3.5.1: the authenticator covers the UDP payload, and not the header that a NAT or an agent changes', () => {
  const agent = new HomeAgent(homeAgentOptions(new Rng(1)));
  const writer = emitRegistrationRequest({
    lifetime: 300,
    homeAddress: HOME,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    identification: ntpTimestamp(trueTime(now)),
  });
  authenticate(writer, 32, association(MOBILE_SPI), hmac);
  const from = { source: ip('203.0.113.9'), sourcePort: 61_234, destination: HOME_AGENT, destinationPort: 434 };
  agent.handleInput({ ...from, timeToLive: 9, payload: writer.finish() }, now);
  const reply = parseRegistrationReply(agent.pollTransmit()!.payload);
  expect(reply.ok && reply.value.code).toBe(0);
});

describe('RFC 5177: mobile networks', () => {
  const octetsOf = (extension: OtherExtension): string => {
    const writer = new Writer(32);
    writeExtension(writer, extension);
    return toHex(writer.finish());
  };
  test('section 4.1 and 4.2: type 148; a request has 6 octets, an acknowledgement 8; sub-types 0, 1 and 2', () => {
    const network = { prefix: ip('10.40.0.0'), prefixLength: 24 };
    expect(octetsOf({ kind: 'mobileNetworkRequest', ...network })).toBe('94060018' + '0a280000');
    const acknowledged = { kind: 'mobileNetworkAcknowledgement', code: 0, ...network } as const;
    expect(octetsOf({ ...acknowledged, mode: 'explicit' })).toBe('940801001800' + '0a280000');
    expect(octetsOf({ ...acknowledged, mode: 'implicit' })).toBe('940802001800' + '0a280000');
  });

  function router(options: Partial<MobileNodeOptions> = {}) {
    const rng = new Rng(3);
    const agent = { address: AGENT, careOfAddress: CARE_OF };
    const node = new MobileNode({
      ...MOBILE_NODE_DEFAULTS,
      homeAddress: HOME,
      homeAgent: HOME_AGENT,
      homeAssociation: association(MOBILE_SPI),
      foreignAssociations: new SecurityAssociations(),
      links: [{ name: 'space', discovery: 'link-up', agent, registrationTime: milliseconds(600) }],
      networks: [net('10.40.0.0/24')],
      wallTime: trueTime,
      hmac,
      random: () => rng.uint32(),
      ...options,
    });
    node.handleInput({ kind: 'link', link: 'space', up: true }, now);
    const sent = node.pollTransmit();
    if (sent?.kind !== 'datagram') throw new Error('no request');
    const parsed = parseRegistrationRequest(sent.datagram.payload);
    if (!parsed.ok) throw new Error(parsed.reason);
    return { node, request: parsed.value };
  }
  test('section 5: a mobile router asks for a reverse tunnel (T)', () => {
    expect(router().request.reverseTunnel).toBe(true);
  });
  test('section 5.2: accepted without the extension, the home agent knows nothing of mobile networks: none is served', () => {
    const { node, request } = router();
    const writer = emitRegistrationReply({ ...request, code: 0 });
    authenticate(writer, 32, association(MOBILE_SPI), hmac);
    const to = { source: AGENT, destination: HOME, ...ports };
    node.handleInput({ kind: 'datagram', link: 'space', datagram: { ...to, payload: writer.finish() } }, now);
    expect(node.registration).toMatchObject({ networks: 0, careOfAddress: CARE_OF });
  });
  test('section 6: a home agent that is asked by a router without an account for networks says 148, and by a stranger prefix 147', () => {
    for (const [networks, mobileRouter, code] of [
      [[], false, 148],
      [[net('10.41.0.0/24')], true, 147],
    ] as const) {
      const mobileNodes = [account({ networks, mobileRouter })];
      const agent = new HomeAgent(homeAgentOptions(new Rng(1), { mobileNodes }));
      const fields = { lifetime: 300, homeAddress: HOME, homeAgent: HOME_AGENT, careOfAddress: CARE_OF };
      const writer = emitRegistrationRequest({ ...fields, identification: ntpTimestamp(trueTime(now)) }, [
        { kind: 'mobileNetworkRequest', prefix: ip('10.40.0.0'), prefixLength: 24 },
      ]);
      authenticate(writer, 32, association(MOBILE_SPI), hmac);
      agent.handleInput({ source: CARE_OF, destination: HOME_AGENT, ...ports, payload: writer.finish() }, now);
      const reply = parseRegistrationReply(agent.pollTransmit()!.payload);
      expect(reply.ok && reply.value.code).toBe(code);
    }
  });
});

test('RFC 3024 section 4.3.2: a reverse-tunnelled datagram without a binding is dropped, and told as a security exception', () => {
  const pool = new PacketPool({ capacity: 8, slotOctets: 2048 });
  const exceptions: object[] = [];
  const tunnel = new HomeAgentTunnel({
    address: HOME_AGENT,
    pool,
    state: new TunnelState(1500),
    bindings: new BindingTable(),
    carriesOwnDatagrams: false,
    send: (packet) => {
      throw new Error(`sent ${packet.length}`);
    },
    onException: (reason, careOfAddress, source) => exceptions.push({ reason, careOfAddress, source }),
  });
  const fields = { source: HOME, destination: CORRESPONDENT, protocol: PROTOCOL.udp, payload: new Uint8Array(8) };
  const packet = pool.copyOf(emitIpv4Packet(fields))!;
  encapsulate(packet, CARE_OF, HOME_AGENT);
  tunnel.receive(packet, now);
  expect(exceptions).toEqual([{ reason: 'reverse-no-binding', careOfAddress: CARE_OF, source: HOME }]);
  expect(pool.available).toBe(8);
});

describe('advertisements', () => {
  const station = (options = {}) => {
    const rng = new Rng(2);
    const agent = new ForeignAgent(
      {
        ...FOREIGN_AGENT_DEFAULTS,
        address: AGENT,
        careOfAddress: CARE_OF,
        ownAddresses: [AGENT, CARE_OF],
        mobileAssociations: new SecurityAssociations(),
        homeAssociations: new SecurityAssociations().add(HOME_AGENT, association(512)),
        wallTime: trueTime,
        hmac,
        random: () => rng.uint32(),
        advertisement: 'solicited',
        ...options,
      },
      ['space'],
    );
    agent.handleInput({ kind: 'link', link: 'space', up: true }, now);
    while (agent.pollTransmit() !== undefined);
    return agent;
  };
  test('RFC 1256 section 6.2.3: a solicitation is answered within 2 s, and 100 of them not 100 times', () => {
    const agent = station();
    const message = { source: HOME, destination: ip('224.0.0.11'), timeToLive: 1, payload: emitAgentSolicitation() };
    const sentAt: number[] = [];
    const drain = (at: number) => {
      while (agent.pollTransmit() !== undefined) sentAt.push((at - now) / 1e9);
    };
    for (let i = 0; i < 100; i++) {
      const at = (now + i * milliseconds(10)) as Instant;
      agent.handleInput({ kind: 'solicitation', link: 'space', message }, at);
      drain(at);
    }
    for (let deadline = agent.pollTimeout(); deadline !== undefined; deadline = agent.pollTimeout()) {
      agent.handleTimeout(deadline.at);
      drain(deadline.at);
    }
    expect(sentAt[0]).toBeLessThanOrEqual(2);
    expect(sentAt.length).toBeLessThanOrEqual(3);
  });
  test('RFC 3543 section 4.1: X says that revocation is supported, where it can be authenticated', () => {
    const [on, off] = [true, false].map((revocation) => {
      const fields = {
        sequence: 0,
        registrationLifetime: 600,
        registrationRequired: false,
        busy: false,
        homeAgent: false,
        foreignAgent: true,
        minimalEncapsulation: false,
        greEncapsulation: false,
        reverseTunnel: true,
        udpTunnel: false,
        careOfAddresses: [CARE_OF],
      };
      const payload = emitAgentAdvertisement({
        code: 16,
        lifetime: 1800,
        routers: [],
        agent: { ...fields, revocation },
        prefixLengths: [],
      });
      const parsed = parseAgentAdvertisement(payload);
      expect(parsed.ok && parsed.value.agent.revocation).toBe(revocation);
      return payload;
    });
    // After ICMP's 8 octets: type 16, length, sequence, lifetime, then R B H F M G r T and U X.
    expect(on![8 + 7]! & 0x40).toBe(0x40);
    expect(off![8 + 7]! & 0x40).toBe(0);
  });
});
