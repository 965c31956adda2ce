/**
 * One attempt at a transfer job, on basic-ftp. Goes on where the last attempt stopped, if the source is still the same file;
 * checks the size and then the SHA-256 (HASH or XSHA256, where the server has one) before it calls the job done.
 *
 * basic-ftp's own time-out counts all time; a watchdog here counts contact time instead, so that a pass that ends is waited out.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { Client, FTPError } from 'basic-ftp';
import { type ContactForecast, deadlineInContact, type TransferJob } from '../apps/ftp/index.ts';
import { instant, seconds, type WallTime } from '../core/index.ts';
import type { TransferDisk } from './transfer-disk.ts';
import { TransferPart } from './transfer-part.ts';
import { unacknowledgedOctets } from './unacknowledged.ts';

export type Outcome =
  | { readonly kind: 'done'; readonly verified: 'sha256' | 'size' }
  /** Worth another attempt. */
  | { readonly kind: 'again'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

export interface AttemptOptions {
  readonly disk: TransferDisk;
  readonly contacts: ContactForecast;
  readonly stallSeconds: number;
  readonly verify: boolean;
  /** Ends the attempt, e.g. because a more urgent job came. */
  readonly signal: AbortSignal;
  /** Octets of the file that are there, of how many. */
  readonly onProgress: (octets: number, of: number) => void;
  /** How often a download is forced out; default 5 s. */
  readonly saveEveryMs?: number;
  /** Must make the job durable. */
  readonly save: (job: TransferJob) => Promise<void>;
}

const SAVE_EVERY_MS = 5000;
/** One write to the socket: progress is known to this. */
const OUTGOING_OCTETS = 16_384;
/** Where an unfinished download is kept: beside its target. */
export const partPath = (job: TransferJob): string => `${job.localPath}.omni-part`;

export async function attemptTransfer(job: TransferJob, options: AttemptOptions): Promise<Outcome> {
  const client = new Client(0);
  const watchdog = new Watchdog(client, options);
  const abort = () => client.close();
  options.signal.addEventListener('abort', abort);
  try {
    const secure = job.tls !== 'off';
    const secureOptions = job.tls === 'unverified' ? { rejectUnauthorized: false } : { servername: job.host };
    await client.access({
      host: job.host,
      port: job.port,
      user: job.user,
      password: job.password,
      secure,
      secureOptions,
    });
    return await (job.direction === 'fetch'
      ? fetch(client, job, options, watchdog)
      : put(client, job, options, watchdog));
  } catch (error) {
    return outcomeOf(error, options.signal, watchdog.fired);
  } finally {
    options.signal.removeEventListener('abort', abort);
    watchdog.stop();
    client.close();
  }
}

async function fetch(client: Client, job: TransferJob, options: AttemptOptions, watchdog: Watchdog): Promise<Outcome> {
  const { disk } = options;
  const source = await describeRemote(client, job.remotePath);
  const part = partPath(job);
  const same = job.source?.size === source.size && job.source.modifiedMs === source.modifiedMs;
  const here = same ? await disk.size(part) : 0;
  // The last attempt had checked the file and given it its name, and came no further.
  if (same && job.verified !== undefined && here === 0 && (await disk.size(job.localPath)) === source.size) {
    await disk.syncFolder(dirname(job.localPath));
    return { kind: 'done', verified: job.verified };
  }
  // After a crash of the machine only what was forced out counts.
  const trusted = job.bootId === disk.bootId ? here : Math.min(here, job.safeOctets);
  const begin = trusted <= source.size ? trusted : 0;
  if (!same) await disk.unlink(part).catch(() => {});
  else if (begin < here) await disk.truncate(part, begin);
  Object.assign(job, { source, bootId: disk.bootId, safeOctets: begin, verified: undefined });
  await options.save(job);
  if (begin < source.size || source.size === 0) {
    await client.send('TYPE I');
    let before = begin;
    const stream = await TransferPart.open(disk, part, {
      begin,
      saveEveryMs: options.saveEveryMs ?? SAVE_EVERY_MS,
      onProgress(octets) {
        watchdog.alive();
        job.movedOctets += octets - before;
        before = octets;
        options.onProgress(octets, source.size);
      },
      onSafe(octets) {
        job.safeOctets = octets;
        return options.save(job);
      },
    });
    try {
      await client.downloadTo(stream, job.remotePath, begin);
    } finally {
      await stream.close();
    }
  }
  await disk.sync(part);
  await disk.syncFolder(dirname(part));
  const size = await disk.size(part);
  job.safeOctets = size;
  if (size !== source.size) return { kind: 'again', reason: `${size} of ${source.size} octets arrived` };
  const verified = options.verify ? await compareHashes(client, job, part, disk, watchdog) : 'size';
  if (verified === 'different') {
    await disk.unlink(part);
    return { kind: 'again', reason: 'the SHA-256 differs; fetching the file anew' };
  }
  job.verified = verified;
  await options.save(job);
  await disk.rename(part, job.localPath);
  await disk.syncFolder(dirname(job.localPath));
  return { kind: 'done', verified };
}

async function put(client: Client, job: TransferJob, options: AttemptOptions, watchdog: Watchdog): Promise<Outcome> {
  const stats = await stat(job.localPath);
  if (!stats.isFile()) return { kind: 'failed', reason: `${job.localPath} is not a file` };
  const source = { size: stats.size, modifiedMs: Math.floor(stats.mtimeMs) };
  const same = job.source?.size === source.size && job.source.modifiedMs === source.modifiedMs;
  // What is there before our first octet went is another file and will be replaced.
  const there = same && job.begun ? await client.size(job.remotePath).catch(() => 0) : 0;
  const begin = there <= source.size ? there : 0;
  Object.assign(job, { source, begun: begin > 0 });
  await options.save(job);
  await client.send('TYPE I');
  let counted = 0;
  client.trackProgress(({ bytes, type }) => {
    const socket = client.ftp.dataSocket;
    if (type !== 'upload' || socket === undefined) return;
    // Told twice a second, whether anything moved or not.
    const arrived = Math.max(counted, bytes - socket.writableLength - unacknowledgedOctets(socket));
    if (arrived > counted) watchdog.alive();
    job.movedOctets += arrived - counted;
    counted = arrived;
    options.onProgress(begin + arrived, source.size);
  });
  const outgoing = Readable.from(outgoingOctets(job, begin, options), { objectMode: false });
  if (begin === 0) await client.uploadFrom(outgoing, job.remotePath);
  else if (begin < source.size) await client.appendFrom(outgoing, job.remotePath);
  client.trackProgress();
  job.movedOctets += Math.max(0, source.size - begin - counted);
  watchdog.alive();
  const size = await client.size(job.remotePath);
  if (size !== source.size) {
    // Not ours any more, or damaged: the next attempt begins anew.
    if (size > source.size) delete job.source;
    return { kind: 'again', reason: `${size} of ${source.size} octets are there` };
  }
  const verified = options.verify ? await compareHashes(client, job, job.localPath, options.disk, watchdog) : 'size';
  if (verified !== 'different') return { kind: 'done', verified };
  delete job.source;
  return { kind: 'again', reason: 'the SHA-256 differs; sending the file anew' };
}

/** Begins when the server has accepted the upload. */
async function* outgoingOctets(job: TransferJob, begin: number, options: AttemptOptions): AsyncIterable<Uint8Array> {
  job.begun = true;
  await options.save(job);
  for await (const block of options.disk.octets(job.localPath, begin))
    for (let at = 0; at < block.length; at += OUTGOING_OCTETS) yield block.subarray(at, at + OUTGOING_OCTETS);
}

async function describeRemote(client: Client, path: string): Promise<{ size: number; modifiedMs: number }> {
  const size = await client.size(path);
  const modified = await client.lastMod(path).catch(() => undefined);
  return { size, modifiedMs: modified?.getTime() ?? 0 };
}

/** `size` when the server offers no hash: then the sizes, which were compared before, must do. */
async function compareHashes(
  client: Client,
  job: TransferJob,
  localPath: string,
  disk: TransferDisk,
  watchdog: Watchdog,
): Promise<'sha256' | 'size' | 'different'> {
  const features = await client.features();
  const byHash = /SHA-256/i.test(features.get('HASH') ?? '');
  if (!byHash && !features.has('XSHA256')) return 'size';
  if (byHash) await client.sendIgnoringError('OPTS HASH SHA-256');
  // A large file takes the spacecraft a while to read, and nothing is heard until then.
  watchdog.pause();
  const answer = await client.send(byHash ? `HASH ${job.remotePath}` : `XSHA256 "${job.remotePath}"`);
  watchdog.alive();
  const theirs = /\b[0-9a-f]{64}\b/i.exec(answer.message)?.[0]?.toLowerCase();
  if (theirs === undefined) return 'size';
  const hash = createHash('sha256');
  for await (const chunk of disk.octets(localPath)) hash.update(chunk);
  return hash.digest('hex') === theirs ? 'sha256' : 'different';
}

/** Codes that no second attempt changes: wrong login, no such file, not allowed. */
function outcomeOf(error: unknown, signal: AbortSignal, stalled: boolean): Outcome {
  if (signal.aborted) return { kind: 'again', reason: 'interrupted' };
  if (stalled) return { kind: 'again', reason: 'nothing moved for too long' };
  const message = error instanceof Error ? error.message.trim() : String(error);
  if (error instanceof FTPError && error.code >= 500 && error.code !== 554) return { kind: 'failed', reason: message };
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (['ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR', 'EROFS'].includes(code)) return { kind: 'failed', reason: message };
  if (/certificate|self.signed/i.test(message)) return { kind: 'failed', reason: `${message} (--insecure accepts it)` };
  return { kind: 'again', reason: message };
}

/** Closes the connection when nothing was heard for so many seconds of contact. */
class Watchdog {
  readonly #client: Client;
  readonly #options: AttemptOptions;
  #timer: NodeJS.Timeout | undefined;
  fired = false;

  constructor(client: Client, options: AttemptOptions) {
    this.#client = client;
    this.#options = options;
    this.alive();
  }

  alive(): void {
    this.pause();
    const now = instant(performance.now() * 1e6);
    const wallNow = (BigInt(Date.now()) * 1_000_000n) as WallTime;
    const at = deadlineInContact(now, wallNow, seconds(this.#options.stallSeconds), this.#options.contacts);
    const wait = Math.min(2 ** 31 - 1, (at - now) / 1e6);
    this.#timer = setTimeout(() => {
      this.fired = true;
      this.#client.close();
    }, wait);
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  stop(): void {
    this.pause();
  }
}
