/**
 * The queue of file transfers on the disk: one JSON file per job, written beside, forced out and renamed, so that a job is there
 * whole or not at all after a crash at any moment. Job files hold passwords and are readable by their owner only.
 *
 * One process at a time works on a queue. It holds a socket in the abstract name space, which the kernel takes back however the
 * process ends; others leave their job in the queue and watch it.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TransferJob, transferJob } from '../apps/ftp/index.ts';
import { OmniError } from '../core/index.ts';

export function defaultQueueFolder(): string {
  const state = process.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
  return process.env.OMNI_QUEUE ?? join(state, 'omni', 'transfers');
}

/** Changes with every start of the machine. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export class TransferQueue {
  readonly folder: string;
  #temporary = 0;

  constructor(folder: string) {
    this.folder = resolve(folder);
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new OmniError('OMNI_QUEUE', `cannot make the queue folder ${this.folder}: ${(cause as Error).message}`, {
        cause,
        remedy: 'Name another with --queue FOLDER.',
      });
    }
  }

  /** All jobs. A file that is no job is left alone. */
  list(): TransferJob[] {
    return readdirSync(this.folder)
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

  async save(job: TransferJob): Promise<void> {
    const temporary = `${this.#file(job.id)}.${process.pid}-${this.#temporary++}`;
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(job, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#file(job.id));
    const folder = await open(this.folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  remove(id: string): void {
    unlinkSync(this.#file(id));
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
      return transferJob.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch {
      return undefined;
    }
  }
}
