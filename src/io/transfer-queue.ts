/**
 * The queue of file transfers on the disk: one JSON file per job, written beside, forced out and renamed, so that a job is there
 * whole or not at all after a crash at any moment. Job files hold passwords and are readable by their owner only.
 *
 * One process at a time works on a queue. It holds a socket in the abstract name space, which the kernel takes back however the
 * process ends; others leave their job in the queue and watch it.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type TransferJob, transferJob } from '../apps/ftp/index.ts';
import { OmniError } from '../core/index.ts';
import { nodeTransferDisk, type TransferDisk } from './transfer-disk.ts';

export function defaultQueueFolder(): string {
  const state = process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
  return process.env.OMNI_QUEUE ?? join(state, 'omni', 'transfers');
}

export class TransferQueue {
  readonly folder: string;
  readonly disk: TransferDisk;
  /** Saves one after the other: an older state of a job must not be renamed over a newer one. */
  #saving: Promise<void> = Promise.resolve();
  #temporary = 0;

  private constructor(folder: string, disk: TransferDisk) {
    this.folder = folder;
    this.disk = disk;
  }

  /** Makes the folder if need be. */
  static async open(folder: string, disk: TransferDisk = nodeTransferDisk): Promise<TransferQueue> {
    const absolute = resolve(folder);
    try {
      await makeFolders(absolute, disk);
    } catch (cause) {
      throw new OmniError('OMNI_QUEUE', `cannot make the queue folder ${absolute}: ${(cause as Error).message}`, {
        cause,
        remedy: 'Name another with --queue FOLDER.',
      });
    }
    return new TransferQueue(absolute, disk);
  }

  /** All jobs. A file that is no job is left alone. */
  list(): TransferJob[] {
    return this.disk
      .names(this.folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => this.#read(join(this.folder, name)))
      .filter((job) => job !== undefined);
  }

  get(id: string): TransferJob | undefined {
    return this.#read(this.#file(id));
  }

  newId(): string {
    return randomUUID().slice(0, 8);
  }

  /** Durable when it resolves. */
  save(job: TransferJob): Promise<void> {
    const saved = this.#saving.then(async () => {
      const temporary = `${this.#file(job.id)}.${process.pid}-${this.#temporary++}`;
      await this.disk.create(temporary, `${JSON.stringify(job, null, 2)}\n`);
      await this.disk.sync(temporary);
      await this.disk.rename(temporary, this.#file(job.id));
      await this.disk.syncFolder(this.folder);
    });
    this.#saving = saved.catch(() => {});
    return saved;
  }

  async remove(id: string): Promise<void> {
    await this.disk.unlink(this.#file(id));
    await this.disk.syncFolder(this.folder);
  }

  /** Takes away what processes that were killed while saving have left; for whoever has the right to work. */
  async removeRemains(): Promise<void> {
    await this.#saving;
    for (const name of this.disk.names(this.folder)) {
      const pid = /^[^.]+\.json\.(\d+)-\d+$/.exec(name)?.[1];
      // Our own number belonged to another process before.
      const remains = pid !== undefined && (Number(pid) === process.pid || !isRunning(Number(pid)));
      if (remains) await this.disk.unlink(join(this.folder, name)).catch(() => {});
    }
    // A job that was renamed and not forced out when its process ended counts from now on.
    await this.disk.syncFolder(this.folder);
  }

  /** The right to work on this queue; undefined when another process has it. */
  takeWork(): Promise<{ release(): void } | undefined> {
    const name = createHash('sha256').update(this.folder).digest('hex').slice(0, 40);
    const server = createServer((socket) => socket.destroy());
    return new Promise((done, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? done(undefined) : reject(error),
      );
      server.listen(`\0omni-transfers-${name}`, () => {
        server.unref();
        done({ release: () => server.close() });
      });
    });
  }

  #file(id: string): string {
    return join(this.folder, `${id}.json`);
  }

  #read(file: string): TransferJob | undefined {
    try {
      return transferJob.parse(JSON.parse(this.disk.read(file)));
    } catch {
      return undefined;
    }
  }
}

/** A new folder's name is durable only when its parent is forced out, and so on up. */
async function makeFolders(path: string, disk: TransferDisk): Promise<void> {
  const parent = dirname(path);
  try {
    if (disk.makeFolder(path)) await disk.syncFolder(parent);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
    await makeFolders(parent, disk);
    if (disk.makeFolder(path)) await disk.syncFolder(parent);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
