import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import {
  checkIpv4,
  emitIpv4Packet,
  emitIpv6Packet,
  formatIpv4,
  formatIpv6,
  formatPrefix,
  internetChecksum,
  ipv4DecrementTimeToLive,
  ipv4SetEcn,
  onesComplementSum,
  parseIpv4,
  parseIpv4Packet,
  parseIpv6,
  parseIpv6Packet,
  parsePrefix,
  prefixContains,
  pseudoHeaderSum4,
  udpChecksumGood4,
  updateChecksum,
} from '../../src/ip/index.ts';
import { ipv4, ipv6, udp4, udp6 } from '../support/ip-packets.ts';

describe('addresses', () => {
  test.each(['0.0.0.0', '10.1.2.3', '192.168.255.1', '255.255.255.255'])('IPv4 %s round trips', (text) => {
    expect(formatIpv4(parseIpv4(text)!)).toBe(text);
  });
  test.each(['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.-4', '1.2.3.4 ', '0x1.2.3.4'])(
    'IPv4 refuses %j',
    (text) => expect(parseIpv4(text)).toBeUndefined(),
  );
  // RFC 5952 section 4 and RFC 4291 section 2.2.
  test.each([
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
  ])('IPv6 %s is written %s', (text, canonical) => expect(formatIpv6(parseIpv6(text)!)).toBe(canonical));
  test.each([
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '::10.0.0',
    '1:2:3:4:5:6:7:8::',
    'g::',
  ])('IPv6 refuses %j', (text) => expect(parseIpv6(text)).toBeUndefined());
  test('prefixes: host bits are cleared, bare addresses are host prefixes, contains is by family', () => {
    expect(formatPrefix(parsePrefix('10.1.2.3/8')!)).toBe('10.0.0.0/8');
    expect(formatPrefix(parsePrefix('10.1.2.3')!)).toBe('10.1.2.3/32');
    expect(formatPrefix(parsePrefix('2001:db8:ffff::1/33')!)).toBe('2001:db8:8000::/33');
    expect(parsePrefix('10.0.0.0/33')).toBeUndefined();
    expect(parsePrefix('10.0.0.0/')).toBeUndefined();
    expect(prefixContains(parsePrefix('0.0.0.0/0')!, ipv4('200.1.1.1'))).toBe(true);
    expect(prefixContains(parsePrefix('0.0.0.0/0')!, ipv6('::1'))).toBe(false);
    expect(prefixContains(parsePrefix('10.0.0.0/31')!, ipv4('10.0.0.1'))).toBe(true);
    expect(prefixContains(parsePrefix('10.0.0.0/31')!, ipv4('10.0.0.2'))).toBe(false);
  });
});

/** RFC 1071 section 4.1, octet pair by octet pair: the slow truth. */
function slowSum(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

describe('checksum', () => {
  test('RFC 1071 section 3: the example sums to ddf2', () => {
    expect(onesComplementSum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)).toBe(0xddf2);
  });
  test('any start, any length, any content equals the slow sum', () => {
    const rng = new Rng(7, 'checksum');
    const octets = new Uint8Array(70_000);
    rng.fill(octets);
    for (let i = 0; i < 3000; i++) {
      const start = rng.below(67);
      const length = rng.below(i % 10 === 0 ? 65_535 : 200);
      expect(onesComplementSum(octets, start, length)).toBe(slowSum(octets.subarray(start, start + length)));
    }
    octets.fill(255);
    for (const start of [0, 1, 2, 3])
      expect(onesComplementSum(octets, start, 65_535)).toBe(slowSum(octets.subarray(start, start + 65_535)));
  });
  test('a view with an offset of its own', () => {
    const all = new Uint8Array(300);
    new Rng(1).fill(all);
    for (const offset of [1, 2, 3, 4])
      expect(onesComplementSum(all.subarray(offset), 4, 200)).toBe(slowSum(all.subarray(offset + 4, offset + 204)));
  });
  test('RFC 1624 section 4: the corner case gives 0000, not ffff', () => {
    expect(updateChecksum(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });
  test('an updated checksum equals one computed anew, for every TTL and ECN value', () => {
    const rng = new Rng(3, 'update');
    for (let i = 0; i < 20_000; i++) {
      const packet = emitIpv4Packet({
        source: rng.uint32(),
        destination: rng.uint32(),
        protocol: rng.below(256),
        identification: rng.below(65_536),
        timeToLive: 1 + rng.below(255),
      });
      ipv4DecrementTimeToLive(packet, 0);
      ipv4SetEcn(packet, 0, rng.below(4));
      expect(checkIpv4(packet, 0, packet.length)).toBeUndefined();
      const stored = (packet[10]! << 8) | packet[11]!;
      packet[10] = packet[11] = 0;
      expect(stored).toBe(internetChecksum(packet, 0, 20));
    }
  });
});

describe('headers', () => {
  test('IPv4 round trip with options and padding behind', () => {
    const packet = udp4({ dscp: 46, ecn: 2, options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0), identification: 0xbeef });
    const padded = new Uint8Array(packet.length + 9);
    padded.set(packet);
    const parsed = parseIpv4Packet(padded);
    expect(parsed.ok && emitIpv4Packet(parsed.value)).toEqual(packet);
    expect(parsed.ok && parsed.value).toMatchObject({ dscp: 46, ecn: 2, identification: 0xbeef, timeToLive: 64 });
    expect(udpChecksumGood4(packet, 28, ipv4('10.0.0.1'), ipv4('10.0.0.2'))).toBe(true);
    packet[40]! ^= 1;
    expect(udpChecksumGood4(packet, 28, ipv4('10.0.0.1'), ipv4('10.0.0.2'))).toBe(false);
  });
  test('IPv6 round trip', () => {
    const packet = udp6({ trafficClass: 0xb9, flowLabel: 0xabcde, hopLimit: 3 });
    const parsed = parseIpv6Packet(packet);
    expect(parsed.ok && emitIpv6Packet(parsed.value)).toEqual(packet);
    expect(parsed.ok && parsed.value).toMatchObject({ trafficClass: 0xb9, flowLabel: 0xabcde, hopLimit: 3 });
  });
  test.each([
    ['short-header', (p: Uint8Array) => p.subarray(0, 19)],
    ['bad-version', (p: Uint8Array) => p.fill(0x55, 0, 1)],
    ['bad-header-length', (p: Uint8Array) => p.fill(0x44, 0, 1)],
    ['bad-header-length', (p: Uint8Array) => p.fill(0x4f, 0, 1).subarray(0, 40)],
    ['bad-total-length', (p: Uint8Array) => p.fill(0xff, 2, 4)],
    ['bad-total-length', (p: Uint8Array) => p.fill(0, 2, 4)],
    ['bad-checksum', (p: Uint8Array) => p.fill(0, 10, 12)],
  ])('IPv4 refuses %s', (reason, spoil) => {
    expect(parseIpv4Packet(spoil(udp4()))).toEqual({ ok: false, reason });
  });
  test('the pseudo-header sum of RFC 9293', () => {
    expect(pseudoHeaderSum4(ipv4('255.255.255.255'), ipv4('255.255.255.255'), 255, 65_535)).toBe(
      slowSum(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 0, 255, 255, 255)),
    );
  });
});
