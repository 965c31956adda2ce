/**
 * Data connections of one FTP session: listening (PASV, EPSV) or connecting (PORT, EPRT), only with the client's own address,
 * with TLS where PROT P asks for it. At most one listener and one connection exist at a time.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { canonicalAddress, type DataRoute, type Endpoint } from '../apps/ftp/index.ts';
import { fail, ok, type Result } from '../core/index.ts';
import { SESSION_ID_CONTEXT } from './ftp-control.ts';

export interface FtpDataOptions {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly passivePorts: readonly [number, number] | undefined;
  /** What PASV names instead of the local address, behind a translator of addresses. */
  readonly passiveAddress: string | undefined;
  readonly secureContext: () => SecureContext | undefined;
}

/** Where the next search in the passive port range begins; shared, so that sessions do not all try the same port first. */
let nextOffset = 0;

export class FtpDataConnections {
  readonly #options: FtpDataOptions;
  #listener: Server | undefined;
  #arrived: Socket | undefined;
  #whenArrived: ((socket: Socket | undefined) => void) | undefined;
  #active: Socket | undefined;
  #aborted = false;

  constructor(options: FtpDataOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#active !== undefined;
  }

  async listen(family: 'ipv4' | 'same'): Promise<Result<Endpoint, 'no-port'>> {
    this.#closeListener();
    const { localAddress, passivePorts, passiveAddress } = this.#options;
    const [first, last] = passivePorts ?? [0, 0];
    const count = last - first + 1;
    for (let i = 0; i < count; i++) {
      const port = passivePorts === undefined ? 0 : first + (nextOffset++ % count);
      const listener = await listenOn(localAddress, port);
      if (listener === undefined) continue;
      listener.on('connection', (socket) => this.#onConnection(listener, socket));
      this.#listener = listener;
      const bound = listener.address() as { port: number };
      const named = family === 'ipv4' ? (passiveAddress ?? localAddress) : localAddress;
      return ok({ address: named, port: bound.port });
    }
    return fail('no-port');
  }

  /** The data connection, ready for octets; the caller owns it. */
  async open(route: DataRoute, protect: boolean): Promise<Result<Socket, 'no-connection' | 'tls' | 'aborted'>> {
    this.#aborted = false;
    const plain = route.mode === 'passive' ? await this.#arrival() : await this.#connect(route.to);
    if (this.#aborted) plain?.destroy();
    if (this.#aborted) return fail('aborted');
    if (plain === undefined) return fail('no-connection');
    this.#active = plain;
    plain.once('close', () => {
      if (this.#active === plain) this.#active = undefined;
    });
    // Errors show as 'close' to whoever waits; without a listener they would end the process.
    plain.on('error', () => {});
    if (!protect) return ok(plain);
    const secure = await this.#secure(plain);
    if (secure === undefined) plain.destroy();
    return secure === undefined ? fail(this.#aborted ? 'aborted' : 'tls') : ok(secure);
  }

  /**
   * Ends the connection, or the wait for it, at once. With a reset: what the kernel still holds of a large file is not worth the
   * seconds of a pass that it would take to send.
   */
  abort(): void {
    this.#aborted = true;
    this.#active?.resetAndDestroy();
    this.#closeListener();
  }

  /** Ends what is left; octets of a finished transfer that the kernel holds still go out. */
  close(): void {
    this.#aborted = true;
    this.#active?.destroy();
    this.#closeListener();
  }

  #onConnection(listener: Server, socket: Socket): void {
    // A stranger cannot steal the connection, nor end the wait for the right one (RFC 2577).
    const from = canonicalAddress(socket.remoteAddress ?? '');
    if (from !== this.#options.remoteAddress || this.#listener !== listener) {
      socket.destroy();
      return;
    }
    socket.on('error', () => {});
    this.#listener = undefined;
    listener.close();
    if (this.#whenArrived !== undefined) this.#whenArrived(socket);
    else this.#arrived = socket;
    this.#whenArrived = undefined;
  }

  #arrival(): Promise<Socket | undefined> {
    const arrived = this.#arrived;
    this.#arrived = undefined;
    if (arrived !== undefined) return Promise.resolve(arrived);
    if (this.#listener === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#whenArrived = resolve;
    });
  }

  #connect({ address, port }: Endpoint): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host: address, port, localAddress: this.#options.localAddress });
      this.#active = socket;
      socket.once('connect', () => resolve(socket));
      socket.once('error', () => resolve(undefined));
      socket.once('close', () => resolve(undefined));
    });
  }

  #secure(plain: Socket): Promise<TLSSocket | undefined> {
    const secureContext = this.#options.secureContext();
    if (secureContext === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const options = { isServer: true, secureContext, sessionIdContext: Buffer.from(SESSION_ID_CONTEXT) };
      const secure = new TLSSocket(plain, options as never);
      secure.on('error', () => resolve(undefined));
      secure.on('_tlsError', () => resolve(undefined));
      secure.once('secure', () => resolve(secure));
      secure.once('close', () => resolve(undefined));
    });
  }

  #closeListener(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.#arrived?.destroy();
    this.#arrived = undefined;
    this.#whenArrived?.(undefined);
    this.#whenArrived = undefined;
  }
}

function listenOn(host: string, port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer({ pauseOnConnect: true });
    server.once('error', () => resolve(undefined));
    server.listen({ host, port, backlog: 5 }, () => {
      server.removeAllListeners('error');
      // Accept errors (no descriptors left) must not end the process; the client's wait times out.
      server.on('error', () => {});
      resolve(server);
    });
  });
}
