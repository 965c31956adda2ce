import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  CSV_HEADER,
  csvLine,
  Downlink,
  type DownlinkSettings,
  decodeTelemetry,
  dictionaryPage,
  downlinkSettings,
  emitCuc,
  emitSpacePacket,
  encodeTelemetry,
  GapTracker,
  isoTime,
  parseCuc,
  parseSpacePacket,
  parseSpacePackets,
  recordOf,
  rowsOf,
  SPACECRAFT,
  timeOf,
  xtceOf,
} from '../../src/apps/telemetry/index.ts';
import { fromHex, type Instant, instant, seconds, toHex, type WallTime } from '../../src/core/index.ts';

const at = (s: number): Instant => instant(seconds(s));
const wall = (s: number): WallTime => (BigInt(Math.round(s * 1e6)) * 1000n) as WallTime;
const clock = SPACECRAFT.packets.find((p) => p.name === 'clock')!;
const housekeeping = SPACECRAFT.packets.find((p) => p.name === 'housekeeping')!;

describe('space packets (CCSDS 133.0-B-2 §4.1)', () => {
  test('a telemetry packet, bit by bit: APID 2, count 5, unsegmented, 3 octets', () => {
    const octets = emitSpacePacket({
      type: 'telemetry',
      secondaryHeader: true,
      apid: 2,
      sequenceCount: 5,
      data: fromHex('aabbcc'),
    });
    expect(toHex(octets)).toBe('0802c0050002aabbcc');
    expect(parseSpacePacket(octets)).toMatchObject({
      ok: true,
      value: { length: 9, packet: { apid: 2, sequenceCount: 5 } },
    });
  });
  test('a datagram holds whole packets and nothing else', () => {
    const one = fromHex('0802c0050002aabbcc');
    expect(parseSpacePackets(Uint8Array.from([...one, ...one]))).toMatchObject({ ok: true, value: [{}, {}] });
    expect(parseSpacePackets(Uint8Array.from([...one, 1]))).toEqual({ ok: false, reason: 'trailing' });
    expect(parseSpacePackets(one.subarray(0, 8))).toEqual({ ok: false, reason: 'truncated' });
    expect(parseSpacePackets(new Uint8Array(0))).toEqual({ ok: false, reason: 'truncated' });
    expect(parseSpacePackets(fromHex('2802c0050002aabbcc'))).toEqual({ ok: false, reason: 'version' });
  });
  test('what does not fit a field is our mistake and throws', () => {
    const good = {
      type: 'telemetry',
      secondaryHeader: true,
      apid: 1,
      sequenceCount: 0,
      data: new Uint8Array(1),
    } as const;
    expect(() => emitSpacePacket({ ...good, apid: 2048 })).toThrow(RangeError);
    expect(() => emitSpacePacket({ ...good, sequenceCount: 16_384 })).toThrow(RangeError);
    expect(() => emitSpacePacket({ ...good, data: new Uint8Array(0) })).toThrow(RangeError);
  });
});

describe('CUC time', () => {
  test('four octets of seconds, two of fractions, clamped at both ends', () => {
    expect(toHex(emitCuc(wall(1.5)))).toBe('000000018000');
    expect(toHex(emitCuc(-5n as WallTime))).toBe('000000000000');
    expect(toHex(emitCuc((10n ** 20n) as WallTime))).toBe('ffffffffffff');
    expect(parseCuc(fromHex('000000018000'))).toBe(1_500_000_000n);
  });
});

test('isoTime agrees with Date over eight centuries, leap years and negative times', () => {
  for (let day = -40_000; day < 250_000; day += 97) {
    const milliseconds = day * 86_400_000 + ((day * 7919) % 86_400_000);
    const expected = new Date(milliseconds).toISOString().replace('Z', '000Z');
    expect(isoTime(BigInt(milliseconds) * 1_000_000n)).toBe(expected);
  }
});

