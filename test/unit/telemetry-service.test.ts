import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodeTelemetry, recordOf, SPACECRAFT } from '../../src/apps/telemetry/index.ts';
import { hostClock } from '../../src/io/clock.ts';
import { readTelemetryLog } from '../../src/io/telemetry-log.ts';
import { onboard } from '../../src/node/onboard.ts';
import type { ServiceContext } from '../../src/node/service.ts';
import { startTelemetry } from '../../src/node/services/telemetry.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-telemetry-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a spacecraft sends what its services read, a control centre records it; commands change the intervals', async () => {
  const context = (node: string, settings: unknown): ServiceContext => ({
    scenario: 'telemetry-test',
    node,
    settings,
    stateDirectory: join(folder, node),
    runDirectory: folder,
    clock: hostClock(),
    contacts: { always: true, next: () => [] },
    log: () => {},
  });
  const control = await startTelemetry(context('control', { recorder: { listen: '127.0.0.1:0' } }));
  const { listening } = (control.status() as { recorder: { listening: { port: number } } }).recorder;
  const node = onboard({ scenario: 'telemetry-test', node: 'sat' });
  node.publish('clock', () => ({ stratum: 3, ntpEnabled: true, trueErrorSeconds: 0.125 }));
  const sat = await startTelemetry(
    context('sat', {
      downlink: {
        to: `127.0.0.1:${listening.port}`,
        intervalSeconds: { housekeeping: 0.05, clock: 0.05, camera: 0.05, storage: 0 },
      },
    }),
  );
  const names = () =>
    [...readTelemetryLog(join(folder, 'control', 'telemetry'))].map((r) => {
      const decoded = decodeTelemetry(SPACECRAFT, r.octets);
      return decoded.ok ? recordOf(decoded.value) : { packet: decoded.reason };
    });
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await until(() => names().length > 4);
  const seen = new Set(names().map((r) => r.packet));
  // No camera service on this node, so no camera packets.
  expect([...seen].sort()).toEqual(['clock', 'housekeeping']);
  expect(names().find((r) => r.packet === 'clock')).toMatchObject({
    stratum: 3,
    ntpEnabled: true,
    trueErrorSeconds: 0.125,
  });
  expect(names().find((r) => r.packet === 'housekeeping')).toMatchObject({ mode: 'nominal' });
  expect(await node.action('telemetry.interval')!({ apid: 5, seconds: 0.05 })).toBe('APID 5 every 0.05 s');
  await until(() => names().some((r) => r.packet === 'storage'));
  await expect(async () => node.action('telemetry.interval')!({ apid: 99, seconds: 1 })).rejects.toThrow(
    'no packet with APID 99',
  );
  await sat.close();
  expect(node.action('telemetry.interval')).toBeUndefined();
  await control.close();
});
