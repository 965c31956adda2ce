/**
 * Real processes over a real disk and real sockets: a relay is killed before each step of its queue in turn, started again, and
 * the mail must be there once. The steps are those of docs/mail-queue.md.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CHILD = new URL('../support/mail/relay-process.mjs', import.meta.url).pathname;
const MESSAGES = 1;
const wanted = Array.from({ length: MESSAGES }, (_, i) => `message-${i}`);
let root = '';
const children = new Set<ChildProcess>();

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'omni-mail-crash-'));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

interface Running {
  readonly port: number;
  readonly exited: Promise<string>;
  stop(): Promise<string>;
}

/** Resolves when it listens; undefined when it was killed before. */
async function relay(settings: object): Promise<Running | undefined> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  let output = '';
  const exited = new Promise<string>((resolve) => {
    child.once('exit', () => {
      children.delete(child);
      resolve(output);
    });
  });
  const port = await new Promise<number | undefined>((resolve) => {
    child.stdout.on('data', (text) => {
      output += text;
      const match = /"port":(\d+)/.exec(output);
      if (match !== null) resolve(Number(match[1]));
    });
    void exited.then(() => resolve(undefined));
  });
  if (port === undefined) return undefined;
  const stop = () => {
    child.kill('SIGTERM');
    return exited;
  };
  return { port, exited, stop };
}

/** Sends until 250, as a client does; returns how often the server answered 250. */
async function submit(port: () => number, key: string): Promise<void> {
  for (;;) {
    const transport = createTransport({ host: '127.0.0.1', port: port(), ignoreTLS: true, connectionTimeout: 5000 });
    try {
      await transport.sendMail({ from: 'a@ground.test', to: 'box@craft.test', subject: key, text: `${key}\n.\n..\n` });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      transport.close();
    }
  }
}

function mailbox(queue: string): string[] {
  const folder = join(queue, 'mail', 'box', 'new');
  try {
    return readdirSync(folder).map((name) => /^Subject: (.*)$/m.exec(readFileSync(join(folder, name), 'utf8'))![1]!);
  } catch {
    return [];
  }
}

const ids = (queue: string, folder: string) => {
  try {
    return readdirSync(join(queue, folder));
  } catch {
    return [];
  }
};

/** Ground relays to craft; one of them is killed at the given step and started again. */
async function run(
  victim: 'ground' | 'craft',
  crashAt: number,
): Promise<{ crashed: boolean; got: string[]; accepted: number }> {
  const folder = join(root, `${victim}-${crashAt}`);
  const queues = { ground: join(folder, 'ground'), craft: join(folder, 'craft') };
  const craftSettings = {
    name: 'craft.test',
    queue: queues.craft,
    policy: { domains: ['craft.test'], relayFor: ['127.0.0.0/8'], routes: [] },
  };
  let craft = (await relay({ ...craftSettings, port: 0, ...(victim === 'craft' ? { crashAt } : {}) }))!;
  const groundSettings = {
    name: 'ground.test',
    queue: queues.ground,
    contact: 'craft',
    policy: {
      domains: ['ground.test'],
      relayFor: ['127.0.0.0/8'],
      routes: [{ domain: 'craft.test', host: '127.0.0.1', port: craft.port, peers: ['craft'], tls: 'never' }],
    },
  };
  let ground = (await relay({ ...groundSettings, port: 0, ...(victim === 'ground' ? { crashAt } : {}) }))!;
  let crashed = false;
  const first = victim === 'craft' ? craft : ground;
  void first.exited.then(async (output) => {
    if (output.includes('steps')) return;
    crashed = true;
    if (victim === 'craft') craft = (await relay({ ...craftSettings, port: craft.port }))!;
    else ground = (await relay({ ...groundSettings, port: ground.port }))!;
  });
  for (let i = 0; i < MESSAGES; i++) await submit(() => ground.port, `message-${i}`);
  const arrived = () => wanted.every((key) => mailbox(queues.craft).includes(key));
  const quiet = () => ids(queues.ground, 'envelopes').length === 0 && ids(queues.craft, 'envelopes').length === 0;
  for (const end = performance.now() + 60_000; performance.now() < end && !(arrived() && quiet()); )
    await new Promise((resolve) => setTimeout(resolve, 30));
  const accepted = ids(queues.ground, 'finished').length;
  await Promise.all([craft.stop(), ground.stop()]);
  expect(ids(queues.ground, 'damaged').concat(ids(queues.craft, 'damaged'))).toEqual([]);
  return { crashed, got: mailbox(queues.craft).sort(), accepted };
}

describe('kill -9 before each step of the queue', () => {
  for (const victim of ['craft', 'ground'] as const)
    it(`of the ${victim === 'craft' ? 'receiving' : 'sending'} relay: nothing is lost, nothing is twice`, async () => {
      let steps = 0;
      const work = async () => {
        for (let crashAt = ++steps; crashAt <= 60; crashAt = ++steps) {
          const { crashed, got, accepted } = await run(victim, crashAt);
          if (victim === 'craft') expect({ crashAt, got }).toEqual({ crashAt, got: wanted });
          else {
            // A stock client whose 250 was lost sends again: one copy per message that the relay accepted, never more.
            expect(new Set(got), `crash at ${crashAt}`).toEqual(new Set(wanted));
            expect({ crashAt, copies: got.length }).toEqual({ crashAt, copies: accepted });
          }
          if (!crashed) {
            steps = Math.max(steps, 1000);
            return crashAt - 1;
          }
        }
        return undefined;
      };
      const ends = await Promise.all([work(), work(), work()]);
      const most = Math.min(...ends.filter((n) => n !== undefined));
      console.log(`${victim}: killed before each of ${most} steps`);
      expect(most).toBeGreaterThanOrEqual(14);
    });
});
