/** `omni fetch` and `omni put` as a user runs them: against our server, through kill -9, damaged parts and changed sources. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../support/ftp-server.ts';

const built = existsSync('dist/cli/main.js');
let served: TestServer;
let here: string;

beforeEach(async () => {
  served = await startTestServer();
  here = mkdtempSync(join(tmpdir(), `omni-transfers-${process.pid}-`));
});
afterEach(async () => {
  await served.stop();
  rmSync(here, { recursive: true });
});

function start(...words: string[]): {
  child: ChildProcess;
  ended: Promise<{ code: number | null; out: string; err: string }>;
} {
  const env = { ...process.env, OMNI_QUEUE: join(here, 'queue'), OMNI_FTP_USER: 'op:secret' };
  const child = spawn(resolve('bin/omni'), words, { cwd: here, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout!.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    err += chunk;
  });
  return { child, ended: new Promise((done) => child.once('close', (code) => done({ code, out, err }))) };
}

const omni = (...words: string[]) => start(...words).ended;
const at = () => ['--port', String(served.port)];
const hash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
const sizeOf = (file: string): number => (existsSync(file) ? statSync(file).size : 0);

/** A file of mostly nothing with something at places that matter. */
function makeLarge(file: string, octets: number): void {
  writeFileSync(file, '');
  truncateSync(file, octets);
  const handle = openSync(file, 'r+');
  for (let i = 0; i < 50; i++) writeSync(handle, `part ${i}`, Math.floor((octets * i) / 50));
}

async function killWhen(running: ReturnType<typeof start>, condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
  running.child.kill('SIGKILL');
  await running.ended;
}

describe.skipIf(!built)('omni fetch and omni put (need the compiled dist/)', () => {
  test('fetch survives kill -9: the next run goes on, and the SHA-256 is equal', async () => {
    makeLarge(join(served.root, 'big'), 300_000_000);
    const first = start('fetch', '127.0.0.1:/big', ...at());
    await killWhen(first, () => sizeOf(join(here, 'big.omni-part')) > 5_000_000);
    const kept = sizeOf(join(here, 'big.omni-part'));
    expect(existsSync(join(here, 'big'))).toBe(false);
    const { code, out } = await omni('fetch', '--resume', '--json');
    expect(code).toBe(0);
    const job = JSON.parse(out) as { verified: string; movedOctets: number };
    expect(job.verified).toBe('sha256');
    expect(hash(join(here, 'big'))).toBe(hash(join(served.root, 'big')));
    expect(existsSync(join(here, 'big.omni-part'))).toBe(false);
    // What the second run fetched and what the first had kept are the file, once.
    expect(served.log.filter((line) => line.includes('command=REST')).at(-1)).toContain(`argument="${kept}"`);
  });

  test('put survives kill -9', async () => {
    makeLarge(join(here, 'big'), 300_000_000);
    const first = start('put', 'big', '127.0.0.1:/big', ...at());
    await killWhen(first, () => sizeOf(join(served.root, '.omni-upload.big')) > 5_000_000);
    const { code, out } = await omni('put', 'big', '127.0.0.1:/big', ...at(), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ verified: 'sha256' });
    expect(hash(join(served.root, 'big'))).toBe(hash(join(here, 'big')));
    expect(served.log.some((line) => line.includes('command=APPE'))).toBe(true);
  });

  test('a damaged part is noticed by the SHA-256 and the file fetched anew', async () => {
    writeFileSync(join(served.root, 'a'), 'right content');
    const queued = await omni('fetch', '127.0.0.1:/a', ...at(), '--no-wait', '--json');
    const { id } = JSON.parse(queued.out) as { id: string };
    const file = join(here, 'queue', `${id}.json`);
    const job = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const modifiedMs = Math.floor(statSync(join(served.root, 'a')).mtimeMs / 1000) * 1000;
    writeFileSync(file, JSON.stringify({ ...job, source: { size: 13, modifiedMs } }));
    writeFileSync(join(here, 'a.omni-part'), 'wrong');
    const { code, err } = await omni('fetch', '--resume');
    expect([code, readFileSync(join(here, 'a'), 'utf8')]).toEqual([0, 'right content']);
    expect(err).toContain('SHA-256 differs');
  });

  test('a source that changed in between is fetched from its beginning', async () => {
    writeFileSync(join(served.root, 'a'), 'new content of another length');
    writeFileSync(join(here, 'a.omni-part'), 'old con');
    utimesSync(join(served.root, 'a'), 1, 1);
    expect((await omni('fetch', '127.0.0.1:/a', ...at())).code).toBe(0);
    expect(readFileSync(join(here, 'a'), 'utf8')).toBe('new content of another length');
  });

  test('the queue goes by priority; failures are told and do not stop the rest', async () => {
    for (const name of ['low', 'high', 'middle']) writeFileSync(join(served.root, name), name);
    for (const [name, priority] of [
      ['low', '1'],
      ['high', '9'],
      ['middle', '5'],
      ['missing', '7'],
    ] as const)
      expect((await omni('fetch', `127.0.0.1:/${name}`, ...at(), '--no-wait', '--priority', priority)).code).toBe(0);
    const { code, err } = await omni('fetch', '--resume');
    expect(code).toBe(1);
    expect(err).toContain('missing: 550');
    const order = served.log.filter((line) => line.includes('command=RETR')).map((line) => /"\/(\w+)"/.exec(line)![1]);
    expect(order).toEqual(['high', 'middle', 'low']);
    expect((await omni('fetch', '--list')).out).toBe('');
  });

  test('wrong command lines say what to do', async () => {
    expect((await omni('fetch')).code).toBe(64);
    expect((await omni('fetch', 'no-path')).code).toBe(64);
    expect((await omni('put', 'x', 'spacecraft:/x', '--user', 'nameonly')).code).toBe(64);
    const help = await omni('fetch', '--help');
    expect([help.code, help.out.includes('omni fetch spacecraft:')]).toEqual([0, true]);
  });
});
