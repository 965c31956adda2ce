/**
 * One command at a time builds or removes a testbed. The lock is an abstract Unix socket: the kernel grants it to one process
 * and takes it back when that process ends in whatever way, so there is no stale lock to judge.
 */
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { TestbedPaths } from './run-directory.ts';

export interface Lock {
  release(): void;
}

/** Undefined when another process has it. */
export function takeLock(paths: TestbedPaths): Promise<Lock | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(socketName(paths), () => {
      server.unref();
      resolve({ release: () => server.close() });
    });
  });
}

/** Whether some process has it; asking does not take it, so nobody who wants it at this moment is refused. */
export function isLocked(paths: TestbedPaths): Promise<boolean> {
  const socket = connect(socketName(paths));
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

/** An abstract name has at most 107 octets, a path may be longer. */
const socketName = (paths: TestbedPaths): string =>
  `\0omni-${createHash('sha256').update(paths.directory).digest('hex').slice(0, 40)}`;
