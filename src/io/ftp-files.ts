/**
 * The tree that an FTP account sees: a folder and all below it, and nothing else. Every path is resolved by the kernel (realpath)
 * and must lie inside the folder's own real path, so a link is followed only where it leads inside.
 *
 * Uploads are written beside their target (`.omni-upload.NAME`) and renamed over it when complete and on the disk, so under its
 * own name a file is always whole. An interrupted upload stays there, and FTP clients see it under the target's name and size, as
 * on any server, so that they can resume it. A resumed or appended upload of a complete file is written in place.
 *
 * Left out: owners and groups (all belongs to the process), links made by clients, sparse files.
 */
import { constants, lstatSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, realpath, rename, rmdir, statfs, unlink } from 'node:fs/promises';
import {
  type AnswerOf,
  type Entry,
  type FileReason,
  NetworkSize,
  nameOf,
  type Operations,
  parentOf,
  UPLOAD_PREFIX,
} from '../apps/ftp/index.ts';
import { fail, OmniError, ok, type Result } from '../core/index.ts';
import { digestFor, readAll } from './ftp-hash.ts';
import { type FtpUploads, Upload, unfinishedOctets } from './ftp-upload.ts';
import { FtpUsage } from './ftp-usage.ts';

export interface FtpTreeOptions {
  /** Absolute. */
  readonly root: string;
  /** The login name. */
  readonly name: string;
  /** Who uploads belong to: only the same one may take them over. */
  readonly user: string;
  /** Uploads of all sessions, to tell a returning client from a second writer. */
  readonly uploads: FtpUploads;
  readonly quotaOctets?: number | undefined;
  readonly quotaFiles?: number | undefined;
}

/** Where a path leads, in octet text: `full` is real but for its last name, which may not exist. */
interface Place {
  readonly full: string;
  readonly stats: Stats | undefined;
}

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NAME_MAX_OCTETS = 255;
/** Names described between two turns of the event loop, so that a large directory does not stop the other sessions. */
const LIST_SLICE = 256;

// biome-ignore lint/suspicious/noControlCharactersInRegex: octets below 0x80 are the same in UTF-8
const ASCII = /^[\x00-\x7f]*$/;
/** ASCII goes as it is, which costs a tenth; anything else must keep its octets. */
export const octetPath = (text: string): Buffer | string => (ASCII.test(text) ? text : Buffer.from(text, 'latin1'));

export class FtpTree {
  readonly #options: FtpTreeOptions;
  readonly #root: string;
  readonly #usage: FtpUsage | undefined;

  private constructor(options: FtpTreeOptions, root: string) {
    this.#options = options;
    this.#root = root;
    const limited = options.quotaOctets !== undefined || options.quotaFiles !== undefined;
    this.#usage = limited ? FtpUsage.of(root) : undefined;
  }

  static async open(options: FtpTreeOptions): Promise<FtpTree> {
    try {
      const root = (await realpath(Buffer.from(options.root), { encoding: 'buffer' })).toString('latin1');
      if (!statSync(octetPath(root)).isDirectory()) throw new Error('not a directory');
      return new FtpTree(options, root === '/' ? '' : root);
    } catch (cause) {
      throw new OmniError('OMNI_FTP_ROOT', `cannot serve the folder ${options.root}: ${(cause as Error).message}`, {
        cause,
        remedy: 'Make the folder first, or name another one.',
      });
    }
  }

  get owner(): string {
    return this.#options.name;
  }

  async describe({ path }: Operations['describe']['ask']): Promise<AnswerOf<'describe'>> {
    return attempt(async () => {
      const place = await this.#place(path);
      const stats = place.ok ? visibleStats(place.value) : undefined;
      if (!place.ok) return place;
      return stats === undefined ? fail('not-found') : ok(entryOf(nameOf(path) || '/', stats));
    });
  }

  async list({ path }: Operations['list']['ask']): Promise<AnswerOf<'list'>> {
    return attempt(async () => {
      const place = await this.#place(path);
      if (!place.ok) return place;
      const { full } = place.value;
      // In order, so that what sorts the listing finds it sorted.
      const names = (await readdir(octetPath(full), { encoding: 'latin1' })).sort();
      const uploads = new Set(names.filter((raw) => raw.startsWith(UPLOAD_PREFIX)));
      const entries: Entry[] = [];
      let count = 0;
      for (const raw of names) {
        if (++count % LIST_SLICE === 0) await new Promise<void>((resolve) => setImmediate(resolve));
        if (uploads.size > 0 && uploads.has(`${UPLOAD_PREFIX}${raw}`)) continue;
        const name = uploads.has(raw) ? raw.slice(UPLOAD_PREFIX.length) : raw;
        const there = lstatOf(`${full}/${raw}`);
        const stats = there !== undefined && uploads.has(raw) ? unfinished(there) : there;
        if (stats?.isSymbolicLink()) {
          const target = await this.#linkTarget(joinOctets(path, raw));
          if (target !== undefined) entries.push(entryOf(name, target));
        } else if (stats !== undefined) entries.push(entryOf(name, stats));
      }
      return ok(entries);
    });
  }

