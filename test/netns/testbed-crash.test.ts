// Processes of a testbed are killed at random moments; `omni down`, or the next `omni up`, must leave a machine without a trace.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import { noTestbeds, outcome, TestbedSandbox } from '../support/testbed.ts';

const reason = noTestbeds();
if (reason !== undefined) console.log(`skipped: crashes of testbeds: ${reason}`);

const ROUNDS = Number(process.env.OMNI_CRASH_ROUNDS ?? 5);
const seed = process.env.OMNI_CRASH_SEED ?? String(process.pid);

describe.skipIf(reason !== undefined)(`crashes (OMNI_CRASH_SEED=${seed})`, () => {
  const sandbox = new TestbedSandbox('omk');
  const name = sandbox.prefix;
  const rng = new Rng(seed, 'crash');
  const foreign = `foreign-${process.pid}`;
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const kill = (pid: number | undefined, signal: NodeJS.Signals) => {
    try {
      process.kill(pid!, signal);
    } catch {
      // Gone already.
    }
  };
  let milliseconds = 600;

  beforeAll(async () => {
    // How long it takes here, so that the kills fall over the whole of it.
    const started = performance.now();
    await sandbox.run('up', 'uosat12', '--name', name);
    milliseconds = performance.now() - started;
    await sandbox.run('down');
    spawnSync('ip', ['netns', 'add', foreign]);
    mkdirSync(`/etc/netns/${foreign}`, { recursive: true });
  });
  afterEach(() => {
    // Nothing that is not ours was touched.
    expect(existsSync(`/run/netns/${foreign}`)).toBe(true);
    expect(existsSync(`/etc/netns/${foreign}`)).toBe(true);
  });
  afterAll(async () => {
    spawnSync('ip', ['netns', 'del', foreign]);
    rmSync(`/etc/netns/${foreign}`, { recursive: true, force: true });
    await sandbox.close();
  });

  /** `omni down`, or `omni up` and then `omni down`: both must cope. */
  async function recover(): Promise<void> {
    if (rng.below(2) === 0) {
      const up = await sandbox.run('up', 'uosat12', '--name', name);
      if (up.code === 75) expect(up.stderr).toMatch(/is up already/);
      else expect(up).toMatchObject({ code: 0 });
    }
    const down = await sandbox.run('down');
    if (down.code !== 0) expect(down).toMatchObject({ code: 75, stderr: expect.stringContaining('no testbed is up') });
    expect(sandbox.remains()).toEqual([]);
  }

  test(`${ROUNDS} rounds: omni up is killed (-9) at any moment`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const child = sandbox.start(['up', 'uosat12', '--name', name]);
      const ended = outcome(child);
      await pause(rng.uniform() * milliseconds * 1.1);
      kill(child.pid, 'SIGKILL');
      await ended;
      await recover();
    }
  });

  test(`${ROUNDS} rounds: any process that omni up started is killed (-9) at any moment`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const ended = outcome(sandbox.start(['up', 'uosat12', '--name', name]));
      await pause(rng.uniform() * milliseconds * 1.3);
      const processes = sandbox.processes();
      if (processes.length > 0) kill(processes[rng.below(processes.length)], 'SIGKILL');
      const up = await ended;
      // Either it noticed and left nothing, or it was up by then.
      if (up.code !== 0) expect({ ...up, remains: sandbox.remains() }).toMatchObject({ remains: [] });
      await recover();
    }
  });

  test(`${ROUNDS} rounds: omni down is killed (-9) at any moment`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      expect(await sandbox.run('up', 'uosat12', '--name', name)).toMatchObject({ code: 0 });
      const child = sandbox.start(['down', name]);
      const ended = outcome(child);
      await pause(rng.uniform() * 350);
      kill(child.pid, 'SIGKILL');
      await ended;
      await recover();
    }
  });

  test(`${ROUNDS} rounds: Ctrl-C during omni up leaves a clean machine or a running testbed, and says which`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const child = sandbox.start(['up', 'uosat12', '--name', name]);
      const ended = outcome(child);
      await pause(rng.uniform() * milliseconds * 1.1);
      kill(child.pid, 'SIGINT');
      const up = await ended;
      const running = sandbox.remains().length > 0;
      // It may also come when all is said and the process is about to end.
      if (up.code === 0 || /is up/.test(up.stdout + up.stderr)) expect(running).toBe(true);
      else {
        expect({ ...up, remains: sandbox.remains() }).toMatchObject({ remains: [] });
        // Before any of our code runs there is nobody to say it.
        if (up.code === 130 && up.stderr !== '') expect(up.stderr).toMatch(/has been removed/);
      }
      await recover();
    }
  });

  test('omni up that fails removes what it made even if its run directory was deleted under it', async () => {
    const child = sandbox.start(['up', 'uosat12', '--name', name]);
    const ended = outcome(child);
    while (!existsSync(`/run/netns/${name}-control`)) await pause(5);
    rmSync(sandbox.environment.OMNI_RUN_DIRECTORY!, { recursive: true, force: true });
    kill(child.pid, 'SIGINT');
    const up = await ended;
    expect({ ...up, remains: sandbox.remains() }).toMatchObject({ remains: [] });
  });

  test('what runs inside the namespaces ends with them', async () => {
    await sandbox.run('up', 'uosat12', '--name', name);
    const sleeper = sandbox.start([
      'exec',
      'control',
      '--',
      'sh',
      '-c',
      "trap '' TERM; echo started; while :; do sleep 1; done",
    ]);
    const ended = outcome(sleeper);
    await new Promise((resolve) => sleeper.stdout!.once('data', resolve));
    expect((await sandbox.run('down')).code).toBe(0);
    expect((await ended).code).toBe(137);
    expect(sandbox.remains()).toEqual([]);
  });

  test('a daemon that dies takes its app processes along, and status says that it is broken', async () => {
    const up = await sandbox.run('up', 'uosat12', '--name', name, '--json');
    kill(JSON.parse(up.stdout).daemonPid, 'SIGKILL');
    const deadline = performance.now() + 5000;
    while (sandbox.processes().length > 0 && performance.now() < deadline) await pause(20);
    expect(sandbox.processes()).toEqual([]);
    expect(await sandbox.run('status')).toMatchObject({ code: 75, stdout: expect.stringContaining('broken') });
    expect(await sandbox.run('exec', 'control', '--', 'true')).toMatchObject({ code: 75 });
    expect((await sandbox.run('down')).code).toBe(0);
    expect(sandbox.remains()).toEqual([]);
  });
});
