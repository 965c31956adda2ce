/**
 * The results file: JSON lines, only ever appended to, each line on the disk before the next run is taken as done. A line that a
 * killed writer left unfinished is ended and passed over; a line that does not fit on a full disk is taken back, so that what is
 * there stays whole.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, resolve } from 'node:path';
import { OmniError } from '../../core/index.ts';
import { type SweepResult, sweepResultSchema } from './result.ts';

/** What a journal does to a file; tests put a disk in its place that is full. */
export interface JournalFile {
  readonly size: number;
  append(octets: Uint8Array): void;
  truncate(size: number): void;
  sync(): void;
  close(): void;
}

export class Journal {
  readonly #file: JournalFile;
  readonly #lock: Server | undefined;
  #size: number;

  constructor(file: JournalFile, lock?: Server) {
    this.#file = file;
    this.#lock = lock;
    this.#size = file.size;
  }

  /** Throws OmniError OMNI_OUTPUT when the file cannot be opened, OMNI_TESTBED_BUSY when another sweep writes to it. */
  static async open(path: string): Promise<Journal> {
    const lock = await lockFile(path);
    try {
      mkdirSync(dirname(resolve(path)), { recursive: true });
      const file = new PlainFile(path);
      const journal = new Journal(file, lock);
      if (file.endsInTheMiddle()) journal.#write('\n');
      return journal;
    } catch (cause) {
      lock.close();
      if (cause instanceof OmniError) throw cause;
      throw new OmniError('OMNI_OUTPUT', `cannot write results to ${path}: ${(cause as Error).message}`, { cause });
    }
  }

  /** On the disk when it returns. Throws OmniError OMNI_DISK_FULL; then the file is as it was. */
  append(result: SweepResult): void {
    this.#write(`${JSON.stringify(result)}\n`);
  }

  close(): void {
    this.#file.close();
    this.#lock?.close();
  }

  #write(text: string): void {
    const octets = Buffer.from(text);
    try {
      this.#file.append(octets);
      this.#file.sync();
      this.#size += octets.length;
    } catch (cause) {
      try {
        this.#file.truncate(this.#size);
      } catch {
        // The reader passes over the torn line.
      }
      throw diskError(cause, 'the results');
    }
  }
}

/** The error for a write that failed; a full disk says so. */
export function diskError(cause: unknown, what: string): OmniError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new OmniError('OMNI_DISK_FULL', `the disk is full: ${what} could not be written`, {
      cause,
      remedy:
        'what was written before is whole; make room and start the same command again: it goes on where it stopped',
    });
  return new OmniError('OMNI_OUTPUT', `${what} could not be written: ${message}`, { cause });
}

export interface ReadResults {
  readonly results: readonly SweepResult[];
  /** Lines that are no result: torn by a crash, or of another program. */
  readonly ignored: number;
}

/** Nothing when there is no such file. Throws the file system's error when it cannot be read. */
export function readResults(path: string): ReadResults {
  if (!existsSync(path)) return { results: [], ignored: 0 };
  const results: SweepResult[] = [];
  let ignored = 0;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const result = parseLine(line);
    if (result === undefined) ignored++;
    else results.push(result);
  }
  return { results, ignored };
}

function parseLine(line: string): SweepResult | undefined {
  try {
    const parsed = sweepResultSchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

class PlainFile implements JournalFile {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'a+');
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  endsInTheMiddle(): boolean {
    const { size } = this;
    if (size === 0) return false;
    const last = new Uint8Array(1);
    readSync(this.#fd, last, 0, 1, size - 1);
    return last[0] !== 10;
  }

  append(octets: Uint8Array): void {
    // A disk that fills up takes a part; the rest then fails, with the reason.
    for (let at = 0; at < octets.length; ) at += writeSync(this.#fd, octets, at);
  }

  truncate(size: number): void {
    ftruncateSync(this.#fd, size);
  }

  sync(): void {
    fsyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** An abstract socket, which the kernel takes back however the process ends. */
function lockFile(path: string): Promise<Server> {
  const name = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 40);
  const server = createServer((socket) => socket.destroy());
  return new Promise((done, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new OmniError('OMNI_TESTBED_BUSY', `another sweep is writing to ${path}`, {
              remedy: 'wait for it, or give this one another --output (omni sweep merge joins them)',
            })
          : error,
      ),
    );
    server.listen(`\0omni-results-${name}`, () => {
      server.unref();
      done(server);
    });
  });
}
