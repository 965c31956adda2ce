import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  authenticate,
  clockSettings,
  correctionField,
  differenceInSeconds,
  emitPacket,
  isAuthentic,
  LinkCorrector,
  looksLikeNtp,
  NtpClient,
  NtpServer,
  ntpClientSettings,
  parsePacket,
  readCorrection,
  SpacecraftClock,
  toNtpTimestamp,
  toWallTime,
} from '../../src/apps/ntp/index.ts';
import { fromHex, instant, Rng, type WallTime } from '../../src/core/index.ts';
import { ntpKey } from '../../src/io/ntp-keys.ts';
import { blank } from '../support/ntp.ts';

const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const int8 = fc.integer({ min: -128, max: 127 });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const packets = fc.record({
  leap: fc.integer({ min: 0, max: 3 }),
  version: fc.constant(4),
  mode: fc.integer({ min: 0, max: 7 }),
  stratum: fc.integer({ min: 0, max: 255 }),
  poll: int8,
  precision: int8,
  rootDelay: uint32,
  rootDispersion: uint32,
  referenceId: uint32,
  reference: uint64,
  origin: uint64,
  receive: uint64,
  transmit: uint64,
  extensions: fc.array(
    fc.record({
      type: fc.integer({ min: 0, max: 0xffff }),
      value: fc
        .integer({ min: 6, max: 12 })
        .chain((words) => fc.uint8Array({ minLength: words * 4, maxLength: words * 4 })),
    }),
    { maxLength: 3 },
  ),
});

describe('NTP packets', () => {
  test('what is emitted parses to the same, with and without a MAC', () => {
    const key = ntpKey(3, fromHex('000102030405060708090a0b0c0d0e0f'));
    fc.assert(
      fc.property(packets, fc.boolean(), (packet, signed) => {
        const octets = signed ? authenticate(emitPacket(packet), key) : emitPacket(packet);
        const parsed = parsePacket(octets);
        if (!parsed.ok) throw new Error(parsed.reason);
        const extensions = parsed.value.extensions.map(({ type, value }) => ({ type, value }));
        const { mac, ...rest } = parsed.value;
        expect({ ...rest, extensions }).toEqual(packet);
        expect(mac === undefined).toBe(!signed);
        if (signed) expect(isAuthentic(octets, parsed.value, key)).toBe(true);
      }),
    );
  });

  test('any octets: the parser, a server and a client never throw, and the client moves no clock', () => {
    const clock = new SpacecraftClock(clockSettings.parse({}), 1_800_000_000_000_000_000n as WallTime, instant(0));
    const client = new NtpClient({
      settings: ntpClientSettings.parse({ server: 'x' }),
      clock,
      rng: new Rng(1),
      now: instant(0),
    });
    client.handleTimeout(instant(0));
    const server = new NtpServer({ keys: new Map(), requireKey: false, rateLimitSeconds: 0, rateLimitBurst: 1 });
    const system = {
      synchronised: true,
      stratum: 1,
      rootDelay: 0,
      rootDispersion: 0,
      referenceId: 0,
      reference: 0n,
      precision: -20,
    };
    let now = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), (octets) => {
        parsePacket(octets);
        const context = { source: 'x', receivedAt: 1n, transmitAt: () => 2n, now: instant(++now) };
        const reply = server.answer(octets, system, context);
        expect(reply === undefined || reply.length <= octets.length).toBe(true);
        client.handleInput({ kind: 'reply', octets }, instant(now));
        while (client.pollEvent() !== undefined);
      }),
      { numRuns: 2000 },
    );
    expect(client.counters.get('accepted')).toBe(0);
    expect(clock.error(instant(now))).toBe(0);
  });

  test('one flipped bit of an authenticated packet is refused, the correction numbers apart', () => {
    const key = ntpKey(3, fromHex('000102030405060708090a0b0c0d0e0f'));
    const octets = authenticate(emitPacket({ ...blank(), extensions: [correctionField()] }), key);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: octets.length * 8 - 1 }), (bit) => {
        const bent = octets.slice();
        bent[bit >> 3]! ^= 1 << (bit & 7);
        const parsed = parsePacket(bent);
        const mutable = bit >> 3 >= 56 && bit >> 3 < 72;
        expect(parsed.ok && isAuthentic(bent, parsed.value, key)).toBe(mutable);
      }),
    );
  });
});

