/**
 * The control socket of a relay that runs alone: `control.sock` in its queue's folder, JSON lines as in src/testbed/control.ts,
 * for `omni mailq --queue DIR`. It is also the lock: two relays over one queue would deliver everything twice.
 */
import { existsSync, mkdirSync } from 'node:fs';
import type { Server } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { OmniError } from '../core/index.ts';
import { serveControl } from '../testbed/control.ts';
import type { MailRelay } from './mail-relay.ts';

export const controlPath = (queue: string): string => join(queue, 'control.sock');

/** Before the queue is opened. Throws OmniError OMNI_MAIL_QUEUE when a relay works on it already. */
export async function refuseSecondRelay(queue: string): Promise<void> {
  mkdirSync(queue, { recursive: true, mode: 0o700 });
  const path = controlPath(queue);
  if (!existsSync(path)) return;
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (answers)
    throw new OmniError('OMNI_MAIL_QUEUE', `another relay works on the queue in ${queue}`, {
      remedy: 'stop it first, or give this one a queue of its own with --queue',
    });
}

export function serveMailControl(queue: string, relay: MailRelay): Promise<Server> {
  return serveControl(controlPath(queue), (method, params) => relay.handleRequest(method, params));
}
