/** Stock clients against our server on loopback: what people do every day. The whole table is made by `npm run test:interop`. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../support/ftp-server.ts';
import { runClient } from '../support/run-client.ts';

let served: TestServer;
let here: string;
const content = randomBytes(1_000_000);

beforeAll(async () => {
  served = await startTestServer();
  here = mkdtempSync(join(tmpdir(), `omni-ftp-client-${process.pid}-`));
  writeFileSync(join(here, 'up'), content);
});
afterAll(async () => {
  await served.stop();
  rmSync(here, { recursive: true });
});

const onDisk = (name: string): Buffer => readFileSync(join(served.root, name));
const local = (name: string): Buffer => readFileSync(join(here, name));

/** A client with its way to do each thing; `run` gives its stdout and must end well. */
interface Client {
  readonly program: string;
  run(actions: string[]): Promise<string>;
  get(name: string, to: string): string;
  put(from: string, name: string): string;
  resumeGet(name: string, to: string): string;
  resumePut(from: string, name: string): string;
}

const lftp = (mode: string): Client => ({
  program: 'lftp',
  run: (actions) =>
    runClient(
      'lftp',
      [
        '-c',
        `set ftp:passive-mode ${mode}; set net:max-retries 1; set cmd:fail-exit yes; open -u op,secret -p ${served.port} 127.0.0.1; ${actions.join('; ')}`,
      ],
      here,
    ),
  get: (name, to) => `get ${name} -o ${to}`,
  put: (from, name) => `put ${from} -o ${name}`,
  resumeGet: (name, to) => `get -c ${name} -o ${to}`,
  resumePut: (from, name) => `put -c ${from} -o ${name}`,
});

const tnftp = (mode: string): Client => ({
  program: 'tnftp',
  run: (actions) =>
    runClient(
      'tnftp',
      [mode === 'on' ? '-p' : '-A', '-n', '-v'],
      here,
      `open 127.0.0.1 ${served.port}\nuser op secret\nbinary\n${actions.join('\n')}\nquit\n`,
    ),
  get: (name, to) => `get ${name} ${to}`,
  put: (from, name) => `put ${from} ${name}`,
  resumeGet: (name, to) => `restart 400000\nget ${name} ${to}`,
  resumePut: (from, name) => `restart 400000\nput ${from} ${name}`,
});

describe.each([
  ['lftp passive', lftp('on')],
  ['lftp active', lftp('off')],
  ['tnftp passive', tnftp('on')],
  ['tnftp active', tnftp('off')],
] as const)('%s', (_, client) => {
  const there = existsSync(`/usr/bin/${client.program}`);
  test.skipIf(!there)(`put, list, get, make and remove directories, rename, delete (${client.program})`, async () => {
    const listing = await client.run([client.put('up', 'a'), 'mkdir d', 'ls', client.get('a', 'down')]);
    expect(listing).toMatch(/1000000 .* a\r?\n/);
    expect(listing).toMatch(/drwx.* d\r?\n/);
    expect(onDisk('a').equals(content)).toBe(true);
    expect(local('down').equals(content)).toBe(true);
    await client.run([client.program === 'lftp' ? 'mv a b' : 'rename a b', 'rmdir d']);
    expect(existsSync(join(served.root, 'd'))).toBe(false);
    expect(onDisk('b').equals(content)).toBe(true);
    await client.run([client.program === 'lftp' ? 'rm b' : 'delete b']);
    expect(existsSync(join(served.root, 'b'))).toBe(false);
    rmSync(join(here, 'down'));
  });

  test.skipIf(!there)(`resume both ways (${client.program})`, async () => {
    writeFileSync(join(served.root, 'r'), content);
    writeFileSync(join(here, 'down'), content);
    truncateSync(join(here, 'down'), 400_000);
    await client.run([client.resumeGet('r', 'down')]);
    expect(local('down').equals(content)).toBe(true);
    truncateSync(join(served.root, 'r'), 400_000);
    await client.run([client.resumePut('up', 'r')]);
    expect(onDisk('r').equals(content)).toBe(true);
    rmSync(join(here, 'down'));
  });
});

describe('curl', () => {
  const curl = (...options: string[]) => runClient('curl', ['-sS', '--fail', '-u', 'op:secret', ...options], here);
  const there = spawnSync('curl', ['--version']).status === 0;

  test.skipIf(!there).each([
    ['passive', []],
    ['active', ['-P', '-']],
    ['PASV only', ['--disable-epsv']],
    ['PORT only', ['-P', '-', '--disable-eprt']],
  ])('put, list, get, resume both ways: %s', async (_, mode) => {
    const url = `ftp://127.0.0.1:${served.port}`;
    await curl(...mode, '-T', 'up', `${url}/c`);
    expect(onDisk('c').equals(content)).toBe(true);
    expect(await curl(...mode, `${url}/`)).toMatch(/1000000 .* c\r?\n/);
    await curl(...mode, '-o', 'down', `${url}/c`);
    expect(local('down').equals(content)).toBe(true);
    truncateSync(join(here, 'down'), 123_456);
    await curl(...mode, '-C', '-', '-o', 'down', `${url}/c`);
    expect(local('down').equals(content)).toBe(true);
    truncateSync(join(served.root, 'c'), 123_456);
    await curl(...mode, '-C', '-', '-T', 'up', `${url}/c`);
    expect(onDisk('c').equals(content)).toBe(true);
    await curl(...mode, `${url}/`, '-Q', 'RNFR c', '-Q', 'RNTO d', '-Q', 'DELE d');
    expect(existsSync(join(served.root, 'd'))).toBe(false);
  });

  test.skipIf(!there)('IPv6', async () => {
    writeFileSync(join(served.root, 'six'), content);
    await curl('-g', '-o', 'down', `ftp://[::1]:${served.port6}/six`);
    expect(local('down').equals(content)).toBe(true);
    await curl('-g', '-P', '-', '-o', 'down', `ftp://[::1]:${served.port6}/six`);
    expect(local('down').equals(content)).toBe(true);
  });

  const built = existsSync('dist/cli/main.js');
  test.skipIf(!there || !built)('`omni serve ftp` serves too, and stops cleanly on SIGTERM', async () => {
    const options = [
      'serve',
      'ftp',
      '--root',
      served.root,
      '--listen',
      '127.0.0.1:0',
      '--anonymous',
      '--json',
      '--quiet',
    ];
    const omni = spawn('bin/omni', options, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => omni.once('exit', resolve));
    let json = '';
    for await (const chunk of omni.stdout) {
      json += chunk;
      if (json.trimEnd().endsWith('\n}')) break;
    }
    const { port } = (JSON.parse(json) as { addresses: { port: number }[] }).addresses[0]!;
    writeFileSync(join(served.root, 'public'), 'for all');
    expect(await runClient('curl', ['-sS', `ftp://127.0.0.1:${port}/public`], here)).toBe('for all');
    omni.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});
