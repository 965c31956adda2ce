/**
 * A disk for transfers that forgets what was not forced out. After so many calls the process dies: calls never return. Then either
 * the process alone is gone and all it did stays, or the machine is: of each file stay the octets of its last `sync` and perhaps
 * some that came later, right or wrong; of each folder its names at the last `syncFolder` and a few of the changes after it, in order.
 */
import { dirname } from 'node:path';
import type { TransferDisk, TransferFile } from '../../src/io/transfer-disk.ts';

interface Inode {
  content: Uint8Array;
  safe: Uint8Array;
}
type Change = (names: Map<string, Inode>) => void;

interface Folder {
  readonly names: Map<string, Inode>;
  safe: Map<string, Inode>;
  changes: Change[];
}

export class CrashDisk implements TransferDisk {
  #folders = new Map<string, Folder>();
  /** Folders whose own name is not forced out yet. */
  #loose = new Set<string>();
  #boots = 1;
  #budget = Number.POSITIVE_INFINITY;
  #onDeath: () => void = () => {};
  #life = 0;
  calls = 0;

  constructor(folders: readonly string[]) {
    for (const folder of folders) this.#folders.set(folder, { names: new Map(), safe: new Map(), changes: [] });
  }

  get bootId(): string {
    return `boot ${this.#boots}`;
  }

  /** The calls of the next process; the one after the last never returns. */
  start(budget: number, onDeath: () => void): void {
    this.#life++;
    this.#budget = budget;
    this.#onDeath = onDeath;
  }

  /** The machine goes down and comes up. `choose(n)` gives 0 … n − 1. */
  crash(choose: (n: number) => number): void {
    this.#boots++;
    for (const path of this.#loose) if (choose(2) === 0) this.#folders.delete(path);
    this.#loose.clear();
    for (const folder of this.#folders.values()) {
      const names = new Map(folder.safe);
      for (const change of folder.changes.slice(0, choose(folder.changes.length + 1))) change(names);
      folder.names.clear();
      for (const [name, inode] of names) {
        inode.content = afterCrash(inode, choose);
        inode.safe = inode.content.slice();
        folder.names.set(name, inode);
      }
      folder.safe = new Map(names);
      folder.changes = [];
    }
  }

  put(path: string, content: Uint8Array): void {
    const inode = { content: content.slice(), safe: content.slice() };
    const folder = this.#folder(path);
    folder.names.set(path, inode);
    folder.safe.set(path, inode);
  }

  get(path: string): Uint8Array | undefined {
    return this.#folders.get(dirname(path))?.names.get(path)?.content;
  }

  makeFolder(path: string): boolean {
    if (this.#folders.has(path)) return false;
    if (!this.#folders.has(dirname(path))) throw Object.assign(new Error('no parent'), { code: 'ENOENT' });
    this.#folders.set(path, { names: new Map(), safe: new Map(), changes: [] });
    this.#loose.add(path);
    return true;
  }

  names(folder: string): string[] {
    return [...(this.#folders.get(folder)?.names.keys() ?? [])].map((path) => path.slice(folder.length + 1));
  }

  read(path: string): string {
    return new TextDecoder().decode(this.#inode(path).content);
  }

  create(path: string, text: string): Promise<void> {
    return this.#call(() => {
      if (this.#folder(path).names.has(path)) throw Object.assign(new Error('exists'), { code: 'EEXIST' });
      this.#add(path).content = new TextEncoder().encode(text);
    });
  }

  openForWriting(path: string): Promise<TransferFile> {
    return this.#call(() => {
      const inode = this.#folder(path).names.get(path) ?? this.#add(path);
      return {
        write: (octets, at) =>
          this.#call(() => {
            const content = new Uint8Array(Math.max(inode.content.length, at + octets.length));
            content.set(inode.content);
            content.set(octets, at);
            inode.content = content;
          }),
        sync: () =>
          this.#call(() => {
            inode.safe = inode.content.slice();
          }),
        close: () => Promise.resolve(),
      };
    });
  }

  async size(path: string): Promise<number> {
    return this.get(path)?.length ?? 0;
  }

  sync(path: string): Promise<void> {
    return this.#call(() => {
      const inode = this.#inode(path);
      inode.safe = inode.content.slice();
    });
  }

  syncFolder(path: string): Promise<void> {
    return this.#call(() => {
      const folder = this.#folders.get(path)!;
      folder.safe = new Map(folder.names);
      folder.changes = [];
      for (const loose of this.#loose) if (dirname(loose) === path) this.#loose.delete(loose);
    });
  }

  truncate(path: string, octets: number): Promise<void> {
    return this.#call(() => {
      const inode = this.#inode(path);
      inode.content = inode.content.slice(0, octets);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call(() => {
      const inode = this.#inode(from);
      this.#change(from, (names) => {
        names.delete(from);
        names.set(to, inode);
      });
    });
  }

  unlink(path: string): Promise<void> {
    return this.#call(() => {
      this.#inode(path);
      this.#change(path, (names) => names.delete(path));
    });
  }

  async *octets(path: string, from = 0): AsyncIterable<Uint8Array> {
    yield await this.#call(() => this.#inode(path).content.slice(from));
  }

  #add(path: string): Inode {
    const inode = { content: new Uint8Array(0), safe: new Uint8Array(0) };
    this.#change(path, (names) => names.set(path, inode));
    return inode;
  }

  #change(path: string, change: Change): void {
    const folder = this.#folder(path);
    change(folder.names);
    folder.changes.push(change);
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(dirname(path));
    if (folder === undefined) throw Object.assign(new Error(`no folder for ${path}`), { code: 'ENOENT' });
    return folder;
  }

  #inode(path: string): Inode {
    const inode = this.#folders.get(dirname(path))?.names.get(path);
    if (inode === undefined) throw Object.assign(new Error(`${path} is not there`), { code: 'ENOENT' });
    return inode;
  }

  /** A call of a process that is dead by now never returns, whichever process lives after it. */
  async #call<Value>(action: () => Value): Promise<Value> {
    const life = this.#life;
    await Promise.resolve();
    if (life !== this.#life || this.#budget < 0) return new Promise(() => {});
    this.calls++;
    if (this.#budget-- === 0) {
      this.#onDeath();
      return new Promise(() => {});
    }
    return action();
  }
}

function afterCrash({ content, safe }: Inode, choose: (n: number) => number): Uint8Array {
  switch (choose(4)) {
    case 0:
      return safe;
    case 1: {
      // The length came to the disk, the octets did not.
      const zeros = new Uint8Array(Math.max(content.length, safe.length));
      zeros.set(safe);
      return zeros;
    }
    case 2:
      return content.length > safe.length
        ? content.slice(0, safe.length + choose(content.length - safe.length))
        : content;
    default:
      return content;
  }
}
