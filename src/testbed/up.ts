/**
 * Brings a testbed up, all or nothing. Order: the record of all that will be made; then the daemon (it loads while the kernel
 * makes namespaces); namespaces, sysctls, networks; the daemon's TUN devices; addresses and routes; then the data plane and
 * the app processes start. Until the record says `up`, the daemon ends itself when this process ends.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OmniError } from '../core/index.ts';
import type { ListenAddress } from '../io/metrics-server.ts';
import { loadNative } from '../io/native.ts';
import type { ResolvedScenario } from '../scenario/index.ts';
import { Child } from './child.ts';
import { requireCongestionControls } from './congestion-control.ts';
import { ipBatch } from './iproute.ts';
import { takeLock } from './lock.ts';
import { bridgeLines, hostsFile, namespaceLines, namespacesOf, networkLines, nodeLines } from './plan.ts';
import { requireTestbedMachine } from './preconditions.ts';
import { INSTANCE_VARIABLE, identify, isAlive } from './processes.ts';
import { removeTestbed } from './remove.ts';
import {
  ETC_NETNS_DIRECTORY,
  NETNS_DIRECTORY,
  readRecord,
  type TestbedPaths,
  type TestbedRecord,
  testbedPaths,
  writeRecord,
} from './run-directory.ts';
import { writeSysctls } from './sysctl.ts';

export interface UpOptions {
  readonly scenarioFile: string;
  /** Where the daemon serves metrics over HTTP; nowhere without it. */
  readonly metrics?: ListenAddress;
  /** It belongs to this process: its daemon ends when this process does, in whatever way. Remove it with `removeTestbed`. */
  readonly attached?: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** What goes on, for people. */
  progress(text: string): void;
}

export interface UpReport {
  readonly paths: TestbedPaths;
  readonly daemonPid: number;
  readonly namespaces: readonly string[];
  /** The address that metrics are served at. */
  readonly metrics?: string;
  readonly services: readonly {
    readonly node: string;
    readonly services: readonly string[];
    readonly problem?: string;
  }[];
}

/**
 * Throws OmniError: OMNI_TESTBED_UP and OMNI_TESTBED_BUSY change nothing; OMNI_NAME_TAKEN when a namespace of that name is
 * not ours; OMNI_INTERRUPTED and all others after everything that was made has been removed.
 */
export async function bringUp(scenario: ResolvedScenario, options: UpOptions): Promise<UpReport> {
  requireTestbedMachine();
  requireCongestionControls(scenario);
  const native = await loadNative();
  const paths = testbedPaths(scenario.name);
  const lock = await takeLock(paths);
  if (lock === undefined)
    throw new OmniError('OMNI_TESTBED_BUSY', `another omni command is building or removing '${scenario.name}'`, {
      remedy: 'wait for it, then try again',
    });
  try {
    await removeLeftovers(paths, options.progress);
    requireFreeNames(scenario);
    const record: TestbedRecord = {
      version: 1,
      name: scenario.name,
      instance: randomUUID(),
      phase: 'building',
      createdAt: new Date().toISOString(),
      scenarioFile: options.scenarioFile,
      namespaces: namespacesOf(scenario),
      madeEtcNetns: !existsSync(ETC_NETNS_DIRECTORY),
      ...(options.attached && { owner: identify(process.pid)! }),
    };
    writeRecord(paths, record);
    try {
      return await build(scenario, record, paths, native, options);
    } catch (error) {
      const log = lastLines(paths.daemonLog, 5);
      await removeTestbed(paths, { record });
      if (error instanceof OmniError && error.code === 'OMNI_DAEMON_ENDED' && log !== '')
        throw new OmniError(error.code, `${error.message}; its last words:\n${log}`);
      throw error;
    }
  } finally {
    lock.release();
  }
}

