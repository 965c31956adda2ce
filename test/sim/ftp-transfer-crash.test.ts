/**
 * `omni fetch` and `omni put` through crashes of their process and of their machine at any moment: the queue's and the download's
 * calls to the disk are counted, the process dies between two of them, and a machine forgets what was not forced out.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALWAYS_IN_CONTACT, type TransferJob } from '../../src/apps/ftp/index.ts';
import { nodeTransferDisk, type TransferDisk } from '../../src/io/transfer-disk.ts';
import { TransferQueue } from '../../src/io/transfer-queue.ts';
import { runQueue } from '../../src/io/transfer-runner.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { startTestServer, type TestServer } from '../support/ftp-server.ts';

const SOURCE_OCTETS = 400_000;
const QUEUE = '/home/state/omni/transfers';
let served: TestServer;
let folder: string;
const source = Uint8Array.from({ length: SOURCE_OCTETS }, (_, i) => (i * 31 + (i >>> 8)) & 255);

beforeAll(async () => {
  served = await startTestServer();
  folder = mkdtempSync(join(tmpdir(), `omni-transfer-crash-${process.pid}-`));
  writeFileSync(join(served.root, 'source'), source);
});
afterAll(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

function newJob(id: string, bootId: string, more: Partial<TransferJob>): TransferJob {
  return {
    version: 1,
    id,
    direction: 'fetch',
    host: '127.0.0.1',
    port: served.port,
    user: 'op',
    password: 'secret',
    tls: 'off',
    remotePath: '/source',
    localPath: '/home/got',
    priority: 0,
    addedMs: 0,
    state: 'waiting',
    attempts: 0,
    safeOctets: 0,
    bootId,
    movedOctets: 0,
    ...more,
  };
}

/** True when the queue was worked through, false when the process died before. */
async function live(disk: CrashDisk, budget: number): Promise<boolean> {
  const ending = new AbortController();
  const died = new Promise<false>((resolve) => disk.start(budget, () => resolve(false)));
  const lived = TransferQueue.open(QUEUE, disk).then(async (queue) => {
    await queue.removeRemains();
    await runQueue({
      queue,
      contactsWith: () => Promise.resolve(ALWAYS_IN_CONTACT),
      stallSeconds: 60,
      verify: true,
      saveEveryMs: 0,
      signal: ending.signal,
      onProgress: () => {},
      onEvent: () => {},
    });
    return true as const;
  });
  const finished = await Promise.race([lived, died]);
  ending.abort();
  return finished;
}

const death = fc.record({ calls: fc.nat(60), machine: fc.boolean(), luck: fc.array(fc.nat(1000), { maxLength: 12 }) });

const chooser = (luck: readonly number[]) => {
  let i = 0;
  return (n: number) => (luck[i++ % Math.max(1, luck.length)] ?? 0) % n;
};

// Killed between the rename and forcing the folder out; the next process found the file in its place, and then the machine stopped.
const DIED_BEFORE_THE_NAME_WAS_SAFE = [
  { calls: 52, machine: false, luck: [] },
  { calls: 16, machine: false, luck: [850, 962, 241, 0, 526, 603] },
];

test('fetch: the job is never lost, the file is the old one or whole, and it gets there', async () => {
  let deaths = 0;
  let moved = 0;
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(death, { minLength: 1, maxLength: 6 }), fc.boolean(), async (plan, replaces) => {
      const disk = new CrashDisk(['/home']);
      const old = new TextEncoder().encode('what was there before');
      if (replaces) disk.put('/home/got', old);
      disk.start(Number.POSITIVE_INFINITY, () => {});
      const queue = await TransferQueue.open(QUEUE, disk);
      await queue.save(newJob('a', disk.bootId, {}));
      const check = () => {
        expect(disk.names(QUEUE)).toContain('a.json');
        expect(() => JSON.parse(disk.read(`${QUEUE}/a.json`)) as unknown).not.toThrow();
        const there = disk.get('/home/got');
        if (there !== undefined && !(replaces && there.length === old.length)) expect(same(there, source)).toBe(true);
        else if (replaces) expect(there).toEqual(old);
      };
      for (const { calls, machine, luck } of plan) {
        if (await live(disk, calls)) break;
        deaths++;
        if (machine) disk.crash(chooser(luck));
        check();
      }
      expect(await live(disk, Number.POSITIVE_INFINITY)).toBe(true);
      const job = queue.get('a')!;
      expect(job).toMatchObject({ state: 'done', verified: 'sha256' });
      // What is done stays done through one more crash.
      disk.crash(chooser([0]));
      check();
      expect([queue.get('a')!.state, same(disk.get('/home/got')!, source)]).toEqual(['done', true]);
      expect(disk.names(QUEUE)).toEqual(['a.json']);
      runs++;
      moved += job.movedOctets;
    }),
    { numRuns: 60, examples: [[DIED_BEFORE_THE_NAME_WAS_SAFE, true]] },
  );
  console.log(
    `${runs} fetches through ${deaths} deaths; octets counted as moved: ${(moved / runs / SOURCE_OCTETS).toFixed(2)} of the file`,
  );
  expect(deaths).toBeGreaterThan(50);
});

test('put: the file at the other end is the old one or whole, and it gets there', async () => {
  const local = join(folder, 'out');
  writeFileSync(local, source);
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(death, { minLength: 1, maxLength: 5 }), async (plan) => {
      const old = 'an older file';
      const target = join(served.root, 'target');
      writeFileSync(target, old);
      const disk = withLocalFiles(new CrashDisk(['/home']));
      disk.start(Number.POSITIVE_INFINITY, () => {});
      const queue = await TransferQueue.open(QUEUE, disk);
      await queue.save(newJob('b', disk.bootId, { direction: 'put', remotePath: '/target', localPath: local }));
      for (const { calls, machine, luck } of plan) {
        if (await live(disk, calls % 12)) break;
        deaths++;
        if (machine) disk.crash(chooser(luck));
        expect(disk.names(QUEUE)).toContain('b.json');
        const there = readFileSync(target);
        if (there.toString() !== old) expect(same(there, source)).toBe(true);
      }
      expect(await live(disk, Number.POSITIVE_INFINITY)).toBe(true);
      expect(queue.get('b')).toMatchObject({ state: 'done', verified: 'sha256' });
      expect(same(readFileSync(target), source)).toBe(true);
    }),
    { numRuns: 30 },
  );
  expect(deaths).toBeGreaterThan(20);
});

/** Files to be sent are a person's own and lie on the real disk. */
function withLocalFiles(disk: CrashDisk): CrashDisk {
  const forgetting = disk.octets.bind(disk);
  const octets: TransferDisk['octets'] = (path, from) =>
    path.startsWith(folder) ? nodeTransferDisk.octets(path, from) : forgetting(path, from);
  return Object.assign(disk, { octets });
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
