/**
 * A link changed while it runs, as its user does it: what `omni link set` says, that it takes effect at once and tears nothing down,
 * that it can go back; and the contacts of a running testbed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { controlRequest } from '../../src/testbed/control.ts';
import { testbedPaths } from '../../src/testbed/run-directory.ts';

const has = (program: string): boolean => spawnSync(program, ['-V']).status === 0;
const skip = process.getuid?.() !== 0 ? 'needs root' : !has('ping') ? 'needs ping (iputils-ping)' : undefined;
const bin = join(import.meta.dirname, '..', '..', 'bin', 'omni');
const name = `ll${process.pid}`;
const SCENARIO = `
name: ${name}
nodes:
  surrey: { kind: ground-station, address: 10.97.0.1 }
  spacecraft: { kind: spacecraft, address: 10.97.0.2 }
  relay: { kind: spacecraft, address: 10.97.0.3 }
links:
  space: { between: [surrey, spacecraft], up: { rate: 1M }, down: { rate: 1M, jitter: 1ms } }
  cross: { between: [spacecraft, relay], up: { rate: 9600 }, down: { rate: 9600 }, contacts: { period: 10min, duration: 1min, first: 5min } }
`;

let folder: string;
const kept = { run: process.env.OMNI_RUN_DIRECTORY, state: process.env.OMNI_STATE_DIRECTORY };

function omni(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(bin, args, { encoding: 'utf8' });
}

interface Ping {
  /** When the request was sent, Unix seconds. */
  readonly sent: number;
  readonly milliseconds: number;
}

/** Stock ping, 50 a second, while `during` works. */
async function pinging(count: number, during: () => Promise<void>): Promise<Ping[]> {
  const command = [
    'exec',
    '--testbed',
    name,
    'surrey',
    '--',
    'ping',
    '-D',
    '-i',
    '0.02',
    '-c',
    String(count),
    'spacecraft',
  ];
  const child = spawn(bin, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const first = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('icmp_seq=20 ')) resolve();
    });
    child.once('exit', () => resolve());
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await first;
  await during();
  await ended;
  return [...output.matchAll(/^\[([\d.]+)\].*time=([\d.]+) ms$/gm)].map(([, at, time]) => ({
    sent: Number(at) - Number(time) / 1000,
    milliseconds: Number(time),
  }));
}

const median = (pings: readonly Ping[]): number =>
  pings.map((ping) => ping.milliseconds).sort((a, b) => a - b)[pings.length >> 1] ?? Number.NaN;

describe.skipIf(skip !== undefined)(`a running link (${skip ?? 'root, ping'})`, () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'omni-live-'));
    chmodSync(folder, 0o755);
    process.env.OMNI_RUN_DIRECTORY = join(folder, 'run');
    process.env.OMNI_STATE_DIRECTORY = join(folder, 'state');
    const file = join(folder, 'scenario.yaml');
    writeFileSync(file, SCENARIO);
    const { status, stderr } = omni('up', file);
    expect(status, stderr).toBe(0);
  });
  afterAll(() => {
    omni('down', name, '--purge');
    rmSync(folder, { recursive: true });
    for (const [key, value] of [
      ['OMNI_RUN_DIRECTORY', kept.run],
      ['OMNI_STATE_DIRECTORY', kept.state],
    ] as const)
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
  });

  test('a change of delay holds for what is sent from its answer on, loses nothing, and goes back', async () => {
    const { controlSocket } = testbedPaths(name);
    let asked = 0;
    let answered = 0;
    const pings = await pinging(120, async () => {
      asked = Date.now() / 1000;
      await controlRequest(controlSocket, 'set-link', { link: 'space', changes: { 'up.delay': '150ms' } });
      answered = Date.now() / 1000;
    });
    expect(pings).toHaveLength(120);
    const before = pings.filter((ping) => ping.sent + ping.milliseconds / 1000 < asked);
    const after = pings.filter((ping) => ping.sent > answered);
    expect(before.length).toBeGreaterThan(10);
    expect(after.length).toBeGreaterThan(10);
    expect(median(before)).toBeLessThan(150);
    for (const ping of after) expect(ping.milliseconds).toBeGreaterThanOrEqual(150);

    const set = omni('link', 'set', '--testbed', name, 'space', 'up.delay=0', '--json');
    expect(set.status, set.stderr).toBe(0);
    const link = JSON.parse(set.stdout);
    expect(link.up.delayMilliseconds).toBe(0);
    // What was not named is as it was, and nothing was started anew.
    expect(link.down.jitterMilliseconds).toBe(1);
    expect(link.up.rateBitPerSecond).toBe(1e6);
    expect(link.up.counters.packetsIn).toBeGreaterThanOrEqual(120);
    expect(link.up.counters.packetsLost).toBe(0);
    expect(median(await pinging(40, async () => undefined))).toBeLessThan(150);
  });

  test('a bit error rate of a half loses every frame, and zero ends that', async () => {
    expect(omni('link', 'set', '--testbed', name, 'space', 'down.ber=0.5').status).toBe(0);
    expect(
      omni('exec', '--testbed', name, 'surrey', '--', 'ping', '-c', '3', '-i', '0.1', '-W', '1', 'spacecraft').status,
    ).toBe(1);
    expect(omni('link', 'set', '--testbed', name, 'space', 'down.ber=0').status).toBe(0);
    expect(
      omni('exec', '--testbed', name, 'surrey', '--', 'ping', '-c', '3', '-i', '0.1', '-W', '5', 'spacecraft').status,
    ).toBe(0);
    const shown = omni('link', 'show', '--testbed', name, 'space');
    expect(shown.stdout).toContain('ber=0');
  });

  test('what cannot be changed is refused with the nearest, and a link that is not there with those that are', () => {
    const wrong = omni('link', 'set', '--testbed', name, 'space', 'down.bre=1e-5');
    expect(wrong.status).toBe(64);
    expect(wrong.stderr).toContain("did you mean 'down.ber'?");
    const absent = omni('link', 'set', '--testbed', name, 'spaec', 'ber=0');
    expect(absent.status).toBe(1);
    expect(absent.stderr).toContain('the links are space, cross');
  });

  test('contacts of the running testbed: the periodic ones of one link, the other always', () => {
    const { status, stdout } = omni('contacts', '--testbed', name, '--count', '3', '--json');
    expect(status).toBe(0);
    const { passes, always } = JSON.parse(stdout);
    expect(always).toEqual(['space']);
    expect(passes.map((pass: { aosSeconds: number }) => pass.aosSeconds)).toEqual([300, 900, 1500]);
    expect(passes[0]).toMatchObject({ link: 'cross', from: 'spacecraft', to: 'relay', durationSeconds: 60 });
    expect(passes[0].octetsUp).toBe(passes[0].octetsDown);
    expect(passes[0].octetsUp).toBeGreaterThan(0.9 * ((60 * 9600) / 8));
  });
});
