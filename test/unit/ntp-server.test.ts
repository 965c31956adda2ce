import { describe, expect, test } from 'vitest';
import {
  authenticate,
  correctionField,
  emitPacket,
  NtpServer,
  type NtpServerOptions,
  parsePacket,
  readCorrection,
  referenceText,
} from '../../src/apps/ntp/index.ts';
import { fromHex, instant, seconds } from '../../src/core/index.ts';
import { ntpKey } from '../../src/io/ntp-keys.ts';
import { blank } from '../support/ntp.ts';

const system = {
  synchronised: true,
  stratum: 1,
  rootDelay: 0,
  rootDispersion: 0.001,
  referenceId: 0x47505300,
  reference: 1n << 60n,
  precision: -20,
};
const key = ntpKey(7, fromHex('000102030405060708090a0b0c0d0e0f'));
const make = (options: Partial<NtpServerOptions> = {}) =>
  new NtpServer({ keys: new Map([[7, key]]), requireKey: false, rateLimitSeconds: 0, rateLimitBurst: 1, ...options });
const ask = (server: NtpServer, octets: Uint8Array, atSeconds = 0, source = '10.0.0.2', variables = system) => {
  const reply = server.answer(octets, variables, {
    source,
    receivedAt: 100n << 32n,
    transmitAt: () => 101n << 32n,
    now: instant(seconds(atSeconds)),
  });
  if (reply === undefined) return undefined;
  const parsed = parsePacket(reply);
  if (!parsed.ok) throw new Error(parsed.reason);
  return { octets: reply, ...parsed.value };
};
const request = (change = {}) => emitPacket({ ...blank(), ...change });

describe('NtpServer', () => {
  test.each([1, 2, 3, 4])('answers version %i in kind', (version) => {
    expect(ask(make(), request({ version, transmit: 77n }))).toMatchObject({
      version,
      mode: 4,
      leap: 0,
      stratum: 1,
      origin: 77n,
      receive: 100n << 32n,
      transmit: 101n << 32n,
    });
  });

  test('claims no time when it has none: leap 3, stratum 0', () => {
    expect(ask(make(), request(), 0, 'a', { ...system, synchronised: false })).toMatchObject({ leap: 3, stratum: 0 });
  });

  test('drops what is not a request, by reason, and never answers with more octets than it got', () => {
    const server = make();
    for (const mode of [0, 1, 2, 4, 5, 6, 7]) expect(ask(server, request({ mode }))).toBeUndefined();
    expect(ask(server, new Uint8Array(12))).toBeUndefined();
    expect(ask(server, request({ version: 5 }))).toBeUndefined();
    expect(server.counters.snapshot()).toEqual({
      'drop.malformed.truncated': 1,
      'drop.malformed.version': 1,
      'drop.mode': 7,
    });
    const big = request({ extensions: [{ type: 0x0104, value: new Uint8Array(400) }] });
    expect(ask(server, big)!.octets.length).toBe(48);
  });

  test('with a key it answers with the key; an unknown key gets a crypto-NAK; none is refused when one is required', () => {
    const signed = authenticate(request(), key);
    expect(ask(make(), signed)!.mac?.keyId).toBe(7);
    const strange = authenticate(request(), ntpKey(8, new Uint8Array(16)));
    expect(ask(make(), strange)!.mac).toMatchObject({ keyId: 0, covers: 48 });
    const server = make({ requireKey: true });
    expect(ask(server, request())).toBeUndefined();
    expect(server.counters.get('drop.noKey')).toBe(1);
  });

  test('limits the rate per client: a RATE kiss now and then, drops between, recovery after a while', () => {
    const server = make({ rateLimitSeconds: 2, rateLimitBurst: 4 });
    const outcomes = Array.from({ length: 12 }, () => ask(server, request()));
    expect(outcomes.slice(0, 4).every((o) => o?.stratum === 1)).toBe(true);
    const kisses = outcomes.slice(4).filter((o) => o !== undefined);
    expect(kisses.map((k) => referenceText(k.referenceId))).toEqual(['RATE', 'RATE']);
    expect(kisses.every((k) => k.stratum === 0 && k.origin === 1n)).toBe(true);
    expect(ask(server, request(), 0, '10.0.0.3')?.stratum).toBe(1);
    expect(ask(server, request(), 3)?.stratum).toBe(1);
  });

  test('remembers a bounded number of clients', () => {
    const server = make({ rateLimitSeconds: 2, rateLimitBurst: 1 });
    ask(server, request(), 0, 'first');
    for (let i = 0; i < 10_000; i++) ask(server, request(), 0, `host ${i}`);
    expect(ask(server, request(), 0, 'first')?.stratum).toBe(1);
  });

  test("copies a request's correction into the reply and clears the reply's own", () => {
    const field = correctionField({ requestSeconds: 0.332, replySeconds: 9 });
    const reply = ask(make(), request({ extensions: [field] }))!;
    expect(readCorrection(reply.extensions)).toEqual({ requestSeconds: 0.332, replySeconds: 0 });
    expect(reply.octets.length).toBe(76);
  });
});
