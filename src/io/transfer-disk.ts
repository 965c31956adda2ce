/**
 * What a transfer queue and its downloads do to the disk, one system call each, so that a test can end the process between any
 * two and take back what was not forced out. Nothing here is durable by itself: `sync` is, for a file's octets, and `syncFolder`,
 * for its name.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { open, rename, stat, truncate, unlink } from 'node:fs/promises';

export interface TransferDisk {
  /** Changes with every start of the machine. */
  readonly bootId: string;
  /** False when it was there. */
  makeFolder(path: string): boolean;
  names(folder: string): string[];
  /** Throws when it cannot be read. */
  read(path: string): string;
  /** Fails when the file is there. */
  create(path: string, text: string): Promise<void>;
  openForWriting(path: string): Promise<TransferFile>;
  /** 0 when it is not there. */
  size(path: string): Promise<number>;
  sync(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  truncate(path: string, octets: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  octets(path: string, from?: number): AsyncIterable<Uint8Array>;
}

export interface TransferFile {
  write(octets: Uint8Array, at: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export const nodeTransferDisk: TransferDisk = {
  get bootId() {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  },
  makeFolder(path) {
    try {
      mkdirSync(path, { mode: 0o700 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  },
  names: (folder) => readdirSync(folder),
  read: (path) => readFileSync(path, 'utf8'),
  async create(path, text) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  },
  async openForWriting(path) {
    const file = await open(path, 'a', 0o644).then(async (created) => {
      await created.close();
      return open(path, 'r+');
    });
    return {
      async write(octets, at) {
        for (let done = 0; done < octets.length; ) {
          const { bytesWritten } = await file.write(octets, done, octets.length - done, at + done);
          done += bytesWritten;
        }
      },
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  size: (path) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    ),
  sync: syncPath,
  syncFolder: syncPath,
  truncate,
  rename,
  unlink,
  async *octets(path, from = 0) {
    const file = await open(path, 'r');
    try {
      for await (const chunk of file.createReadStream({ start: from, highWaterMark: 1 << 18, autoClose: false }))
        yield chunk as Uint8Array;
    } finally {
      await file.close();
    }
  },
};

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
