/** A real FTP server on loopback with a temporary folder, and a bare client that says exactly what a test wants said. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALWAYS_IN_CONTACT, type ContactForecast, type FtpSettings, ftpSettings } from '../../src/apps/ftp/index.ts';
import type { WallTime } from '../../src/core/index.ts';
import { FtpServer } from '../../src/io/ftp-server.ts';

export interface TestServer {
  readonly server: FtpServer;
  readonly root: string;
  readonly port: number;
  readonly port6: number;
  /** With TLS: the implicit port and the certificate. */
  readonly implicitPort: number;
  readonly certificateFile: string;
  readonly log: string[];
  stop(): Promise<void>;
}

type Settings = Partial<Omit<FtpSettings, 'users'>> & {
  users?: (Partial<FtpSettings['users'][number]> & { name: string })[];
};

/** User `op`, password `secret`, unless the settings say otherwise. */
export async function startTestServer(
  settings: Settings = {},
  options: { tls?: boolean | 'required'; contacts?: ContactForecast; root?: string } = {},
): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), `omni-ftp-${process.pid}-`));
  const root = options.root ?? join(folder, 'root');
  if (options.root === undefined) execFileSync('mkdir', [root]);
  const certificateFile = join(folder, 'certificate.pem');
  const keyFile = join(folder, 'key.pem');
  if (options.tls) makeCertificate(certificateFile, keyFile);
  const log: string[] = [];
  const users = (settings.users ?? [{ name: 'op' }]).map((user) => ({ password: 'secret', ...user }));
  const tls = { certificateFile, keyFile, required: options.tls === 'required' };
  const server = await FtpServer.start({
    listen: [
      { address: '127.0.0.1', port: 0, implicitTls: false },
      { address: '::1', port: 0, implicitTls: false },
      ...(options.tls ? [{ address: '127.0.0.1', port: 0, implicitTls: true }] : []),
    ],
    root,
    settings: ftpSettings.parse({ ...settings, users, ...(options.tls ? { tls } : {}) }),
    greeting: 'test server',
    contacts: options.contacts ?? ALWAYS_IN_CONTACT,
    wallTime: () => (BigInt(Date.now()) * 1_000_000n) as WallTime,
    log: (line) => log.push(line),
  });
  const [port, port6, implicitPort] = server.addresses.map((address) => address.port);
  return {
    server,
    root,
    port: port!,
    port6: port6!,
    implicitPort: implicitPort ?? 0,
    certificateFile,
    log,
    async stop() {
      await server.close(100);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function makeCertificate(certificateFile: string, keyFile: string): void {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certificateFile, '-days', '2', ...subject], {
    stdio: 'ignore',
  });
}

export interface BareReply {
  readonly code: number;
  readonly text: string;
}

/** A control connection that speaks in lines. */
export class BareClient {
  #socket: Socket;
  #received = '';
  #replies: BareReply[] = [];
  #wake: () => void = () => {};
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#attach(socket);
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<BareClient> {
    const socket = connect({ port, host });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new BareClient(socket);
  }

  static async logIn(port: number, host = '127.0.0.1', user = 'op', password = 'secret'): Promise<BareClient> {
    const client = await BareClient.connect(port, host);
    await client.reply();
    await client.say(`USER ${user}`);
    const answer = await client.say(`PASS ${password}`);
    if (answer.code !== 230) throw new Error(`login: ${answer.code} ${answer.text}`);
    await client.say('TYPE I');
    return client;
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** Goes on over another socket, a TLS one on top of the same. */
  replaceSocket(socket: Socket): void {
    this.#socket.removeAllListeners('data');
    this.#socket = socket;
    this.#received = '';
    this.#attach(socket);
  }

  send(text: string | Uint8Array): void {
    this.#socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  async say(line: string): Promise<BareReply> {
    this.send(`${line}\r\n`);
    return this.reply();
  }

  /** The next reply; code 0 when the connection has ended. */
  async reply(): Promise<BareReply> {
    for (;;) {
      const next = this.#replies.shift();
      if (next !== undefined) return next;
      if (this.closed) return { code: 0, text: '' };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** PASV and a connection there. */
  async passive(): Promise<Socket> {
    const numbers = /\((\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\)/
      .exec((await this.say('PASV')).text)!
      .slice(1)
      .map(Number);
    const socket = connect({ host: numbers.slice(0, 4).join('.'), port: numbers[4]! * 256 + numbers[5]! });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  }

  async fetch(command: string): Promise<{ octets: Buffer; first: BareReply; last: BareReply }> {
    const data = await this.passive();
    const first = await this.say(command);
    if (first.code >= 400) {
      data.destroy();
      return { octets: Buffer.alloc(0), first, last: first };
    }
    const chunks: Buffer[] = [];
    data.on('data', (chunk: Buffer) => chunks.push(chunk));
    await new Promise((resolve) => data.once('close', resolve));
    return { octets: Buffer.concat(chunks), first, last: await this.reply() };
  }

  async store(command: string, octets: Uint8Array): Promise<BareReply> {
    const data = await this.passive();
    const first = await this.say(command);
    if (first.code >= 400) {
      data.destroy();
      return first;
    }
    data.end(octets);
    data.resume();
    return this.reply();
  }

  close(): void {
    this.#socket.destroy();
  }

  #attach(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      // Refused Telnet options are no part of a reply.
      this.#received += chunk.toString('latin1').replace(/\xff[\xfb-\xfe][\s\S]/g, '');
      this.#parse();
    });
    const end = () => {
      this.closed = true;
      this.#wake();
    };
    socket.on('error', end);
    socket.on('close', end);
  }

  #parse(): void {
    for (;;) {
      const match = /^(?:(\d{3}) ([^\n]*)\r\n|(\d{3})-([\s\S]*?\r\n)\3 ([^\n]*)\r\n)/.exec(this.#received);
      if (match === null) break;
      this.#received = this.#received.slice(match[0].length);
      this.#replies.push({ code: Number(match[1] ?? match[3]), text: match[2] ?? `${match[4]}${match[5]}` });
    }
    this.#wake();
  }
}

/** A listener on loopback for PORT and EPRT, and what the server sent there. */
export async function activeListener(
  host = '127.0.0.1',
): Promise<{ server: Server; port: number; received: Promise<Buffer> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const received = new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => {
        server.close();
        resolve(Buffer.concat(chunks));
      });
    });
  });
  return { server, port: (server.address() as { port: number }).port, received };
}
