/**
 * The mail queue on disk. A message is accepted when its envelope has its name in `envelopes/`, and not before; each step is
 * ordered by fsync so that a crash leaves one of the states of docs/mail-queue.md, which `load` puts right.
 *
 *   incoming/ID        octets under reception            incoming/ID.note   the interrupted transaction (RFC 1845)
 *   messages/ID        octets of an accepted message     envelopes/ID       its envelope, JSON
 *   finished/ID        envelope of a message that is done: its transaction is not accepted again
 *   damaged/           files that are no envelope, put aside
 */
import { type FileHandle, open, readdir, readFile, rename, rm, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  finishedForm,
  type MailStore,
  type PartialNote,
  type PartialTransaction,
  parseIso,
  type Recipient,
  type Spool,
  type StoreContents,
} from '../apps/smtp/index.ts';
import { OmniError, type WallTime } from '../core/index.ts';
import { makeFolder, syncFolder } from './whole-file.ts';

const FOLDERS = ['incoming', 'messages', 'envelopes', 'finished', 'damaged', 'tmp'] as const;
type Folder = (typeof FOLDERS)[number];
/** A relay that starts in a pass is waited for. */
const READ_AT_ONCE = 32;
const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,100}$/;

export interface DiskMailStoreOptions {
  readonly root: string;
  now(): WallTime;
  log(line: string): void;
  /** Called before each step; the crash tests end the process there. */
  step?(name: string): void;
}

export class DiskMailStore implements MailStore {
  readonly #options: DiskMailStoreOptions;
  #free = { at: 0, octets: 0 };
  #temporary = 0;

  constructor(options: DiskMailStoreOptions) {
    this.#options = options;
  }

