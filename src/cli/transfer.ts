/** What `omni fetch` and `omni put` share: their options, the job that they make, and the work on the queue. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { TransferJob } from '../apps/ftp/index.ts';
import { defaultQueueFolder, TransferQueue } from '../io/transfer-queue.ts';
import { runQueue } from '../io/transfer-runner.ts';
import type { TestbedState } from '../testbed/select.ts';
import { EXIT } from './exit-codes.ts';
import { ProgressLine } from './transfer-progress.ts';
import { contactsWith, insideNamespace, reenter, testbedWith } from './transfer-testbed.ts';
import { note, printJson, VerbError } from './verb.ts';

export interface TransferOptions {
  readonly user?: string;
  readonly port?: string;
  readonly tls?: boolean;
  readonly insecure?: boolean;
  readonly priority: string;
  readonly queue?: string;
  readonly wait: boolean;
  readonly verify: boolean;
  readonly stall: string;
  readonly at?: string;
  readonly testbed?: string;
  readonly list?: boolean;
  readonly resume?: boolean;
  readonly forget?: string;
  readonly json?: boolean;
}

export function withTransferOptions(command: Command): Command {
  return command
    .option('--user <name:password>', 'login; default: $OMNI_FTP_USER as NAME:PASSWORD, else anonymous')
    .option('--port <port>', 'of the control connection', '21')
    .option('--tls', 'protect both connections with TLS')
    .option('--insecure', 'with --tls, accept any certificate')
    .option('--priority <n>', 'higher goes first, also before a running transfer', '0')
    .option('--queue <folder>', 'where transfers are kept; default: $OMNI_QUEUE or ~/.local/state/omni/transfers')
    .option('--no-wait', 'only put it into the queue')
    .option('--no-verify', 'compare sizes only, not SHA-256')
    .option('--stall <seconds>', 'contact time without an octet after which the connection is made anew', '120')
    .option('--at <node>', 'node of the testbed on which the client runs; default: its control centre')
    .option('--testbed <name>', 'which testbed; default: the one with such a node')
    .option('--list', 'show the queue and end')
    .option('--resume', 'work through the queue, e.g. after a reboot')
    .option('--forget <id>', 'take a transfer out of the queue')
    .option('--json', 'print the result as JSON');
}

/** Does what the options say; `target` is undefined when the command line names none. */
export async function transferVerb(
  direction: 'fetch' | 'put',
  target: { readonly remote: string; readonly local: string } | undefined,
  options: TransferOptions,
): Promise<void> {
  const queue = await TransferQueue.open(options.queue ?? defaultQueueFolder());
  if (options.forget !== undefined) return forget(queue, options.forget);
  if (options.list) return list(queue, options.json ?? false);
  if (target === undefined && !options.resume)
    throw new VerbError(
      EXIT.usage,
      `what shall be ${direction === 'fetch' ? 'fetched' : 'put'}?`,
      `omni ${direction} --help shows examples.`,
    );
  const job = target === undefined ? undefined : newJob(queue, direction, target, options);
  const hosts = job === undefined ? queue.list().map(({ host }) => host) : [job.host];
  const testbed = await testbedWith(hosts, options.testbed);
  if (testbed !== undefined && !insideNamespace(testbed)) {
    process.exitCode = await reenter(testbed, options.at);
    return;
  }
  if (job !== undefined) await queue.save(job);
  if (job !== undefined && !options.wait) {
    if (options.json) printJson(publicJob(job));
    else note(`omni: ${job.id} is in the queue; 'omni ${direction} --resume' works through it`);
    return;
  }
  await work(queue, job, testbed, options);
}

async function work(
  queue: TransferQueue,
  job: TransferJob | undefined,
  testbed: TestbedState | undefined,
  options: TransferOptions,
): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stop);
  const progress = new ProgressLine();
  const before = new Set(
    queue
      .list()
      .filter(({ state }) => state !== 'waiting')
      .map(({ id }) => id),
  );
  for (;;) {
    const right = await queue.takeWork();
    if (right === undefined) {
      if (!(await othersWork(queue, job, stopping.signal))) continue;
      break;
    }
    await queue.removeRemains();
    await runQueue(
      {
        queue,
        contactsWith: (host) => contactsWith(testbed, host),
        stallSeconds: Number(options.stall),
        verify: options.verify,
        signal: stopping.signal,
        onProgress: (running, octets, of, contacts) => progress.show(running, octets, of, contacts),
        onEvent: (running, text) => progress.event(`${running.remotePath}: ${text}`),
      },
      job?.id,
    );
    right.release();
    break;
  }
  progress.end();
  const finished =
    job === undefined
      ? queue.list().filter(({ id, state }) => state !== 'waiting' && !before.has(id))
      : [queue.get(job.id) ?? job];
  await report(queue, finished, stopping.signal.aborted, options.json ?? false);
}

