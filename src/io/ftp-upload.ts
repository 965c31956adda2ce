/**
 * One upload into a file, from opening to safety on the disk.
 *
 *   state on disk        while it runs           complete                    interrupted
 *   new file             .omni-upload.N grows    fsync, rename to N, fsync   .omni-upload.N stays; clients see it as N
 *   replaces N           N old; beside grows     fsync, rename over N        N old; .omni-upload.N stays, or goes if the disk is full
 *   resumes beside       .omni-upload.N grows    fsync, rename over N        .omni-upload.N stays
 *   resumes or appends   N grows in place        fsync                       N as far as it came; append on a full disk: N as before
 *
 * Beside its target an upload counts one octet less than it has, to clients and for appending (`unfinishedOctets`).
 * A crash at any point leaves one of the states of the first or last column: rename is atomic and comes after fsync.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { type FileReason, nameOf, parentOf } from '../apps/ftp/index.ts';
import { fail, ok, type Result } from '../core/index.ts';
import type { FtpUsage } from './ftp-usage.ts';

/** The uploads that run now, by the real path of their target. */
export class FtpUploads {
  readonly #running = new Map<string, Upload>();

  /** `taken`: the same user's older session wrote there and was ended; `busy`: another user writes there. */
  async takeOver(full: string, user: string): Promise<'free' | 'taken' | 'busy'> {
    const running = this.#running.get(full);
    if (running === undefined) return 'free';
    if (running.user !== user) return 'busy';
    running.interrupt();
    await running.closed;
    return 'taken';
  }

  add(full: string, upload: Upload): void {
    this.#running.set(full, upload);
  }

  remove(full: string, upload: Upload): void {
    if (this.#running.get(full) === upload) this.#running.delete(full);
  }
}

interface UploadOptions {
  readonly full: string;
  /** Undefined: the name is too long for a second one beside it, so it is written in place. */
  readonly beside: string | undefined;
  readonly existing: Stats | undefined;
  readonly how: 'replace' | 'append' | 'resume' | 'unique';
  readonly offset: number;
  /** Where an append begins at the latest. */
  readonly appendAt: number;
  readonly user: string;
  readonly limitOctets: number;
  readonly usage: FtpUsage | undefined;
  readonly uploads: FtpUploads;
}

const WRITE_FLAGS = constants.O_RDWR | constants.O_NOFOLLOW;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

export class Upload {
  readonly file: FileHandle;
  readonly user: string;
  /** Where the next octet goes. */
  readonly offset: number;
  readonly limitOctets: number;
  readonly closed: Promise<void>;
  /** Set by the session: ends the transfer. */
  interrupt: () => void = () => {};
  readonly #options: UploadOptions;
  readonly #path: string;
  #resolveClosed: () => void = () => {};

  private constructor(options: UploadOptions, file: FileHandle, path: string, offset: number) {
    this.#options = options;
    this.file = file;
    this.user = options.user;
    this.offset = offset;
    this.limitOctets = options.limitOctets;
    this.#path = path;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    options.usage?.beginWriting(options.existing === undefined);
    options.uploads.add(options.full, this);
  }

  static async open(options: UploadOptions): Promise<Result<Upload, FileReason>> {
    const { full, beside, existing, how } = options;
    if (how === 'replace' || how === 'unique') {
      const path = beside ?? full;
      if (beside !== undefined) await unlink(bytes(beside)).catch(() => {});
      const create = beside === undefined ? constants.O_TRUNC : constants.O_EXCL;
      const mode = existing === undefined ? 0o644 : existing.mode & 0o777;
      return ok(new Upload(options, await open(bytes(path), WRITE_FLAGS | constants.O_CREAT | create, mode), path, 0));
    }
    const interrupted = beside === undefined ? undefined : await openExisting(beside);
    const found = interrupted ?? (existing === undefined ? undefined : await open(bytes(full), WRITE_FLAGS));
    if (found === undefined) {
      if (how === 'resume') return fail('offset');
      const path = beside ?? full;
      return ok(new Upload(options, await open(bytes(path), WRITE_FLAGS | constants.O_CREAT, 0o644), path, 0));
    }
    const { size } = await found.stat();
    if (how === 'resume' && options.offset > size) {
      await found.close();
      return fail('offset');
    }
    const told = interrupted === undefined ? size : unfinishedOctets(size);
    const offset = how === 'append' ? Math.min(told, options.appendAt) : options.offset;
    if (offset < size) await found.truncate(offset);
    return ok(new Upload(options, found, interrupted === undefined ? full : beside!, offset));
  }

  /**
   * Makes what arrived safe, or puts things as the table above says. `confirm` is asked at the last moment whether what looks
   * complete is: the end of a client that vanished shows on its connections in any order.
   */
  async finish(result: 'complete' | 'interrupted' | 'no-room', confirm: () => boolean): Promise<void> {
    const { full, existing, uploads, usage } = this.#options;
    const inPlace = this.#path === full;
    try {
      const { size } = await this.file.stat();
      usage?.grew(size - this.offset);
      if (result === 'no-room' && inPlace && this.#options.how === 'append') await this.file.truncate(this.offset);
      await this.file.sync();
      const how = result === 'complete' && !confirm() ? 'interrupted' : result;
      if (how === 'complete' && !inPlace) {
        await rename(bytes(this.#path), bytes(full));
        await syncFolder(parentOf(full));
      } else if (how === 'complete' && existing === undefined) await syncFolder(parentOf(full));
      const useless = size === 0 || (how === 'no-room' && existing !== undefined);
      if (how !== 'complete' && !inPlace && useless) await unlink(bytes(this.#path));
    } finally {
      await this.file.close();
      usage?.endWriting();
      uploads.remove(full, this);
      this.#resolveClosed();
    }
  }

  get name(): string {
    return nameOf(this.#options.full);
  }
}

/** What clients are told of an upload that is not complete, so that they come back for its end. */
export const unfinishedOctets = (octets: number): number => Math.max(0, octets - 1);

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(bytes(path), WRITE_FLAGS);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A rename is on the disk only when its directory is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(bytes(folder), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