  async load(): Promise<StoreContents> {
    try {
      for (const folder of FOLDERS) await makeFolder(join(this.#options.root, folder));
    } catch (cause) {
      throw new OmniError('OMNI_MAIL_QUEUE', `making the mail queue in ${this.#options.root}: ${String(cause)}`, {
        cause,
      });
    }
    for (const name of await this.#names('tmp')) await this.#remove('tmp', name);
    // A month's traffic: no more than is asked of it.
    const finished = await this.#envelopes('finished', finishedForm);
    const done = new Set(finished.map((e) => e.id));
    const queued: Envelope[] = [];
    for (const envelope of await this.#envelopes('envelopes', (whole) => whole)) {
      // Both names: the crash came between the two halves of `finish`.
      if (done.has(envelope.id)) await this.#remove('envelopes', envelope.id);
      else queued.push(envelope);
    }
    const waiting = new Set(queued.map((e) => e.id));
    const messages = new Set(await this.#names('messages'));
    const lost = queued.filter((e) => !messages.has(e.id));
    for (const { id } of lost) {
      this.#options.log(`event=message-missing id=${id} action=envelope-put-aside`);
      await rename(this.#path('envelopes', id), this.#path('damaged', id));
    }
    const notes = await this.#notes();
    for (const id of messages) {
      if (waiting.has(id)) continue;
      // Not accepted: back to where an interrupted transaction goes on, or away.
      if (notes.has(id) && !done.has(id)) await rename(this.#path('messages', id), this.#path('incoming', id));
      else await this.#remove('messages', id);
    }
    const partial: PartialTransaction[] = [];
    for (const name of await this.#names('incoming')) {
      const id = name.replace(/\.note$/, '');
      const note = notes.get(id);
      if (note === undefined || waiting.has(id) || done.has(id) || note.octets === 0)
        await this.#remove('incoming', name);
      else if (name === id) partial.push(note);
    }
    return { queued: queued.filter((e) => !lost.includes(e)), finished, partial };
  }

  async spool(id: string, note: PartialNote | undefined, resume?: number): Promise<Spool> {
    this.#step('spool');
    const file = this.#path('incoming', id);
    const handle = await open(file, resume === undefined ? 'w' : 'r+', 0o600);
    let at = resume ?? 0;
    if (resume !== undefined) await handle.truncate(resume);
    let closed = false;
    return {
      append: async (octets) => {
        for (let done = 0; done < octets.length; ) {
          const { bytesWritten } = await handle.write(octets, done, octets.length - done, at);
          done += bytesWritten;
          at += bytesWritten;
        }
      },
      checkpoint: async (octets) => {
        this.#step('checkpoint-sync');
        await handle.datasync();
        this.#step('checkpoint-note');
        if (note === undefined) return;
        const record = { ...note, id, octets, updated: encodeTime(this.#options.now()) };
        await this.#writeWhole('incoming', `${id}.note`, JSON.stringify(record), 'checkpoint');
      },
      close: async () => {
        if (closed) return;
        closed = true;
        await handle.close();
      },
    };
  }

  readSpool(id: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#read('incoming', id, offset, length);
  }

  async discardSpool(id: string): Promise<void> {
    this.#step('discard');
    await this.#remove('incoming', id);
    await this.#remove('incoming', `${id}.note`);
  }

  async commit(envelope: Envelope): Promise<void> {
    const { id } = envelope;
    const from = this.#path('incoming', id);
    this.#step('commit-sync');
    const handle = await open(from, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      this.#step('commit-rename');
      await rename(from, this.#path('messages', id));
      this.#step('commit-sync-messages');
      await this.#syncFolder('messages');
      await this.#writeWhole('envelopes', id, encodeEnvelope(envelope), 'commit');
    } catch (error) {
      // The client is told that it failed and will send again: nothing of this try may come alive at the next start.
      await this.#remove('envelopes', id);
      await this.#remove('messages', id);
      throw error;
    }
    // Accepted. What is left of the reception goes; a crash here leaves it to `load`.
    this.#step('commit-note');
    await this.#remove('incoming', `${id}.note`);
  }

  async save(envelope: Envelope): Promise<void> {
    await this.#writeWhole('envelopes', envelope.id, encodeEnvelope(envelope), 'save');
  }

  async finish(envelope: Envelope): Promise<void> {
    const { id } = envelope;
    await this.#writeWhole('finished', id, encodeEnvelope(envelope), 'finish');
    this.#step('finish-envelope');
    await this.#remove('envelopes', id);
    this.#step('finish-message');
    await this.#remove('messages', id);
  }

  async forget(id: string): Promise<void> {
    await this.#remove('finished', id);
  }

  read(id: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#read('messages', id, offset, length);
  }

  async free(): Promise<number> {
    const now = Number(process.hrtime.bigint() / 1_000_000n);
    if (now - this.#free.at > 1000) {
      const { bavail, bsize } = await statfs(this.#options.root);
      this.#free = { at: now, octets: bavail * bsize };
    }
    return this.#free.octets;
  }

  /** All or nothing under its name: write beside, fsync, rename, fsync the folder. */
  async #writeWhole(folder: Folder, name: string, text: string, why: string): Promise<void> {
    const beside = join(this.#options.root, 'tmp', `${name}.${++this.#temporary}`);
    this.#step(`${why}-write`);
    const handle = await open(beside, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      this.#step(`${why}-sync-file`);
      await handle.sync();
    } catch (error) {
      await handle.close();
      await rm(beside, { force: true });
      throw error;
    }
    await handle.close();
    this.#step(`${why}-name`);
    await rename(beside, this.#path(folder, name));
    this.#step(`${why}-sync-folder`);
    await this.#syncFolder(folder);
  }

  #syncFolder(folder: Folder): Promise<void> {
    return syncFolder(join(this.#options.root, folder));
  }

  async #read(folder: Folder, id: string, offset: number, length: number): Promise<Uint8Array> {
    const handle: FileHandle = await open(this.#path(folder, id), 'r');
    try {
      const octets = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(octets, filled, length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return octets.subarray(0, filled);
    } finally {
      await handle.close();
    }
  }

  async #envelopes<Form>(folder: 'envelopes' | 'finished', form: (envelope: Envelope) => Form): Promise<Form[]> {
    const found: Form[] = [];
    const names = await this.#names(folder);
    for (let at = 0; at < names.length; at += READ_AT_ONCE) {
      const some = names.slice(at, at + READ_AT_ONCE);
      const texts = await Promise.all(some.map((name) => readFile(this.#path(folder, name), 'utf8')));
      for (const [i, name] of some.entries()) {
        const envelope = decodeEnvelope(texts[i]!);
        if (envelope?.id === name) found.push(form(envelope));
        else {
          this.#options.log(`event=envelope-damaged file=${folder}/${name} action=put-aside`);
          await rename(this.#path(folder, name), this.#path('damaged', name));
        }
      }
    }
    return found;
  }

  async #notes(): Promise<Map<string, PartialTransaction>> {
    const notes = new Map<string, PartialTransaction>();
    for (const name of await this.#names('incoming')) {
      if (!name.endsWith('.note')) continue;
      const note = decodeNote(await readFile(this.#path('incoming', name), 'utf8'));
      if (note !== undefined) notes.set(note.id, note);
    }
    return notes;
  }

  async #names(folder: Folder): Promise<string[]> {
    return (await readdir(join(this.#options.root, folder))).filter((name) => folder === 'tmp' || SAFE_ID.test(name));
  }

  async #remove(folder: Folder, name: string): Promise<void> {
    await unlink(join(this.#options.root, folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }

  #path(folder: Folder, id: string): string {
    if (!SAFE_ID.test(id)) throw new RangeError(`'${id}' is not a queue id`);
    return join(this.#options.root, folder, id);
  }

  #step(name: string): void {
    this.#options.step?.(name);
  }
}

const encodeTime = (at: WallTime): string => new Date(Number(at / 1_000_000n)).toISOString();

function decodeNote(text: string): PartialTransaction | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const updated = parseIso(String(value.updated));
    const { transaction, id, octets, recipients } = value;
    if (updated === undefined || typeof transaction !== 'string' || typeof id !== 'string') return undefined;
    if (!Number.isInteger(octets) || !Array.isArray(recipients)) return undefined;
    return { transaction, id, octets: octets as number, recipients: recipients as Recipient[], updated };
  } catch {
    return undefined;
  }
}
