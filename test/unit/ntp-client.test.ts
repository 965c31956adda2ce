import { describe, expect, test } from 'vitest';
import {
  authenticate,
  type ClockSettings,
  clockSettings,
  correctionField,
  emitPacket,
  NtpClient,
  type NtpClientEvent,
  type NtpKey,
  type NtpPacket,
  NtpServer,
  ntpClientSettings,
  parsePacket,
  referenceFromText,
  SpacecraftClock,
  toNtpTimestamp,
} from '../../src/apps/ntp/index.ts';
import { fromHex, type Instant, instant, Rng, seconds, type WallTime } from '../../src/core/index.ts';
import { ntpKey } from '../../src/io/ntp-keys.ts';

const START = 1_800_000_000_000_000_000n as WallTime;
const at = (s: number): Instant => instant(seconds(s));

/** A client, its request, and replies that a test bends as it likes. */
function bench(settings: object = {}, clock: Partial<ClockSettings> = {}, key?: NtpKey) {
  const model = new SpacecraftClock(clockSettings.parse(clock), START, at(0));
  const client = new NtpClient({
    settings: ntpClientSettings.parse({ server: 'ground', discipline: 'omni', ...settings }),
    clock: model,
    rng: new Rng(1),
    now: at(0),
    key,
  });
  const events = (): NtpClientEvent[] => {
    const list: NtpClientEvent[] = [];
    for (let e = client.pollEvent(); e !== undefined; e = client.pollEvent()) list.push(e);
    return list;
  };
  /** The request due at `s`, parsed. */
  const request = (s: number): NtpPacket => {
    client.handleTimeout(at(s));
    const octets = client.pollTransmit();
    const parsed = parsePacket(octets!);
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.value;
  };
  const reply = (to: NtpPacket, s: number, change: Partial<NtpPacket> = {}): Uint8Array =>
    emitPacket({
      leap: 0,
      version: 4,
      mode: 4,
      stratum: 1,
      poll: 6,
      precision: -20,
      rootDelay: 0,
      rootDispersion: 7,
      referenceId: referenceFromText('GPS'),
      reference: toNtpTimestamp(START),
      origin: to.transmit,
      receive: toNtpTimestamp(model.trueTime(at(s))),
      transmit: toNtpTimestamp(model.trueTime(at(s))),
      extensions: [],
      ...change,
    });
  return { client, model, events, request, reply };
}

