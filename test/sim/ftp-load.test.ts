/** Many sessions: dropped at every stage without leaking descriptors, and hundreds at once. */
import { readdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Rng } from '../../src/core/index.ts';
import { BareClient, startTestServer, type TestServer } from '../support/ftp-server.ts';

let served: TestServer;
afterEach(() => served.stop());

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const sessions = (): number => (served.server.status().sessions as unknown[]).length;

test('10,000 sessions dropped at any stage leave no descriptor open', async () => {
  served = await startTestServer({ idleSeconds: 60 });
  writeFileSync(join(served.root, 'big'), Buffer.alloc(3_000_000));
  const rng = new Rng(5, 'ftp-drops');
  const script = ['USER op\r\n', 'PASS secret\r\n', 'TYPE I\r\n', 'PASV\r\n', 'RETR big\r\n', 'NOOP\r\n'];
  const upload = ['USER op\r\n', 'PASS secret\r\n', 'EPSV\r\n', 'STOR up\r\n', 'QU'];

  /** Says the first part of a script, connects to what PASV names at times, and drops everything at once. */
  const dropOne = (i: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(served.port, '127.0.0.1');
      const opened: Socket[] = [socket];
      const lines = i % 3 === 0 ? upload.map((line) => line.replace(' up', ` up${i % 50}`)) : script;
      const stage = rng.below(lines.length + 1);
      const withData = rng.below(2) === 0;
      const reset = rng.below(2) === 0;
      let said = 0;
      const drop = () => {
        for (const s of opened) reset ? s.resetAndDestroy() : s.destroy();
        resolve();
      };
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        const text = chunk.toString('latin1');
        const port = /\|\|\|(\d+)\|/.exec(text)?.[1] ?? /,(\d+,\d+)\)/.exec(text)?.[1];
        if (port !== undefined && withData) {
          const [high, low] = port.split(',').map(Number);
          const data = connect(low === undefined ? high! : high! * 256 + low, '127.0.0.1');
          data.on('error', () => {});
          if (i % 3 === 0) data.write('some data');
          opened.push(data);
        }
        if (said < stage) socket.write(lines[said++]!);
        // The last lines get no answer, or not yet: drop while they are being worked on.
        if (said >= Math.min(stage, 4)) {
          while (said < stage) socket.write(lines[said++]!);
          setTimeout(drop, rng.below(3));
        }
      });
    });

  const before = descriptors();
  const width = 40;
  for (let i = 0; i < 10_000; i += width) await Promise.all(Array.from({ length: width }, (_, k) => dropOne(i + k)));
  while (sessions() > 0 || descriptors() > before) await turn();
  expect(descriptors()).toBeLessThanOrEqual(before);
  // And it still serves.
  const client = await BareClient.logIn(served.port);
  expect((await client.fetch('RETR big')).octets.length).toBe(3_000_000);
  client.close();
});

test('300 sessions at once, each with a transfer, none fails', async () => {
  served = await startTestServer();
  const content = Buffer.alloc(200_000, 'spacecraft');
  writeFileSync(join(served.root, 'image'), content);
  const clients = await Promise.all(Array.from({ length: 300 }, () => BareClient.logIn(served.port)));
  expect(sessions()).toBe(300);
  const fetched = await Promise.all(clients.map((client) => client.fetch('RETR image')));
  expect(fetched.every(({ octets, last }) => last.code === 226 && octets.equals(content))).toBe(true);
  const stored = await Promise.all(clients.map((client, i) => client.store(`STOR up${i}`, content)));
  expect(stored.every(({ code }) => code === 226)).toBe(true);
  for (const client of clients) client.close();
});

test('limits: sessions in all, and failed logins from one address', async () => {
  served = await startTestServer({ maximumSessions: 2 });
  const first = await BareClient.logIn(served.port);
  const second = await BareClient.logIn(served.port);
  const third = await BareClient.connect(served.port);
  expect((await third.reply()).code).toBe(421);
  for (const client of [first, second, third]) client.close();
});
