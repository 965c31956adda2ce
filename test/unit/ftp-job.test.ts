import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  ALWAYS_IN_CONTACT,
  type ContactForecast,
  estimate,
  nextJob,
  retrySeconds,
  type TransferJob,
} from '../../src/apps/ftp/index.ts';
import type { WallTime } from '../../src/core/index.ts';
import { TransferQueue } from '../../src/io/transfer-queue.ts';
import { runQueue } from '../../src/io/transfer-runner.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { startTestServer, type TestServer } from '../support/ftp-server.ts';

const MINUTE_NS = 60_000_000_000n;

/** Passes of 10 minutes every 97, the first at `first`; each carries 600 kB in and 60 kB out. */
function passes(first: bigint): ContactForecast {
  return {
    always: false,
    next(from, count) {
      const found = [];
      for (let begin = first; found.length < count; begin += 97n * MINUTE_NS)
        if (begin + 10n * MINUTE_NS > from)
          found.push({
            peer: 'surrey',
            begin: begin as WallTime,
            end: (begin + 10n * MINUTE_NS) as WallTime,
            octetsIn: 600_000,
            octetsOut: 60_000,
          });
      return found;
    },
  };
}

const job = (more: Partial<TransferJob>): TransferJob => ({
  version: 1,
  id: 'a',
  direction: 'fetch',
  host: '127.0.0.1',
  port: 21,
  user: 'op',
  password: 'secret',
  tls: 'off',
  remotePath: '/image',
  localPath: '/home/image',
  priority: 0,
  addedMs: 0,
  state: 'waiting',
  attempts: 0,
  safeOctets: 0,
  bootId: '',
  movedOctets: 0,
  ...more,
});

describe('when it will be done', () => {
  test('by the plan: passes that are full are counted, the gaps between them too', () => {
    // Nine tenths of a pass are file: 540,000 octets; the third is half used.
    expect(estimate(1_350_000, 'in', 0n, undefined, passes(0n))).toEqual({ passes: 3, doneAt: 199n * MINUTE_NS });
    expect(estimate(54_000, 'out', 0n, undefined, passes(0n))).toEqual({ passes: 1, doneAt: 10n * MINUTE_NS });
    expect(estimate(54_000, 'in', 0n, undefined, passes(60n * MINUTE_NS))!.doneAt).toBe(61n * MINUTE_NS);
  });

  test('in the middle of a pass only what is left of it counts', () => {
    expect(estimate(270_000, 'in', 6n * MINUTE_NS, undefined, passes(0n))).toEqual({
      passes: 2,
      doneAt: 98n * MINUTE_NS,
    });
  });

  test('without a plan by the rate seen; without either not at all', () => {
    expect(estimate(1000, 'in', 0n, 100, ALWAYS_IN_CONTACT)).toEqual({ passes: 0, doneAt: 10_000_000_000n });
    expect(estimate(1000, 'in', 0n, undefined, ALWAYS_IN_CONTACT)).toBeUndefined();
  });
});

test('priority, then age; failed and finished ones do not count', () => {
  const jobs = [
    job({ id: 'old', addedMs: 1 }),
    job({ id: 'urgent', addedMs: 9, priority: 5 }),
    job({ id: 'done', priority: 9, state: 'done' }),
  ];
  expect(nextJob(jobs)!.id).toBe('urgent');
  expect(nextJob(jobs.filter(({ id }) => id !== 'urgent'))!.id).toBe('old');
  expect([1, 2, 3, 6, 50].map(retrySeconds)).toEqual([1, 2, 4, 30, 30]);
});

describe('the runner', () => {
  let served: TestServer;
  afterEach(async () => {
    vi.useRealTimers();
    await served.stop();
  });

  test('waits for a contact 97 minutes ahead without a packet, says when it will be done, and uses it', async () => {
    served = await startTestServer();
    const image = join(served.root, 'image');
    writeFileSync(image, Buffer.alloc(54_000, 'x'));
    const modifiedMs = Math.floor(statSync(image).mtimeMs / 1000) * 1000;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
    const start = Date.UTC(2000, 6, 5, 12);
    vi.setSystemTime(start);
    const disk = new CrashDisk(['/home']);
    disk.start(Number.POSITIVE_INFINITY, () => {});
    const queue = await TransferQueue.open('/home/queue', disk);
    await queue.save(job({ port: served.port, bootId: disk.bootId, source: { size: 54_000, modifiedMs } }));
    const events: string[] = [];
    const contacts = passes(BigInt(start + 97 * 60_000) * 1_000_000n);
    const running = runQueue({
      queue,
      contactsWith: () => Promise.resolve(contacts),
      stallSeconds: 120,
      verify: true,
      signal: new AbortController().signal,
      onProgress: () => {},
      onEvent: (_, text) => events.push(text),
    });
    await vi.advanceTimersByTimeAsync(96 * 60_000);
    expect(served.log).toEqual([]);
    expect(events).toEqual([
      'waits for the contact with surrey at 2000-07-05T13:37:00 UTC; 54000 octets are left, done about 2000-07-05T13:38:00 UTC (one pass)',
    ]);
    await vi.advanceTimersByTimeAsync(61_000);
    await running;
    expect(queue.get('a')).toMatchObject({ state: 'done', verified: 'sha256', movedOctets: 54_000 });
    expect(disk.get('/home/image')!.length).toBe(54_000);
  });
});
