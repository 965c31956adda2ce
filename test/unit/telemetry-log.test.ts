import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WallTime } from '../../src/core/index.ts';
import { readTelemetryLog, TelemetryLog, TelemetryLogReader } from '../../src/io/telemetry-log.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'omni-log-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const record = (n: number) => ({
  receivedAt: BigInt(n) as WallTime,
  replay: n % 2 === 1,
  octets: Uint8Array.from([n & 255, n >> 8, 3, 4, 5, 6, 7]),
});
const read = () => [...readTelemetryLog(directory)].map((r) => Number(r.receivedAt));
async function fill(from: number, to: number, segmentOctets = 1 << 20): Promise<void> {
  const log = new TelemetryLog(directory, { segmentOctets });
  for (let n = from; n < to; n++) expect(log.append(record(n))).toBe(true);
  await log.close();
  expect(log.stored).toBe(to - from);
}
const segments = () => readdirSync(directory).sort();

describe('TelemetryLog', () => {
  test('what was stored is read, across closing, opening and segments', async () => {
    await fill(0, 100, 500);
    await fill(100, 150, 500);
    expect(read()).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(segments().length).toBeGreaterThan(1);
    const { receivedAt, replay, octets } = [...readTelemetryLog(directory)][7]!;
    expect({ receivedAt, replay, octets: Uint8Array.from(octets) }).toEqual(record(7));
  });

  test('a torn end is cut off at any octet, and recording goes on behind the last whole record', async () => {
    await fill(0, 3);
    const file = join(directory, segments()[0]!);
    const whole = readFileSync(file);
    for (let length = whole.length - 1; length >= 0; length--) {
      writeFileSync(file, whole);
      truncateSync(file, length);
      const before = length < 8 ? [] : read();
      await fill(10, 11);
      expect(read()).toEqual([...before, 10]);
    }
  });

  test('octets that are no record are cut off; damage in the middle ends the reading there', async () => {
    await fill(0, 3);
    const file = join(directory, segments()[0]!);
    appendFileSync(file, Buffer.alloc(100, 0xff));
    await fill(3, 4);
    expect(read()).toEqual([0, 1, 2, 3]);
    const octets = readFileSync(file);
    octets[octets.length - 3]! ^= 1;
    writeFileSync(file, octets);
    expect(read()).toEqual([0, 1, 2]);
  });

  test('a directory of something else is refused', () => {
    writeFileSync(join(directory, '00000000.tlm'), 'this is not a telemetry log');
    expect(() => new TelemetryLog(directory, { segmentOctets: 1000 })).toThrow(/not a telemetry log/);
  });

  test('a reader follows a log that grows', async () => {
    const reader = new TelemetryLogReader(directory);
    await fill(0, 5, 200);
    expect([...reader.next()].length).toBe(5);
    await fill(5, 40, 200);
    expect([...reader.next()].map((r) => Number(r.receivedAt))).toEqual(Array.from({ length: 35 }, (_, i) => i + 5));
    expect([...reader.next()]).toEqual([]);
  });
});
