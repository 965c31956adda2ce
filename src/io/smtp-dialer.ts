/**
 * Outgoing connections for the relay: addresses by MX (mail-exchangers.ts) or by route, TCP, TLS. The hosts of an MX are tried in
 * the order of their preference until one connects.
 *
 * At the begin of a contact the first SYN may fall a moment too early, and the kernel would repeat it only after a second; so
 * further attempts start, soon and then later, until one connects. An abort resets the connection: unsent octets are thrown away.
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Connection, Dialed, Reply, Route } from '../apps/smtp/index.ts';
import { mailExchangersOf } from './mail-exchangers.ts';

/** From one attempt to the next. */
const ATTEMPT_PAUSES_MS = [50, 100, 200, 400, 800, 1600];
const CONNECT_TIMEOUT_MS = 20_000;

export function dial(route: Route, domain: string, dialed: Dialed): Connection {
  return new DialedConnection(route, domain, dialed);
}

class DialedConnection implements Connection {
  readonly #route: Route;
  readonly #dialed: Dialed;
  readonly #attempts = new Set<Socket>();
  #socket: Socket | TLSSocket | undefined;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #host = '';
  #otherHosts: readonly string[] = [];

  constructor(route: Route, domain: string, dialed: Dialed) {
    this.#route = route;
    this.#dialed = dialed;
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
      clearTimeout(this.#deadline);
      clearTimeout(this.#timer);
      for (const other of this.#attempts) if (other !== socket) other.destroy();
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
    const wait = ATTEMPT_PAUSES_MS[count];
    if (wait !== undefined) this.#timer = setTimeout(() => this.#attempt(count + 1), wait);
  }

  write(octets: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || this.#over) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      socket.write(octets, (error) => (error ? reject(error) : resolve()));
    });
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
    if ('encrypted' in socket) socket.destroy();
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
