/**
 * The server side of CHUNKING (RFC 3030) for smtp-server, which has none: its parser with a mode that counts octets instead of
 * looking for a dot, and where a session stands with BDAT. BINARYMIME is not offered: a message is lines of text here too.
 *
 * A chunk that cannot be taken is read to its end all the same, and refused then (section 2): its octets are no commands.
 */
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { ownReply, type Reply, type Transaction } from '../apps/smtp/index.ts';

export interface ChunkSize {
  readonly octets: number;
  readonly last: boolean;
}

/** Of a line `BDAT n [LAST]`; 15 digits are exact in a number. */
export function parseBdat(line: string): ChunkSize | undefined {
  const match = /^BDAT +(\d{1,15})( +LAST)?[ \t]*$/i.exec(line);
  return match === null ? undefined : { octets: Number(match[1]), last: match[2] !== undefined };
}

/** Takes a chunk; the next octets come when `write` is done, the next command when `end` is. */
export interface ChunkSink<T> {
  write(octets: Uint8Array): Promise<void>;
  end(): Promise<T>;
}

/**
 * smtp-server's parser copies all that follows a command into a string and, behind BDAT, back. A packet full of chunks of one octet
 * would be copied thousands of times, so in command mode it gets pieces.
 */
const COMMAND_OCTETS = 4096;

export class ChunkStream extends SMTPStream {
  #sink: ChunkSink<void> | undefined;
  #awaited = 0;

  /** To be called by the handler of a command, before its callback. */
  startChunk(octets: number, sink: ChunkSink<void>): void {
    this.#sink = sink;
    this.#awaited = octets;
    this._dataMode = true;
  }

  get inChunk(): boolean {
    return this.#sink !== undefined;
  }
  /** Octets of the chunk that have not come. */
  get awaited(): number {
    return this.#awaited;
  }

  override _write(...[input, encoding, next]: Parameters<SMTPStream['_write']>): void {
    if (this.#sink !== undefined && !this.isClosed) {
      this.#take(this.#sink, input)
        .then((rest) => {
          if (rest === undefined) next();
          // A chunk that is thrown away does no input or output: others get their turn all the same.
          else setImmediate(() => this._write(rest, 'buffer', next));
        })
        .catch(next);
    } else if (this._dataMode || input.length <= COMMAND_OCTETS) super._write(input, encoding, next);
    else
      super._write(input.subarray(0, COMMAND_OCTETS), encoding, (error) => {
        if (error) next(error);
        else this._write(input.subarray(COMMAND_OCTETS), encoding, next);
      });
  }

  /** What stands behind the chunk, if the chunk ends in these octets. */
  async #take(sink: ChunkSink<void>, input: Buffer): Promise<Buffer | undefined> {
    const part = input.subarray(0, this.#awaited);
    this.#awaited -= part.length;
    if (part.length > 0) await sink.write(part);
    if (this.#awaited > 0) return undefined;
    // A session that we have ended meanwhile was told so: its message is not taken.
    if (!this.isClosed) await sink.end();
    this.#sink = undefined;
    this._dataMode = false;
    return input.subarray(part.length);
  }
}

/** The chunks of one session's transaction. One that failed spoils it (RFC 3030 section 2), lest the message be stored with a hole. */
export class ChunkSequence {
  #state: 'none' | 'begun' | 'failed' = 'none';

  /** By BDAT; then nothing but BDAT goes on with it. */
  get begun(): boolean {
    return this.#state !== 'none';
  }

  reset(): void {
    this.#state = 'none';
  }

  chunk({ octets, last }: ChunkSize, transaction: Transaction | undefined): ChunkSink<Reply> {
    if (transaction === undefined) return discard('need MAIL command');
    if (this.#state === 'failed') return discard('a chunk before this one failed; need RSET');
    if (transaction.recipientCount === 0) {
      this.#state = 'failed';
      return discard('no valid recipients');
    }
    this.#state = 'begun';
    const ready = transaction.chunk(octets, last);
    return {
      write: async (part) => {
        await ready;
        await transaction.write(part);
      },
      end: async () => {
        await ready;
        const reply = last ? await transaction.end() : await transaction.chunkEnd(octets);
        if (reply.code !== 250) this.#state = 'failed';
        return reply;
      },
    };
  }
}

const discard = (text: string): ChunkSink<Reply> => ({
  write: async () => {},
  end: async () => ownReply(503, '5.5.1', text),
});
