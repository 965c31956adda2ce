/**
 * The control connection's octets: a TCP socket that can start TLS and, for CCC (RFC 4217 section 12.3), stop it again.
 *
 * Node cannot take TLS off a socket, so TLS runs over a stream of ours between it and the socket. After CCC the peer sends its
 * close_notify and then clear text; the two are told apart by the first octet, since TLS records begin with 20 … 23 and commands
 * with a letter.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { fail, ok, type Result } from '../core/index.ts';

/** One id for all our TLS sessions, so that data connections can resume the control connection's (RFC 4217 section 10.2). */
export const SESSION_ID_CONTEXT = 'omni-ftp';

export class FtpControlConnection {
  readonly #socket: Socket;
  readonly #onOctets: (octets: Uint8Array) => void;
  #tls: TLSSocket | undefined;
  #bridge: Duplex | undefined;
  #leaving = false;

  /** `onEnd` is called once, when nothing more will come from the client. */
  constructor(socket: Socket, onOctets: (octets: Uint8Array) => void, onEnd: (why: string) => void) {
    this.#socket = socket;
    this.#onOctets = onOctets;
    socket.setNoDelay(true);
    let ended = false;
    const end = (why: string) => {
      if (!ended) onEnd(why);
      ended = true;
    };
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('end', () => end('closed by the client'));
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.on('close', () => end('closed'));
  }

  write(octets: Uint8Array): void {
    const stream = this.#tls ?? this.#socket;
    if (stream.writable) stream.write(octets);
  }

  /** Octets written that the peer has not taken: a client that never reads must not fill our memory. */
  get backlogOctets(): number {
    return this.#socket.writableLength;
  }

  startTls(secureContext: SecureContext): Promise<Result<object, 'tls'>> {
    const bridge = new Duplex({
      read() {},
      write: (chunk: Uint8Array, _encoding, done) => {
        if (this.#socket.writable) this.#socket.write(chunk, () => done());
        else done();
      },
      final: (done) => done(),
    });
    const tls = new TLSSocket(bridge, {
      isServer: true,
      secureContext,
      sessionIdContext: Buffer.from(SESSION_ID_CONTEXT),
    } as never);
    this.#bridge = bridge;
    this.#tls = tls;
    this.#leaving = false;
    return new Promise((resolve) => {
      tls.on('secure', () => resolve(ok({})));
      tls.on('data', (chunk: Uint8Array) => this.#onOctets(chunk));
      tls.on('error', () => this.#failTls(resolve));
      tls.on('_tlsError', () => this.#failTls(resolve));
      tls.on('close', () => this.#failTls(resolve));
      this.#socket.once('close', () => resolve(fail('tls')));
    });
  }

  /** Goes on in clear; the reply to CCC was written under TLS before. */
  clearChannel(): Promise<Result<object, 'tls'>> {
    const tls = this.#tls;
    if (tls === undefined) return Promise.resolve(fail('tls'));
    this.#leaving = true;
    return new Promise((resolve) => {
      // 'finish' comes after our close_notify went through the bridge.
      tls.end(() => {
        this.#tls = undefined;
        resolve(ok({}));
      });
    });
  }

  /** Ends after what was written. */
  end(): void {
    const close = () => {
      this.#socket.end();
      // A peer that never closes its side would keep the descriptor: 2 s, then it is taken.
      const timer = setTimeout(() => this.destroy(), 2000);
      this.#socket.once('close', () => clearTimeout(timer));
    };
    if (this.#tls?.writable) this.#tls.end(close);
    else close();
  }

  destroy(): void {
    this.#tls?.destroy();
    this.#socket.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#bridge === undefined) this.#onOctets(chunk);
    else if (!this.#leaving) this.#bridge.push(chunk);
    else this.#receiveLeaving(chunk);
  }

  #receiveLeaving(chunk: Uint8Array): void {
    const first = chunk[0]!;
    if (first < 20 || first > 23) {
      this.#bridge = undefined;
      this.#onOctets(chunk);
      return;
    }
    // Whole records go to nobody: all that can still come under TLS is the close_notify.
    const length = chunk.length < 5 ? chunk.length : 5 + ((chunk[3]! << 8) | chunk[4]!);
    if (chunk.length > length) this.#receiveLeaving(chunk.subarray(length));
  }

  #failTls(resolve: (answer: Result<object, 'tls'>) => void): void {
    resolve(fail('tls'));
    if (!this.#leaving) this.#socket.destroy();
  }
}
