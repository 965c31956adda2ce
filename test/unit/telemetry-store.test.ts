/** The onboard store on disk: a downlink that is ended at any moment goes on where it was. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Downlink, downlinkSettings, parseSpacePackets, SPACECRAFT, timeOf } from '../../src/apps/telemetry/index.ts';
import { type Instant, seconds, type WallTime } from '../../src/core/index.ts';
import { TelemetryStoreFile } from '../../src/io/telemetry-store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-store-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const STORE_OCTETS = 4000;
const settings = downlinkSettings.parse({
  to: 'ground',
  storeOctets: STORE_OCTETS,
  guardSeconds: 0,
  dumpBitPerSec: 100_000,
  intervalSeconds: { housekeeping: 0, clock: 1, link: 2, camera: 0, storage: 0, mailQueue: 0 },
});
const wall = (s: number) => BigInt(1_700_000_000e9 + s * 1e9) as WallTime;

/** A spacecraft whose process may end: time goes on, memory does not. */
class Node {
  readonly file = join(folder, 'telemetry-store');
  now = 0;
  up = false;
  sent: { apid: number; count: number; made: bigint; replay: boolean }[] = [];
  downlink!: Downlink;
  #store!: TelemetryStoreFile;

  constructor() {
    this.boot();
  }
  boot(): void {
    this.#store = new TelemetryStoreFile(this.file, STORE_OCTETS);
    this.downlink = new Downlink({
      dictionary: SPACECRAFT,
      settings,
      // A process's instants begin anew; the clock's time does not.
      now: 0 as Instant,
      up: this.up,
      state: this.#store.read(),
      port: { time: () => wall(this.now), read: () => ({}) },
    });
    this.#store.rewrite(this.downlink.state());
    this.#bootedAt = this.now;
  }
  #bootedAt = 0;
  #instant(): Instant {
    return seconds(this.now - this.#bootedAt) as unknown as Instant;
  }
  run(duration: number): void {
    const end = this.now + duration;
    for (;;) {
      const due = this.downlink.pollTimeout();
      const at = due === undefined ? end : this.#bootedAt + due.at / 1e9;
      if (at > end) break;
      this.now = Math.max(this.now, at);
      if (due === undefined) break;
      this.downlink.handleTimeout(this.#instant());
      this.#drain();
    }
    this.now = end;
  }
  contact(up: boolean): void {
    this.up = up;
    this.downlink.handleInput({ kind: 'contact', up }, this.#instant());
    this.#drain();
  }
  #drain(): void {
    for (let out = this.downlink.pollTransmit(); out !== undefined; out = this.downlink.pollTransmit()) {
      const parsed = parseSpacePackets(out.octets);
      if (!parsed.ok) throw new Error(parsed.reason);
      for (const { packet } of parsed.value)
        this.sent.push({ apid: packet.apid, count: packet.sequenceCount, made: timeOf(packet)!, replay: out.replay });
    }
    const changes = [];
    for (let change = this.downlink.pollStore(); change !== undefined; change = this.downlink.pollStore())
      changes.push(change);
    this.#store.append(changes, () => this.downlink.state());
  }
}

test('whenever the process ends, every packet reaches the ground once LOS is over, and the counts go on', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('run' as const), seconds: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ kind: fc.constant('contact' as const), up: fc.boolean() }),
    fc.record({ kind: fc.constant('kill' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      rmSync(join(folder, 'telemetry-store'), { force: true });
      const node = new Node();
      for (const each of steps) {
        if (each.kind === 'run') node.run(each.seconds);
        else if (each.kind === 'contact') node.contact(each.up);
        else node.boot();
      }
      node.contact(true);
      node.run(30);
      for (const apid of [2, 3]) {
        const counts = new Set(node.sent.filter((p) => p.apid === apid).map((p) => p.count));
        // The store holds about 30 s; steps may be longer apart than that only out of contact.
        const highest = Math.max(...counts);
        const { overwrittenPackets } = node.downlink.status();
        if (overwrittenPackets === 0 && steps.filter((s) => s.kind === 'run').length < 4)
          expect([...counts].toSorted((a, b) => a - b)).toEqual(Array.from({ length: highest + 1 }, (_, i) => i));
        const live = node.sent.filter((p) => p.apid === apid && !p.replay).map((p) => p.count);
        expect(live).toEqual(live.toSorted((a, b) => a - b));
        expect(new Set(live).size).toBe(live.length);
      }
    }),
    { numRuns: 60 },
  );
});

test('a command has packets of an earlier process sent again', () => {
  const node = new Node();
  node.contact(true);
  node.run(10);
  node.boot();
  node.sent = [];
  node.downlink.handleInput({ kind: 'replay', seconds: 5.5 }, 0 as Instant);
  node.run(0.5);
  expect(node.sent.filter((p) => p.apid === 2).map((p) => [p.count, p.replay])).toEqual(
    [4, 5, 6, 7, 8, 9].slice(-6).map((count) => [count, true]),
  );
});

test('a torn or damaged end is left out, a strange file ignored; a growing journal is written anew', () => {
  const node = new Node();
  node.run(5);
  const { file } = node;
  const whole = readFileSync(file);
  const packets = () => new TelemetryStoreFile(file, STORE_OCTETS).read()!.packets.length;
  const count = packets();
  appendFileSync(file, Buffer.from([0, 0, 0, 40, 1, 2]));
  expect(packets()).toBe(count);
  truncateSync(file, whole.length - 3);
  expect(packets()).toBe(count - 1);
  const flipped = Buffer.from(whole);
  flipped[flipped.length - 1]! ^= 1;
  writeFileSync(file, flipped);
  expect(packets()).toBe(count - 1);
  for (let end = 0; end < whole.length; end += 7) {
    writeFileSync(file, whole.subarray(0, end));
    new TelemetryStoreFile(file, STORE_OCTETS).read();
  }
  writeFileSync(file, 'no such store');
  expect(new TelemetryStoreFile(file, STORE_OCTETS).read()).toBeUndefined();
  node.boot();
  expect(node.downlink.status().storedPackets).toBe(0);
  node.run(20_000);
  expect(statSync(file).size).toBeLessThan(1.2 * 1024 * 1024);
});