describe('packets by the dictionary', () => {
  test('values in engineering units go out calibrated and come back with unit and limit state', () => {
    const octets = encodeTelemetry(housekeeping, 7, wall(1000), {
      mode: 'nominal',
      busVoltage: 28.123,
      boardTemperature: 55,
      uptimeSeconds: 12,
    });
    const decoded = decodeTelemetry(SPACECRAFT, octets);
    if (!decoded.ok) throw new Error(decoded.reason);
    const field = (name: string) => decoded.value.fields.find((f) => f.parameter.name === name);
    expect(field('mode')?.value).toBe('nominal');
    expect(field('busVoltage')).toMatchObject({ raw: 28_123, state: 'within' });
    expect(field('busVoltage')?.value).toBeCloseTo(28.123, 9);
    expect(field('boardTemperature')).toMatchObject({ raw: 5500, state: 'watch' });
    expect(field('processorLoad')?.value).toBeNaN();
    expect(recordOf(decoded.value)).toMatchObject({ packet: 'housekeeping', sequenceCount: 7, processorLoad: null });
  });
  test('numbers beyond a field are clamped, text is cut between characters', () => {
    const camera = SPACECRAFT.packets.find((p) => p.name === 'camera')!;
    const octets = encodeTelemetry(camera, 0, wall(0), {
      imagesTaken: 1e12,
      lastImageOctets: -4,
      lastImage: 'Ü'.repeat(40),
    });
    const decoded = decodeTelemetry(SPACECRAFT, octets);
    expect(decoded.ok && recordOf(decoded.value)).toMatchObject({
      imagesTaken: 0xffffffff,
      lastImageOctets: 0,
      lastImage: 'Ü'.repeat(16),
    });
  });
  test('refuses what is not ours, by reason', () => {
    const good = encodeTelemetry(clock, 0, wall(0), {});
    const bent = (change: (octets: Uint8Array) => void) => {
      const octets = good.slice();
      change(octets);
      return decodeTelemetry(SPACECRAFT, octets);
    };
    expect(bent((o) => (o[0]! |= 0x10))).toEqual({ ok: false, reason: 'telecommand' });
    expect(bent((o) => (o[1] = 0x99))).toEqual({ ok: false, reason: 'unknownApid' });
    expect(decodeTelemetry(SPACECRAFT, Uint8Array.from([...good, 0]))).toEqual({ ok: false, reason: 'trailing' });
    const long = emitSpacePacket({
      type: 'telemetry',
      secondaryHeader: true,
      apid: 2,
      sequenceCount: 0,
      data: new Uint8Array(99),
    });
    expect(decodeTelemetry(SPACECRAFT, long)).toEqual({ ok: false, reason: 'length' });
    const mode = encodeTelemetry(housekeeping, 0, wall(0), { mode: 77 });
    expect(decodeTelemetry(SPACECRAFT, mode)).toEqual({ ok: false, reason: 'value' });
  });
  test('CSV by RFC 4180', () => {
    const decoded = decodeTelemetry(
      SPACECRAFT,
      encodeTelemetry(clock, 3, wall(1.5), { stratum: 2, reportedOffsetSeconds: -0.25 }),
    );
    if (!decoded.ok) throw new Error(decoded.reason);
    expect([CSV_HEADER, ...rowsOf(decoded.value).map(csvLine)].slice(0, 4)).toEqual([
      'time,apid,packet,sequence_count,parameter,raw,value,unit,state',
      '1970-01-01T00:00:01.500000Z,2,clock,3,ntpEnabled,false,false,,within',
      '1970-01-01T00:00:01.500000Z,2,clock,3,stratum,2,2,,within',
      '1970-01-01T00:00:01.500000Z,2,clock,3,reportedOffsetSeconds,-0.25,-0.25,s,watch',
    ]);
    expect(
      csvLine({
        time: '',
        apid: 1,
        packet: 'a"b',
        sequenceCount: 0,
        parameter: 'x,y',
        raw: null,
        value: 'l\nm',
        unit: '',
        state: '',
      }),
    ).toBe(',1,"a""b",0,"x,y",,"l\nm",,');
  });
});

