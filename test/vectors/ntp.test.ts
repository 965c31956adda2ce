/** Vectors for NTP: AES-128-CMAC of RFC 4493 §4, timestamps of RFC 5905 Figure 4, and a packet laid out by hand from §7.3. */
import { describe, expect, test } from 'vitest';
import {
  authenticate,
  cmac,
  emitPacket,
  isAuthentic,
  parsePacket,
  referenceText,
  toNtpTimestamp,
  toWallTime,
} from '../../src/apps/ntp/index.ts';
import { fromHex, toHex, type WallTime } from '../../src/core/index.ts';
import { ntpKey } from '../../src/io/ntp-keys.ts';
import { blank } from '../support/ntp.ts';

const key = ntpKey(1, fromHex('2b7e151628aed2a6abf7158809cf4f3c'));
const message = fromHex(
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
);

describe('AES-128-CMAC (RFC 4493 §4)', () => {
  test.each([
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('message of %i octets', (length, digest) => {
    expect(toHex(cmac(key.encrypt, message.subarray(0, length)))).toBe(digest);
  });
});

describe('timestamps (RFC 5905 Figure 4)', () => {
  const dates: [string, bigint][] = [
    ['1970-01-01T00:00:00Z', 2_208_988_800n],
    ['1999-12-31T00:00:00Z', 3_155_587_200n],
    ['2036-02-07T06:28:15Z', 4_294_967_295n],
    ['2036-02-08T00:00:00Z', 63_104n],
  ];
  test.each(dates)('%s', (date, seconds) => {
    const wall = (BigInt(Date.parse(date)) * 1_000_000n) as WallTime;
    expect(toNtpTimestamp(wall) >> 32n).toBe(seconds);
    expect(toWallTime(toNtpTimestamp(wall), (wall + 10n ** 18n) as WallTime)).toBe(wall);
  });
});

test('a server packet, octet by octet (RFC 5905 Figure 8)', () => {
  const octets = fromHex(`
    24 01 06 ec  00000000  00000007  4f4d4e49
    ea3c0000 00000000  0102030405060708  ea3c0001 80000000  ea3c0001 80010000`);
  const parsed = parsePacket(octets);
  expect(parsed).toMatchObject({
    ok: true,
    value: {
      leap: 0,
      version: 4,
      mode: 4,
      stratum: 1,
      poll: 6,
      precision: -20,
      rootDispersion: 7,
      origin: 0x0102030405060708n,
      receive: 0xea3c000180000000n,
    },
  });
  if (!parsed.ok) return;
  expect(referenceText(parsed.value.referenceId)).toBe('OMNI');
  expect(toHex(emitPacket(parsed.value))).toBe(toHex(octets));
});

describe('what follows the header (RFC 7822 §7.5.1)', () => {
  const header = emitPacket({ ...blank(), extensions: [] });
  const withTail = (tail: Uint8Array) => parsePacket(Uint8Array.from([...header, ...tail]));
  test('nothing; 4 octets: a crypto-NAK; 20 and 24: a MAC', () => {
    expect(withTail(new Uint8Array(0))).toMatchObject({ ok: true, value: { extensions: [] } });
    expect(withTail(new Uint8Array(4))).toMatchObject({ ok: true, value: { mac: { keyId: 0, covers: 48 } } });
    expect(withTail(fromHex(`00000007${'ab'.repeat(16)}`))).toMatchObject({ ok: true, value: { mac: { keyId: 7 } } });
    expect(withTail(fromHex(`00000007${'ab'.repeat(20)}`))).toMatchObject({ ok: true, value: { mac: { keyId: 7 } } });
  });
  test('28 octets: an extension field; with 20 more: a field and a MAC', () => {
    const field = fromHex(`f50c001c${'00'.repeat(24)}`);
    expect(withTail(field)).toMatchObject({ ok: true, value: { extensions: [{ type: 0xf50c, at: 48 }] } });
    expect(withTail(Uint8Array.from([...field, ...new Uint8Array(20)]))).toMatchObject({
      ok: true,
      value: { mac: { covers: 76 } },
    });
  });
  test.each([
    ['8 octets', '00'.repeat(8)],
    ['a field of 12 octets', `0104000c${'00'.repeat(28)}`],
    ['a field longer than the packet', `01040040${'00'.repeat(28)}`],
    ['a field of 30 octets', `0104001e${'00'.repeat(32)}`],
  ])('refused: %s', (_, tail) => {
    expect(withTail(fromHex(tail)).ok).toBe(false);
  });
});

test('a MAC made is a MAC verified; any other key or octet is not', () => {
  const octets = authenticate(emitPacket({ ...blank(), extensions: [] }), key);
  const packet = parsePacket(octets);
  expect(packet.ok && isAuthentic(octets, packet.value, key)).toBe(true);
  expect(packet.ok && isAuthentic(octets, packet.value, ntpKey(2, fromHex('2b7e151628aed2a6abf7158809cf4f3c')))).toBe(
    false,
  );
  expect(packet.ok && isAuthentic(octets, packet.value, ntpKey(1, new Uint8Array(16)))).toBe(false);
  octets[20]! ^= 1;
  expect(packet.ok && isAuthentic(octets, packet.value, key)).toBe(false);
});
