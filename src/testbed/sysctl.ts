/**
 * Sysctls under net. of a namespace, without a process for each: /proc/sys/net shows the namespace of the thread that opens a
 * file, so the thread goes there, writes synchronously and comes back. Should it be unable to return, the process ends.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { OmniError } from '../core/index.ts';
import type { Native } from '../io/native.ts';

/** Throws OmniError OMNI_SYSCTL naming the one that the kernel refused. */
export function writeSysctls(native: Native, namespace: string, values: Readonly<Record<string, string>>): void {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    native.enterNetworkNamespace(namespace);
    try {
      for (const [key, value] of Object.entries(values)) write(key, value);
    } finally {
      try {
        native.enterNetworkNamespace(`/proc/self/fd/${home}`);
      } catch (error) {
        process.stderr.write(`omni: cannot return from ${namespace}: ${(error as Error).message}\n`);
        process.abort();
      }
    }
  } finally {
    closeSync(home);
  }
}

function write(key: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/${key.replaceAll('.', '/')}`, value);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // A kernel built without IPv6 has none to switch off.
    if (code === 'ENOENT' && key.startsWith('net.ipv6.')) return;
    const why = code === 'ENOENT' ? 'this kernel does not have it' : `the kernel refused '${value}' (${code})`;
    throw new OmniError('OMNI_SYSCTL', `cannot set ${key}: ${why}`, { cause });
  }
}
