/**
 * A mail store whose disk outlives its process. `kill()` ends the process in the middle of whatever it does: no call of a dead
 * store ever settles, and octets that were not forced to the disk are lost from a random point on. Steps take virtual time, so
 * that a kill can fall between any two.
 */

import type {
  Envelope,
  MailStore,
  PartialNote,
  PartialTransaction,
  Spool,
  StoreContents,
} from '../../../src/apps/smtp/index.ts';
import { decodeEnvelope, encodeEnvelope, finishedForm } from '../../../src/apps/smtp/index.ts';
import type { Rng } from '../../../src/core/index.ts';

interface SpoolFile {
  chunks: Uint8Array[];
  length: number;
  synced: number;
  /** What the note beside it says; undefined for a transaction without id. */
  note: (PartialNote & { octets: number; updated: bigint }) | undefined;
}

/** The disk: what a crash leaves. */
export class MemoryDisk {
  readonly spools = new Map<string, SpoolFile>();
  readonly messages = new Map<string, Uint8Array>();
  readonly queued = new Map<string, string>();
  readonly finished = new Map<string, string>();
  freeOctets = 1e12;

  /** Power fails: octets behind the last fsync are gone from a random point on. */
  crash(rng: Rng): void {
    for (const spool of this.spools.values()) {
      const keep = spool.synced + Math.floor(rng.uniform() * (spool.length - spool.synced + 1));
      truncate(spool, keep);
    }
  }
}

export class MemoryStore implements MailStore {
  readonly #disk: MemoryDisk;
  readonly #pause: () => Promise<void>;
  readonly #now: () => bigint;
  /** Steps done so far; a test may kill at a given one. */
  steps = 0;
  onStep: (step: number) => void = () => {};
  #dead = false;

  constructor(disk: MemoryDisk, options: { pause?: () => Promise<void>; now?: () => bigint } = {}) {
    this.#disk = disk;
    this.#pause = options.pause ?? (() => Promise.resolve());
    this.#now = options.now ?? (() => 0n);
  }

  kill(): void {
    this.#dead = true;
  }

  async #step(): Promise<void> {
    if (!this.#dead) {
      this.onStep(this.steps++);
      await this.#pause();
    }
    if (this.#dead) await new Promise(() => {});
  }

  async load(): Promise<StoreContents> {
    await this.#step();
    const disk = this.#disk;
    const read = (texts: Map<string, string>) => [...texts.values()].map((text) => decodeEnvelope(text)!);
    const partial: PartialTransaction[] = [];
    for (const [id, spool] of [...disk.spools]) {
      const { note } = spool;
      if (disk.queued.has(id) || disk.finished.has(id) || note === undefined || note.octets === 0)
        disk.spools.delete(id);
      else
        partial.push({
          id,
          recipients: note.recipients,
          transaction: note.transaction,
          octets: note.octets,
          updated: note.updated as never,
        });
    }
    for (const id of [...disk.messages.keys()]) if (!disk.queued.has(id)) disk.messages.delete(id);
    return { queued: read(disk.queued), finished: read(disk.finished).map(finishedForm), partial };
  }

  async spool(id: string, about: PartialNote | undefined, resume?: number): Promise<Spool> {
    await this.#step();
    const disk = this.#disk;
    if (resume === undefined || !disk.spools.has(id)) {
      const note = about === undefined ? undefined : { ...about, octets: 0, updated: this.#now() };
      disk.spools.set(id, { chunks: [], length: 0, synced: 0, note });
    } else truncate(disk.spools.get(id)!, resume);
    const spool = disk.spools.get(id)!;
    return {
      append: async (octets) => {
        if (this.#dead) return new Promise(() => {});
        if (disk.freeOctets < octets.length) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        disk.freeOctets -= octets.length;
        spool.chunks.push(octets.slice());
        spool.length += octets.length;
      },
      checkpoint: async (octets) => {
        await this.#step();
        spool.synced = spool.length;
        await this.#step();
        if (spool.note !== undefined) spool.note = { ...spool.note, octets, updated: this.#now() };
      },
      close: async () => {},
    };
  }

  async readSpool(id: string, offset: number, length: number): Promise<Uint8Array> {
    return join(this.#disk.spools.get(id)!).slice(offset, offset + length);
  }

  async discardSpool(id: string): Promise<void> {
    await this.#step();
    this.#disk.spools.delete(id);
  }

  async commit(envelope: Envelope): Promise<void> {
    const disk = this.#disk;
    await this.#step();
    const spool = disk.spools.get(envelope.id)!;
    spool.synced = spool.length;
    await this.#step();
    disk.messages.set(envelope.id, join(spool));
    disk.spools.delete(envelope.id);
    await this.#step();
    disk.queued.set(envelope.id, encodeEnvelope(envelope));
    await this.#step();
  }

  async save(envelope: Envelope): Promise<void> {
    await this.#step();
    this.#disk.queued.set(envelope.id, encodeEnvelope(envelope));
    await this.#step();
  }

  async finish(envelope: Envelope): Promise<void> {
    await this.#step();
    this.#disk.queued.set(envelope.id, encodeEnvelope(envelope));
    await this.#step();
    this.#disk.queued.delete(envelope.id);
    this.#disk.finished.set(envelope.id, encodeEnvelope(envelope));
    await this.#step();
    this.#disk.messages.delete(envelope.id);
  }

  async forget(id: string): Promise<void> {
    this.#disk.finished.delete(id);
  }

  async read(id: string, offset: number, length: number): Promise<Uint8Array> {
    if (this.#dead) return new Promise(() => {});
    const message = this.#disk.messages.get(id);
    if (message === undefined) throw new Error(`no message ${id}`);
    return message.slice(offset, offset + length);
  }

  async free(): Promise<number> {
    return this.#disk.freeOctets;
  }
}

function join(spool: SpoolFile): Uint8Array {
  const all = new Uint8Array(spool.length);
  let at = 0;
  for (const chunk of spool.chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function truncate(spool: SpoolFile, length: number): void {
  const kept = join(spool).slice(0, length);
  spool.chunks = [kept];
  spool.length = kept.length;
  spool.synced = Math.min(spool.synced, kept.length);
}
