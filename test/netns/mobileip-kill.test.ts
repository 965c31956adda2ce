// kill -9 of home agent, foreign agents and mobile node at random, the next as soon as service is back: it is back within a registration's
// time of the process, transfers end whole, no connection is reset or refused while it is made, and no route, rule or binding of a
// dead process is left. 6 times; 100 with OMNI_HEAVY=1.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import { controlRequest } from '../../src/testbed/control.ts';
import { Probe, writeVariant } from '../support/mobileip-testbed.ts';
import { noTestbeds, onPath, outcome, TestbedSandbox } from '../support/testbed.ts';

const PYTHON = '/usr/bin/python3';
const reason =
  noTestbeds() ?? (onPath('curl') && spawnSync(PYTHON, ['-V']).status === 0 ? undefined : 'needs curl, python3');
if (reason !== undefined) console.log(`skipped: Mobile IP agents killed: ${reason}`);
const KILLS = process.env.OMNI_HEAVY === '1' ? 100 : 6;
if (KILLS < 100) console.log(`Mobile IP agents are killed ${KILLS} times; 100 with OMNI_HEAVY=1`);
const SEED = Number(process.env.OMNI_SEED ?? 107);

const STATIONS = ['dryden', 'merritt', 'wallops'] as const;
const VICTIMS = ['goddard', 'spacecraft', ...STATIONS] as const;
const HOME = '10.9.0.5';
const PORT = 8000;
/** Connects, asks, reads to the end, again and again; a line for each: `ok`, or the error's code. */
const SHORT_CONNECTIONS = `
const next = () => {
  const socket = require('node:net').connect(${PORT}, '${HOME}', () => socket.end('GET /small HTTP/1.0\\r\\n\\r\\n'));
  let outcome = 'ok';
  socket.on('error', ({ code }) => { outcome = code; });
  socket.on('close', () => { console.log(outcome); setTimeout(next, 20); });
  socket.resume();
};
next();`;
/**
 * Two registrations may not be closer than a second, then a round trip. What met a dead process is repeated at intervals that double
 * (RFC 5944 section 3.6.3): the next repetition comes after at most as long again as the process was gone.
 */
const longestMilliseconds = (goneMilliseconds: number): number => 1500 + goneMilliseconds;

interface App {
  readonly node: string;
  readonly pid: number;
  readonly state: string;
  readonly restarts: number;
  readonly services: {
    readonly mobileNode?: { readonly state: string; readonly registration?: { readonly careOfAddress: string } };
    readonly foreignAgent?: { readonly visitors: readonly { readonly homeAddress: string; readonly link: string }[] };
    readonly homeAgent?: { readonly bindings: readonly { readonly careOfAddress: string }[] };
  };
}

