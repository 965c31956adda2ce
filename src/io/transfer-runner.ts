/** Works through a transfer queue: the most urgent job first, again after every failure, until the ones asked for are done. */
import { type ContactForecast, estimate, nextJob, retrySeconds, type TransferJob } from '../apps/ftp/index.ts';
import type { WallTime } from '../core/index.ts';
import { attemptTransfer } from './ftp-client.ts';
import type { TransferQueue } from './transfer-queue.ts';

export interface RunnerOptions {
  readonly queue: TransferQueue;
  /** The contacts with a host, as far as anything is known about them. */
  readonly contactsWith: (host: string) => Promise<ContactForecast>;
  readonly stallSeconds: number;
  readonly verify: boolean;
  readonly saveEveryMs?: number;
  readonly signal: AbortSignal;
  readonly onProgress: (job: TransferJob, octets: number, of: number, contacts: ContactForecast) => void;
  readonly onEvent: (job: TransferJob, text: string) => void;
}

/** How often a running transfer looks for a more urgent job. */
const LOOK_MS = 2000;

/** Returns when no job waits, or the signal says stop. `until` ends it earlier: when that job is finished. */
export async function runQueue(options: RunnerOptions, until?: string): Promise<void> {
  const { queue, signal } = options;
  while (!signal.aborted) {
    if (until !== undefined && queue.get(until)?.state !== 'waiting') return;
    const job = nextJob(queue.list());
    if (job === undefined) return;
    const contacts = await options.contactsWith(job.host);
    await untilContact(job, contacts, options);
    if (!signal.aborted) await runOne(job, contacts, options);
  }
}

async function runOne(job: TransferJob, contacts: ContactForecast, options: RunnerOptions): Promise<void> {
  const { queue, signal } = options;
  const ending = new AbortController();
  const stop = () => ending.abort();
  signal.addEventListener('abort', stop);
  let urgent: TransferJob | undefined;
  const look = setInterval(() => {
    const first = nextJob(queue.list());
    if (first === undefined || first.priority <= job.priority) return;
    urgent = first;
    ending.abort();
  }, LOOK_MS);
  job.attempts++;
  await queue.save(job);
  const before = job.movedOctets;
  try {
    const outcome = await attemptTransfer(job, {
      disk: queue.disk,
      contacts,
      stallSeconds: options.stallSeconds,
      verify: options.verify,
      ...(options.saveEveryMs === undefined ? {} : { saveEveryMs: options.saveEveryMs }),
      signal: ending.signal,
      onProgress: (octets, of) => options.onProgress(job, octets, of, contacts),
      save: (changed) => queue.save(changed),
    });
    if (outcome.kind === 'done') Object.assign(job, { state: 'done', verified: outcome.verified, problem: undefined });
    else if (outcome.kind === 'failed') Object.assign(job, { state: 'failed', problem: outcome.reason });
    else job.problem = outcome.reason;
    // An attempt that moved something starts the patience anew.
    if (job.movedOctets > before) job.attempts = 1;
    await queue.save(job);
    if (urgent !== undefined) options.onEvent(job, `gives way to ${urgent.remotePath}, priority ${urgent.priority}`);
    else if (outcome.kind === 'again' && !signal.aborted) {
      const wait = retrySeconds(job.attempts);
      options.onEvent(job, `${outcome.reason}; trying again in ${wait} s`);
      await sleep(wait * 1000, signal);
    }
  } finally {
    clearInterval(look);
    signal.removeEventListener('abort', stop);
  }
}

/** Without a contact an attempt would only wait for answers that cannot come. */
async function untilContact(job: TransferJob, contacts: ContactForecast, options: RunnerOptions): Promise<void> {
  for (let told = false; !contacts.always && !options.signal.aborted; told = true) {
    const now = (BigInt(Date.now()) * 1_000_000n) as WallTime;
    const next = contacts.next(now, 1)[0];
    if (next === undefined || next.begin <= now) return;
    const begin = new Date(Number(next.begin / 1_000_000n)).toISOString().slice(0, 19);
    if (!told)
      options.onEvent(job, `waits for the contact with ${next.peer} at ${begin} UTC${whenDone(job, now, contacts)}`);
    await sleep(Math.min(60_000, Number((next.begin - now) / 1_000_000n)), options.signal);
  }
}

/** As far as the plan tells: a job that has not begun does not know its size. */
function whenDone(job: TransferJob, now: WallTime, contacts: ContactForecast): string {
  if (job.source === undefined) return '';
  const left = Math.max(0, job.source.size - job.safeOctets);
  const found = estimate(left, job.direction === 'fetch' ? 'in' : 'out', now, undefined, contacts);
  if (found === undefined) return '';
  const at = new Date(Number(found.doneAt / 1_000_000n)).toISOString().slice(0, 19);
  return `; ${left} octets are left, done about ${at} UTC (${found.passes === 1 ? 'one pass' : `${found.passes} passes`})`;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
