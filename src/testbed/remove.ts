/**
 * Removes a testbed: its processes, then its namespaces (and with them every device, address and route), its files, and last
 * the record by which all of it was found. Any step may have been done already; nothing that is not in the record is touched.
 */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { OmniError } from '../core/index.ts';
import { ipBatch } from './iproute.ts';
import { endProcesses, markedProcesses, type ProcessIdentity, processesInside } from './processes.ts';
import {
  ETC_NETNS_DIRECTORY,
  NETNS_DIRECTORY,
  readRecord,
  runRoot,
  type TestbedPaths,
  type TestbedRecord,
} from './run-directory.ts';

export interface Removal {
  readonly namespaces: number;
  readonly processes: number;
}

export interface RemoveOptions {
  readonly purge?: boolean;
  /** For when somebody has deleted the one on the disk. */
  readonly record?: TestbedRecord;
}

const GRACE_MILLISECONDS = 3000;

/** The caller has the lock. Throws OmniError OMNI_REMOVE when something could not be removed; then the record stays. */
export async function removeTestbed(paths: TestbedPaths, options: RemoveOptions = {}): Promise<Removal> {
  const record = readRecord(paths) ?? options.record;
  const removed = { namespaces: 0, processes: 0 };
  if (record !== undefined) {
    const { instance, namespaces } = record;
    const ours = () => unique([...markedProcesses(instance), ...processesInside(namespaces)]);
    const processes = ours();
    removed.processes = processes.length;
    await endProcesses(processes, GRACE_MILLISECONDS);
    const existing = namespaces.filter((name) => existsSync(join(NETNS_DIRECTORY, name)));
    removed.namespaces = existing.length;
    await ipBatch(
      existing.map((name) => `netns del ${name}`),
      { force: true, instance },
    );
    for (const name of namespaces) rmSync(join(ETC_NETNS_DIRECTORY, name), { recursive: true, force: true });
    if (record.madeEtcNetns) removeIfEmpty(ETC_NETNS_DIRECTORY);

    // A child that a killed command had just started may have shown up, or made something, after the first look.
    const left = namespaces.filter((name) => existsSync(join(NETNS_DIRECTORY, name)));
    await ipBatch(
      left.map((name) => `netns del ${name}`),
      { force: true, instance },
    );
    const stuck = await endProcesses(ours(), 0);
    const still = left.filter((name) => existsSync(join(NETNS_DIRECTORY, name)));
    if (stuck.length > 0 || still.length > 0)
      throw new OmniError(
        'OMNI_REMOVE',
        `could not remove ${[...stuck.map((p) => `process ${p.pid}`), ...still.map((n) => `namespace ${n}`)].join(', ')}`,
        { remedy: "look at what holds it, then run 'omni down' again" },
      );
  }
  if (options.purge) {
    rmSync(paths.state, { recursive: true, force: true });
    removeIfEmpty(join(paths.state, '..'));
  }
  // The record goes last: until then a second `omni down` finds what a crash of this one left.
  if (existsSync(paths.directory))
    for (const name of readdirSync(paths.directory)) {
      const path = join(paths.directory, name);
      if (path !== paths.record) rmSync(path, { recursive: true, force: true });
    }
  rmSync(paths.record, { force: true });
  rmSync(paths.directory, { recursive: true, force: true });
  removeIfEmpty(runRoot());
  return removed;
}

function unique(processes: readonly ProcessIdentity[]): ProcessIdentity[] {
  return [...new Map(processes.map((p) => [p.pid, p])).values()];
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Not empty, or not there: not ours to remove.
  }
}
