/**
 * The octets of a transfer, between an open file and a data connection. Each loop waits for its own file operations, so a
 * file is never closed under one; a connection that ends makes the loop end with a reason.
 */
import type { FileHandle } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { FromNetwork, ToNetwork, type TransferReason } from '../apps/ftp/index.ts';
import { fail, ok, type Result } from '../core/index.ts';
import { SocketBlocks } from './socket-blocks.ts';

/** One file read or write. Large enough that the thread pool's hand-over costs little, small enough for 200 sessions. */
const BLOCK_OCTETS = 256 * 1024;
/** How long 226 waits for the client to close its end, which tells that it has everything. */
const LINGER_MS = 5000;

export interface Progress {
  octets: number;
  /** A file is being sent and the kernel has not taken all of it yet. */
  sending?: boolean;
}

export async function sendFile(
  file: FileHandle,
  from: { offset: number; end: number; ascii: boolean },
  socket: Socket,
  progress: Progress,
): Promise<Result<{ octets: number }, TransferReason>> {
  const watch = new Ending(socket);
  const translation = from.ascii ? new ToNetwork(from.offset) : undefined;
  let at = from.ascii ? 0 : from.offset;
  // Two blocks take turns: one is read while the other is being sent.
  const blocks = [Buffer.allocUnsafe(BLOCK_OCTETS), Buffer.allocUnsafe(BLOCK_OCTETS)] as const;
  let turn = 0;
  let sending: Promise<boolean> = Promise.resolve(true);
  progress.sending = true;
  for (;;) {
    const block = blocks[turn]!;
    turn ^= 1;
    const { bytesRead } = await file.read(block, 0, Math.max(0, Math.min(BLOCK_OCTETS, from.end - at)), at);
    if (!(await sending)) return fail('connection-lost');
    if (bytesRead === 0) break;
    at += bytesRead;
    const chunk = block.subarray(0, bytesRead);
    sending = watch.write(translation === undefined ? chunk : translation.translate(chunk), progress);
  }
  progress.sending = false;
  return finishSending(socket, watch, progress);
}

export async function sendOctets(
  octets: Uint8Array,
  socket: Socket,
  progress: Progress,
): Promise<Result<{ octets: number }, TransferReason>> {
  const watch = new Ending(socket);
  for (let at = 0; at < octets.length; at += BLOCK_OCTETS)
    if (!(await watch.write(octets.subarray(at, at + BLOCK_OCTETS), progress))) return fail('connection-lost');
  return finishSending(socket, watch, progress);
}

async function finishSending(
  socket: Socket,
  watch: Ending,
  progress: Progress,
): Promise<Result<{ octets: number }, TransferReason>> {
  socket.resume();
  const finished = new Promise<boolean>((resolve) => {
    socket.once('finish', () => resolve(true));
    watch.whenClosed(() => resolve(socket.writableFinished));
  });
  socket.end();
  if (!(await finished)) return fail('connection-lost');
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, LINGER_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.once('end', done);
    watch.whenClosed(done);
    if (socket.readableEnded) done();
  });
  return watch.failed ? fail('connection-lost') : ok({ octets: progress.octets });
}

export interface ReceiveLimits {
  /** Octets that may be stored; one more is `quota`. */
  readonly octets: number;
}

export async function receiveFile(
  file: FileHandle,
  to: { offset: number; ascii: boolean },
  limits: ReceiveLimits,
  socket: Socket,
  progress: Progress,
): Promise<Result<{ octets: number }, TransferReason>> {
  const watch = new Ending(socket);
  const translation = to.ascii ? new FromNetwork() : undefined;
  let at = to.offset;
  let wake: () => void = () => {};
  let ended = false;
  socket.once('end', () => {
    ended = true;
    wake();
  });
  watch.whenClosed(() => wake());
  const blocks = new SocketBlocks(socket, () => wake());
  const store = async (chunks: Uint8Array[]): Promise<'quota' | undefined> => {
    let octets = 0;
    for (const chunk of chunks) octets += chunk.length;
    if (octets === 0) return undefined;
    if (at + octets - to.offset > limits.octets) return 'quota';
    for (let rest = chunks; rest.length > 0; ) {
      const { bytesWritten } = await file.writev(rest, at);
      at += bytesWritten;
      rest = after(rest, bytesWritten);
    }
    return undefined;
  };
  for (;;) {
    while (blocks.waiting === 0 && !ended && !watch.closed)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    if (blocks.waiting === 0) break;
    progress.octets += blocks.waiting;
    const chunks = blocks.take();
    const refused = await store(translation === undefined ? chunks : chunks.map((c) => translation.translate(c)));
    if (refused !== undefined) return fail(refused);
    blocks.release();
  }
  if (translation !== undefined) await store([translation.finish()]);
  return ended ? ok({ octets: progress.octets }) : fail('connection-lost');
}

/** What is left of the chunks after so many octets of them were written. */
function after(chunks: Uint8Array[], octets: number): Uint8Array[] {
  let skip = octets;
  let i = 0;
  while (i < chunks.length && skip >= chunks[i]!.length) skip -= chunks[i++]!.length;
  if (i === chunks.length) return [];
  return [chunks[i]!.subarray(skip), ...chunks.slice(i + 1)];
}

/** How a data connection ends. */
class Ending {
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];
  /** One write is outstanding at a time, so one slot is enough however long the file is. */
  #failWrite: () => void = () => {};
  closed = false;
  failed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = socket.destroyed;
    socket.on('error', () => {
      this.failed = true;
    });
    socket.once('close', (hadError: boolean) => {
      this.closed = true;
      if (hadError) this.failed = true;
      this.#failWrite();
      for (const call of this.#waiting.splice(0)) call();
    });
  }

  whenClosed(call: () => void): void {
    if (this.closed) call();
    else this.#waiting.push(call);
  }

  /** True when the kernel has taken the octets; false when the connection ended first. */
  write(octets: Uint8Array, progress: Progress): Promise<boolean> {
    if (this.closed || !this.#socket.writable) return Promise.resolve(false);
    if (octets.length === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.#failWrite = () => resolve(false);
      this.#socket.write(octets, (error) => {
        if (error === null || error === undefined) progress.octets += octets.length;
        resolve(error === null || error === undefined);
      });
    });
  }
}