/** Another process works on the queue: watch our job there. False when that process has gone and we must do it. */
async function othersWork(queue: TransferQueue, job: TransferJob | undefined, signal: AbortSignal): Promise<boolean> {
  note('omni: another omni process works on this queue; waiting for it');
  while (!signal.aborted) {
    if (
      job === undefined
        ? !queue.list().some(({ state }) => state === 'waiting')
        : queue.get(job.id)?.state !== 'waiting'
    )
      return true;
    const right = await queue.takeWork();
    right?.release();
    if (right !== undefined) return false;
    await new Promise((done) => setTimeout(done, 500));
  }
  return true;
}

async function report(
  queue: TransferQueue,
  jobs: readonly TransferJob[],
  interrupted: boolean,
  json: boolean,
): Promise<void> {
  if (json) printJson(jobs.length === 1 ? publicJob(jobs[0]!) : jobs.map(publicJob));
  for (const job of jobs) {
    if (job.state === 'waiting') continue;
    const what = `${job.host}:${job.remotePath}`;
    if (job.state === 'done') {
      const how = job.verified === 'sha256' ? 'SHA-256 equal' : 'sizes equal; the server offers no SHA-256';
      note(
        `omni: ${what} ${job.direction === 'fetch' ? `→ ${job.localPath}` : `← ${job.localPath}`}: ${job.source?.size} octets, ${how}`,
      );
    } else note(`omni: ${what}: ${job.problem}`);
    await queue.remove(job.id);
  }
  if (jobs.some(({ state }) => state === 'failed')) process.exitCode = EXIT.failure;
  else if (interrupted) {
    note("omni: interrupted; what has arrived is kept, and 'omni fetch --resume' goes on with it");
    process.exitCode = EXIT.interrupted;
  }
}

function newJob(
  queue: TransferQueue,
  direction: 'fetch' | 'put',
  target: { remote: string; local: string },
  options: TransferOptions,
): TransferJob {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(.+)$/s.exec(target.remote);
  if (match === null)
    throw new VerbError(EXIT.usage, `'${target.remote}' is no NODE:PATH`, 'For example spacecraft:/earth-1.png');
  const login = options.user ?? process.env.OMNI_FTP_USER ?? 'anonymous:omni@';
  const colon = login.indexOf(':');
  if (colon < 1) throw new VerbError(EXIT.usage, 'the login is NAME:PASSWORD', 'For example --user operator:secret');
  const numbers = { port: Number(options.port), priority: Number(options.priority), stall: Number(options.stall) };
  for (const [name, value] of Object.entries(numbers))
    if (!Number.isInteger(value)) throw new VerbError(EXIT.usage, `--${name} takes a whole number`);
  const localPath = resolve(target.local);
  const job: TransferJob = {
    version: 1,
    id: queue.newId(),
    direction,
    host: (match[1] ?? match[2])!,
    port: numbers.port,
    user: login.slice(0, colon),
    password: login.slice(colon + 1),
    tls: options.tls ? (options.insecure ? 'unverified' : 'required') : 'off',
    remotePath: match[3]!,
    localPath,
    priority: numbers.priority,
    addedMs: Date.now(),
    state: 'waiting',
    attempts: 0,
    safeOctets: 0,
    bootId: queue.disk.bootId,
    movedOctets: 0,
  };
  // The same transfer again goes on with the one that is there, and takes the new priority.
  const waiting = queue.list().filter(({ state }) => state === 'waiting');
  const same = waiting.find((other) => sameTransfer(other, job));
  const clash = waiting.find((other) => other !== same && other.direction === 'fetch' && other.localPath === localPath);
  if (direction === 'fetch' && clash !== undefined)
    throw new VerbError(
      EXIT.usage,
      `${localPath} is where ${clash.host}:${clash.remotePath} goes (transfer ${clash.id})`,
      `Name another local file, or take that one out with --forget ${clash.id}.`,
    );
  return same === undefined
    ? job
    : { ...same, priority: job.priority, user: job.user, password: job.password, tls: job.tls };
}

const sameTransfer = (a: TransferJob, b: TransferJob): boolean =>
  a.direction === b.direction &&
  a.host === b.host &&
  a.port === b.port &&
  a.remotePath === b.remotePath &&
  a.localPath === b.localPath;

const publicJob = ({ password: _, bootId: __, version: ___, ...rest }: TransferJob): object => rest;

async function forget(queue: TransferQueue, id: string): Promise<void> {
  if (queue.get(id) === undefined) throw new VerbError(EXIT.usage, `there is no transfer ${id}`, '--list shows them.');
  await queue.remove(id);
}

function list(queue: TransferQueue, json: boolean): void {
  const jobs = queue.list().sort((a, b) => b.priority - a.priority || a.addedMs - b.addedMs);
  if (json) printJson(jobs.map(publicJob));
  else if (jobs.length === 0) note('omni: the queue is empty');
  for (const job of json ? [] : jobs) {
    const arrow = job.direction === 'fetch' ? '→' : '←';
    const size = job.source === undefined ? '' : `, ${job.source.size} octets`;
    process.stdout.write(
      `${job.id}  ${job.state}  priority ${job.priority}  ${job.host}:${job.remotePath} ${arrow} ${job.localPath}${size}${job.problem === undefined ? '' : `  (${job.problem})`}\n`,
    );
  }
}
