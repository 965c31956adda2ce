import { describe, expect, test } from 'vitest';
import {
  CommandReceiver,
  emitTelecommand,
  encodeArguments,
  interpret,
  parseTelecommand,
  type ReceiverEvent,
  type ReceiverState,
  ReplayWindow,
  WINDOW_SIZE,
} from '../../src/apps/command/index.ts';
import { SPACECRAFT } from '../../src/apps/telemetry/index.ts';
import { type Instant, instant, seconds, toHex, type WallTime } from '../../src/core/index.ts';
import { KEYS, telecommand } from '../support/command.ts';

const at = (s: number): Instant => instant(seconds(s));
const wall = (s: number): WallTime => (1_800_000_000_000_000_000n + BigInt(Math.round(s * 1e9))) as WallTime;
const definition = (name: string) => SPACECRAFT.commands.find((c) => c.name === name)!;

describe('the telecommand', () => {
  test('octet by octet: primary header, format, key, counter, time, opcode, arguments, HMAC-SHA-256', () => {
    const octets = telecommand('clock-adjust', { seconds: '3.25' }, 0x4001, { executeAt: 1_500_000_000n as WallTime });
    expect(toHex(octets.subarray(0, 35))).toBe(
      '1810' + 'c001' + '003c' + '01' + '00000001' + '0000000000004001' + '000000018000' + '0011' + '400a000000000000',
    );
    expect(octets.length).toBe(67);
    expect(parseTelecommand(SPACECRAFT, octets, KEYS)).toMatchObject({
      ok: true,
      value: { keyId: 1, counter: 0x4001n, executeAt: 1_500_000_000n, opcode: 0x11 },
    });
  });

  test('one flipped bit anywhere is refused', () => {
    const octets = telecommand('ping', {}, 7);
    for (let bit = 0; bit < octets.length * 8; bit++) {
      const bent = octets.slice();
      bent[bit >> 3]! ^= 1 << (bit & 7);
      expect(parseTelecommand(SPACECRAFT, bent, KEYS).ok).toBe(false);
    }
  });

  test('says why: forged, unknown key, malformed, oversized', () => {
    const octets = telecommand('ping', {}, 7);
    const reason = (o: Uint8Array) => {
      const parsed = parseTelecommand(SPACECRAFT, o, KEYS);
      return parsed.ok ? 'ok' : parsed.reason;
    };
    const forged = octets.slice();
    forged[forged.length - 1]! ^= 1;
    expect(reason(forged)).toBe('forged');
    expect(reason(telecommand('ping', {}, 7, { keyId: 9, hmac: KEYS.get(1)! }))).toBe('unknownKey');
    expect(reason(telecommand('ping', {}, 7, { keyId: 2, hmac: KEYS.get(1)! }))).toBe('forged');
    expect(reason(octets.subarray(1))).toBe('malformed');
    expect(reason(octets.subarray(0, 50))).toBe('malformed');
    expect(reason(new Uint8Array(1025))).toBe('oversized');
    const telemetry = octets.slice();
    telemetry[0]! &= 0xef;
    expect(reason(telemetry)).toBe('malformed');
    expect(() =>
      emitTelecommand(
        SPACECRAFT,
        { keyId: 1, counter: 1n, executeAt: undefined, opcode: 1, argumentOctets: new Uint8Array(1000) },
        KEYS.get(1)!,
      ),
    ).toThrow(RangeError);
  });

  test('arguments are checked by the dictionary on both sides', () => {
    const problems = (name: string, args: Record<string, string>) => {
      const encoded = encodeArguments(definition(name), args);
      return encoded.ok ? [] : encoded.problems.map((p) => `${p.argument} ${p.problem}`);
    };
    expect(problems('mode', { mode: 'party' })).toEqual(["mode 'party' is none of safe, nominal"]);
    expect(problems('link-rate', { bitPerSec: '1' })).toEqual(['bitPerSec 1 is not within 100 to 1000000000']);
    expect(problems('link-rate', { bitPerSec: '9600.5' })).toEqual(["bitPerSec '9600.5' is not a whole number"]);
    expect(problems('telemetry-replay', { seconds: '-1' })).toEqual(['seconds -1 does not fit 32 bits']);
    expect(problems('clock-adjust', { seconds: 'soon', now: '1' })).toEqual([
      "now 'clock-adjust' has no such argument",
      "seconds 'soon' is not a number",
    ]);
    expect(problems('file-delete', { path: 'x'.repeat(97) })).toEqual(['path is longer than 96 octets']);
    expect(problems('ntp', {})).toEqual(['on is missing']);
    expect(problems('ntp', { on: 'off' })).toEqual([]);
    const command = (octets: Uint8Array) => {
      const parsed = parseTelecommand(SPACECRAFT, octets, KEYS);
      if (!parsed.ok) throw new Error(parsed.reason);
      return interpret(SPACECRAFT, parsed.value);
    };
    expect(command(telecommand('telemetry-interval', { apid: '2', seconds: '0.5' }, 1))).toMatchObject({
      ok: true,
      value: { args: { apid: 2, seconds: 0.5 } },
    });
    const raw = (opcode: number, argumentOctets: Uint8Array) =>
      command(
        emitTelecommand(
          SPACECRAFT,
          { keyId: 1, counter: 1n, executeAt: undefined, opcode, argumentOctets },
          KEYS.get(1)!,
        ),
      );
    expect(raw(0x7777, new Uint8Array(0))).toEqual({ ok: false, reason: 'unknownCommand' });
    expect(raw(0x11, new Uint8Array(7))).toEqual({ ok: false, reason: 'arguments' });
    // A NaN of seconds is no range's.
    expect(raw(0x11, Uint8Array.of(0x7f, 0xf8, 0, 0, 0, 0, 0, 0))).toEqual({ ok: false, reason: 'arguments' });
  });
});

