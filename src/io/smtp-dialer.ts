/**
 * Outgoing connections for the relay: addresses by MX (mail-exchangers.ts) or by route, TCP, TLS. The hosts of an MX are tried in
 * the order of their preference until one connects.
 *
 * At the begin of a contact the first SYN may fall a moment too early, and the kernel would repeat it only after a second; so
 * further attempts start, soon and then later, until one connects. Not on a slow link: the kernel repeats each, the peer answers each, and
 * all of that would stand in the way. An abort resets the connection: unsent octets are thrown away. So does the kernel when the process is killed (socket-kernel.ts);
 * an orphan would repeat them into the queue of a link that is down, in front of the next contact.
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Connection, Dial, Dialed, Reply, Route } from '../apps/smtp/index.ts';
import { mailExchangersOf } from './mail-exchangers.ts';
import type { SocketKernel } from './socket-kernel.ts';

/** From one attempt to the next. */
const ATTEMPT_PAUSES_MS = [50, 100, 200, 400, 800, 1600];
/** A link whose answers take longer is slow. */
const SLOW_ANSWER_MS = 50;
const CONNECT_TIMEOUT_MS = 20_000;

export const dialer =
  (kernel: SocketKernel): Dial =>
  (route, domain, dialed, answerSeconds) =>
    new DialedConnection(kernel, route, domain, dialed, 1000 * answerSeconds);

class DialedConnection implements Connection {
  readonly #kernel: SocketKernel;
  readonly #route: Route;
  readonly #dialed: Dialed;
  readonly #answerMs: number;
  readonly #attempts = new Set<Socket>();
  #socket: Socket | TLSSocket | undefined;
  /** What the kernel knows, below TLS. */
  #plain: Socket | undefined;
  #resets = false;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #host = '';
  #otherHosts: readonly string[] = [];

  constructor(kernel: SocketKernel, route: Route, domain: string, dialed: Dialed, answerMs: number) {
    this.#kernel = kernel;
    this.#route = route;
    this.#dialed = dialed;
    this.#answerMs = answerMs;
    this.#deadline = setTimeout(() => this.#close(`no answer to the question for ${domain}`), CONNECT_TIMEOUT_MS);
    if (route.host !== undefined) {
      this.#try([route.host]);
      return;
    }
    mailExchangersOf(domain).then(
      (found) => (found.kind === 'hosts' ? this.#try(found.hosts) : this.#never(found.reply)),
      (error) => this.#close(`looking up ${domain}: ${String(error.code ?? error.message)}`),
    );
  }

  #try([host, ...others]: readonly string[]): void {
    if (this.#over) return;
    this.#stopTimers();
    this.#host = host!;
    this.#otherHosts = others;
    this.#deadline = setTimeout(() => this.#failed('no answer to the connection'), CONNECT_TIMEOUT_MS);
    this.#attempt(0);
  }

  #failed(reason: string): void {
    if (this.#otherHosts.length === 0) {
      this.#close(reason);
      return;
    }
    const given = [...this.#attempts];
    this.#attempts.clear();
    for (const socket of given) socket.destroy();
    this.#try(this.#otherHosts);
  }

  #attempt(count: number): void {
    if (this.#over || this.#socket !== undefined) return;
    const socket = connect({ host: this.#host, port: this.#route.port, noDelay: true });
    this.#attempts.add(socket);
    let reason = 'closed by the peer';
    socket.once('connect', () => {
      if (this.#socket !== undefined || this.#over) {
        socket.destroy();
        return;
      }
      this.#socket = socket;
      this.#plain = socket;
      this.#attempts.delete(socket);
      this.#resets = this.#kernel.resetOnClose(socket);
      this.#kernel.delayAcknowledgements(socket);
      clearTimeout(this.#deadline);
      clearTimeout(this.#timer);
      for (const other of this.#attempts) other.destroy();
      socket.on('data', (octets) => this.#dialed.received(octets));
      this.#dialed.connected();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.code === 'ECONNREFUSED' ? 'connection refused' : (error.code ?? error.message);
    });
    socket.on('close', () => {
      const current = this.#attempts.delete(socket);
      if (this.#socket === socket) this.#close(reason);
      else if (current && this.#socket === undefined && this.#attempts.size === 0) this.#failed(reason);
    });
    const wait = this.#answerMs > SLOW_ANSWER_MS ? undefined : ATTEMPT_PAUSES_MS[count];
    if (wait !== undefined) this.#timer = setTimeout(() => this.#attempt(count + 1), wait);
  }

  write(octets: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || this.#over) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      socket.write(octets, (error) => (error ? reject(error) : resolve()));
    });
  }

  unacknowledged(): number | undefined {
    const [plain, socket] = [this.#plain, this.#socket];
    if (plain === undefined || socket === undefined || plain.destroyed) return undefined;
    return socket.writableLength + this.#kernel.unacknowledged(plain);
  }

  startTls(): Promise<void> {
    const plain = this.#socket!;
    const { tls, certificateAuthorities: ca } = this.#route;
    plain.removeAllListeners('data');
    return new Promise((resolve, reject) => {
      // Opportunistic TLS (RFC 7435) keeps listeners out, not impostors; `required` verifies the certificate.
      const secure = connectTls({
        socket: plain,
        // Whom the certificate must name; without it Node would look for localhost.
        host: this.#host,
        ...(isIP(this.#host) === 0 ? { servername: this.#host } : {}),
        rejectUnauthorized: tls === 'required',
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca }),
      });
      secure.once('secureConnect', () => {
        this.#socket = secure;
        secure.on('data', (octets) => this.#dialed.received(octets));
        resolve();
      });
      secure.on('error', (error) => {
        reject(error);
        this.#close(`TLS: ${error.message}`);
        plain.destroy();
      });
      secure.on('close', () => this.#close('closed by the peer'));
    });
  }

  end(): void {
    const socket = this.#socket;
    this.#over = true;
    this.#stopTimers();
    if (socket === undefined) return;
    socket.end();
    socket.setTimeout(5000, () => socket.destroy());
  }

  abort(): void {
    this.#over = true;
    this.#stopTimers();
    for (const socket of this.#attempts) socket.destroy();
    const socket = this.#socket;
    if (socket === undefined) return;
    if (this.#resets || 'encrypted' in socket) socket.destroy();
    else socket.resetAndDestroy();
  }

  #close(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopTimers();
    for (const socket of this.#attempts) socket.destroy();
    this.#dialed.closed(reason);
  }

  #never(reply: Reply): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopTimers();
    this.#dialed.unroutable(reply);
  }

  #stopTimers(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#timer);
  }
}
