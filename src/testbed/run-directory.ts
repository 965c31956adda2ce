/**
 * Where a testbed keeps what it needs while it is up: `/run/omni/<name>` (OMNI_RUN_DIRECTORY replaces `/run/omni`).
 *
 *   record.json     what was or may have been made: written before anything is, removed last
 *   scenario.json   the resolved scenario, for the daemon and the app processes
 *   control.sock    the daemon's control socket, JSON lines
 *   daemon.log      and `<node>.log` for each app process
 *   nodes/<node>/   run directories of the services
 *
 * What must outlive the testbed (files on the spacecraft, mail queues) lies in `/var/lib/omni/<name>/<node>`
 * (OMNI_STATE_DIRECTORY replaces `/var/lib/omni`) until `omni down --purge`.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const NETNS_DIRECTORY = '/run/netns';
export const ETC_NETNS_DIRECTORY = '/etc/netns';

export interface TestbedPaths {
  readonly directory: string;
  readonly record: string;
  readonly scenario: string;
  readonly controlSocket: string;
  readonly daemonLog: string;
  readonly state: string;
}

export const runRoot = (): string => process.env.OMNI_RUN_DIRECTORY ?? '/run/omni';
const stateRoot = (): string => process.env.OMNI_STATE_DIRECTORY ?? '/var/lib/omni';

export function testbedPaths(name: string): TestbedPaths {
  const directory = join(runRoot(), name);
  return {
    directory,
    record: join(directory, 'record.json'),
    scenario: join(directory, 'scenario.json'),
    controlSocket: join(directory, 'control.sock'),
    daemonLog: join(directory, 'daemon.log'),
    state: join(stateRoot(), name),
  };
}

export const nodeLog = (paths: TestbedPaths, node: string): string => join(paths.directory, `${node}.log`);
export const nodeRunDirectory = (paths: TestbedPaths, node: string): string => join(paths.directory, 'nodes', node);
export const nodeStateDirectory = (paths: TestbedPaths, node: string): string => join(paths.state, node);

/** What a testbed made or was about to make. Removal goes by this and by nothing else. */
export interface TestbedRecord {
  readonly version: 1;
  readonly name: string;
  /** Every process of the testbed has it as OMNI_INSTANCE in its environment. */
  readonly instance: string;
  readonly phase: 'building' | 'up';
  readonly createdAt: string;
  readonly scenarioFile: string;
  readonly namespaces: readonly string[];
  /** /etc/netns was not there before. */
  readonly madeEtcNetns: boolean;
  readonly daemon?: { readonly pid: number; readonly startTime: string };
  /** The process that the testbed belongs to and ends with (a sweep); without it the testbed stays until `omni down`. */
  readonly owner?: { readonly pid: number; readonly startTime: string };
}

/** In one step: a reader, or a crash, sees the old record or the new one. */
export function writeRecord(paths: TestbedPaths, record: TestbedRecord): void {
  mkdirSync(paths.directory, { recursive: true, mode: 0o755 });
  const temporary = `${paths.record}.new`;
  writeFileSync(temporary, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
  renameSync(temporary, paths.record);
}

/** Undefined when there is none. A directory without a record is what a crash left before anything else was made. */
export function readRecord(paths: TestbedPaths): TestbedRecord | undefined {
  try {
    return JSON.parse(readFileSync(paths.record, 'utf8')) as TestbedRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Names of all testbeds that have a run directory, up or left over. */
export function testbedNames(): string[] {
  try {
    return readdirSync(runRoot(), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
