/** An app process that ends is started again: at once, then less often, counted; one that was told to stop is not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ResolvedNode } from '../../src/scenario/resolved.ts';
import {
  AppSupervisor,
  FIRST_BACK_OFF_MILLISECONDS,
  LONGEST_BACK_OFF_MILLISECONDS,
  REBOOT_EXIT_CODE,
  STEADY_MILLISECONDS,
  type SupervisedProcess,
} from '../../src/testbed/app-supervisor.ts';

type EndListener = Parameters<SupervisedProcess['onEnd']>[0];

class FakeProcess implements SupervisedProcess {
  readonly pid: number;
  failure: string | undefined;
  readonly signals: string[] = [];
  #ended = false;
  readonly #listeners: EndListener[] = [];

  constructor(pid: number, failure: string | undefined) {
    this.pid = pid;
    this.failure = failure;
  }
  async start(): Promise<readonly string[]> {
    if (this.failure !== undefined) throw new Error(this.failure);
    return ['ftp'];
  }
  tellContacts(): void {}
  async status() {
    return this.#ended
      ? { node: 'sat', pid: this.pid, state: 'ended' as const, services: {} }
      : { node: 'sat', pid: this.pid, state: 'running' as const, services: { ftp: {} } };
  }
  async request(): Promise<unknown> {
    return this.pid;
  }
  onEnd(listener: EndListener): void {
    if (this.#ended) listener('ended', undefined, undefined);
    else this.#listeners.push(listener);
  }
  kill(signal: string): void {
    this.signals.push(signal);
    this.end(`ended (${signal})`);
  }
  end(reason: string, exitCode?: number, signal?: NodeJS.Signals): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const listener of this.#listeners) listener(reason, exitCode, signal);
  }
}

let launched: FakeProcess[];
let failure: string | undefined;
let log: string[];
const contacts = { origin: 0, links: [] };

const supervisor = (): AppSupervisor =>
  new AppSupervisor({
    node: { name: 'sat' } as ResolvedNode,
    launch: () => {
      const process = new FakeProcess(launched.length + 1, failure);
      launched.push(process);
      return process;
    },
    contacts: () => contacts,
    log: (line) => log.push(line),
  });

beforeEach(() => {
  vi.useFakeTimers();
  launched = [];
  failure = undefined;
  log = [];
});
afterEach(() => vi.useRealTimers());

test('one that is killed comes back with its services; requests wait for it; the restart is counted with its reason', async () => {
  const app = supervisor();
  expect(await app.start()).toEqual(['ftp']);
  expect(await app.status()).toEqual({ node: 'sat', pid: 1, state: 'running', services: { ftp: {} }, restarts: 0 });
  launched[0]!.end('ended (SIGKILL)');
  expect(await app.status()).toMatchObject({ state: 'restarting', reason: 'ended (SIGKILL)' });
  expect(() => app.request('ftp', 'status', {})).toThrow(/restarting/);
  await vi.advanceTimersByTimeAsync(FIRST_BACK_OFF_MILLISECONDS);
  expect(await app.status()).toMatchObject({
    pid: 2,
    state: 'running',
    restarts: 1,
    lastEnd: { reason: 'ended (SIGKILL)' },
  });
  expect(await app.request('ftp', 'status', {})).toBe(2);
});

test('one that keeps ending, or whose services do not start, is tried less and less often, at least every half minute', async () => {
  const app = supervisor();
  await app.start();
  failure = 'the port is taken';
  launched[0]!.end('ended (exit 70)');
  const times: number[] = [];
  let count = 1;
  for (let at = 0; at < 200_000; at += 50) {
    await vi.advanceTimersByTimeAsync(50);
    if (launched.length > count) {
      count = launched.length;
      times.push(at + 50);
    }
  }
  const waits = times.map((time, i) => time - (times[i - 1] ?? 0));
  expect(waits.slice(0, 7)).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000]);
  expect(Math.max(...waits)).toBe(LONGEST_BACK_OFF_MILLISECONDS);
  expect(await app.status()).toMatchObject({ state: 'restarting', restarts: count - 1 });
  expect(log.some((line) => line.includes('event=app-not-restarted') && line.includes('the port is taken'))).toBe(true);
  failure = undefined;
  await vi.advanceTimersByTimeAsync(LONGEST_BACK_OFF_MILLISECONDS);
  expect(await app.status()).toMatchObject({ state: 'running' });
  // It ran well for a while: the next end is the first again.
  await vi.advanceTimersByTimeAsync(STEADY_MILLISECONDS);
  launched.at(-1)!.end('ended (SIGSEGV)');
  await vi.advanceTimersByTimeAsync(FIRST_BACK_OFF_MILLISECONDS);
  expect(await app.status()).toMatchObject({ state: 'running' });
});

test('one that came up and is killed is back as soon the tenth time as the first', async () => {
  const app = supervisor();
  await app.start();
  for (let i = 0; i < 10; i++) {
    launched.at(-1)!.end('ended (SIGKILL)', undefined, 'SIGKILL');
    await vi.advanceTimersByTimeAsync(FIRST_BACK_OFF_MILLISECONDS);
    expect(await app.status()).toMatchObject({ state: 'running', restarts: i + 1 });
  }
  // Killed before its services are there it may be its own doing: a watchdog's, or a lack of memory.
  failure = 'no memory';
  for (let i = 0; i < 3; i++) {
    launched.at(-1)!.end('ended (SIGKILL)', undefined, 'SIGKILL');
    await vi.advanceTimersByTimeAsync(FIRST_BACK_OFF_MILLISECONDS);
  }
  expect(launched).toHaveLength(13);
});

test('a commanded reboot starts at once and does not count against it', async () => {
  const app = supervisor();
  await app.start();
  for (let i = 0; i < 10; i++) {
    launched.at(-1)!.end('ended (exit 80)', REBOOT_EXIT_CODE);
    await vi.advanceTimersByTimeAsync(0);
    expect(await app.status()).toMatchObject({ state: 'running', restarts: i + 1 });
  }
  expect(await app.status()).toMatchObject({ lastEnd: { reason: 'it was commanded to reboot' } });
});

test('what never came up, and what was stopped, stays down', async () => {
  failure = 'no such user';
  const broken = supervisor();
  await expect(broken.start()).rejects.toThrow('no such user');
  launched[0]!.end('ended (exit 1)');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(launched).toHaveLength(1);
  failure = undefined;
  const app = supervisor();
  await app.start();
  await app.stop(1000);
  expect(launched[1]!.signals).toEqual(['SIGTERM']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(launched).toHaveLength(2);
});