describe.skipIf(reason !== undefined)(`${KILLS} times kill -9`, () => {
  const sandbox = new TestbedSandbox('omkill');
  const name = sandbox.prefix;
  const children: ChildProcess[] = [];
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await sandbox.close();
  });

  const socket = join(sandbox.environment.OMNI_RUN_DIRECTORY!, name, 'control.sock');
  const apps = async () => ((await controlRequest(socket, 'status', {})) as { apps: readonly App[] }).apps;
  const inside = (node: string, args: readonly string[]) =>
    spawn('ip', ['netns', 'exec', `${name}-${node}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const show = (node: string, ...args: string[]) =>
    spawnSync('ip', ['-n', `${name}-${node}`, ...args], { encoding: 'utf8' }).stdout;

  /** When the daemon says the process is back, nanoseconds of the monotonic clock. */
  async function restarted(node: string, restarts: number): Promise<bigint> {
    const log = join(sandbox.environment.OMNI_RUN_DIRECTORY!, name, 'daemon.log');
    for (let attempt = 0; attempt < 3000; attempt++) {
      const line = readFileSync(log, 'utf8')
        .split('\n')
        .find((each) => each.includes(`event=app-restarted node=${node} restarts=${restarts} `));
      if (line !== undefined)
        return process.hrtime.bigint() - BigInt(Date.now() - Date.parse(line.split(' ')[0]!)) * 1_000_000n;
      await pause(20);
    }
    throw new Error(`${node} never came back`);
  }

  async function firstArrival(probe: Probe, after: bigint): Promise<bigint> {
    for (let attempt = 0; attempt < 1500; attempt++) {
      const found = probe.arrivals.find(({ at }) => at > after);
      if (found !== undefined) return found.at;
      await pause(20);
    }
    throw new Error('service never came back');
  }

  /** How connections that last for a moment end, by outcome. */
  function shortConnections(): { readonly counts: Map<string, number>; stop(): void } {
    const counts = new Map<string, number>();
    const child = inside('control', [process.execPath, '-e', SHORT_CONNECTIONS]);
    children.push(child);
    child.stdout!.on('data', (chunk: Buffer) => {
      for (const outcome of chunk.toString().trim().split('\n')) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    });
    return { counts, stop: () => child.kill('SIGKILL') };
  }

  /** Should a transfer be reset, this says why the kernel did it. */
  function aborts(): string {
    const args = ['netns', 'exec', `${name}-spacecraft`, 'cat', '/proc/net/netstat'];
    const [names, values] = spawnSync('ip', args, { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line.startsWith('TcpExt:'))
      .map((line) => line.split(' '));
    const counted = names?.flatMap((each, i) =>
      /^TCP(Abort|Timeouts$|SpuriousRTOs$)/.test(each) && values![i] !== '0' ? [`${each} ${values![i]}`] : [],
    );
    return counted?.join(', ') ?? '';
  }

  /** How often the spacecraft's user-space router told a sender that its packet cannot go on, for want of a route. */
  async function routerErrors(): Promise<number> {
    const { dataPlane } = (await controlRequest(socket, 'status', {})) as {
      dataPlane: { nodes: readonly { name: string; router?: { icmpErrorsSent: number } }[] };
    };
    return dataPlane.nodes.find((each) => each.name === 'spacecraft')!.router!.icmpErrorsSent;
  }

  /** What is in the kernels and what the agents say must be one and the same. */
  async function stale(): Promise<string[]> {
    const all = await apps();
    const of = <Key extends keyof App['services']>(node: string, key: Key) =>
      all.find((app) => app.node === node)?.services[key];
    const complaints: string[] = [];
    const registration = of('spacecraft', 'mobileNode')?.registration?.careOfAddress;
    const bindings = of('goddard', 'homeAgent')?.bindings.map((each) => each.careOfAddress);
    if (JSON.stringify(bindings) !== JSON.stringify([registration]))
      complaints.push(`bindings ${JSON.stringify(bindings)}, registered at ${registration}`);
    for (const station of STATIONS) {
      const visitors = of(station, 'foreignAgent')?.visitors.map((each) => each.homeAddress) ?? ['not answering'];
      const routes = show(station, 'route', 'show', 'proto', '144')
        .split('\n')
        .filter((line) => line.startsWith(HOME));
      const rules = show(station, 'rule', 'show')
        .split('\n')
        .filter((line) => line.startsWith('434:'));
      if (routes.length !== visitors.length || rules.length !== visitors.length)
        complaints.push(`${station}: visitors ${visitors}, routes [${routes}], rules [${rules}]`);
    }
    for (const node of VICTIMS) {
      const devices = show(node, '-br', 'link')
        .split('\n')
        .filter((line) => line.startsWith('mip'));
      if (devices.length !== 1) complaints.push(`${node}: devices ${devices}`);
    }
    const home = show('goddard', 'route', 'show', 'proto', '144').trim().split('\n');
    if (home.length !== 2) complaints.push(`goddard: routes ${home}`);
    return complaints;
  }

  test('service comes back, transfers end whole, nothing stale is left', async () => {
    const file = writeVariant(join(sandbox.directory, 'kill.yaml'), {
      name,
      everySeconds: 6,
      lastsSeconds: 7,
      up: '256k',
      down: '512k',
      mobileNode: { lifetimeSeconds: 300 },
    });
    const up = await sandbox.run('up', file);
    expect(up.code, up.stderr).toBe(0);
    // The transfer's server must not be in a process that is killed: any stock one will do.
    const content = randomBytes(KILLS < 100 ? 100_000 : 300_000);
    writeFileSync(join(sandbox.directory, 'image.raw'), content);
    writeFileSync(join(sandbox.directory, 'small'), 'small');
    const server = [PYTHON, '-m', 'http.server', '--bind', HOME, '--directory', sandbox.directory, String(PORT)];
    children.push(spawn('ip', ['netns', 'exec', `${name}-spacecraft`, ...server], { stdio: 'ignore' }));
    const toGround = await Probe.start(`${name}-spacecraft`, `${name}-control`, '192.168.9.2', 20);
    const toSpace = await Probe.start(`${name}-control`, `${name}-spacecraft`, HOME, 20);
    await firstArrival(toSpace, process.hrtime.bigint());
    const before = await routerErrors();

    let over = false;
    const transfers: { code: number; same: boolean; stderr: string }[] = [];
    const wanted = createHash('sha256').update(content).digest('hex');
    const transferring = (async () => {
      while (!over) {
        const target = join(sandbox.directory, 'received.raw');
        const done = await outcome(
          inside('control', ['curl', '-sS', '-o', target, `http://${HOME}:${PORT}/image.raw`]),
        );
        const same = done.code === 0 && createHash('sha256').update(readFileSync(target)).digest('hex') === wanted;
        transfers.push({ code: done.code, same, stderr: done.stderr });
      }
    })();

    const short = shortConnections();

    const rng = new Rng(SEED, 'kills');
    const kills = new Map<string, number>();
    const times: { victim: string; milliseconds: number; gap: number }[] = [];
    for (let i = 0; i < KILLS; i++) {
      // Each of them once, then at random.
      const victim = VICTIMS[i] ?? VICTIMS[rng.below(VICTIMS.length)]!;
      const app = (await apps()).find(({ node }) => node === victim)!;
      // By pid, and only what is ours.
      expect(readFileSync(`/proc/${app.pid}/environ`, 'latin1')).toContain(sandbox.environment.OMNI_RUN_DIRECTORY!);
      const killed = process.hrtime.bigint();
      process.kill(app.pid, 'SIGKILL');
      const count = (kills.get(victim) ?? 0) + 1;
      kills.set(victim, count);
      const back = await restarted(victim, count);
      const arrivals = await Promise.all([firstArrival(toGround, back), firstArrival(toSpace, back)]);
      const served = arrivals.reduce((a, b) => (a > b ? a : b));
      times.push({ victim, milliseconds: Number(served - back) / 1e6, gap: Number(served - killed) / 1e6 });
    }
    const last = performance.now();
    // Visits and bindings settle: a revocation to a station that was dead is repeated.
    let complaints = await stale();
    for (let attempt = 0; attempt < 60 && complaints.length > 0; attempt++) {
      await pause(250);
      complaints = await stale();
    }
    const settled = (performance.now() - last) / 1000;
    over = true;
    await transferring;
    // One whose first SYNs met dead processes ends when TCP repeats the next, after seven seconds or fifteen.
    for (let attempt = 0; attempt < 600 && short.counts.size === 0; attempt++) await pause(100);
    short.stop();
    toGround.stop();
    toSpace.stop();
    const sorted = times.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
    console.log(
      `${KILLS} kills (seed ${SEED}): ${[...kills].map(([victim, n]) => `${victim} ${n}`).join(', ')}; service back after the process: median ${sorted[sorted.length >> 1]!.toFixed(0)} ms, longest ${sorted.at(-1)!.toFixed(0)} ms; from kill to service: longest ${Math.max(...times.map(({ gap }) => gap)).toFixed(0)} ms; settled after ${settled.toFixed(1)} s; ${transfers.filter(({ same }) => same).length} of ${transfers.length} transfers whole; short connections: ${[...short.counts].map(([what, n]) => `${what} ${n}`).join(', ')}`,
    );
    console.log(`aborts by the spacecraft's TCP: ${aborts()}`);
    expect(complaints).toEqual([]);
    expect(times.filter(({ milliseconds, gap }) => milliseconds > longestMilliseconds(gap - milliseconds))).toEqual([]);
    expect(transfers.filter(({ code, same }) => code !== 0 || !same)).toEqual([]);
    expect(transfers.length).toBeGreaterThan(0);
    expect((await routerErrors()) - before).toBe(0);
    expect([...short.counts.keys()]).toEqual(['ok']);
    expect((await sandbox.run('down', name)).code).toBe(0);
    for (const child of children.splice(0)) child.kill('SIGKILL');
    expect(sandbox.remains()).toEqual([]);
  }, 900_000);
});
