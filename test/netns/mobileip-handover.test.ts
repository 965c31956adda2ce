// Fifty handovers under one stock FTP transfer, in real namespaces with ingress filters: no reset, the same octets.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Probe, writeVariant } from '../support/mobileip-testbed.ts';
import { noTestbeds, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds() ?? (onPath('curl') ? undefined : 'needs curl');
if (reason !== undefined) console.log(`skipped: Mobile IP handovers in namespaces: ${reason}`);

// Fifty with OMNI_INTEROP=full; a few otherwise, as `npm test` is to end soon.
const HANDOVERS = process.env.OMNI_INTEROP === 'full' ? 50 : 6;
const EVERY_SECONDS = 2;

interface NodeStatus {
  readonly mobileNode?: { readonly registrations: number; readonly history: readonly { readonly event: string }[] };
  readonly homeAgent?: { readonly bindings: readonly unknown[] };
}

describe.skipIf(reason !== undefined)(`${HANDOVERS} handovers`, () => {
  const sandbox = new TestbedSandbox('ommip');
  afterAll(() => sandbox.close());

  /** Before the first registration the home agent says "host unreachable", and a program gives up. */
  async function registered(name: string): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const { stdout } = await sandbox.run('mip', '--json', '--testbed', name);
      if (/"state": "registered"/.test(stdout)) return;
    }
    throw new Error('the spacecraft never registered');
  }

  async function fly(name: string, lastsSeconds: number) {
    const file = writeVariant(join(sandbox.directory, `${name}.yaml`), {
      name,
      everySeconds: EVERY_SECONDS,
      lastsSeconds,
      up: '128k',
      down: '256k',
    });
    const up = await sandbox.run('up', file);
    expect(up.stderr.replace(/omni: bringing.*\n/, '')).toBe('');
    expect(up.code).toBe(0);
    const files = join(sandbox.environment.OMNI_STATE_DIRECTORY!, name, 'spacecraft', 'files');
    mkdirSync(files, { recursive: true });
    // As much as the downlink carries in the time that the handovers take.
    const share = Math.min(1, lastsSeconds / EVERY_SECONDS);
    const content = randomBytes(Math.floor(0.88 * share * HANDOVERS * EVERY_SECONDS * (256_000 / 8)));
    writeFileSync(join(files, 'image.raw'), content);
    await registered(name);
    const toGround = await Probe.start(`${name}-spacecraft`, `${name}-control`, '192.168.9.2', 20);
    const toSpace = await Probe.start(`${name}-control`, `${name}-spacecraft`, '10.9.0.5', 20);
    const target = join(sandbox.directory, `${name}.raw`);
    const curl = spawn(
      'ip',
      [
        'netns',
        'exec',
        `${name}-control`,
        'curl',
        '-sS',
        '-u',
        'operator:candos',
        '-o',
        target,
        'ftp://10.9.0.5/image.raw',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const result = await outcome(curl);
    const [status] = JSON.parse((await sandbox.run('status', '--json', '--testbed', name)).stdout);
    const services = Object.assign({}, ...status.apps.map((app: { services: object }) => app.services)) as NodeStatus;
    toGround.stop();
    toSpace.stop();
    const handovers = services.mobileNode!.history.filter(({ event }) => event.startsWith('event=handover')).length;
    const hash = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');
    return {
      result,
      same: hash(readFileSync(target)) === hash(content),
      handovers,
      services,
      gapsToGround: toGround.gaps().slice(0, 3),
      gapsToSpace: toSpace.gaps().slice(0, 3),
      alarms: status.dataPlane.alarms,
      down: () => sandbox.run('down', name),
    };
  }

  test('with overlapping coverage', async () => {
    const flight = await fly(`${sandbox.prefix}a`, 2.5);
    console.log(
      JSON.stringify({ handovers: flight.handovers, toGround: flight.gapsToGround, toSpace: flight.gapsToSpace }),
    );
    expect(flight.result).toMatchObject({ code: 0, stderr: '' });
    expect(flight.same).toBe(true);
    expect(flight.handovers).toBeGreaterThanOrEqual(HANDOVERS - 2);
    expect(flight.alarms).toEqual([]);
    expect((await flight.down()).code).toBe(0);
  });

  test('the gap in service without other traffic: a round trip and 100 ms', async () => {
    const name = `${sandbox.prefix}c`;
    const file = writeVariant(join(sandbox.directory, `${name}.yaml`), {
      name,
      everySeconds: EVERY_SECONDS,
      lastsSeconds: 2.5,
      up: '128k',
      down: '256k',
    });
    expect((await sandbox.run('up', file)).code).toBe(0);
    const probes = [
      await Probe.start(`${name}-spacecraft`, `${name}-control`, '192.168.9.2', 20),
      await Probe.start(`${name}-control`, `${name}-spacecraft`, '10.9.0.5', 20),
    ];
    await new Promise((resolve) => setTimeout(resolve, 8 * EVERY_SECONDS * 1000));
    for (const probe of probes) {
      probe.stop();
      const gaps = probe.gaps();
      console.log(
        `longest gaps, ms: ${gaps
          .slice(0, 12)
          .map((gap) => gap.toFixed(0))
          .join(' ')}`,
      );
      // Seven handovers: a busy machine may delay a few, not half of them. 20 ms between probes, 30 ms of round trip, 100 ms.
      expect(gaps[4]).toBeLessThan(150);
    }
    expect((await sandbox.run('down', name)).code).toBe(0);
  });

  test('with gaps between the passes: the transfer goes on at the next station', async () => {
    const flight = await fly(`${sandbox.prefix}b`, 1.6);
    console.log(
      JSON.stringify({ handovers: flight.handovers, toGround: flight.gapsToGround, toSpace: flight.gapsToSpace }),
    );
    expect(flight.result).toMatchObject({ code: 0, stderr: '' });
    expect(flight.same).toBe(true);
    expect(flight.handovers).toBeGreaterThanOrEqual(HANDOVERS - 2);
    expect((await flight.down()).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });
});
