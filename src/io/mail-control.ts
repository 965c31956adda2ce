/**
 * The control socket of a relay that runs alone: `control.sock` in its queue's folder, JSON lines as in src/testbed/control.ts,
 * for `omni mailq --queue DIR`. And the claim to the queue: two relays over one would deliver everything twice.
 */
import { mkdirSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { OmniError } from '../core/index.ts';
import { serveControl } from '../testbed/control.ts';
import type { MailRelay } from './mail-relay.ts';

export const controlPath = (queue: string): string => join(queue, 'control.sock');

/**
 * Before the queue is opened; the claim ends with the process, however it ends, or by `release`. It is an abstract Unix socket, which
 * the kernel gives to one process of a network namespace; a relay in another one is found by the control socket it answers.
 * Throws OmniError OMNI_MAIL_QUEUE when a relay works on the queue already, or there can be none.
 */
export async function claimQueue(queue: string): Promise<{ release(): void }> {
  let place: { dev: number; ino: number };
  try {
    mkdirSync(queue, { recursive: true, mode: 0o700 });
    place = statSync(queue);
  } catch (cause) {
    throw new OmniError('OMNI_MAIL_QUEUE', `making the mail queue in ${queue}: ${(cause as Error).message}`, { cause });
  }
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE' ? inUse(queue) : error));
    server.listen(`\0omni-mail-${place.dev}-${place.ino}`, resolve);
  });
  server.unref();
  if (!(await answers(controlPath(queue)))) return { release: () => server.close() };
  server.close();
  throw inUse(queue);
}

const inUse = (queue: string): OmniError =>
  new OmniError('OMNI_MAIL_QUEUE', `another relay works on the queue in ${queue}`, {
    remedy: 'stop it first, or give this one a queue of its own with --queue',
  });

function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

export function serveMailControl(queue: string, relay: MailRelay): Promise<Server> {
  return serveControl(controlPath(queue), (method, params) => relay.handleRequest(method, params));
}
