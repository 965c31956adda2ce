/**
 * Files across passes in a real testbed: stock clients, 512k down and 32k up, BER 1e-6, passes of 20 s. A pass that ends in the middle
 * costs nothing but its absence: the TCP connections live, the files are whole, and nearly all contact time carries payload.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { controlRequest } from '../../src/testbed/control.ts';
import type { DaemonStatus } from '../../src/testbed/daemon.ts';
import { testbedPaths } from '../../src/testbed/run-directory.ts';

const bin = join(import.meta.dirname, '..', '..', 'bin', 'omni');
const here = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const skip =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync('/dev/net/tun')
      ? 'needs /dev/net/tun'
      : !here('lftp') || !here('curl')
        ? 'needs lftp and curl'
        : undefined;

/** Minutes of passes: with OMNI_HEAVY=1, so that `npm test` stays short. */
const heavy = process.env.OMNI_HEAVY === '1';
const name = `fp${process.pid}`;
const PERIOD_SECONDS = 25;
const PASS_SECONDS = 20;
const DOWN_BIT_PER_SECOND = 512_000;
/** Three passes and a half, at nine tenths of what they carry. */
const FILE_OCTETS = 3_600_000;
/** Of a full segment: 1448 octets of file in 1500 of IP, frame header and FCS and one flag, and one stuffed bit in 62. */
const PAYLOAD_SHARE = 1448 / ((1500 + 4 + 2 + 1) * (63 / 62));
/** What one window is here: the link's queue of 20 packets. */
const WINDOW_OCTETS = 20 * 1448;
const SCENARIO = `
name: ${name}
seed: 11
nodes:
  spacecraft:
    kind: spacecraft
    address: 10.96.0.1
    ftp: { users: [{ name: operator, password: uosat12 }] }
  surrey: { kind: ground-station, address: 10.96.0.2 }
  control: { kind: control-centre }
links:
  space:
    between: [surrey, spacecraft]
    up: { rate: 32k, delay: 10ms, ber: 1e-6 }
    down: { rate: ${DOWN_BIT_PER_SECOND}, delay: 10ms, ber: 1e-6 }
    contacts: { period: ${PERIOD_SECONDS}s, duration: ${PASS_SECONDS}s }
networks:
  lan: { nodes: [surrey, control], prefix: 192.168.96.0/24 }
`;

let folder: string;
let files: string;
const kept = { run: process.env.OMNI_RUN_DIRECTORY, state: process.env.OMNI_STATE_DIRECTORY };

/** Runs a program on the control centre; the passes that it took, in seconds of contact. */
async function onControl(
  ...words: string[]
): Promise<{ code: number | null; contactSeconds: number; passes: number; out: string }> {
  const begin = await uptime();
  const child = spawn(bin, ['exec', '--testbed', name, 'control', '--', ...words], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HOME: folder, OMNI_QUEUE: join(folder, 'queue') },
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const end = await uptime();
  const [used, passes] = contact(begin, end);
  return { code, contactSeconds: used, passes, out };
}

async function uptime(): Promise<number> {
  const status = (await controlRequest(testbedPaths(name).controlSocket, 'status')) as DaemonStatus;
  return status.dataPlane.uptimeSeconds;
}

function contact(begin: number, end: number): [seconds: number, passes: number] {
  let used = 0;
  let passes = 0;
  for (let aos = 0; aos < end; aos += PERIOD_SECONDS) {
    const length = Math.min(end, aos + PASS_SECONDS) - Math.max(begin, aos);
    if (length > 0) passes++;
    used += Math.max(0, length);
  }
  return [used, passes];
}

/** TCP segments that the spacecraft has sent again since it came up. */
function retransmitted(): number {
  const options = ['exec', '--testbed', name, 'spacecraft', '--', 'cat', '/proc/net/snmp'];
  const [head, values] = spawnSync(bin, options, { encoding: 'utf8' }).stdout.match(/^Tcp:.*$/gm)!;
  return Number(values!.split(' ')[head!.split(' ').indexOf('RetransSegs')]);
}

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

