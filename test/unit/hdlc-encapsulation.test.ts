import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  ciscoHdlc,
  describeParseFailure,
  type Encapsulation,
  frameRelay,
  PARSE_FAILURE,
  payloadIpVersion,
  payloadOffset,
  ppp,
} from '../../src/hdlc/index.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/frames.json', import.meta.url), 'utf8')) as {
  frameRelay: string[];
  ciscoHdlc: string[];
  ppp: string[];
};

/** `ipv4@4`, or the reason. The frame is parsed in the middle of a larger array, as in a packet arena. */
function parse(encapsulation: Encapsulation, hex: string): string {
  const frame = fromHex(hex);
  const arena = new Uint8Array(frame.length + 20).fill(0xcc);
  arena.set(frame, 7);
  const parsed = encapsulation.parse(arena, 7, 7 + frame.length);
  return parsed < 0 ? describeParseFailure(parsed) : `ipv${payloadIpVersion(parsed)}@${payloadOffset(parsed) - 7}`;
}

function header(encapsulation: Encapsulation, protocol: 'ipv4' | 'ipv6'): string {
  const octets = new Uint8Array(encapsulation.headerOctets + 2);
  encapsulation.writeHeader(octets, 1, protocol);
  return toHex(octets.slice(1, 1 + encapsulation.headerOctets));
}

test.each([
  ['frame-relay', frameRelay(), 107],
  ['cisco-hdlc', ciscoHdlc(), 104],
  ['ppp', ppp(), 9],
] as const)('%s reads its own headers; every shorter piece of one is truncated', (name, encapsulation, linkType) => {
  expect([encapsulation.name, encapsulation.pcapLinkType]).toEqual([name, linkType]);
  for (const protocol of ['ipv4', 'ipv6'] as const) {
    const written = header(encapsulation, protocol);
    expect(parse(encapsulation, `${written}4500`)).toBe(`${protocol}@4`);
    for (let octets = 0; octets < 4; octets++)
      expect(parse(encapsulation, written.slice(0, 2 * octets))).toBe('truncated');
  }
});

describe('Frame Relay (RFC 2427)', () => {
  test('DLCI 100 is 18 41; UI; NLPID CC and 8E', () => {
    expect(header(frameRelay(), 'ipv4')).toBe('184103cc');
    expect(header(frameRelay(), 'ipv6')).toBe('1841038e');
    expect(header(frameRelay({ dlci: 16 }), 'ipv4')).toBe('040103cc');
    expect(header(frameRelay({ dlci: 1007 }), 'ipv4')).toBe('f8f103cc');
  });

  test.each([
    ['184103cc45', 'ipv4@4'],
    ['1841038e60', 'ipv6@4'],
    ['18410300800000000800' + '45', 'ipv4@10'],
    ['184103008000000086dd60', 'ipv6@10'],
    ['184d03cc45', 'ipv4@4'], // FECN and BECN
    ['184303cc45', 'ipv4@4'], // discard eligible
    ['1a4103cc45', 'ipv4@4'], // command/response
    ['194103cc45', 'bad-address'], // the first octet says it is the last
    ['184003cc45', 'bad-address'], // three-octet address
    ['185103cc45', 'other-dlci'],
    ['0001030800', 'lmi'],
    ['fcf1030975', 'lmi'],
    ['184113cc45', 'not-ui'],
    ['1841af8208', 'not-ui'], // XID
    ['184103b100', 'unknown-protocol'], // FRF.12 fragment
    ['18410300cc45', 'truncated'], // pad is for SNAP alone
    ['18410300cc450000000000', 'unknown-protocol'],
    ['18410300800080c20007ff', 'unknown-protocol'], // bridged Ethernet
    ['18410300800000000806ff', 'unknown-protocol'], // inverse ARP
    ['1841030080000000', 'truncated'],
    ['184103', 'truncated'],
    ['', 'truncated'],
  ])('%s: %s', (hex, expected) => expect(parse(frameRelay(), hex)).toBe(expected));

  test('sample frames', () => {
    expect(vectors.frameRelay.map((hex) => parse(frameRelay(), hex))).toEqual(['ipv4@4', 'ipv4@4', 'ipv4@4', 'lmi']);
  });

  test.each([0, 15, 1008, 1023, 1024, 100.5, Number.NaN])('DLCI %d cannot be set', (dlci) => {
    expect(() => frameRelay({ dlci })).toThrow(RangeError);
  });
});

describe('Cisco HDLC', () => {
  test.each([
    ['0f00080045', 'ipv4@4'],
    ['8f00080045', 'ipv4@4'],
    ['0f0086dd60', 'ipv6@4'],
    ['8f00803500000002', 'slarp'],
    ['8f002000', 'cdp'],
    ['0f000806', 'unknown-protocol'],
    ['ff03002145', 'bad-address'],
  ])('%s: %s', (hex, expected) => expect(parse(ciscoHdlc(), hex)).toBe(expected));

  test('sample frames', () => {
    expect(vectors.ciscoHdlc.map((hex) => parse(ciscoHdlc(), hex))).toEqual(['ipv4@4', 'ipv4@4', 'ipv6@4', 'slarp']);
  });
});

describe('PPP (RFC 1662 section 3, RFC 1661 section 2)', () => {
  test.each([
    ['ff03002145', 'ipv4@4'],
    ['ff03005760', 'ipv6@4'],
    ['002145', 'ipv4@2'], // address and control compressed
    ['ff032145', 'ipv4@3'], // protocol compressed
    ['2145', 'ipv4@1'],
    ['5760', 'ipv6@1'],
    ['ff03c0210101', 'control'], // LCP, always in full
    ['ff0380210101', 'control'], // IPCP
    ['80570101', 'control'], // IPV6CP
    ['ff03002d45', 'unknown-protocol'], // Van Jacobson compressed TCP
    ['ff13002145', 'not-ui'],
    ['ff0300', 'truncated'],
    ['00', 'truncated'],
  ])('%s: %s', (hex, expected) => expect(parse(ppp(), hex)).toBe(expected));

  test('sample frames', () => {
    expect(vectors.ppp.map((hex) => parse(ppp(), hex))).toEqual(['ipv4@4', 'control', 'control']);
  });
});

test('every failure code has its name', () => {
  for (const [reason, code] of Object.entries(PARSE_FAILURE)) expect(describeParseFailure(code)).toBe(reason);
  expect(() => describeParseFailure(0)).toThrow(RangeError);
  expect(() => describeParseFailure(-10)).toThrow(RangeError);
});