  async openRead(
    path: string,
    offset: number,
    ascii: boolean,
  ): Promise<Result<{ file: FileHandle; size: number; end: number }, FileReason>> {
    return attempt(async () => {
      const place = await this.#place(path);
      if (!place.ok) return place;
      const { full, stats } = place.value;
      const upload = uploadPath(full);
      const interrupted = upload !== undefined && lstatOf(upload)?.isFile() === true;
      if (stats?.isDirectory()) return fail('is-a-directory');
      // O_NONBLOCK: opening a pipe must not wait for its writer.
      const file = await open(octetPath(interrupted ? upload : full), READ_FLAGS);
      const opened = interrupted ? unfinished(await file.stat()) : await file.stat();
      const reason = !opened.isFile() ? 'not-a-file' : !ascii && offset > opened.size ? 'offset' : undefined;
      // What grows is read as far as it has come; see `unfinished` for the other.
      const end = interrupted ? opened.size : Number.POSITIVE_INFINITY;
      if (reason === undefined) return ok({ file, size: opened.size, end });
      await file.close();
      return fail(reason);
    });
  }

  async openWrite({
    path,
    how,
    offset,
    sizeTold,
  }: Operations['open-write']['ask']): Promise<Result<{ upload: Upload; path: string }, FileReason>> {
    return attempt(async () => {
      const chosen = how === 'unique' ? await this.#uniquePath(path) : path;
      const place = await this.#place(chosen);
      if (!place.ok) return place;
      const { full, stats } = place.value;
      if (stats?.isDirectory()) return fail('is-a-directory');
      if (stats !== undefined && !stats.isFile()) return fail('not-a-file');
      // The same user again: the client came back after a lost pass while its old session still hangs. It gives way.
      const before = await this.#options.uploads.takeOver(full, this.#options.user);
      if (before === 'busy') return fail('busy');
      const budget = await this.#budget(stats, how);
      if (!budget.ok) return budget;
      const upload = await Upload.open({
        full,
        beside: uploadPath(full),
        existing: stats,
        how,
        offset,
        // What its old connection still delivered after SIZE, the client is about to send again.
        appendAt: before === 'taken' ? (sizeTold ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
        user: this.#options.user,
        limitOctets: budget.value,
        usage: this.#usage,
        uploads: this.#options.uploads,
      });
      return upload.ok ? ok({ upload: upload.value, path: chosen }) : upload;
    });
  }

  async makeDirectory(path: string): Promise<AnswerOf<'make-directory'>> {
    return attempt(async () => {
      const place = await this.#place(path);
      if (!place.ok) return place;
      if (place.value.stats !== undefined) return fail('exists');
      const budget = await this.#budget(undefined, 'replace');
      if (!budget.ok) return budget;
      await mkdir(octetPath(place.value.full));
      return ok({});
    });
  }

  async removeDirectory(path: string): Promise<AnswerOf<'remove-directory'>> {
    return attempt(async () => {
      const place = path === '/' ? fail('denied' as const) : await this.#place(path);
      if (!place.ok) return place;
      await rmdir(octetPath(place.value.full));
      return ok({});
    });
  }

  async deleteFile(path: string): Promise<AnswerOf<'delete-file'>> {
    return attempt(async () => {
      // The name itself, not what it links to.
      const place = await this.#place(path, 'name');
      if (!place.ok) return place;
      const { full, stats } = place.value;
      if (stats?.isDirectory()) return fail('is-a-directory');
      const upload = uploadPath(full);
      const interrupted = upload !== undefined && lstatOf(upload) !== undefined;
      if (interrupted && (await this.#options.uploads.takeOver(full, this.#options.user)) === 'busy')
        return fail('busy');
      if (interrupted) await unlink(octetPath(upload)).catch(() => {});
      if (stats !== undefined) await unlink(octetPath(full));
      return stats === undefined && !interrupted ? fail('not-found') : ok({});
    });
  }

  async rename({ from, to }: Operations['rename']['ask']): Promise<AnswerOf<'rename'>> {
    return attempt(async () => {
      const source = from === '/' || to === '/' ? fail('denied' as const) : await this.#place(from, 'name');
      if (!source.ok) return source;
      const target = await this.#place(to, 'name');
      if (!target.ok) return target;
      const targetStats = target.value.stats;
      if (targetStats?.isDirectory() && !source.value.stats?.isDirectory()) return fail('is-a-directory');
      const upload = uploadPath(source.value.full);
      const interrupted = upload !== undefined && lstatOf(upload) !== undefined;
      if (source.value.stats === undefined && !interrupted) return fail('not-found');
      if (source.value.stats !== undefined) await rename(octetPath(source.value.full), octetPath(target.value.full));
      const targetUpload = uploadPath(target.value.full);
      if (interrupted && targetUpload !== undefined) await rename(octetPath(upload), octetPath(targetUpload));
      return ok({});
    });
  }

  async setMode({ path, mode }: Operations['set-mode']['ask']): Promise<AnswerOf<'set-mode'>> {
    return this.#withFile(path, async (file) => {
      await file.chmod(mode);
      return ok({});
    });
  }

  async setModified({ path, modifiedMs }: Operations['set-modified']['ask']): Promise<AnswerOf<'set-modified'>> {
    return this.#withFile(path, async (file) => {
      await file.utimes(modifiedMs / 1000, modifiedMs / 1000);
      return ok({});
    });
  }

  async size({ path, ascii }: Operations['size']['ask'], signal: AbortSignal): Promise<AnswerOf<'size'>> {
    return this.#withFile(path, async (file, stats) => {
      if (stats.isDirectory()) return fail('not-a-file');
      if (!ascii) return ok({ octets: stats.size });
      const count = new NetworkSize();
      const whole = await readAll(file, 0, stats.size, signal, (chunk) => count.add(chunk));
      return whole ? ok({ octets: count.octets }) : fail('aborted');
    });
  }

  async hash(
    { path, algorithm, begin, end }: Operations['hash']['ask'],
    signal: AbortSignal,
  ): Promise<AnswerOf<'hash'>> {
    return this.#withFile(path, async (file, stats) => {
      if (!stats.isFile()) return fail('not-a-file');
      const last = Math.min(end ?? stats.size, stats.size);
      if (begin > last) return fail('offset');
      const digest = digestFor(algorithm);
      const whole = await readAll(file, begin, last, signal, digest.update);
      return whole ? ok({ hash: digest.finish(), begin, end: last }) : fail('aborted');
    });
  }

  async space(): Promise<AnswerOf<'space'>> {
    return attempt(async () => {
      const { bavail, bsize } = await statfs(octetPath(this.#root === '' ? '/' : this.#root));
      const { quotaOctets } = this.#options;
      const free = bavail * bsize;
      if (quotaOctets === undefined || this.#usage === undefined) return ok({ octets: free });
      const used = await this.#usage.measure();
      return ok({ octets: Math.max(0, Math.min(free, quotaOctets - used.octets)) });
    });
  }

  /**
   * Resolves a path. The parent is resolved by the kernel; a link in the last place is followed unless `what` is `name`. Every
   * result is checked to be inside the root.
   */
  async #place(path: string, what: 'target' | 'name' = 'target'): Promise<Result<Place, FileReason>> {
    if (path === '/') {
      const full = this.#root === '' ? '/' : this.#root;
      return ok({ full, stats: lstatOf(full) });
    }
    const parent = await realOctets(`${this.#root}${parentOf(path)}`);
    if (!this.#contains(parent)) return fail('outside');
    const full = `${parent === '/' ? '' : parent}/${nameOf(path)}`;
    const stats = lstatOf(full);
    if (stats === undefined && !lstatOf(parent)?.isDirectory()) return fail('not-a-directory');
    if (!stats?.isSymbolicLink() || what === 'name') return ok({ full, stats });
    const target = await realOctets(full);
    return this.#contains(target) ? ok({ full: target, stats: lstatOf(target) }) : fail('outside');
  }

  #contains(full: string): boolean {
    return full === this.#root || full.startsWith(`${this.#root}/`);
  }

  /** A link shows as what it leads to, or not at all when that is outside. */
  async #linkTarget(path: string): Promise<Stats | undefined> {
    const place = await attempt(() => this.#place(path));
    return place.ok ? place.value.stats : undefined;
  }

  async #withFile<Value>(
    path: string,
    use: (file: FileHandle, stats: Stats) => Promise<Result<Value, FileReason>>,
  ): Promise<Result<Value, FileReason>> {
    return attempt(async () => {
      const place = await this.#place(path);
      if (!place.ok) return place;
      const upload = uploadPath(place.value.full);
      const interrupted = upload !== undefined && lstatOf(upload)?.isFile() === true;
      const file = await open(octetPath(interrupted ? upload : place.value.full), READ_FLAGS);
      try {
        const stats = await file.stat();
        return await use(file, interrupted ? unfinished(stats) : stats);
      } finally {
        await file.close();
      }
    });
  }

  async #uniquePath(path: string): Promise<string> {
    for (let i = 0; ; i++) {
      const candidate = i === 0 ? path : `${path}.${i}`;
      const place = await this.#place(candidate);
      if (!place.ok || (place.value.stats === undefined && visibleStats(place.value) === undefined)) return candidate;
    }
  }

  /** How many octets one more upload may store. */
  async #budget(
    existing: Stats | undefined,
    how: Operations['open-write']['ask']['how'],
  ): Promise<Result<number, FileReason>> {
    const { quotaOctets = Number.POSITIVE_INFINITY, quotaFiles = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#usage === undefined) return ok(Number.POSITIVE_INFINITY);
    const used = await this.#usage.measure();
    if (existing === undefined && used.files >= quotaFiles) return fail('quota');
    // What is replaced will be freed.
    const freed = how === 'replace' ? (existing?.size ?? 0) : 0;
    return ok(Math.max(0, quotaOctets - used.octets + freed));
  }
}