describe.skipIf(skip !== undefined)(`across passes${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'omni-ftp-passes-'));
    chmodSync(folder, 0o755);
    process.env.OMNI_RUN_DIRECTORY = join(folder, 'run');
    process.env.OMNI_STATE_DIRECTORY = join(folder, 'state');
    writeFileSync(join(folder, 'scenario.yaml'), SCENARIO);
    const up = spawnSync(bin, ['up', join(folder, 'scenario.yaml')], { encoding: 'utf8' });
    if (up.status !== 0) throw new Error(up.stderr);
    const status = JSON.parse(spawnSync(bin, ['status', '--json'], { encoding: 'utf8' }).stdout) as unknown;
    files = /"root":"([^"]+)"/.exec(JSON.stringify(status))?.[1] ?? join(folder, 'state', name, 'spacecraft', 'files');
    writeFileSync(join(files, 'image'), randomBytes(FILE_OCTETS));
    writeFileSync(join(files, 'small'), randomBytes(FILE_OCTETS / 3));
  });
  afterAll(() => {
    spawnSync(bin, ['down', name, '--purge']);
    for (const [key, value] of [
      ['OMNI_RUN_DIRECTORY', kept.run],
      ['OMNI_STATE_DIRECTORY', kept.state],
    ] as const) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test.skipIf(!heavy)(
    'unmodified lftp fetches a file over at least 3 passes, in at least 90 % of the contact time’s capacity',
    async () => {
      const before = retransmitted();
      const { code, contactSeconds, passes } = await onControl(
        'lftp',
        '-c',
        'open -u operator,uosat12 spacecraft; get -c image -o got',
      );
      expect(code).toBe(0);
      expect(sha256(join(folder, 'got'))).toBe(sha256(join(files, 'image')));
      expect(passes).toBeGreaterThanOrEqual(3);
      const capacity = (contactSeconds * DOWN_BIT_PER_SECOND * PAYLOAD_SHARE) / 8;
      const share = FILE_OCTETS / capacity;
      console.log(
        `lftp: ${passes} passes, ${contactSeconds.toFixed(1)} s of contact, ${(share * 100).toFixed(1)} % of their payload capacity`,
      );
      expect(share).toBeGreaterThanOrEqual(0.9);
      const again = (retransmitted() - before) * 1448;
      // What the noise destroys must be sent again whatever happens: 1 − (1 − 1e-6)^12,000 of the segments, and as much for bad luck.
      const noise = 2 * 0.012 * FILE_OCTETS;
      console.log(`lftp: ${again} octets sent again, ${Math.round(noise / 2)} of them for the bit errors`);
      expect(again - noise).toBeLessThanOrEqual(passes * WINDOW_OCTETS);
    },
  );

  test.skipIf(!heavy)('curl -C - in a retry loop, cut off every 6 s, finishes the file', async () => {
    const loop = 'until curl -sS -m 6 -C - -o got2 ftp://operator:uosat12@spacecraft/small; do sleep 0.2; done';
    const { code, passes } = await onControl('sh', '-c', loop);
    expect([code, sha256(join(folder, 'got2'))]).toEqual([0, sha256(join(files, 'small'))]);
    expect(passes).toBeGreaterThanOrEqual(2);
  });

  test('omni fetch and omni put know the passes, and verify', async () => {
    writeFileSync(join(folder, 'commands'), randomBytes(60_000));
    const put = await onControl(bin, 'put', 'commands', 'spacecraft:/commands', '--user', 'operator:uosat12', '--json');
    expect(put.code).toBe(0);
    expect(JSON.parse(put.out)).toMatchObject({ state: 'done', verified: 'sha256', movedOctets: 60_000 });
    expect(sha256(join(files, 'commands'))).toBe(sha256(join(folder, 'commands')));
    const fetch = await onControl(bin, 'fetch', 'spacecraft:/commands', 'back', '--user', 'operator:uosat12', '--json');
    expect(JSON.parse(fetch.out)).toMatchObject({ state: 'done', verified: 'sha256', movedOctets: 60_000 });
  });
});