describe('ReplayWindow (after RFC 4303 §3.4.3)', () => {
  test('each counter once, out of order within the window, none below it', () => {
    const window = new ReplayWindow();
    const take = (counter: number) => {
      const verdict = window.check(BigInt(counter));
      if (verdict === 'new') window.accept(BigInt(counter));
      return verdict;
    };
    expect([100, 99, 100, 99, 101, 37, 38, 38].map(take)).toEqual([
      'new',
      'new',
      'replayed',
      'replayed',
      'new',
      'outOfWindow',
      'new',
      'replayed',
    ]);
    expect(take(0)).toBe('outOfWindow');
    expect(take(101 + WINDOW_SIZE * 10)).toBe('new');
    expect(take(101)).toBe('outOfWindow');
  });
  test('survives being saved, to the bit', () => {
    const window = new ReplayWindow();
    for (const counter of [5n, 9n, 2n ** 60n, 2n ** 60n - 3n]) window.accept(counter);
    const again = new ReplayWindow(JSON.parse(JSON.stringify(window.save())));
    for (let d = 0n; d < 70n; d++) expect(again.check(2n ** 60n - d)).toBe(window.check(2n ** 60n - d));
    expect(again.check(2n ** 60n + 1n)).toBe('new');
  });
});

/** A receiver whose disk and actions a test holds in its hands. */
function bench(state?: ReceiverState, offset = () => 0, start = 0) {
  const receiver = new CommandReceiver({
    dictionary: SPACECRAFT,
    keys: KEYS,
    scheduleLength: 3,
    lateSeconds: 60,
    time: (now) => wall(now / 1e9 + offset()),
    now: at(start),
    ...(state !== undefined && { state }),
  });
  const events = (): ReceiverEvent[] => {
    const list: ReceiverEvent[] = [];
    for (let e = receiver.pollEvent(); e !== undefined; e = receiver.pollEvent()) list.push(e);
    return list;
  };
  /** Saves at once and carries out at once, until nothing more happens; what was executed and reported, in words. */
  const settle = (s: number): string[] => {
    const words: string[] = [];
    for (let list = events(); list.length > 0; list = events())
      for (const event of list) {
        if (event.kind === 'save') receiver.handleInput({ kind: 'saved', version: event.version }, at(s));
        else if (event.kind === 'execute') {
          words.push(`execute ${event.definition.name}`);
          receiver.handleInput({ kind: 'done', execution: event.execution, ok: true, detail: 'fine' }, at(s));
        } else
          words.push(
            `${event.report.stage}${event.report.refusal === 'none' ? '' : ` ${event.report.refusal}`}${event.via === undefined ? '' : ` via ${event.via}`}`,
          );
      }
    return words;
  };
  const send = (octets: Uint8Array, s: number, via?: number) =>
    receiver.handleInput({ kind: 'packet', octets, ...(via !== undefined && { via }) }, at(s));
  return { receiver, events, settle, send };
}