describe('NtpClient', () => {
  test('measures offset and delay as RFC 5905 §8 says', () => {
    const { client, events, request, reply } = bench({}, { offsetSeconds: 0.3 });
    const sent = request(0);
    client.handleInput({ kind: 'reply', octets: reply(sent, 0.1) }, at(0.2));
    const [event] = events();
    expect(event).toMatchObject({ kind: 'sample', verdict: { kind: 'ignored', why: 'first of two' } });
    if (event?.kind !== 'sample') return;
    expect(event.measurement.offset).toBeCloseTo(-0.3, 6);
    expect(event.measurement.delay).toBeCloseTo(0.2, 6);
    expect(event.measurement.rootDistance).toBeGreaterThan(0.1);
    expect(event.measurement.rootDistance).toBeLessThan(0.1004);
  });

  test('tells the server nothing but a nonce: no time, no state (as RFC 9109 with the port)', () => {
    const { request } = bench({}, { offsetSeconds: 0.3 });
    const first = request(0);
    const second = request(30);
    expect(first).toMatchObject({ origin: 0n, receive: 0n, reference: 0n, stratum: 0, rootDelay: 0 });
    expect(first.transmit).not.toBe(second.transmit);
  });

  const refusals: [string, string, Partial<NtpPacket>][] = [
    ['a reply to another request', 'bogus', { origin: 0x1234n }],
    ['a reply that echoes zero', 'bogus', { origin: 0n }],
    ['a client packet', 'mode', { mode: 3 }],
    ['a broadcast', 'mode', { mode: 5 }],
    ['an unsynchronised server (leap 3)', 'unsynchronised', { leap: 3 }],
    ['stratum 16', 'stratum', { stratum: 16 }],
    ['stratum 200', 'stratum', { stratum: 200 }],
    ['kiss DENY', 'kissDeny', { stratum: 0, referenceId: referenceFromText('DENY') }],
    ['kiss RSTR', 'kissDeny', { stratum: 0, referenceId: referenceFromText('RSTR') }],
    ['kiss RATE', 'kissRate', { stratum: 0, referenceId: referenceFromText('RATE') }],
    ['kiss of another code', 'kissOther', { stratum: 0, referenceId: referenceFromText('INIT') }],
    ['a server in 1999', 'era', { receive: 3_155_587_200n << 32n, transmit: 3_155_587_200n << 32n }],
    [
      'a server whose two stamps are months apart',
      'delay',
      { receive: 0xffff_ffffn << 32n, transmit: 0xfff_0000n << 36n },
    ],
    [
      'a server that answers before it was asked',
      'delay',
      { transmit: toNtpTimestamp((START - 10n ** 9n) as WallTime) },
    ],
    [
      'a server that kept the request for a minute',
      'delay',
      { transmit: toNtpTimestamp((START + 60n * 10n ** 9n) as WallTime) },
    ],
    ['a root distance above MAXDIST', 'rootDistance', { rootDispersion: 2 * 65536 }],
    ['stamps of zero', 'malformed', { receive: 0n }],
    [
      'a correction above the round trip',
      'correction',
      { extensions: [correctionField({ requestSeconds: 5, replySeconds: 0 })] },
    ],
  ];
  test.each(refusals)('refuses %s: %s, and the clock does not move', (_, reason, change) => {
    const { client, model, events, request, reply } = bench({}, { offsetSeconds: 0.3 });
    for (let i = 0; i < 3; i++) {
      const poll = client.pollTimeout();
      if (poll?.why !== 'poll' && !client.enabled) break;
      const sent = request(i * 30);
      client.handleInput({ kind: 'reply', octets: reply(sent, i * 30 + 0.1, change) }, at(i * 30 + 0.2));
      expect(events()).toContainEqual({ kind: 'refused', reason });
      if (reason === 'kissRate') break;
    }
    expect(client.counters.get(`refused.${reason}`)).toBeGreaterThan(0);
    expect(model.error(at(100))).toBe(0.3);
  });

  test('refuses the same reply twice, and a late one to an earlier request', () => {
    const { client, request, reply } = bench();
    const sent = request(0);
    const answer = reply(sent, 0.1);
    client.handleInput({ kind: 'reply', octets: answer }, at(0.2));
    client.handleInput({ kind: 'reply', octets: answer }, at(0.3));
    expect(client.counters.snapshot()).toMatchObject({ accepted: 1, 'refused.duplicate': 1 });
    request(30);
    client.handleInput({ kind: 'reply', octets: answer }, at(30.1));
    expect(client.counters.get('accepted')).toBe(1);
  });

  test("a stranger's packet does not use up the exchange", () => {
    const { client, request, reply } = bench();
    const sent = request(0);
    client.handleInput({ kind: 'reply', octets: reply(sent, 0.1, { origin: 7n }) }, at(0.15));
    client.handleInput({ kind: 'reply', octets: new Uint8Array(47) }, at(0.16));
    client.handleInput({ kind: 'reply', octets: reply(sent, 0.1) }, at(0.2));
    expect(client.counters.snapshot()).toMatchObject({ accepted: 1, 'refused.bogus': 1, 'refused.malformed': 1 });
  });

  test('DENY stops it until it is enabled anew; RATE doubles the interval (RFC 8633 §5.4)', () => {
    const denied = bench();
    const kiss = { stratum: 0, referenceId: referenceFromText('DENY') };
    denied.client.handleInput({ kind: 'reply', octets: denied.reply(denied.request(0), 0.1, kiss) }, at(0.2));
    expect(denied.client.pollTimeout()).toBeUndefined();
    denied.client.handleInput({ kind: 'enable', on: true }, at(500));
    expect(denied.client.pollTimeout()).toEqual({ at: at(500), why: 'poll' });

    const rated = bench();
    const rate = { stratum: 0, referenceId: referenceFromText('RATE') };
    rated.client.handleInput({ kind: 'reply', octets: rated.reply(rated.request(0), 0.1, rate) }, at(0.2));
    expect(rated.client.pollTimeout()).toEqual({ at: at(60.2), why: 'poll' });
  });

  test('works across the era of 2036-02-07: a clock before it, a server after it', () => {
    const before = BigInt(Date.parse('2036-02-07T06:28:10Z')) * 1_000_000n;
    const model = new SpacecraftClock(clockSettings.parse({ offsetSeconds: -10 }), before as WallTime, at(0));
    const client = new NtpClient({
      settings: ntpClientSettings.parse({ server: 'g', discipline: 'regression' }),
      clock: model,
      rng: new Rng(1),
      now: at(0),
    });
    const server = new NtpServer({ keys: new Map(), requireKey: false, rateLimitSeconds: 0, rateLimitBurst: 1 });
    for (let i = 0; i < 8; i++) {
      const now = at(i * 4);
      client.handleTimeout(now);
      const wall = toNtpTimestamp(model.trueTime(now));
      const answer = server.answer(client.pollTransmit()!, system(), {
        source: 'x',
        receivedAt: wall,
        transmitAt: () => wall,
        now,
      });
      client.handleInput({ kind: 'reply', octets: answer! }, now);
    }
    expect(client.counters.get('accepted')).toBe(8);
    expect(model.error(at(40))).toBeCloseTo(0, 5);
  });

  test('sets a clock that came up in 1980', () => {
    const { client, model, request, reply } = bench({ discipline: 'regression' }, { offsetSeconds: -1_480_000_000 });
    client.handleInput({ kind: 'reply', octets: reply(request(0), 0.1) }, at(0.2));
    expect(model.error(at(1))).toBeCloseTo(0, 3);
  });

  test('polls in a burst after acquisition of signal, then at its interval, and not between passes', () => {
    const { client } = bench({ discipline: 'regression', burst: 4, burstSpacingSeconds: 2, pollSeconds: 30 });
    client.handleInput({ kind: 'contact', up: false }, at(0));
    expect(client.pollTimeout()).toBeUndefined();
    client.handleInput({ kind: 'contact', up: true }, at(100));
    const times: number[] = [];
    while (times.length < 6) {
      const deadline = client.pollTimeout()!;
      client.handleTimeout(deadline.at);
      if (client.pollTransmit() !== undefined) times.push(deadline.at / 1e9);
    }
    expect(times).toEqual([100, 102, 104, 106, 136, 166]);
    client.handleInput({ kind: 'contact', up: false }, at(170));
    expect(client.pollTimeout()?.why).not.toBe('poll');
  });

  test('with a key: accepts what is authentic, refuses the rest and a crypto-NAK, and keeps the exchange open', () => {
    const key = ntpKey(7, fromHex('000102030405060708090a0b0c0d0e0f'));
    const { client, request, reply } = bench({}, {}, key);
    const sent = request(0);
    expect(sent.mac?.keyId).toBe(7);
    const good = authenticate(reply(sent, 0.1), key);
    const bad = good.slice();
    bad[32]! ^= 1;
    client.handleInput({ kind: 'reply', octets: reply(sent, 0.1) }, at(0.2));
    client.handleInput({ kind: 'reply', octets: bad }, at(0.21));
    client.handleInput({ kind: 'reply', octets: Uint8Array.from([...reply(sent, 0.1), 0, 0, 0, 0]) }, at(0.22));
    client.handleInput({ kind: 'reply', octets: good }, at(0.23));
    expect(client.counters.snapshot()).toMatchObject({
      'refused.authentication': 2,
      'refused.cryptoNak': 1,
      accepted: 1,
    });
  });

  test('MAXDIST of 1 s refuses the Moon, 3 s accepts it', () => {
    for (const [limit, accepted] of [
      [1, 0],
      [3, 1],
    ] as const) {
      const { client, request, reply } = bench({ maximumDistanceSeconds: limit });
      client.handleInput({ kind: 'reply', octets: reply(request(0), 1.282) }, at(2.564));
      expect(client.counters.get('accepted')).toBe(accepted);
    }
  });
});

