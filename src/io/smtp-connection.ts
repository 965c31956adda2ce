/**
 * smtp-server's connections with our customs: the keywords it has not, BDAT, a greeting at once for relays, and replies to a pipelined group
 * in one packet (RFC 2920 section 3.2). It leans on smtp-server's internals, which the exact pin holds still.
 */
import type { Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import type { Reply, Transaction } from '../apps/smtp/index.ts';
import { ChunkSequence, ChunkStream, parseBdat } from './smtp-chunks.ts';

/** For the reply to EHLO. */
const OUR_KEYWORDS = ['MT-PRIORITY', 'CHECKPOINT', 'CHUNKING'];

interface Customs {
  greetsAtOnce(connection: SMTPConnection): boolean;
  transaction(session: SMTPServerSession): Transaction | undefined;
  /** By RSET, EHLO, HELO or STARTTLS, or because it has come to its end. */
  reset(session: SMTPServerSession): void;
  failed(error: unknown): Reply;
}

/** Replies that a pipelining client gets in one packet (RFC 2920 section 3.2): to MAIL and RCPT. Others take them along. */
const isHeld = (code: number): boolean => code === 250 || code === 355 || code > 421;
/** So long they may wait for a chunk's end; who sends for longer would rather know that there is no use in it. */
const HOLD_MS = 3000;

/** smtp-server with our customs. */
export class RelayServer extends SMTPServer {
  readonly #customs: Customs;

  constructor(options: SMTPServerOptions, customs: Customs) {
    super(options);
    this.#customs = customs;
  }

  override connect(...[socket, socketOptions]: Parameters<SMTPServer['connect']>): void {
    const connection = new RelayConnection(this, socket, socketOptions, this.#customs);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }
}

class RelayConnection extends SMTPConnection {
  readonly #customs: Customs;
  readonly #chunks = new ChunkSequence();
  #inEhlo = false;
  #held: Socket | undefined;
  #settling: NodeJS.Immediate | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(
    server: ConstructorParameters<typeof SMTPConnection>[0],
    socket: ConstructorParameters<typeof SMTPConnection>[1],
    options: ConstructorParameters<typeof SMTPConnection>[2],
    customs: Customs,
  ) {
    super(server, socket, options);
    this.#customs = customs;
  }

  /** smtp-server greets after 100 ms, in which it catches clients that talk first. */
  override init(): void {
    const { connections, options } = this._server;
    if (connections.size > (options.maxClients ?? 0) || !this.#customs.greetsAtOnce(this)) super.init();
    else this._setListeners(() => this.connectionReady());
  }

  /** Called by smtp-server's constructor too: nothing of ours is there yet. */
  override _createParser(): ChunkStream {
    const parser = new ChunkStream();
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, `Error: ${error.message}`));
    return parser;
  }

  override _resetSession(): void {
    super._resetSession();
    this.#chunks.reset();
    this.#customs.reset(this.session);
  }

  override handler_EHLO(command: Buffer, callback: () => void): void {
    this.#inEhlo = true;
    super.handler_EHLO(command, callback);
    this.#inEhlo = false;
  }

  override handler_MAIL(command: Buffer, callback: () => void): void {
    if (!this.#refuseInChunks(callback)) super.handler_MAIL(command, callback);
  }
  override handler_RCPT(command: Buffer, callback: () => void): void {
    if (!this.#refuseInChunks(callback)) super.handler_RCPT(command, callback);
  }
  override handler_DATA(command: Buffer, callback: () => void): void {
    if (!this.#refuseInChunks(callback)) super.handler_DATA(command, callback);
  }

  #refuseInChunks(callback: () => void): boolean {
    if (!this.#chunks.begun) return false;
    this.send(503, '5.5.1 a message is coming by BDAT; need LAST or RSET');
    callback();
    return true;
  }

  /** BDAT with a tab before its argument is BDAT too, and must not be followed by commands. */
  override _getHandler(command: string): ReturnType<SMTPConnection['_getHandler']> {
    return /^\s*BDAT\b/i.test(command) ? this.handler_BDAT : super._getHandler(command);
  }

  handler_BDAT(command: Buffer, callback: () => void): void {
    const size = parseBdat(command.toString('latin1'));
    const parser = this._parser;
    if (size === undefined || !(parser instanceof ChunkStream)) {
      // How many octets follow is not known: to read on for commands would be to obey the author of a message.
      this.send(501, '5.5.4 syntax: BDAT octets [LAST]');
      this.close();
      callback();
      return;
    }
    const chunk = this.#chunks.chunk(size, this.#customs.transaction(this.session));
    parser.startChunk(size.octets, {
      write: (octets) => this.#atWork(chunk.write(octets)),
      end: async () => {
        const reply = await this.#atWork(chunk.end().catch((error) => this.#customs.failed(error)));
        this.send(reply.code, reply.status ? `${reply.status} ${reply.text}` : reply.text);
        this.#release();
        if (!size.last) return;
        this._transactionCounter++;
        this._unrecognizedCommands = 0;
        this._resetSession();
      },
    });
    callback();
  }

  /** While it is we who are slow, smtp-server's idle time does not end the session. */
  async #atWork<T>(work: Promise<T>): Promise<T> {
    this._handlerPending = true;
    try {
      return await work;
    } finally {
      this._handlerPending = false;
    }
  }

  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    let lines = data;
    const held = !this.#inEhlo && isHeld(code);
    if (this.#inEhlo && code === 250 && Array.isArray(data)) {
      // No password is asked for in the clear.
      const offers = this.session.secure ? data : data.filter((line) => !line.startsWith('AUTH '));
      lines = [...offers, ...OUR_KEYWORDS];
    }
    if (held) this.#hold();
    // Our replies carry their own code of RFC 3463, more exact than smtp-server's default.
    const own = typeof lines === 'string' && /^[245]\.\d{1,3}\.\d{1,3} /.test(lines);
    super.send(code, lines, own ? false : context);
    if (!held && code !== 354) this.#release();
  }

  /** The commands of a group that came in one packet are carried out in one turn of the event loop. */
  #hold(): void {
    if (this.#held !== undefined) return;
    this.#held = this._socket;
    this.#held.cork();
    this.#settling = setImmediate(() => this.#settle());
  }

  /**
   * Replies before a BDAT travel with its own when that is certain to come: the chunk is in hand, or its sender does not wait for
   * them. RFC 2920 section 3.2 (7) has them sent once the input is empty, and rightly: exim sends no octet of a chunk before it has
   * them. Whoever names a TRANSID is a relay of our kind, and sends on.
   */
  #settle(): void {
    const parser = this._parser;
    const awaited = parser instanceof ChunkStream && parser.inChunk ? parser.awaited : undefined;
    const named = this.#customs.transaction(this.session)?.key !== undefined;
    // A client that does not read its replies gets no more of them: it is read from again when these are gone.
    const full = this._socket.writableNeedDrain;
    if (awaited !== undefined && (awaited === 0 || named) && !full)
      this.#late = setTimeout(() => this.#release(), HOLD_MS).unref();
    else this.#release();
  }

  #release(): void {
    clearImmediate(this.#settling);
    clearTimeout(this.#late);
    this.#held?.uncork();
    this.#held = undefined;
  }
}