describe('Downlink', () => {
  const make = (settings: Partial<DownlinkSettings> = {}, up = true) => {
    const parsed = downlinkSettings.parse({ to: 'ground' });
    return new Downlink({
      dictionary: SPACECRAFT,
      settings: { ...parsed, intervalSeconds: { clock: 1 }, guardSeconds: 2, ...settings },
      port: { time: (now) => wall(now / 1e9), read: () => ({ stratum: 1 }) },
      now: at(0),
      up,
    });
  };
  /** Runs it to `until`, with contact changes; what it sent, each with its time. */
  const run = (downlink: Downlink, until: number, contacts: readonly [number, boolean][] = []) => {
    const sent: { at: number; count: number; time: number; replay: boolean }[] = [];
    const script = [...contacts];
    for (;;) {
      const due = downlink.pollTimeout()?.at ?? at(until);
      const contact = script[0];
      const now = contact !== undefined && at(contact[0]) <= due ? at(contact[0]) : due;
      if (now > at(until)) return sent;
      if (contact !== undefined && at(contact[0]) === now) {
        downlink.handleInput({ kind: 'contact', up: contact[1] }, now);
        script.shift();
      } else if (now === at(until)) return sent;
      else downlink.handleTimeout(now);
      for (let out = downlink.pollTransmit(); out !== undefined; out = downlink.pollTransmit()) {
        const packets = parseSpacePackets(out.octets);
        if (!packets.ok) throw new Error(packets.reason);
        for (const { packet } of packets.value)
          sent.push({
            at: now / 1e9,
            count: packet.sequenceCount,
            time: Number(timeOf(packet)) / 1e9,
            replay: out.replay,
          });
      }
    }
  };

  test('sends each packet at its interval while in contact', () => {
    const sent = run(make({ guardSeconds: 0 }), 5.5);
    expect(sent.map((s) => [s.count, s.time, s.replay])).toEqual([1, 2, 3, 4, 5].map((t) => [t - 1, t, false]));
  });

  test('keeps what is made during loss of signal and dumps it at acquisition, slowly, beside the live packets', () => {
    const sent = run(make({ guardSeconds: 0, dumpBitPerSec: 800 }), 140, [
      [10.5, false],
      [100.5, true],
    ]);
    const replayed = sent.filter((s) => s.replay);
    expect(new Set(sent.map((s) => s.count)).size).toBe(139);
    expect(replayed.length).toBe(90);
    expect(replayed.every((s) => s.at >= 100.5 && s.time > 10.5 && s.time < 100.5)).toBe(true);
    // 90 packets of 34 octets at 800 bit/s take half a minute; the live ones go on meanwhile.
    expect(replayed.at(-1)!.at).toBeGreaterThan(120);
    expect(sent.filter((s) => !s.replay && s.at > 100.5).length).toBe(39);
  });

  test('what is made or sent near the edge of a contact goes twice; the ground finds the duplicates and no gap', () => {
    const sent = run(make({ guardSeconds: 2 }), 60, [
      [10.5, false],
      [20.5, true],
      [30.5, false],
      [40.5, true],
    ]);
    const tracker = new GapTracker();
    const arrivals = sent.map((s) => tracker.add(2, s.count, wall(s.time)));
    expect(arrivals.filter((a) => a === 'duplicate').length).toBeGreaterThan(0);
    expect(tracker.gaps()).toEqual([]);
    expect(arrivals.filter((a) => a !== 'duplicate').length).toBe(59);
  });

  test('the store is bounded: the oldest gives way and is counted', () => {
    const downlink = make({ storeOctets: 340, guardSeconds: 0 }, false);
    run(downlink, 50.5);
    expect(downlink.status()).toMatchObject({
      madePackets: 50,
      storedPackets: 10,
      storedOctets: 340,
      overwrittenPackets: 40,
    });
  });

  test('a replay sends again what the store still has', () => {
    const downlink = make({ guardSeconds: 0 });
    run(downlink, 20.5);
    downlink.handleInput({ kind: 'replay', seconds: 10 }, at(20.5));
    const again = run(downlink, 25).filter((s) => s.replay);
    expect(again.map((s) => s.time)).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  });

  test('an interval of zero stops a packet, another starts it; a subsystem that is not there makes none', () => {
    const downlink = make({ guardSeconds: 0 });
    run(downlink, 2.5);
    downlink.handleInput({ kind: 'interval', apid: 2, seconds: 0 }, at(2.5));
    expect(run(downlink, 10)).toEqual([]);
    downlink.handleInput({ kind: 'interval', apid: 2, seconds: 0.5 }, at(10));
    expect(run(downlink, 11.1).length).toBe(2);
  });
});

