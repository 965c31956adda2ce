/**
 * Processes of a testbed, found in /proc: those that carry its mark in their environment and those inside its namespaces.
 * A process is named by pid and start time, so that a pid that the kernel has given to another is never ended.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { NETNS_DIRECTORY } from './run-directory.ts';

export const INSTANCE_VARIABLE = 'OMNI_INSTANCE';

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** Undefined when there is no such process, or only its corpse. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command name in parentheses may hold anything, also parentheses and spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : { pid, startTime: fields[19]! };
  } catch {
    return undefined;
  }
}

export const isAlive = (process: ProcessIdentity): boolean => identify(process.pid)?.startTime === process.startTime;

export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** All processes started with `OMNI_INSTANCE=<instance>`, this one excepted. Needs root for other users' processes. */
export function markedProcesses(instance: string): ProcessIdentity[] {
  const mark = `${INSTANCE_VARIABLE}=${instance}`;
  return allPids().flatMap((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      if (!environment.split('\0').includes(mark)) return [];
    } catch {
      return [];
    }
    return identify(pid) ?? [];
  });
}

/** All processes inside these namespaces, this one excepted. */
export function processesInside(namespaces: readonly string[]): ProcessIdentity[] {
  const inodes = new Set<string>();
  const own = namespaceOf('self');
  for (const name of namespaces) {
    try {
      const { ino } = statSync(join(NETNS_DIRECTORY, name));
      // A crash may leave the file without a namespace mounted on it; its inode then means nothing, and matches nothing.
      if (`net:[${ino}]` !== own) inodes.add(`net:[${ino}]`);
    } catch {
      // Not made, or gone.
    }
  }
  if (inodes.size === 0) return [];
  return allPids().flatMap((pid) => {
    const namespace = namespaceOf(pid);
    return namespace !== undefined && inodes.has(namespace) ? (identify(pid) ?? []) : [];
  });
}

/**
 * SIGTERM, and SIGKILL for what is left after the grace time. Resolves when all are gone.
 * @returns those that not even SIGKILL ended within five seconds (stuck in the kernel)
 */
export async function endProcesses(
  processes: readonly ProcessIdentity[],
  graceMilliseconds: number,
): Promise<ProcessIdentity[]> {
  signal(processes, 'SIGTERM');
  let left = await waitForEnd(processes, graceMilliseconds);
  signal(left, 'SIGKILL');
  left = await waitForEnd(left, 5000);
  return left;
}

function signal(processes: readonly ProcessIdentity[], name: NodeJS.Signals): void {
  for (const target of processes) {
    if (!isAlive(target)) continue;
    try {
      process.kill(target.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

async function waitForEnd(processes: readonly ProcessIdentity[], milliseconds: number): Promise<ProcessIdentity[]> {
  const deadline = performance.now() + milliseconds;
  let left = processes.filter(isAlive);
  while (left.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    left = left.filter(isAlive);
  }
  return left;
}

const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number);

function namespaceOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