const joinOctets = (directory: string, name: string): string =>
  directory === '/' ? `/${name}` : `${directory}/${name}`;

/** Where an upload of this file is written; undefined when its name is too long to have another beside it. */
function uploadPath(full: string): string | undefined {
  const name = `${UPLOAD_PREFIX}${nameOf(full)}`;
  return name.length > NAME_MAX_OCTETS ? undefined : `${parentOf(full) === '/' ? '' : parentOf(full)}/${name}`;
}

/** What clients see under a name: an interrupted upload, else the file. */
function visibleStats({ full, stats }: Place): Stats | undefined {
  if (stats?.isDirectory()) return stats;
  const upload = uploadPath(full);
  const interrupted = upload === undefined ? undefined : lstatOf(upload);
  return interrupted === undefined ? stats : unfinished(interrupted);
}

/**
 * Of an interrupted upload one octet less is told than is there. A client that was killed may have left all of its octets under way:
 * told the whole size, it would take the file for stored and not come back to complete it.
 */
function unfinished(stats: Stats): Stats {
  stats.size = unfinishedOctets(stats.size);
  return stats;
}

const lstatOf = (full: string): Stats | undefined => {
  try {
    return lstatSync(octetPath(full), { throwIfNoEntry: false });
  } catch (error) {
    // "Not a directory" in the middle of a path is "nothing there" to us.
    if (codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
};

const realOctets = async (full: string): Promise<string> =>
  (await realpath(octetPath(full === '' ? '/' : full), { encoding: 'buffer' })).toString('latin1');

function entryOf(name: string, stats: Stats): Entry {
  return {
    name,
    type: stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'other',
    size: stats.size,
    modifiedMs: stats.mtimeMs,
    mode: stats.mode & 0o7777,
    links: stats.nlink,
    device: stats.dev,
    inode: stats.ino,
  };
}

/** System errors as reasons; anything else is our bug and goes on up. */
export async function attempt<Value>(
  action: () => Promise<Result<Value, FileReason>>,
): Promise<Result<Value, FileReason>> {
  try {
    return await action();
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    return fail(reason);
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

export function reasonOf(error: unknown): FileReason | undefined {
  const code = codeOf(error);
  if (code === undefined) return undefined;
  return Object.hasOwn(REASONS, code) ? REASONS[code] : /^E[A-Z0-9]+$/.test(code) ? 'io' : undefined;
}

const REASONS: Readonly<Record<string, FileReason>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-a-directory',
  EISDIR: 'is-a-directory',
  EEXIST: 'exists',
  ENOTEMPTY: 'not-empty',
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  EBUSY: 'denied',
  ELOOP: 'outside',
  ENXIO: 'not-a-file',
  EINVAL: 'name-invalid',
  ENAMETOOLONG: 'name-invalid',
  ENOSPC: 'disk-full',
  EDQUOT: 'quota',
  EFBIG: 'quota',
};