describe('the rule of 14 April 2000', () => {
  test('two offsets of 15 ms or more before anything changes; a smaller one starts the count anew', () => {
    const { client, model, request, reply } = bench({}, { offsetSeconds: 0.3, tickMs: 10 });
    const exchange = (s: number) => client.handleInput({ kind: 'reply', octets: reply(request(s), s) }, at(s));
    exchange(0);
    expect(model.error(at(0))).toBe(0.3);
    exchange(30);
    expect(Math.abs(model.error(at(30)))).toBeLessThan(0.01);
    client.handleInput({ kind: 'adjust clock', seconds: 3.25 }, at(40));
    exchange(60);
    expect(model.error(at(60))).toBeGreaterThan(3);
    exchange(90);
    expect(Math.abs(model.error(at(90)))).toBeLessThan(0.02);
  });
});

describe('RFC 5905 discipline', () => {
  test('panics above 1000 s and stops', () => {
    const { client, model, events, request, reply } = bench({ discipline: 'rfc5905' }, { offsetSeconds: 1001 });
    client.handleInput({ kind: 'reply', octets: reply(request(0), 0) }, at(0));
    expect(events().at(-1)).toEqual({ kind: 'stopped', why: 'panic' });
    expect(client.enabled).toBe(false);
    expect(model.error(at(1))).toBe(1001);
  });
});

function system() {
  return {
    synchronised: true,
    stratum: 1,
    rootDelay: 0,
    rootDispersion: 0.0001,
    referenceId: 0,
    reference: 0n,
    precision: -20,
  };
}