async function build(
  scenario: ResolvedScenario,
  record: TestbedRecord,
  paths: TestbedPaths,
  native: Awaited<ReturnType<typeof loadNative>>,
  options: UpOptions,
): Promise<UpReport> {
  const { instance } = record;
  const check = () => {
    if (options.signal.aborted) throw new OmniError('OMNI_INTERRUPTED', 'interrupted');
  };
  writeFileSync(paths.scenario, JSON.stringify(scenario));
  for (const node of scenario.nodes) {
    const directory = join(ETC_NETNS_DIRECTORY, node.namespace);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'hosts'), hostsFile(scenario, node));
  }
  const daemon = startDaemon(paths, instance);
  try {
    check();
    await ipBatch(namespaceLines(scenario), { instance });
    check();
    for (const node of scenario.nodes) writeSysctls(native, join(NETNS_DIRECTORY, node.namespace), node.sysctls);
    for (const { namespace } of scenario.networks)
      if (namespace !== undefined) writeSysctls(native, join(NETNS_DIRECTORY, namespace), BRIDGE_SYSCTLS);
    const [, tuns] = await Promise.all([
      ipBatch(networkLines(scenario), { instance }),
      daemon.request('open-tuns', options.signal),
    ]);
    options.progress(`${record.namespaces.length} namespaces, ${tuns} TUN devices`);
    check();
    await inParallel(
      [
        ...scenario.nodes.map((n) => ({ namespace: n.namespace, lines: nodeLines(n) })),
        ...scenario.networks.flatMap((n) =>
          n.namespace === undefined ? [] : [{ namespace: n.namespace, lines: bridgeLines(n) }],
        ),
      ],
      4,
      ({ namespace, lines }) => {
        check();
        return ipBatch(lines, { namespace, instance });
      },
    );
    check();
    const services = (await daemon.request('start', options.signal)) as UpReport['services'];
    check();
    const metrics =
      options.metrics === undefined
        ? undefined
        : ((await daemon.request('serve-metrics', options.signal, options.metrics)) as string);
    const identity = identify(daemon.pid);
    if (identity === undefined) throw new OmniError('OMNI_DAEMON_ENDED', 'the daemon ended');
    writeRecord(paths, { ...record, phase: 'up', daemon: identity });
    // From here on the testbed stays, whatever happens to this process.
    if (!options.attached) await daemon.request('stay');
    return {
      paths,
      daemonPid: daemon.pid,
      namespaces: record.namespaces,
      services,
      ...(metrics !== undefined && { metrics }),
    };
  } finally {
    if (options.attached && daemon.ended === undefined) daemon.unref();
    else daemon.release();
  }
}

/**
 * Only the main thread has real-time priority. V8's helper threads have not, and a collection waits for them: on a busy machine
 * that held links up for as long as a second.
 */
const DAEMON_FLAGS = ['--single-threaded-gc'];

const BRIDGE_SYSCTLS = { 'net.ipv6.conf.all.disable_ipv6': '1', 'net.ipv6.conf.default.disable_ipv6': '1' };

function startDaemon(paths: TestbedPaths, instance: string): Child {
  const log = openSync(paths.daemonLog, 'a', 0o644);
  chmodSync(paths.directory, 0o755);
  try {
    const program = fileURLToPath(new URL('./daemon-main.js', import.meta.url));
    return new Child(
      spawn(process.execPath, [...DAEMON_FLAGS, program, paths.directory], {
        // Its own session: a Ctrl-C or a closed terminal does not reach it.
        detached: true,
        stdio: ['ignore', log, log, 'ipc'],
        cwd: '/',
        env: { ...process.env, [INSTANCE_VARIABLE]: instance },
      }),
      'daemon',
    );
  } finally {
    closeSync(log);
  }
}

/** What an earlier testbed of this name left; throws when it is up. */
async function removeLeftovers(paths: TestbedPaths, progress: (text: string) => void): Promise<void> {
  if (!existsSync(paths.directory)) return;
  const record = readRecord(paths);
  if (record?.phase === 'up' && record.daemon !== undefined && isAlive(record.daemon))
    throw new OmniError('OMNI_TESTBED_UP', `the testbed '${record.name}' is up already (since ${record.createdAt})`, {
      remedy: `use it, end it with 'omni down ${record.name}', or give this one another name with --name`,
    });
  progress('removing what an earlier run left behind');
  await removeTestbed(paths);
}

function requireFreeNames(scenario: ResolvedScenario): void {
  const taken = namespacesOf(scenario).filter(
    (name) => existsSync(join(NETNS_DIRECTORY, name)) || existsSync(join(ETC_NETNS_DIRECTORY, name)),
  );
  if (taken.length > 0)
    throw new OmniError(
      'OMNI_NAME_TAKEN',
      `there is a network namespace or /etc/netns folder '${taken[0]}'${taken.length > 1 ? ` (and ${taken.length - 1} more)` : ''} already, and this omni did not make it`,
      {
        remedy: `remove it ('ip netns del ${taken[0]}', 'rm -r /etc/netns/${taken[0]}') or use another name with --name`,
      },
    );
}

export async function inParallel<Item>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, worker));
  const failure = results.find((r) => r.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
  } catch {
    return '';
  }
}
