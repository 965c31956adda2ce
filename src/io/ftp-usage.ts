/** How much a tree holds, for quotas. Counted by walking it when nobody is writing, and kept up to date while somebody is. */
import { lstatSync } from 'node:fs';
import { readdir } from 'node:fs/promises';

export class FtpUsage {
  static readonly #all = new Map<string, FtpUsage>();

  readonly #root: string;
  #writers = 0;
  #octets = 0;
  #files = 0;

  private constructor(root: string) {
    this.#root = root;
  }

  /** One per folder in the process, so that all its users share the count. */
  static of(root: string): FtpUsage {
    const usage = FtpUsage.#all.get(root) ?? new FtpUsage(root);
    FtpUsage.#all.set(root, usage);
    return usage;
  }

  async measure(): Promise<{ octets: number; files: number }> {
    if (this.#writers === 0) {
      const counted = { octets: 0, files: 0 };
      await walk(Buffer.from(this.#root === '' ? '/' : this.#root, 'latin1'), counted);
      this.#octets = counted.octets;
      this.#files = counted.files;
    }
    return { octets: this.#octets, files: this.#files };
  }

  beginWriting(newFile: boolean): void {
    this.#writers++;
    if (newFile) this.#files++;
  }
  grew(octets: number): void {
    this.#octets += octets;
  }
  endWriting(): void {
    this.#writers--;
  }
}

async function walk(folder: Buffer, counted: { octets: number; files: number }): Promise<void> {
  for (const name of await readdir(folder, { encoding: 'buffer' })) {
    const full = Buffer.concat([folder, Buffer.from('/'), name]);
    const stats = lstatSync(full, { throwIfNoEntry: false });
    if (stats === undefined) continue;
    counted.files++;
    counted.octets += stats.isFile() ? stats.size : 0;
    if (stats.isDirectory()) await walk(full, counted);
  }
}
