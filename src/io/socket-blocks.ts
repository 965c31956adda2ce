/**
 * Reads a socket into a few large blocks that are used again. Node otherwise allocates for every piece that it reads, and of a
 * TLS connection every record of 16 KiB is a piece: making and collecting those was a third of an upload's cost.
 *
 * Node has this as `onread` for sockets that a program makes, but not for accepted ones, nor for TLS over them. The handles are
 * the same, so it is switched on where Node keeps it: three properties of a net.Socket, and `useUserBuffer` of its handle (the
 * same in Node 20, 22 and 24). Where one of them is missing, chunks come by 'data' as usual, which is slower and no different.
 */
import { Socket } from 'node:net';

/** 200 slow uploads must not cost 200 MiB: blocks grow for a sender that fills them before they are taken so many times. */
const FEW_TAKES = 8;
const SMALLEST_BLOCK_OCTETS = 64 * 1024;
const LARGEST_BLOCK_OCTETS = 512 * 1024;
/** With a smaller share of it free, a block is full: reading into a small rest costs more calls than the rest is worth. */
const LEAST_ROOM = 1 / 8;
/** Octets that wait before the socket is paused; one read more may come, and of TLS what is deciphered already, some 80 KiB. */
const WAITING_LIMIT_OCTETS = 1024 * 1024;
/** Blocks kept for use: as much as can wait and be lent at once, or large ones would be made anew all the time. */
const SPARE_OCTETS = 2 * 1024 * 1024;

export class SocketBlocks {
  readonly #socket: Socket;
  readonly #onArrival: () => void;
  #blockOctets = SMALLEST_BLOCK_OCTETS;
  #block: Uint8Array = new Uint8Array(SMALLEST_BLOCK_OCTETS);
  /** In #block: what waits begins and ends here. */
  #from = 0;
  #to = 0;
  #chunks: Uint8Array[] = [];
  /** Batches taken while #block was being filled. */
  #takes = 0;
  /** Full blocks: with chunks that wait, with chunks that the caller has, and without any. */
  #full: Uint8Array[] = [];
  #lent: Uint8Array[] = [];
  #free: Uint8Array[] = [];
  #waiting = 0;
  #paused = false;

  /** Takes over all reading; starts at once. `onArrival` is called whenever octets have come. */
  constructor(socket: Socket, onArrival: () => void) {
    this.#socket = socket;
    this.#onArrival = onArrival;
    // What came before: of TLS, with the last octets of the handshake.
    for (let early = socket.read() as Uint8Array | null; early !== null; early = socket.read()) this.#add(early);
    if (!this.#readIntoBlocks())
      socket.on('data', (chunk: Uint8Array) => {
        this.#add(chunk);
        if (this.#paused) socket.pause();
      });
    socket.resume();
  }

  /** Octets that `take` would give. */
  get waiting(): number {
    return this.#waiting;
  }

  /** All that has come, in order; it stays as it is until `release`. One batch at a time. */
  take(): Uint8Array[] {
    this.#endChunk();
    this.#takes++;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#lent = this.#full;
    this.#full = [];
    this.#waiting = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    return chunks;
  }

  /** The batch has been used. */
  release(): void {
    for (const block of this.#lent)
      if (block.length === this.#blockOctets && this.#free.length * block.length < SPARE_OCTETS) this.#free.push(block);
    this.#lent = [];
  }

  #readIntoBlocks(): boolean {
    const socket = this.#socket as unknown as Record<symbol, unknown> & {
      _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } | null;
    };
    const handle = socket._handle;
    const { kBuffer, kBufferCb, kBufferGen } = ON_READ;
    if (!kBuffer || !kBufferCb || !kBufferGen || typeof handle?.useUserBuffer !== 'function') return false;
    const room = this.#block.subarray(this.#to);
    socket[kBuffer] = room;
    socket[kBufferGen] = () => this.#block.subarray(this.#to);
    socket[kBufferCb] = (octets: number) => {
      this.#to += octets;
      this.#count(octets);
      if (this.#block.length - this.#to < this.#block.length * LEAST_ROOM) this.#nextBlock();
      return !this.#paused;
    };
    handle.useUserBuffer(room);
    return true;
  }

  #nextBlock(): void {
    this.#endChunk();
    this.#full.push(this.#block);
    if (this.#takes < FEW_TAKES) this.#blockOctets = Math.min(LARGEST_BLOCK_OCTETS, this.#blockOctets * 2);
    this.#takes = 0;
    const spare = this.#free.pop();
    this.#block = spare?.length === this.#blockOctets ? spare : new Uint8Array(this.#blockOctets);
    this.#from = 0;
    this.#to = 0;
  }

  #endChunk(): void {
    if (this.#to > this.#from) this.#chunks.push(this.#block.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  #add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#count(chunk.length);
  }

  #count(octets: number): void {
    this.#waiting += octets;
    if (this.#waiting > WAITING_LIMIT_OCTETS) this.#paused = true;
    this.#onArrival();
  }
}

/** Where a net.Socket keeps the three parts of its option `onread`. */
const ON_READ = (() => {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string) => symbols.find(({ description }) => description === name);
  return { kBuffer: named('kBuffer'), kBufferCb: named('kBufferCb'), kBufferGen: named('kBufferGen') };
})();
