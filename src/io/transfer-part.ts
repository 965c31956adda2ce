/** The growing part of a download: a stream for the client library to write into, forced out from time to time. */
import { Writable } from 'node:stream';
import type { TransferDisk, TransferFile } from './transfer-disk.ts';

export interface PartOptions {
  /** Where the first octet goes. */
  readonly begin: number;
  readonly saveEveryMs: number;
  /** Octets of the file that are there. */
  readonly onProgress: (octets: number) => void;
  /** So many are on the disk for good. */
  readonly onSafe: (octets: number) => Promise<void>;
}

export class TransferPart extends Writable {
  readonly #options: PartOptions;
  readonly #file: TransferFile;
  #octets: number;
  #savedMs = performance.now();
  #idle: Promise<unknown> = Promise.resolve();

  private constructor(file: TransferFile, options: PartOptions) {
    super({ highWaterMark: 1 << 20 });
    this.#options = options;
    this.#file = file;
    this.#octets = options.begin;
    // Whoever writes is told; after that nobody listens any more.
    this.on('error', () => {});
  }

  static async open(disk: TransferDisk, path: string, options: PartOptions): Promise<TransferPart> {
    return new TransferPart(await disk.openForWriting(path), options);
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#idle = this.#store(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done);
  }

  /** When nothing is being written any more. Call it once, last. */
  async close(): Promise<void> {
    this.destroy();
    await this.#idle;
    await this.#file.close();
  }

  async #store(chunk: Uint8Array): Promise<void> {
    await this.#file.write(chunk, this.#octets);
    this.#octets += chunk.length;
    this.#options.onProgress(this.#octets);
    if (performance.now() - this.#savedMs < this.#options.saveEveryMs) return;
    await this.#file.sync();
    await this.#options.onSafe(this.#octets);
    this.#savedMs = performance.now();
  }
}
