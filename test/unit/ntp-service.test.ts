import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { clockSettings } from '../../src/apps/ntp/index.ts';
import { hostClock, NodeClock } from '../../src/io/clock.ts';
import { onboard } from '../../src/node/onboard.ts';
import type { ServiceContext } from '../../src/node/service.ts';
import { startNtp } from '../../src/node/services/ntp.ts';

const folder = mkdtempSync(join(tmpdir(), 'omni-ntp-service-'));
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

const context = (
  node: string,
  settings: unknown,
  clock: ServiceContext['clock'],
  log: string[] = [],
): ServiceContext => ({
  scenario: 'test',
  node,
  settings,
  stateDirectory: folder,
  runDirectory: folder,
  clock,
  contacts: { always: true, next: () => [] },
  log: (line) => log.push(line),
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a relay: it follows the ground and serves its own clock one stratum down, with honest root delay and dispersion', async () => {
  const ground = await startNtp(
    context('ground', { server: { listen: '127.0.0.1:0', rateLimitSeconds: 0 } }, hostClock()),
  );
  closers.push(() => ground.close());
  const { listening } = (ground.status() as { server: { listening: { port: number } } }).server;
  const clock = new NodeClock(clockSettings.parse({ offsetSeconds: 0.3, driftPpm: 20 }));
  const log: string[] = [];
  const relay = await startNtp(
    context(
      'relay',
      {
        client: { server: `127.0.0.1:${listening.port}`, discipline: 'regression', burstSpacingSeconds: 0.5 },
        server: { listen: '127.0.0.1:0', rateLimitSeconds: 0 },
      },
      clock,
      log,
    ),
  );
  closers.push(() => relay.close());
  await until(() => log.length > 0);
  expect(log[0]).toMatch(/^ntp offset=-0\.\d+ delay=0\.\d+ corrected=0\.0+ verdict=stepped$/);
  expect(Math.abs(clock.error())).toBeLessThan(0.05);
  const node = onboard({ scenario: 'test', node: 'relay' });
  expect(node.read('clock')).toMatchObject({ ntpEnabled: true, stratum: 2 });

  expect(await node.action('ntp.enable')!({ on: false })).toBe('ntp off');
  await node.action('clock.adjust')!({ seconds: 3.25 });
  expect(clock.error()).toBeGreaterThan(3);
  expect(relay.status()).toMatchObject({ client: { enabled: false, stratum: 2, discipline: 'regression' } });
});

test('a client on a node that has passes begins out of contact and waits for the first', async () => {
  const clock = new NodeClock(clockSettings.parse({ tickMs: 10 }));
  const now = clock.now();
  const later = { peer: 'ground', begin: (now + 3_600_000_000_000n) as typeof now, end: (now + 1n) as typeof now };
  const node = await startNtp({
    ...context('sat', { client: { server: '127.0.0.1:9' } }, clock),
    contacts: {
      always: false,
      next: () => {
        clock.now();
        return [later];
      },
    },
  });
  closers.push(() => node.close());
  expect(node.handleRequest('polls', {})).toMatchObject({
    inContact: false,
    polls: [],
    client: { server: '127.0.0.1:9', enabled: true, counters: {} },
    tickSeconds: 0.01,
  });
});

test("a client without a clock of its node's own is refused with the remedy: the host's clock is not ours to steer", async () => {
  await expect(startNtp(context('sat', { client: { server: '127.0.0.1' } }, hostClock()))).rejects.toMatchObject({
    code: 'OMNI_CLOCK',
    remedy: expect.stringContaining('clock:'),
  });
});