describe('CommandReceiver', () => {
  test('acceptance, start, completion; nothing is carried out before its counter is on disk', () => {
    const { receiver, events, send } = bench();
    send(telecommand('ping', {}, 1), 1);
    const [save] = events();
    expect(save).toMatchObject({ kind: 'save', version: 1, state: { windows: { 1: { highest: '1' } } } });
    expect(events()).toEqual([]);
    receiver.handleInput({ kind: 'saved', version: 1 }, at(1.1));
    expect(events().map((e) => (e.kind === 'report' ? e.report.stage : e.kind))).toEqual([
      'acceptance',
      'start',
      'execute',
    ]);
    receiver.handleInput({ kind: 'done', execution: 1, ok: false, detail: 'no camera' }, at(2));
    expect(events()).toMatchObject([
      { report: { stage: 'completionFailure', refusal: 'failed', detail: 'no camera' } },
    ]);
    expect(receiver.counters.snapshot()).toEqual({ accepted: 1, failed: 1 });
  });

  test('sent five times blind, it is carried out once', () => {
    const { receiver, settle, send } = bench();
    const octets = telecommand('mode', { mode: 'safe' }, 42);
    for (let i = 0; i < 5; i++) send(octets, i);
    expect(settle(5)).toEqual(['acceptance', 'start', 'execute mode', 'completion']);
    expect(receiver.counters.get('refused.replayed')).toBe(4);
  });

  test('a reliable sender that lost the answer asks again and hears what became of it', () => {
    const { settle, send } = bench();
    send(telecommand('ping', {}, 1), 1, 11);
    expect(settle(1)).toEqual(['acceptance via 11', 'start via 11', 'execute ping', 'completion via 11']);
    send(telecommand('ping', {}, 1), 2, 12);
    expect(settle(2)).toEqual(['completion via 12']);
  });

  test('commands are carried out one after the other, in order; one that hangs is given up', () => {
    const { receiver, events, send } = bench();
    for (const counter of [1, 2]) send(telecommand('ping', {}, counter), 1);
    for (const e of events()) if (e.kind === 'save') receiver.handleInput({ kind: 'saved', version: e.version }, at(1));
    expect(events().filter((e) => e.kind === 'execute').length).toBe(1);
    const limit = receiver.pollTimeout()!;
    expect(limit.why).toBe('execution');
    receiver.handleTimeout(limit.at);
    expect(events().map((e) => (e.kind === 'report' ? `${e.report.stage} ${e.report.detail}` : e.kind))).toEqual([
      'completionFailure took too long',
      'start ping',
      'execute',
    ]);
    // The late word of the first changes nothing.
    receiver.handleInput({ kind: 'done', execution: 1, ok: true, detail: '' }, limit.at);
    expect(events()).toEqual([]);
  });

  test('time-tagged: waits for its time by the spacecraft clock, also when that is stepped; survives a reboot; once', () => {
    let offset = 0;
    const first = bench(undefined, () => offset);
    first.send(telecommand('ping', {}, 5, { executeAt: wall(100) }), 1);
    let saved: ReceiverState | undefined;
    for (const e of first.events())
      if (e.kind === 'save') {
        saved = e.state;
        first.receiver.handleInput({ kind: 'saved', version: e.version }, at(1));
      }
    expect(first.settle(1)).toEqual(['acceptance']);
    first.receiver.handleTimeout(at(50));
    expect(first.settle(50)).toEqual([]);
    offset = 60;
    first.receiver.handleTimeout(at(51));
    expect(first.settle(51)).toEqual(['start', 'execute ping', 'completion']);

    const rebooted = bench(JSON.parse(JSON.stringify(saved)), () => 0, 90);
    rebooted.send(telecommand('ping', {}, 5, { executeAt: wall(100) }), 91);
    expect(rebooted.receiver.counters.get('refused.replayed')).toBe(1);
    rebooted.receiver.handleTimeout(at(101));
    expect(rebooted.settle(101)).toEqual(['start', 'execute ping', 'completion']);
    const late = bench(JSON.parse(JSON.stringify(saved)), () => 0, 200);
    expect(late.settle(200)).toEqual(['startFailure late']);
  });

  test('a due command starts only when the schedule without it is on disk: a crash loses it, never repeats it', () => {
    const { receiver, events, send } = bench();
    send(telecommand('ping', {}, 1, { executeAt: wall(10) }), 1);
    for (const e of events()) if (e.kind === 'save') receiver.handleInput({ kind: 'saved', version: e.version }, at(1));
    events();
    receiver.handleTimeout(at(10));
    const list = events();
    expect(list).toMatchObject([{ kind: 'save', state: { schedule: [] } }]);
    receiver.handleInput({ kind: 'saved', version: (list[0] as { version: number }).version }, at(10));
    expect(events().some((e) => e.kind === 'execute')).toBe(true);
  });

  test('late, a full schedule, unknown commands and wrong arguments are refused and reported; the counter is used up', () => {
    const { receiver, settle, send } = bench();
    send(telecommand('ping', {}, 1, { executeAt: wall(-61) }), 0);
    expect(settle(0)).toEqual(['acceptanceFailure late']);
    for (let counter = 2; counter < 6; counter++) send(telecommand('ping', {}, counter, { executeAt: wall(1000) }), 0);
    expect(settle(0).filter((w) => w !== 'acceptance')).toEqual(['acceptanceFailure scheduleFull']);
    send(
      emitTelecommand(
        SPACECRAFT,
        { keyId: 1, counter: 9n, executeAt: undefined, opcode: 0x7777, argumentOctets: new Uint8Array(0) },
        KEYS.get(1)!,
      ),
      0,
    );
    expect(settle(0)).toEqual(['acceptanceFailure unknownCommand']);
    send(telecommand('ping', {}, 9), 0);
    expect(receiver.lastRefusal).toBe('replayed');
    expect(settle(0)).toEqual([]);
  });

  test('what is not authentic is counted and makes no report: a stranger cannot fill the downlink', () => {
    const { receiver, events, send } = bench();
    const forged = telecommand('ping', {}, 1);
    forged[20]! ^= 1;
    send(forged, 0);
    send(new Uint8Array(3), 0);
    send(new Uint8Array(2000), 0);
    send(telecommand('ping', {}, 1, { keyId: 77, hmac: KEYS.get(1)! }), 0);
    expect(events()).toEqual([]);
    expect(receiver.counters.snapshot()).toEqual({
      'refused.forged': 1,
      'refused.malformed': 1,
      'refused.oversized': 1,
      'refused.unknownKey': 1,
    });
  });

  test('keys have windows of their own', () => {
    const { settle, send } = bench();
    send(telecommand('ping', {}, 5), 0);
    send(telecommand('ping', {}, 5, { keyId: 2 }), 0);
    expect(settle(0).filter((w) => w.startsWith('execute')).length).toBe(2);
  });
});
