/** The FTP server: listening sockets, and a session for each control connection. Used by nodes and by `omni serve ftp`. */
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext } from 'node:tls';
import { type ContactForecast, canonicalAddress, type FtpSettings } from '../apps/ftp/index.ts';
import { instant, OmniError, type WallTime } from '../core/index.ts';
import { FtpAccounts } from './ftp-accounts.ts';
import { FtpTree } from './ftp-files.ts';
import { FtpServerSession } from './ftp-session.ts';
import { FtpUploads } from './ftp-upload.ts';

export interface FtpListen {
  readonly address: string;
  /** 0: any free one; `addresses` of the running server tells which. */
  readonly port: number;
  readonly implicitTls: boolean;
}

export interface FtpServerOptions {
  readonly listen: readonly FtpListen[];
  /** Absolute; must exist. */
  readonly root: string;
  readonly settings: Omit<FtpSettings, 'root' | 'port' | 'implicitTlsPort'>;
  readonly passiveAddress?: string | undefined;
  readonly greeting: string;
  readonly contacts: ContactForecast;
  readonly wallTime: () => WallTime;
  readonly log: (line: string) => void;
}

/** Why a connection is turned away, as it is told and counted. */
const REFUSALS = {
  'too-many': '421 Too many sessions; try again later.\r\n',
  'too-many-from-address': '421 Too many sessions from your address.\r\n',
  'logins-blocked': '421 Too many failed logins from your address; try again later.\r\n',
} as const;

export class FtpServer {
  readonly #options: FtpServerOptions;
  readonly #accounts: FtpAccounts;
  readonly #secureContext: SecureContext | undefined;
  readonly #servers: Server[] = [];
  readonly #sessions = new Set<FtpServerSession>();
  readonly #perAddress = new Map<string, number>();
  #nextSession = 1;
  #accepted = 0;
  #refused = 0;

  private constructor(options: FtpServerOptions) {
    this.#options = options;
    this.#accounts = new FtpAccounts(options.root, options.settings.users);
    this.#secureContext = readCertificate(options.settings.tls);
  }

  static async start(options: FtpServerOptions): Promise<FtpServer> {
    if (options.listen.some(({ implicitTls }) => implicitTls) && options.settings.tls === undefined)
      throw new OmniError('OMNI_FTP_TLS', 'implicit TLS needs a certificate', {
        remedy: 'Give a certificate and its key.',
      });
    // Fails early, with a clear message, when the folder is not there.
    const { root } = options;
    await FtpTree.open({ root, name: '', user: '', uploads: new FtpUploads() });
    const server = new FtpServer(options);
    try {
      for (const listen of options.listen) server.#servers.push(await server.#listen(listen));
    } catch (error) {
      await server.close(0);
      throw error;
    }
    return server;
  }

  get addresses(): readonly { readonly address: string; readonly port: number }[] {
    return this.#servers.map((server) => server.address() as { address: string; port: number });
  }

  status(): Record<string, unknown> {
    return {
      addresses: this.addresses.map(({ address, port }) =>
        address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
      ),
      accepted: this.#accepted,
      refused: this.#refused,
      sessions: [...this.#sessions].map((session) => session.status),
    };
  }

  /** Stops accepting, lets running commands end for `graceMs`, then ends all sessions. Interrupted uploads are kept. */
  async close(graceMs = 3000): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const session of this.#sessions) session.shutDown();
    const until = performance.now() + graceMs;
    while (this.#sessions.size > 0 && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([...this.#sessions].map((session) => session.destroy()));
    await Promise.all(closed);
  }

  #listen(listen: FtpListen): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => this.#accept(socket, listen.implicitTls));
      const place = `${listen.address} port ${listen.port}`;
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const remedy =
          cause.code === 'EACCES'
            ? 'Ports below 1024 need root; take another port or run as root.'
            : cause.code === 'EADDRINUSE'
              ? 'Another program listens there: stop it or take another port.'
              : 'Is that an address of this machine?';
        reject(new OmniError('OMNI_FTP_LISTEN', `cannot listen on ${place} (${cause.code})`, { cause, remedy }));
      });
      // Only IPv6 on ::, so that 0.0.0.0 beside it does not collide.
      const ipv6Only = listen.address.includes(':');
      server.listen({ host: listen.address, port: listen.port, ipv6Only, backlog: 511 }, () => {
        server.removeAllListeners('error');
        server.on('error', (error) => this.#options.log(`accept-error=${JSON.stringify(error.message)}`));
        resolve(server);
      });
    });
  }

  #accept(socket: Socket, implicitTls: boolean): void {
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const { settings } = this.#options;
    const fromAddress = this.#perAddress.get(address) ?? 0;
    const refusal =
      this.#sessions.size >= settings.maximumSessions
        ? 'too-many'
        : fromAddress >= settings.maximumSessionsPerAddress
          ? 'too-many-from-address'
          : this.#accounts.isBlocked(address, instant(performance.now() * 1e6))
            ? 'logins-blocked'
            : undefined;
    if (refusal !== undefined || address === '') {
      this.#refused++;
      this.#options.log(`refused=${refusal ?? 'gone'} address=${address}`);
      socket.on('error', () => {});
      socket.end(refusal === undefined || implicitTls ? '' : REFUSALS[refusal]);
      socket.destroySoon();
      return;
    }
    this.#accepted++;
    const id = this.#nextSession++;
    const log = (line: string) => this.#options.log(`session=${id} ${line}`);
    log(`from=${address} port=${socket.remotePort}`);
    this.#perAddress.set(address, fromAddress + 1);
    const session = new FtpServerSession({
      socket,
      implicitTls,
      settings: {
        tls: settings.tls === undefined ? 'off' : settings.tls.required ? 'required' : 'offered',
        anonymous: settings.anonymous,
        idleSeconds: settings.idleSeconds,
        stallSeconds: settings.stallSeconds,
        greeting: this.#options.greeting,
      },
      environment: { contacts: this.#options.contacts, wallTime: this.#options.wallTime },
      accounts: this.#accounts,
      passivePorts: settings.passivePorts,
      passiveAddress: this.#options.passiveAddress,
      secureContext: () => this.#secureContext,
      log,
      onEnd: () => {
        this.#sessions.delete(session);
        const left = (this.#perAddress.get(address) ?? 1) - 1;
        if (left === 0) this.#perAddress.delete(address);
        else this.#perAddress.set(address, left);
        log('ended');
      },
    });
    this.#sessions.add(session);
  }
}

/** One context for control and data connections: that is what lets a data connection resume the control connection's session. */
function readCertificate(tls: FtpSettings['tls']): SecureContext | undefined {
  if (tls === undefined) return undefined;
  try {
    return createSecureContext({
      cert: readFileSync(tls.certificateFile),
      key: readFileSync(tls.keyFile),
      minVersion: 'TLSv1.2',
      // AES-128 first: as safe here, and a third faster than the AES-256 that clients name first.
      ciphers: `TLS_AES_128_GCM_SHA256:${DEFAULT_CIPHERS}`,
      honorCipherOrder: true,
    });
  } catch (cause) {
    throw new OmniError('OMNI_FTP_TLS', `cannot use the certificate: ${(cause as Error).message}`, {
      cause,
      remedy: `Check ${tls.certificateFile} and ${tls.keyFile} (PEM).`,
    });
  }
}
