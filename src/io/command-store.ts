/**
 * A small JSON document that survives crashes: written beside, synced, renamed, the directory synced. One write at a time; of the
 * states that come meanwhile only the newest is written.
 */
import { closeSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OmniError } from '../core/index.ts';

export class DurableDocument<Content> {
  readonly #file: string;
  #next: { content: Content; done: (() => void)[] } | undefined;
  #writing: Promise<void> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Undefined when there is none. Throws OmniError when it is damaged: guessing would reopen what it protects. */
  read(): Content | undefined {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return JSON.parse(text) as Content;
    } catch (cause) {
      throw new OmniError('OMNI_STATE_DAMAGED', `${this.#file} is damaged`, {
        cause,
        remedy: 'restore it, or remove it and change the keys: old commands could be replayed.',
      });
    }
  }

  /** Resolves when this content, or a newer one, is on disk. */
  write(content: Content): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#next = { content, done: [...(this.#next?.done ?? []), resolve] };
      this.#writing ??= this.#run();
      this.#writing.catch(reject);
    });
  }

  async #run(): Promise<void> {
    try {
      while (this.#next !== undefined) {
        const { content, done } = this.#next;
        this.#next = undefined;
        await this.#replace(JSON.stringify(content));
        for (const resolve of done) resolve();
      }
    } finally {
      // In the same turn as the last look at #next, or a write in between would be forgotten.
      this.#writing = undefined;
    }
  }

  async #replace(text: string): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    const handle = await open(`${this.#file}.tmp`, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${this.#file}.tmp`, this.#file);
    const directory = openSync(dirname(this.#file), 'r');
    fsyncSync(directory);
    closeSync(directory);
  }
}
