/**
 * A testbed of a sweep: built for one cell, it carries the cell's repetitions one after the other. Between two of them its data
 * plane is begun anew with the next seed, once every connection has ended: what the next run meets is what it would meet in a new
 * testbed, at a tenth of the cost. Where the past could show (contacts, packets held, a connection that does not end) it is not used again.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { OmniError } from '../../core/index.ts';
import { loadNative, type Native } from '../../io/native.ts';
import { parseScenario, type ResolvedScenario } from '../../scenario/index.ts';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { takeLock } from '../../testbed/lock.ts';
import { isAlive } from '../../testbed/processes.ts';
import { removeTestbed } from '../../testbed/remove.ts';
import {
  NETNS_DIRECTORY,
  readRecord,
  type TestbedPaths,
  testbedNames,
  testbedPaths,
} from '../../testbed/run-directory.ts';
import { bringUp } from '../../testbed/up.ts';
import type { Cell } from './cell.ts';
import { TcpInfoListener } from './tcp-info.ts';

const POLL_MILLISECONDS = 20;
/** LISTEN and TIME_WAIT in /proc/net/tcp: sockets that send nothing of their own accord. */
const SILENT_STATES = ['0A', '06'];

export class Bed {
  readonly cell: Cell;
  readonly paths: TestbedPaths;
  readonly scenario: ResolvedScenario;
  readonly tcpInfo: TcpInfoListener;
  #used = false;

  private constructor(cell: Cell, scenario: ResolvedScenario) {
    this.cell = cell;
    this.scenario = scenario;
    this.paths = testbedPaths(scenario.name);
    this.tcpInfo = new TcpInfoListener(this.node(this.sender).namespace, process.env);
  }

  static async build(cell: Cell, seed: string, signal: AbortSignal): Promise<Bed> {
    const name = nextName();
    const scenario = parseScenario(stringify({ ...parse(cell.document), name, seed }), {
      file: cell.file,
      directory: join(cell.file, '..'),
    });
    await bringUp(scenario, { scenarioFile: cell.file, signal, attached: true, progress: () => {} });
    return new Bed(cell, scenario);
  }

  /** Ready for a run with this seed. */
  async prepare(seed: string): Promise<void> {
    if (this.#used) await this.request('restart', { seed });
    this.tcpInfo.clear();
    this.#used = true;
  }

  get sender(): string {
    const { link, settings, spacecraft, client } = this.cell;
    const from = settings.direction === 'up' ? link.from : link.to;
    return from === spacecraft ? spacecraft : client;
  }

  node(name: string) {
    return this.scenario.nodes.find((node) => node.name === name)!;
  }

  namespacePath(name: string): string {
    return join(NETNS_DIRECTORY, this.node(name).namespace);
  }

  address(name: string): string {
    return this.node(name).addresses.find((address) => !address.includes(':'))!;
  }

  request(method: string, params: object = {}): Promise<unknown> {
    return controlRequest(this.paths.controlSocket, method, params);
  }

  status(): Promise<DaemonStatus> {
    return this.request('status') as Promise<DaemonStatus>;
  }

  /** Waits until every connection has ended and nothing is queued or on its way; false when that takes longer. */
  async settle(milliseconds: number): Promise<boolean> {
    const native = await loadNative();
    const until = performance.now() + milliseconds;
    for (;;) {
      const speaking = this.scenario.nodes.some(({ namespace }) =>
        hasConnections(native, join(NETNS_DIRECTORY, namespace)),
      );
      if (!speaking && isEmpty(await this.status())) return true;
      if (performance.now() >= until) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    }
  }

  /** Whether a next run would find nothing of the last one. */
  get reusable(): boolean {
    const { links, nodes } = this.scenario;
    const intermittent = links.some(({ up, down }) => [up, down].some(({ contacts }) => contacts.kind !== 'always'));
    const remembers = nodes.some(
      ({ clock, services }) => clock !== undefined || 'smtp' in services || 'telemetry' in services,
    );
    return !intermittent && !remembers;
  }

  async remove(): Promise<void> {
    this.tcpInfo.close();
    await removeOwned(this.paths);
  }
}

let made = 0;

/** Of fixed width, so that names that appear in packets (a greeting) are as long in every run. */
function nextName(): string {
  return `sweep-${String(process.pid).padStart(7, '0')}-${String(++made).padStart(5, '0')}`;
}

async function removeOwned(paths: TestbedPaths): Promise<void> {
  const lock = await takeLock(paths);
  if (lock === undefined) throw new OmniError('OMNI_TESTBED_BUSY', `another omni command works on ${paths.directory}`);
  try {
    await removeTestbed(paths, { purge: true });
  } finally {
    lock.release();
  }
}

/** Testbeds that belonged to sweeps that were killed. @returns how many were removed */
export async function removeOrphans(): Promise<number> {
  let removed = 0;
  for (const name of testbedNames()) {
    const paths = testbedPaths(name);
    const owner = readRecord(paths)?.owner;
    if (owner === undefined || isAlive(owner)) continue;
    const lock = await takeLock(paths);
    if (lock === undefined) continue;
    try {
      await removeTestbed(paths, { purge: true });
      removed++;
    } finally {
      lock.release();
    }
  }
  return removed;
}

/** /proc/net shows the namespace of the thread that opens a file. */
function hasConnections(native: Native, namespace: string): boolean {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  let table: string;
  try {
    native.enterNetworkNamespace(namespace);
    try {
      table = readFileSync('/proc/thread-self/net/tcp', 'latin1') + tcp6();
    } finally {
      native.enterNetworkNamespace(`/proc/self/fd/${home}`);
    }
  } finally {
    closeSync(home);
  }
  return table.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return state !== undefined && local?.includes(':') && !SILENT_STATES.includes(state);
  });
}

function tcp6(): string {
  try {
    return readFileSync('/proc/thread-self/net/tcp6', 'latin1');
  } catch {
    return '';
  }
}

function isEmpty({ dataPlane }: DaemonStatus): boolean {
  return dataPlane.links.every(({ up, down }) => [up, down].every(({ counters }) => counters.packetsInFlight === 0));
}