describe('GapTracker', () => {
  test('finds gaps per APID, fills them from replays, and knows duplicates', () => {
    const tracker = new GapTracker();
    const arrivals = [
      [1, 0, 0],
      [1, 1, 1],
      [2, 7, 1],
      [1, 5, 5],
      [1, 3, 3],
      [1, 3, 3],
      [1, 6, 6],
      [1, 5, 5],
    ].map(([apid, count, time]) => tracker.add(apid!, count!, wall(time!)));
    expect(arrivals).toEqual(['first', 'next', 'first', 'gap', 'fill', 'duplicate', 'next', 'duplicate']);
    expect(tracker.gaps()).toEqual([{ apid: 1, first: 2, missing: 2, after: wall(1), before: wall(5) }]);
    tracker.add(1, 2, wall(2));
    tracker.add(1, 4, wall(4));
    expect(tracker.missingPackets).toBe(0);
  });
  test('a clock that is set back in flight opens no gap, and what was lost around the step is filled', () => {
    const tracker = new GapTracker();
    // Set 3 s ahead before count 3, and back before count 7; count 6 and 7 come later, from the store.
    const live = [0, 1, 2, 6, 7, 8, 6, 7, 8, 9].map((time, count) => ({ count, time }));
    const arrivals = live
      .filter(({ count }) => count !== 6 && count !== 7)
      .map((p) => tracker.add(1, p.count, wall(p.time)));
    expect(arrivals).toEqual(['first', 'next', 'next', 'next', 'next', 'next', 'gap', 'next']);
    expect(tracker.missingPackets).toBe(2);
    expect(tracker.add(1, 6, wall(6))).toBe('fill');
    expect(tracker.add(1, 7, wall(7))).toBe('fill');
    expect(tracker.missingPackets).toBe(0);
    // What is older than the recording is no news.
    expect(tracker.add(1, 16_000, wall(-400))).toBe('late');
    expect(tracker.add(1, 10, wall(10))).toBe('next');
  });
  test('counts wrap at 16384 without a gap, and with one', () => {
    const tracker = new GapTracker();
    expect([16_382, 16_383, 0, 2].map((count, i) => tracker.add(1, count, wall(i)))).toEqual([
      'first',
      'next',
      'next',
      'gap',
    ]);
    expect(tracker.gaps()[0]).toMatchObject({ first: 1, missing: 1 });
  });
});

describe('XTCE', () => {
  const xml = xtceOf(SPACECRAFT);
  const values = (attribute: string) => [...xml.matchAll(new RegExp(` ${attribute}="([^"]+)"`, 'g'))].map((m) => m[1]!);
  const named = (tag: string) =>
    new Set([...xml.matchAll(new RegExp(`<${tag} name="([^"]+)"`, 'g'))].map((m) => m[1]!));
  test('every reference has what it refers to', () => {
    const types = new Set([...xml.matchAll(/<\w+(?:Parameter|Argument)Type name="([^"]+)"/g)].map((m) => m[1]!));
    for (const name of [...values('parameterTypeRef'), ...values('argumentTypeRef')]) expect(types).toContain(name);
    for (const name of values('parameterRef')) expect(named('Parameter')).toContain(name);
    for (const name of values('argumentRef')) expect(named('Argument')).toContain(name);
    for (const name of values('containerRef')) expect(named('SequenceContainer')).toContain(name);
  });
  test('every packet and command is there, names are unique and legal', () => {
    for (const p of SPACECRAFT.packets)
      expect(xml).toContain(`<Comparison parameterRef="ccsds-apid" value="${p.apid}"/>`);
    for (const c of SPACECRAFT.commands) expect(named('MetaCommand')).toContain(c.name);
    // NameType of the schema: no '/', ':', '.', spaces or brackets.
    for (const name of values('name')) expect(name).toMatch(/^[^./:[\] ]+$/);
    expect(new Set(SPACECRAFT.packets.map((p) => p.apid)).size).toBe(SPACECRAFT.packets.length);
    expect(new Set(SPACECRAFT.commands.map((c) => c.opcode)).size).toBe(SPACECRAFT.commands.length);
  });
});

test('the page names every packet, parameter and command', () => {
  const page = dictionaryPage(SPACECRAFT);
  for (const p of SPACECRAFT.packets) for (const f of p.parameters) expect(page).toContain(`| ${f.name} |`);
  for (const c of SPACECRAFT.commands) expect(page).toContain(`| ${c.name} |`);
});

test('docs/telemetry-dictionary.md is what `omni tlm dictionary` prints', () => {
  const page = readFileSync(new URL('../../docs/telemetry-dictionary.md', import.meta.url), 'utf8');
  expect(page).toBe(dictionaryPage(SPACECRAFT));
});