test('timestamps survive to the nanosecond within 68 years of the pivot; differences are right across eras', () => {
  const year = 31_557_600_000_000_000n;
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 100n * year }),
      fc.bigInt({ min: -60n * year, max: 60n * year }),
      (pivot, distance) => {
        const wall = (pivot + distance) as WallTime;
        expect(toWallTime(toNtpTimestamp(wall), pivot as WallTime)).toBe(wall);
        expect(differenceInSeconds(toNtpTimestamp(wall), toNtpTimestamp(pivot as WallTime))).toBeCloseTo(
          Number(distance) / 1e9,
          3,
        );
      },
    ),
  );
});

describe("the link's corrector", () => {
  /** IPv4 and UDP around a payload, checksum and all (RFC 768). */
  const datagram = (payload: Uint8Array, toServer: boolean, checksum: boolean): Uint8Array => {
    const octets = new Uint8Array(28 + payload.length);
    const view = new DataView(octets.buffer);
    view.setUint8(0, 0x45);
    view.setUint16(2, octets.length);
    view.setUint8(8, 64);
    view.setUint8(9, 17);
    view.setUint32(12, 0x0a000001);
    view.setUint32(16, 0x0a000002);
    view.setUint16(20, toServer ? 50000 : 123);
    view.setUint16(22, toServer ? 123 : 50000);
    view.setUint16(24, payload.length + 8);
    octets.set(payload, 28);
    if (checksum) view.setUint16(26, ~udpSum(octets) & 0xffff || 0xffff);
    return octets;
  };
  const udpSum = (octets: Uint8Array): number => {
    const view = new DataView(octets.buffer, octets.byteOffset);
    let sum = 17 + octets.length - 20;
    for (let at = 12; at + 1 < octets.length; at += 2) sum += view.getUint16(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    return sum;
  };
  const held = fc.double({ min: 0, max: 100, noNaN: true });

  test('stamps add up over links and directions, and the UDP checksum stays right', () => {
    fc.assert(
      fc.property(
        fc.array(held, { maxLength: 4 }),
        fc.array(held, { maxLength: 4 }),
        fc.boolean(),
        (up, down, checksum) => {
          const request = datagram(emitPacket({ ...blank(), extensions: [correctionField()] }), true, checksum);
          for (const h of up) expect(new LinkCorrector('stamp').correct(request, h)).toBe('stamped');
          if (checksum) expect(udpSum(request)).toBe(0xffff);
          const parsed = parsePacket(request.subarray(28));
          if (!parsed.ok) throw new Error(parsed.reason);
          const reply = datagram(emitPacket({ ...parsed.value, mode: 4 }), false, checksum);
          for (const h of down) expect(new LinkCorrector('stamp').correct(reply, h)).toBe('stamped');
          if (checksum) expect(udpSum(reply)).toBe(0xffff);
          const answer = parsePacket(reply.subarray(28));
          const correction = answer.ok ? readCorrection(answer.value.extensions) : undefined;
          const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
          expect(correction?.requestSeconds).toBeCloseTo(sum(up), 6);
          expect(correction?.replySeconds).toBeCloseTo(sum(down), 6);
        },
      ),
    );
  });

  test('rewriting moves T2 back by the time held up and T3 forward by the time held down', () => {
    fc.assert(
      fc.property(held, held, uint64, fc.boolean(), (up, down, nonce, checksum) => {
        const link = new LinkCorrector('rewrite');
        const t2 = toNtpTimestamp(1_800_000_000_000_000_000n as WallTime);
        const request = datagram(emitPacket({ ...blank(), transmit: nonce }), true, checksum);
        const untouched = request.slice();
        expect(link.correct(request, up)).toBe('remembered');
        expect(request).toEqual(untouched);
        const reply = datagram(
          emitPacket({ ...blank(), mode: 4, origin: nonce, receive: t2, transmit: t2 }),
          false,
          checksum,
        );
        expect(link.correct(reply, down)).toBe('rewritten');
        if (checksum) expect(udpSum(reply)).toBe(0xffff);
        const parsed = parsePacket(reply.subarray(28));
        if (!parsed.ok) throw new Error(parsed.reason);
        expect(differenceInSeconds(parsed.value.receive, t2)).toBeCloseTo(-up, 6);
        expect(differenceInSeconds(parsed.value.transmit, t2)).toBeCloseTo(down, 6);
        expect(link.correct(reply, down)).toBe('unknownExchange');
      }),
    );
  });

  test('leaves alone what is not plain NTP, whatever the octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        const before = octets.slice();
        const outcome = new LinkCorrector('stamp').correct(octets, 1);
        if (outcome !== 'stamped') expect(octets).toEqual(before);
      }),
      { numRuns: 2000 },
    );
    const key = ntpKey(3, new Uint8Array(16));
    const signed = datagram(authenticate(emitPacket(blank()), key), true, true);
    expect(new LinkCorrector('rewrite').correct(signed, 1)).toBe('authenticated');
    const fragment = datagram(emitPacket(blank()), true, true);
    fragment[6] = 0x20;
    expect(new LinkCorrector('rewrite').correct(fragment, 1)).toBe('fragment');
    expect(new LinkCorrector('off').correct(datagram(emitPacket(blank()), true, true), 1)).toBe('off');
  });

  test('finds NTP in IPv6 and in the IP-in-IP of a Mobile IP tunnel, and never calls what it would stamp uninteresting', () => {
    const inner = datagram(emitPacket({ ...blank(), extensions: [correctionField()] }), true, true);
    const tunnelled = new Uint8Array(20 + inner.length);
    tunnelled.set([0x45, 0, 0, tunnelled.length, 0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    tunnelled.set(inner, 20);
    const twice = new Uint8Array(20 + tunnelled.length);
    twice.set(tunnelled.subarray(0, 20));
    twice.set(tunnelled, 20);
    const six = new Uint8Array(40 + inner.length - 20);
    six.set([0x60, 0, 0, 0, 0, inner.length - 20, 17, 64]);
    six.set(inner.subarray(20), 40);
    for (const octets of [inner, tunnelled, six]) {
      expect(looksLikeNtp(octets, 0, octets.length)).toBe(true);
      expect(new LinkCorrector('stamp').correct(octets, 0.5)).toBe('stamped');
      const ntp = octets.subarray(octets.length - (inner.length - 28));
      const parsed = parsePacket(ntp);
      expect(parsed.ok && readCorrection(parsed.value.extensions)?.requestSeconds).toBeCloseTo(0.5, 6);
    }
    expect(new LinkCorrector('stamp').correct(twice, 0.5)).toBe('notNtp');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (octets) => {
        if (!looksLikeNtp(octets, 0, octets.length))
          expect(new LinkCorrector('rewrite').correct(octets, 1)).toBe('notNtp');
      }),
    );
  });

  test('remembers a bounded number of exchanges', () => {
    const link = new LinkCorrector('rewrite');
    for (let i = 0; i < 5000; i++)
      link.correct(datagram(emitPacket({ ...blank(), transmit: BigInt(i + 1) }), true, false), 1);
    const old = datagram(emitPacket({ ...blank(), mode: 4, origin: 1n }), false, false);
    expect(link.correct(old, 1)).toBe('unknownExchange');
  });
});
