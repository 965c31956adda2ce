/**
 * A spacecraft in operation, in a real testbed: telemetry, commands and NTP as an operator uses them; what a loss of signal swallowed
 * is stored on board, survives the process being killed, and fills the gap after the next acquisition; multicast telemetry
 * over a link that only comes down.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { controlRequest } from '../../src/testbed/control.ts';
import type { DaemonStatus } from '../../src/testbed/daemon.ts';
import { noTestbeds, OMNI, TestbedSandbox } from '../support/testbed.ts';

const skip = noTestbeds();
const LOS_SECONDS = 8;
const AOS_SECONDS = 14;
const scenario = (name: string): string => `
name: ${name}
nodes:
  spacecraft:
    kind: spacecraft
    address: 10.97.1.1
    clock: { offset: 300ms, tick: 10ms }
    ntp: { client: { server: surrey, discipline: omni, pollSeconds: 1, correction: stamped } }
    telemetry:
      downlink: { to: control, intervalSeconds: { housekeeping: 1, clock: 1, link: 0, storage: 0, mailQueue: 0, camera: 0 } }
    command: { keys: [{ id: 1, hmacSha256: ${'5a'.repeat(32)} }] }
    ftp: {}
    camera: { images: [{ name: one.png, octets: 4000 }] }
    smtp:
      relayFor: [127.0.0.0/8]
      routes: [{ domain: '*', host: surrey }]
      outbox: { rules: [{ match: '*', to: [pi@surrey] }] }
  beacon:
    kind: spacecraft
    address: 10.97.1.3
    telemetry: { downlink: { to: 239.7.7.7, guardSeconds: 1, intervalSeconds: { housekeeping: 0.5, storage: 1, link: 0 } } }
    routes: [{ to: 239.7.7.7/32, via: cast }]
  surrey:
    kind: ground-station
    address: 10.97.1.2
    ntp: { server: { rateLimitSeconds: 0 } }
    telemetry: { recorder: { group: 239.7.7.7 } }
    smtp: { relayFor: [10.97.1.0/24] }
  control: { kind: control-centre, telemetry: { recorder: {} } }
links:
  space: { between: [surrey, spacecraft], up: { rate: 9600, delay: 10ms }, down: { rate: 38400, delay: 10ms } }
  cast: { between: [surrey, beacon], up: { rate: 9600, contacts: never }, down: { rate: 9600, contacts: [{ aos: 0s, los: ${LOS_SECONDS}s }, { aos: ${AOS_SECONDS}s, los: 10min }] } }
networks:
  lan: { nodes: [surrey, control] }
`;

interface Packet {
  readonly packet: string;
  readonly sequenceCount: number;
  readonly time: string;
  readonly [parameter: string]: unknown;
}

describe.skipIf(skip !== undefined)(`operations (${skip ?? 'root, TUN'})`, () => {
  const sandbox = new TestbedSandbox('op');
  const name = sandbox.prefix;
  const state = join(sandbox.directory, 'state', name, 'spacecraft');

  /** The beacon's process is killed out of contact; runs beside the other tests. */
  let killed: Promise<void>;

  beforeAll(async () => {
    sandbox.environment.XDG_STATE_HOME = join(sandbox.directory, 'home');
    const file = join(sandbox.directory, 'operations.yaml');
    writeFileSync(file, scenario(name));
    expect(await sandbox.run('up', file)).toMatchObject({ code: 0 });
    killed = killInLossOfSignal();
  }, 60_000);
  afterAll(() => sandbox.close(), 60_000);

  const status = async (): Promise<DaemonStatus> =>
    (await controlRequest(join(sandbox.directory, 'run', name, 'control.sock'), 'status')) as DaemonStatus;
  const app = async (node = 'spacecraft') => (await status()).apps.find((a) => a.node === node)!;
  const packets = async (node: string): Promise<Packet[]> =>
    (await sandbox.run('tlm', 'show', '--node', node, '--json')).stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Packet);
  async function until<Value>(ask: () => Promise<Value>, enough: (value: Value) => boolean): Promise<Value> {
    for (;;) {
      const value = await ask();
      if (enough(value)) return value;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const uptime = async () => (await status()).dataPlane.uptimeSeconds;

  async function killInLossOfSignal(): Promise<void> {
    expect(await until(uptime, (seconds) => seconds > LOS_SECONDS + 2)).toBeLessThan(AOS_SECONDS - 1);
    const { pid } = await app('beacon');
    process.kill(pid, 'SIGKILL');
    await until(uptime, (seconds) => seconds > AOS_SECONDS + 5);
  }

  /** Sends commands one after the other from the control centre; what each said. */
  async function cmd(...commands: readonly string[]): Promise<string[]> {
    const script = commands.map(
      (words) => `${process.execPath} ${OMNI} cmd spacecraft ${words} --yes --timeout 60; echo "== $?"`,
    );
    const { stdout } = await sandbox.run('exec', 'control', '--', 'sh', '-c', script.join('\n'));
    return stdout
      .split(/^== /m)
      .map(
        (text, i, all) =>
          (i === 0 ? text : text.slice(text.indexOf('\n') + 1)) + (all[i + 1]?.[0] === '0' ? '' : ' FAILED'),
      )
      .slice(0, -1);
  }
  const completed = (what: string) =>
    expect.stringMatching(new RegExp(`^acceptance: .*\nstart: .*\ncompletion: ${what}.*\n$`));

  test('every command of the dictionary does what it says', { timeout: 120_000 }, async () => {
    // With --from and the testbed's key, as an operator has it from the shell of the machine.
    const ping = await sandbox.run('cmd', 'spacecraft', 'ping', '--from', 'surrey', '--timeout', '60');
    expect(ping).toEqual({ code: 0, stdout: 'acceptance: ping\nstart: ping\ncompletion: pong\n', stderr: '' });
    expect(await cmd('ntp on=off', 'clock-adjust seconds=3.25')).toEqual([
      completed('ntp off'),
      completed('clock stepped by 3.25 s'),
    ]);
    const ahead = JSON.parse((await sandbox.run('ntp', 'spacecraft', '--json')).stdout);
    expect(ahead.client.enabled).toBe(false);
    expect(ahead.trueErrorSeconds).toBeGreaterThan(3);
    expect(
      await cmd(
        'ntp on=on',
        'camera-take octets=3000',
        'file-dump path=one.png',
        'file-delete path=one.png',
        'file-delete path=../command.json',
        'queue-flush',
        'link-rate bitPerSec=19200',
        'telemetry-interval apid=1 seconds=0.5',
        'telemetry-replay seconds=1',
        `clock-set unixSeconds=${Date.now() / 1000 + 5}`,
        'mode mode=safe',
        'camera-take octets=3000',
        'mode mode=nominal',
        'reboot',
      ),
    ).toEqual([
      completed('ntp on'),
      completed('\\d{8}-\\d{6}-1.png'),
      completed('one.png is in the outbox'),
      completed('deleted one.png'),
      expect.stringMatching(/completionFailure: '\.\.\/command\.json' is not among the files\n FAILED$/),
      completed('\\d+ messages queued'),
      completed('space down at 19200 bit/s'),
      completed('APID 1 every 0.5 s'),
      completed('\\d+ packets to send again'),
      completed('clock stepped by -?[\\d.]+ s'),
      completed('mode safe'),
      expect.stringMatching(/completionFailure: not in safe mode\n FAILED$/),
      completed('mode nominal'),
      completed('rebooting'),
    ]);
    expect(readdirSync(join(state, 'files')).filter((f) => f.endsWith('.png'))).toHaveLength(1);
    expect(existsSync(join(state, 'command.json'))).toBe(true);
    const space = (await status()).dataPlane.links.find((l) => l.name === 'space')!;
    expect([space.up.rateBitPerSecond, space.down.rateBitPerSecond]).toEqual([9600, 19_200]);
    const rebooted = await until(app, (a) => a.state === 'running' && a.restarts === 1);
    expect(rebooted.lastEnd?.reason).toBe('it was commanded to reboot');
    expect(JSON.parse(readFileSync(join(state, 'mode.json'), 'utf8'))).toMatchObject({ bootCount: 2, mode: 'nominal' });
  });

  test('forged commands are refused, counted, and told in telemetry; blind ones are carried out once', {
    timeout: 60_000,
  }, async () => {
    const blind = (key: string) => sandbox.run('cmd', 'spacecraft', 'ping', '--blind', '--key', key);
    expect((await blind(`1:${'11'.repeat(32)}`)).code).toBe(0);
    expect((await blind(`1:${'5a'.repeat(32)}`)).code).toBe(0);
    const told = await until(
      async () => (await packets('control')).filter((p) => p.packet === 'housekeeping').at(-1)!,
      (last) => last.commandsExecuted === 1,
    );
    // Three copies forged; of three genuine ones two came too often.
    expect(told.commandsRefused).toBeGreaterThanOrEqual(3);
    expect(['forged', 'replayed']).toContain(told.lastRefusal);
    const counters = (await until(app, (a) => sum((a.services.command as Command).counters) >= 5)).services
      .command as Command;
    expect(counters.counters).toMatchObject({ 'refused.forged': 3, 'refused.replayed': 2, executed: 1 });
    // Over the reboot and the clock's steps no telemetry was lost.
    expect((await sandbox.run('tlm', 'gaps', '--node', 'control')).stdout).toMatch(
      /^\d+ packets, 0 missing in 0 gaps\n$/,
    );
  });

  test('multicast telemetry; what a loss of signal swallowed is kept through a killed process and fills the gap', {
    timeout: 120_000,
  }, async () => {
    await killed;
    const beacon = await app('beacon');
    expect(beacon).toMatchObject({
      state: 'running',
      restarts: 1,
      lastEnd: { reason: expect.stringContaining('SIGKILL') },
    });
    expect((await sandbox.run('tlm', 'gaps', '--node', 'surrey')).stdout).toMatch(
      /^\d+ packets, 0 missing in 0 gaps\n$/,
    );
    const { recorder } = (await app('surrey')).services.telemetry as { recorder: { counters: Record<string, number> } };
    const { downlink } = beacon.services.telemetry as { downlink: { to: string; counters: Record<string, number> } };
    console.log(`recorder ${JSON.stringify(recorder.counters)}; downlink since the kill ${JSON.stringify(downlink)}`);
    expect(downlink.to).toBe('239.7.7.7:11020');
    expect(downlink.counters.replayDatagrams).toBeGreaterThan(0);
    // Sequence counts went on over the restart: none twice, none left out. 6 s at 2 a second were out of contact.
    const counts = (await packets('surrey')).filter((p) => p.packet === 'housekeeping').map((p) => p.sequenceCount);
    expect(counts.toSorted((a, b) => a - b)).toEqual(counts.map((_, i) => i));
    expect(counts.length).toBeGreaterThan(2 * (AOS_SECONDS + 5) - 6);
    // In the router the dump has a class behind live telemetry.
    const router = (await status()).dataPlane.nodes.find((n) => n.name === 'beacon')!.router!;
    const dump = router.interfaces
      .find((i) => i.name === 'cast')!
      .output.classes.find((c) => c.name === 'telemetry-dump');
    expect(dump!.wait.count).toBeGreaterThan(0);
  });
});

interface Command {
  readonly counters: Readonly<Record<string, number>>;
}
const sum = (counters: Readonly<Record<string, number>>): number =>
  Object.entries(counters).reduce((total, [key, n]) => total + (key.startsWith('refused.') ? n : 0), 0);
