import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Duration, type Instant, ORIGIN, PacketPool, Rng, seconds } from '../../src/core/index.ts';
import { HoldFile } from '../../src/io/hold-store.ts';
import { DEFAULT_TRAFFIC_CLASSES, withHold } from '../../src/router/index.ts';
import { udp4 } from '../support/ip-packets.ts';
import { TestRouter } from '../support/router.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'omni-hold-'));
  path = join(directory, 'files.hold');
});
afterEach(() => rmSync(directory, { recursive: true }));

const pool = new PacketPool({ capacity: 64, slotOctets: 2048 });
const at = (d: Duration): Instant => d as unknown as Instant;

function append(store: HoldFile, octets: Uint8Array, queuedAt = ORIGIN): boolean {
  const packet = pool.copyOf(octets)!;
  packet.queuedAt = queuedAt;
  const good = store.append(packet);
  pool.release(packet);
  return good;
}

function takeAll(store: HoldFile): Uint8Array[] {
  const out: Uint8Array[] = [];
  while (store.packets > 0) {
    const packet = pool.acquire()!;
    expect(store.take(packet, 1900)).toBe(true);
    out.push(packet.view().slice());
    pool.release(packet);
  }
  return out;
}

describe('HoldFile', () => {
  test('a model of a queue, with the process ending at any moment: nothing lost, nothing given twice, in order', () => {
    const rng = new Rng(11, 'hold');
    let store = new HoldFile({ path, now: ORIGIN });
    const expected: Uint8Array[] = [];
    for (let step = 0; step < 1200; step++) {
      const what = rng.below(10);
      if (what < 5) {
        const octets = new Uint8Array(1 + rng.below(1500));
        rng.fill(octets);
        expect(append(store, octets)).toBe(true);
        expected.push(octets);
      } else if (what < 9 && expected.length > 0) {
        const packet = pool.acquire()!;
        expect(store.take(packet, 1900)).toBe(true);
        expect(packet.view()).toEqual(expected.shift());
        pool.release(packet);
      } else if (what === 9) {
        // No close: what a killed process leaves.
        store = new HoldFile({ path, now: ORIGIN });
      }
      expect(store.packets).toBe(expected.length);
      expect(store.octets).toBe(expected.reduce((sum, octets) => sum + octets.length, 0));
    }
    expect(takeAll(store)).toEqual(expected);
  });

  test('a record cut short anywhere by a crash is ignored, and those before it are whole', () => {
    const store = new HoldFile({ path, now: ORIGIN });
    append(store, udp4({ identification: 1 }));
    const whole = statSync(path).size;
    append(store, udp4({ identification: 2 }));
    const end = statSync(path).size;
    const copy = `${path}.copy`;
    for (let size = whole; size < end; size++) {
      copyFileSync(path, copy);
      truncateSync(copy, size);
      const reopened = new HoldFile({ path: copy, now: ORIGIN });
      expect(reopened.packets).toBe(1);
      append(reopened, udp4({ identification: 3 }));
      expect(takeAll(new HoldFile({ path: copy, now: ORIGIN })).map((p) => p[5])).toEqual([1, 3]);
      reopened.close();
    }
  });

  test('ages carry over: a packet held 100 s before the end of one run and 50 s after is 150 s old', () => {
    const first = new HoldFile({ path, now: at(seconds(1000)), wallMilliseconds: 5_000_000 });
    append(first, udp4(), at(seconds(1000)));
    const second = new HoldFile({ path, now: at(seconds(20)), wallMilliseconds: 5_150_000 });
    expect(second.first()!.queuedAt).toBe(seconds(20 - 150));
    const clockSetBack = new HoldFile({ path, now: at(seconds(20)), wallMilliseconds: 4_000_000 });
    expect(clockSetBack.first()!.queuedAt).toBe(seconds(20));
  });

  test('the file shrinks: emptied when all is taken, rewritten when most is', () => {
    const store = new HoldFile({ path, now: ORIGIN });
    for (let i = 0; i < 2000; i++) append(store, udp4({ payloadOctets: 1400, identification: i }));
    const full = statSync(path).size;
    const packet = pool.acquire()!;
    for (let i = 0; i < 1500; i++) store.take(packet, 1900);
    pool.release(packet);
    expect(statSync(path).size).toBeLessThan(full / 2);
    const rest = takeAll(new HoldFile({ path, now: ORIGIN })).map((p) => (p[4]! << 8) | p[5]!);
    expect(rest).toEqual(Array.from({ length: 500 }, (_, i) => 1500 + i));
    expect(statSync(path).size).toBe(9);
  });

  test('a train of segments stays one; what does not fit a slot of this run is refused and gone', () => {
    const store = new HoldFile({ path, now: ORIGIN });
    const packet = pool.copyOf(udp4({ payloadOctets: 1000 }))!;
    packet.train = { headerOctets: 40, segmentOctets: 512 };
    store.append(packet);
    store.append(packet);
    const again = new HoldFile({ path, now: ORIGIN });
    expect(again.take(packet, 1000)).toBe(false);
    packet.train = undefined;
    expect(again.take(packet, 1900)).toBe(true);
    expect(packet.train).toEqual({ headerOctets: 40, segmentOctets: 512 });
    expect(again.packets).toBe(0);
    pool.release(packet);
  });

  test('another file is left alone, with the remedy in the error', () => {
    writeFileSync(path, 'something that someone needs');
    expect(() => new HoldFile({ path, now: ORIGIN })).toThrow(expect.objectContaining({ code: 'OMNI_HOLD_STORE' }));
    expect(readFileSync(path, 'utf8')).toBe('something that someone needs');
  });
});

test('a router that holds on disk: packets of one run are sent by the next, once, oldest first', () => {
  const start = (now: Instant) =>
    new TestRouter({
      interfaces: [
        { name: 'host', kind: 'host', addresses: ['10.0.0.1'] },
        {
          name: 'link',
          kind: 'link',
          up: false,
          classes: withHold(DEFAULT_TRAFFIC_CLASSES, { octets: 1e6, duration: seconds(3600), storage: 'disk' }),
          holdStore: (name) => new HoldFile({ path: join(directory, `${name}.hold`), now, wallMilliseconds: 0 }),
        },
      ],
      routes: [['0.0.0.0/0', 1]],
      poolPackets: 8,
    });
  const send = (t: TestRouter, identification: number) =>
    t.receive(udp4({ from: '10.0.0.1', to: '192.0.2.1', identification }), 0);
  const first = start(ORIGIN);
  // More than the pool holds: they are on disk, not in slots.
  for (let i = 0; i < 100; i++) send(first, i);
  expect(first.router.imbalance()).toBe(0);
  expect(first.pool.available).toBe(8);
  first.router.setInterfaceState(1, true, first.now);
  for (let i = 0; i < 3; i++) first.pool.release(first.router.output(1).dequeue(first.now)!);

  const second = start(ORIGIN);
  expect(second.router.interfaces[1]!.restoredPackets).toBe(97);
  second.router.setInterfaceState(1, true, second.now);
  expect(second.router.pollReady()).toBe(1);
  send(second, 100);
  expect(second.sent(1).map((p) => p[5])).toEqual(Array.from({ length: 98 }, (_, i) => i + 3));
  expect(second.router.imbalance()).toBe(0);
  expect(second.pool.available).toBe(8);
});
