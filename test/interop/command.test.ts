/** `omni cmd` as an operator runs it, against the spacecraft's service: blind, reliable, filed, time-tagged, replayed after a reboot. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clockSettings } from '../../src/apps/ntp/index.ts';
import { hostClock, NodeClock } from '../../src/io/clock.ts';
import { onboard } from '../../src/node/onboard.ts';
import type { Service, ServiceContext } from '../../src/node/service.ts';
import { startCommand } from '../../src/node/services/command.ts';
import { startNtp } from '../../src/node/services/ntp.ts';
import { KEY, telecommand } from '../support/command.ts';

const omni = fileURLToPath(new URL('../../bin/omni', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)));
if (!built) console.warn('SKIPPED: commanding: dist is not built: npm run setup');

describe.skipIf(!built)('omni cmd', () => {
  let folder: string;
  let services: Service[];
  let port: number;
  let clock: NodeClock;
  let log: string[];

  const context = (settings: unknown): ServiceContext => ({
    scenario: 'command-test',
    node: 'sat',
    settings,
    stateDirectory: join(folder, 'state'),
    runDirectory: folder,
    clock,
    contacts: { always: true, next: () => [] },
    log: (line) => log.push(line),
  });
  const boot = async () => {
    const command = await startCommand(context({ listen: `127.0.0.1:${port}`, keys: [KEY] }));
    const ntp = await startNtp(context({ client: { server: '127.0.0.1:9', enabled: true } }));
    services = [command, ntp];
    port = (command.status() as { listening: { port: number } }).listening.port;
  };
  const halt = async () => {
    for (const service of services.splice(0)) await service.close();
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'omni-command-'));
    mkdirSync(join(folder, 'state', 'files'), { recursive: true });
    clock = new NodeClock(clockSettings.parse({}), { host: hostClock() });
    log = [];
    port = 0;
    await boot();
  });
  afterEach(async () => {
    await halt();
    rmSync(folder, { recursive: true });
  });

  /** The service runs in this process, so the verb must not block it. */
  async function cmd(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [omni, 'cmd', ...args], {
      env: { ...process.env, OMNI_COMMAND_KEY: `1:${KEY.hmacSha256}`, XDG_STATE_HOME: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    await once(child, 'close');
    return { status: child.exitCode, stdout, stderr };
  }
  const node = () => `127.0.0.1:${port}`;
  const status = () => services[0]!.status() as { counters: Record<string, number>; mode: string; bootCount: number };
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  test('reliable: the stages come back; a failure is exit 1', async () => {
    expect(await cmd(node(), 'ping')).toEqual({
      status: 0,
      stdout: 'acceptance: ping\nstart: ping\ncompletion: pong\n',
      stderr: '',
    });
    const failed = await cmd(node(), 'file-delete', 'path=../secret', '--yes');
    expect(failed).toMatchObject({ status: 1, stdout: expect.stringContaining('completionFailure: ') });
    writeFileSync(join(folder, 'state', 'files', 'old.img'), 'x');
    const { stages } = JSON.parse((await cmd(node(), 'file-delete', 'path=old.img', '--yes', '--json')).stdout);
    expect(stages.at(-1)).toMatchObject({ stage: 'completion', detail: 'deleted old.img' });
    expect(existsSync(join(folder, 'state', 'files', 'old.img'))).toBe(false);
  });

  test('blind: sent five times, carried out once; NTP is switched off and the clock set', async () => {
    expect((await cmd(node(), 'ntp', 'on=off', '--blind', '--copies', '5')).status).toBe(0);
    await cmd(node(), 'clock-adjust', 'seconds=3.25', '--blind', '--copies', '2');
    await until(() => (status().counters.executed ?? 0) === 2);
    expect(clock.error()).toBeCloseTo(3.25, 3);
    expect(services[1]!.status()).toMatchObject({ client: { enabled: false } });
    expect(onboard({ scenario: 'command-test', node: 'sat' }).read('clock')).toMatchObject({ ntpEnabled: false });
    await until(() => (status().counters['refused.replayed'] ?? 0) === 5);
  });

  test('safe mode survives a reboot and refuses what could make things worse; a command replayed after the reboot is refused', async () => {
    const replay = telecommand('mode', { mode: 'nominal' }, 1);
    const send = async (octets: Uint8Array) => {
      const socket = createSocket('udp4');
      await new Promise((resolve) => socket.send(octets, port, '127.0.0.1', resolve));
      socket.close();
    };
    await send(replay);
    await until(() => status().counters.executed === 1);
    expect((await cmd(node(), 'mode', 'mode=safe')).status).toBe(0);
    await halt();
    await boot();
    expect(status()).toMatchObject({ mode: 'safe', bootCount: 2 });
    await send(replay);
    await until(() => (status().counters['refused.outOfWindow'] ?? 0) === 1);
    expect(status().mode).toBe('safe');
    expect(await cmd(node(), 'camera-take', 'octets=0')).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('not in safe mode'),
    });
  });

  test('a file of commands, appended one by one, is carried out in order and once', async () => {
    const file = join(folder, 'pass.tc');
    await cmd('spacecraft', 'clock-adjust', 'seconds=1', '--out', file);
    await cmd('spacecraft', 'mode', 'mode=safe', '--out', file);
    await cmd('spacecraft', 'ping', '--out', file);
    const drop = join(folder, 'state', 'files', 'commands');
    writeFileSync(join(drop, 'pass.tc'), readFileSync(file));
    await until(() => status().counters.executed === 3);
    expect(log.filter((l) => l.includes('stage=completion')).map((l) => /opcode=(\d+)/.exec(l)![1])).toEqual([
      '17',
      '32',
      '1',
    ]);
    writeFileSync(join(drop, 'again.tc'), readFileSync(file));
    writeFileSync(join(drop, 'bad.tc'), 'not a command');
    await until(() => readdirSync(drop).includes('bad.tc.refused'));
    expect(status().counters).toMatchObject({ executed: 3, 'refused.replayed': 3 });
    expect(readdirSync(drop).sort()).toEqual(['again.tc.done', 'bad.tc.refused', 'pass.tc.done']);
  });

  test('a mailed command load is carried out when its order says; a file goes to the mail outbox', async () => {
    const loads = join(folder, 'state', 'commands', 'loads');
    mkdirSync(loads, { recursive: true });
    mkdirSync(join(folder, 'state', 'outbox'));
    writeFileSync(join(folder, 'state', 'files', 'limb.png'), 'picture');
    await cmd('spacecraft', 'file-dump', 'path=limb.png', '--out', join(loads, 'a.load.part'));
    writeFileSync(join(loads, 'a.json'), JSON.stringify({ accepted: true, runAt: null }));
    writeFileSync(join(loads, 'b.json'), JSON.stringify({ accepted: true, runAt: '2100-01-01T00:00:00Z' }));
    writeFileSync(join(loads, 'b.load'), telecommand('mode', { mode: 'safe' }, 3));
    writeFileSync(join(loads, 'a.load'), readFileSync(join(loads, 'a.load.part')));
    await until(() => (status().counters.executed ?? 0) + (status().counters.failed ?? 0) === 1);
    expect(readFileSync(join(folder, 'state', 'outbox', 'limb.png'), 'utf8')).toBe('picture');
    expect(readdirSync(loads)).toContain('b.load');
    expect(status().mode).toBe('nominal');
  });

  test('time-tagged: accepted now, carried out at its time', async () => {
    const time = new Date(Date.now() + 1500).toISOString();
    expect((await cmd(node(), 'clock-adjust', 'seconds=1', '--at', time)).stdout).toBe('acceptance: clock-adjust\n');
    await until(() => status().counters.executed === 1);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(time));
    const late = await cmd(node(), 'ping', '--at', '2020-01-01T00:00:00Z');
    expect(late).toMatchObject({ status: 1, stdout: expect.stringContaining('acceptanceFailure: late') });
  });

  test('hostile TCP streams end the connection, not the service; too many octets are counted', async () => {
    for (const octets of [
      Buffer.alloc(4096, 0xff),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from('1810c0010000ff', 'hex'),
    ]) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.end(octets);
      await once(socket, 'close');
    }
    expect(status().counters['refused.oversized']).toBeGreaterThan(0);
    expect((await cmd(node(), 'ping')).status).toBe(0);
  });

  test('says what is wrong before anything is sent, shows a dry run, and completes', async () => {
    expect(await cmd(node(), 'pong')).toMatchObject({
      status: 64,
      stderr: expect.stringContaining("no command 'pong'"),
    });
    expect(await cmd(node(), 'mode', 'mode=party')).toMatchObject({
      status: 64,
      stderr: expect.stringContaining('safe, nominal'),
    });
    expect(await cmd(node(), 'reboot')).toMatchObject({ status: 64, stderr: expect.stringContaining('--yes') });
    expect((await cmd(node(), 'ping', '--dry-run')).stdout).toContain('59 octets');
    expect(status().counters).toEqual({});
    const complete = async (line: string) => {
      const child = spawn(process.execPath, [omni, 'cmd', '--complete'], { env: { ...process.env, COMP_LINE: line } });
      let out = '';
      child.stdout.on('data', (chunk) => {
        out += chunk;
      });
      await once(child, 'close');
      return out.trim().split('\n');
    };
    expect(await complete('omni cmd sat file-')).toEqual(['file-dump', 'file-delete']);
    expect(await complete('omni cmd sat mode ')).toEqual(['mode=safe', 'mode=nominal']);
  });
});
