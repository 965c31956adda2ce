/**
 * One command at a time builds or removes a testbed. The lock is an abstract Unix socket: the kernel grants it to one process
 * and takes it back when that process ends in whatever way, so there is no stale lock to judge.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import type { TestbedPaths } from './run-directory.ts';

export interface Lock {
  release(): void;
}

/** Undefined when another process has it. */
export function takeLock(paths: TestbedPaths): Promise<Lock | undefined> {
  // An abstract name has at most 107 octets, a path may be longer.
  const name = createHash('sha256').update(paths.directory).digest('hex').slice(0, 40);
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(`\0omni-${name}`, () => {
      server.unref();
      resolve({ release: () => server.close() });
    });
  });
}
