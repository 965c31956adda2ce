/**
 * SMTP on the wire toward clients: smtp-server's sessions in front of our receiver. It brings the grammar, PIPELINING, 8BITMIME,
 * SMTPUTF8, DSN parameters, STARTTLS and AUTH; added here are the keywords CHECKPOINT (RFC 1845) and MT-PRIORITY (RFC 6710), the
 * reply 355, CHUNKING (RFC 3030: smtp-connection.ts, smtp-chunks.ts), limits by address, refusal of unknown parameters, and the end of sessions
 * that are only kept open (slow loris).
 *
 * smtp-server decodes xtext and turns A-labels into U-labels; both are undone here, so that what goes on is what came.
 */
import type { AddressInfo, Socket } from 'node:net';
import { domainToASCII } from 'node:url';
import type { SMTPServer, SMTPServerAddress, SMTPServerSession } from 'smtp-server';
import type { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import {
  type Client,
  type MailParameters,
  ownReply,
  type Receiver,
  type RecipientParameters,
  type Reply,
  type Transaction,
} from '../apps/smtp/index.ts';
import { OmniError } from '../core/index.ts';
import { RelayServer } from './smtp-connection.ts';
import { SocketKernel } from './socket-kernel.ts';

export interface SmtpListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly receiver: Receiver;
  readonly messageOctets: number;
  readonly maxRecipients: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Checks AUTH; absent: AUTH is not offered. It is only ever offered over TLS. */
  authenticate?(user: string, password: string): Promise<boolean>;
  readonly maxClients?: number;
  readonly maxClientsPerAddress?: number;
  /** A session that moved fewer than `slowOctets` in this time, and for which we are not at work, is ended. */
  readonly slowSeconds?: number;
  /** A client connected: its address is alive. */
  connected?(address: string): void;
  log(line: string): void;
}

const SLOW_OCTETS = 500;

type Callback = (error?: (Error & { responseCode?: number }) | null) => void;

export class SmtpListener {
  readonly #options: SmtpListenerOptions;
  readonly #server: SMTPServer;
  readonly #sessions = new Set<string>();
  readonly #open = new Map<string, Transaction>();
  readonly #seen = new WeakMap<SMTPConnection, { octets: number; at: number }>();
  readonly #addresses = new Map<string, number>();
  #watch: NodeJS.Timeout | undefined;
  address: AddressInfo = { address: '', family: '', port: 0 };

  static async start(options: SmtpListenerOptions): Promise<SmtpListener> {
    const listener = new SmtpListener(options, await SocketKernel.load());
    await listener.#listen();
    return listener;
  }

  private constructor(options: SmtpListenerOptions, kernel: SocketKernel) {
    this.#options = options;
    const { tls, authenticate } = options;
    const disabled = ['WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD', ...(tls ? [] : ['STARTTLS'])];
    this.#server = new RelayServer(
      {
        name: options.name,
        size: options.messageOctets,
        // The greeting that smtp-server adds by default would take 25 ms at 9,600 bit/s.
        heloResponse: '%s',
        hideDSN: false,
        hideENHANCEDSTATUSCODES: false,
        disableReverseLookup: true,
        authOptional: true,
        authMethods: ['PLAIN'],
        disabledCommands: authenticate && tls ? disabled : [...disabled, 'AUTH'],
        maxClients: options.maxClients ?? 200,
        socketTimeout: 300_000,
        closeTimeout: 500,
        logger: false,
        ...(tls ?? {}),
        onConnect: (session, done) => this.#connect(session, done),
        onClose: (session) => this.#closed(session),
        onMailFrom: (address, session, done) => this.#mail(address, session, done),
        onRcptTo: (address, session, done) => this.#recipient(address, session, done),
        onData: (stream, session, done) => void this.#data(stream, session, done),
        onAuth: (auth, _session, done) => this.#auth(auth.username ?? '', auth.password ?? '', done),
      },
      {
        // Of those who may relay we know who they are; and in a pass 100 ms are worth having.
        greetsAtOnce: ({ remoteAddress: address }) => options.receiver.mayRelay({ address, name: '', secure: false }),
        transaction: ({ id }) => this.#open.get(id),
        reset: (session) => void this.#drop(session, 'reset'),
        failed: (error) => this.#failed(error),
      },
    );
    this.#server.server.on('connection', (socket: Socket) => kernel.delayAcknowledgements(socket));
  }

  async #listen(): Promise<void> {
    const { host, port, log } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve());
    }).catch((cause: NodeJS.ErrnoException) => {
      const remedy =
        cause.code === 'EADDRINUSE'
          ? 'another program has the port; choose one with --listen'
          : cause.code === 'EACCES'
            ? 'ports below 1024 need root'
            : undefined;
      throw new OmniError('OMNI_SMTP_LISTEN', `listening for SMTP on ${host} port ${port}: ${cause.message}`, {
        cause,
        ...(remedy === undefined ? {} : { remedy }),
      });
    });
    this.#server.removeAllListeners('error');
    // Errors of single sessions: the client went away, or its TLS failed.
    this.#server.on('error', (error: Error & { remoteAddress?: string }) =>
      log(`event=session-error from=${error.remoteAddress ?? ''} error=${JSON.stringify(error.message)}`),
    );
    this.address = this.#server.server.address() as AddressInfo;
    const slow = (this.#options.slowSeconds ?? 300) * 1000;
    this.#watch = setInterval(() => this.#endSlow(slow), Math.min(slow / 4, 10_000));
    this.#watch.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const transaction of this.#open.values()) await transaction.lost('the relay stops');
    for (const connection of this.#server.connections as Set<SMTPConnection>) connection._socket.destroy();
  }

  get sessions(): number {
    return this.#server.connections.size;
  }

  #connect(session: SMTPServerSession, done: Callback): void {
    const { remoteAddress: address } = session;
    const count = (this.#addresses.get(address) ?? 0) + 1;
    this.#addresses.set(address, count);
    if (count > (this.#options.maxClientsPerAddress ?? 50)) {
      done(refusal(421, 'too many connections from your address'));
      return;
    }
    this.#sessions.add(session.id);
    this.#options.connected?.(address);
    done();
  }

  #closed(session: SMTPServerSession): void {
    const count = (this.#addresses.get(session.remoteAddress) ?? 1) - 1;
    if (count > 0) this.#addresses.set(session.remoteAddress, count);
    else this.#addresses.delete(session.remoteAddress);
    this.#sessions.delete(session.id);
    this.#drop(session, 'connection lost');
  }

  #drop(session: SMTPServerSession, why: string): Promise<void> | undefined {
    const transaction = this.#open.get(session.id);
    this.#open.delete(session.id);
    return transaction?.lost(why);
  }

  #mail(address: SMTPServerAddress, session: SMTPServerSession, done: Callback): void {
    const wrong = wrongParameter(address, MAIL_PARAMETERS);
    if (wrong !== undefined) {
      done(wrong);
      return;
    }
    const run = async () => {
      await this.#drop(session, 'a new transaction');
      const client = clientOf(session);
      const { transaction, reply } = await this.#options.receiver.mail(client, mailParameters(address, session));
      // The client may have left while we looked at the disk; nobody would ever end its transaction.
      if (!this.#sessions.has(session.id)) await transaction?.lost('connection lost');
      else if (transaction !== undefined) this.#open.set(session.id, transaction);
      if (reply.code === 355 && transaction !== undefined) {
        // 355 is neither 250 nor an error to smtp-server: the envelope is set here, and the reply goes the way of refusals.
        const { envelope } = session;
        envelope.mailFrom = address;
        envelope.rcptTo = transaction.recipients.map((r) => ({ address: r.address, args: false }) as SMTPServerAddress);
      }
      answer(reply, done);
    };
    run().catch((error) => this.#broken(error, done));
  }

  #recipient(address: SMTPServerAddress, session: SMTPServerSession, done: Callback): void {
    const transaction = this.#open.get(session.id);
    if (transaction === undefined) {
      done(refusal(503, '5.5.1 need MAIL command'));
      return;
    }
    const wrong = wrongParameter(address, RCPT_PARAMETERS);
    if (wrong !== undefined) {
      done(wrong);
      return;
    }
    if (this.#open.get(session.id)!.recipientCount > this.#options.maxRecipients) {
      done(refusal(452, '4.5.3 too many recipients'));
      return;
    }
    const args = (address.args || {}) as Record<string, string | true>;
    const parameters: RecipientParameters = {
      ...(typeof args.NOTIFY === 'string' ? { notify: args.NOTIFY.toUpperCase().split(',') } : {}),
      ...(typeof args.ORCPT === 'string' ? { originalRecipient: encodeOrcpt(args.ORCPT) } : {}),
    };
    answer(transaction.recipient(asciiDomain(address.address), parameters), done);
  }

  async #data(stream: NodeJS.ReadableStream, session: SMTPServerSession, done: Callback): Promise<void> {
    const transaction = this.#open.get(session.id);
    try {
      if (transaction === undefined) throw new Error('DATA without a transaction');
      for await (const chunk of stream) await transaction.write(chunk as Buffer);
    } catch {
      // The stream was destroyed: the connection is gone, and onClose keeps what came.
      await this.#drop(session, 'connection lost in DATA');
      done(refusal(451, '4.4.2 connection lost'));
      return;
    }
    this.#open.delete(session.id);
    const reply = await transaction.end();
    if (reply.code === 250) (done as (error: null, text: string) => void)(null, reply.text);
    else answer(reply, done);
  }

  #auth(user: string, password: string, done: (error: Error | null, response?: { user: string }) => void): void {
    this.#options.authenticate!(user, password).then(
      (good) => {
        this.#options.log(`event=${good ? 'login' : 'login-failed'} user=${JSON.stringify(user)}`);
        if (good) done(null, { user });
        else done(Object.assign(new Error('authentication failed'), { responseCode: 535 }));
      },
      (error) => done(Object.assign(new Error(String(error)), { responseCode: 454 })),
    );
  }

  #broken(error: unknown, done: Callback): void {
    answer(this.#failed(error), done);
  }

  #failed(error: unknown): Reply {
    this.#options.log(`event=error error=${JSON.stringify(String(error))}`);
    return ownReply(451, '4.3.0', 'local error');
  }

  /** smtp-server's idle time starts anew with each octet; this does not. */
  #endSlow(slowMs: number): void {
    const now = performance.now();
    for (const connection of this.#server.connections as Set<SMTPConnection>) {
      const octets = connection._socket.bytesRead + connection._socket.bytesWritten;
      const before = this.#seen.get(connection);
      if (before === undefined || octets - before.octets >= SLOW_OCTETS) {
        this.#seen.set(connection, { octets, at: now });
      } else if (now - before.at >= slowMs) {
        this.#options.log(`event=slow-session from=${connection.remoteAddress} action=ended`);
        connection.send(421, 'too slow', false);
        connection._socket.destroy();
      }
    }
  }
}

function clientOf(session: SMTPServerSession): Client {
  const user = typeof session.user === 'string' ? session.user : undefined;
  return {
    address: session.remoteAddress,
    name: session.hostNameAppearsAs || session.remoteAddress,
    secure: session.secure === true,
    ...(session.openingCommand === 'HELO' ? { plain: true as const } : {}),
    ...(user === undefined ? {} : { user }),
  };
}

const MAIL_PARAMETERS = new Set(['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'MT-PRIORITY', 'TRANSID', 'AUTH']);
const RCPT_PARAMETERS = new Set(['NOTIFY', 'ORCPT']);

/** RFC 5321 section 4.1.1.11: what is not known must not be passed over; RFC 6710 section 4.1 for the priority's syntax. */
function wrongParameter(
  address: SMTPServerAddress,
  known: ReadonlySet<string>,
): ReturnType<typeof refusal> | undefined {
  const args = (address.args || {}) as Record<string, string | true>;
  const unknown = Object.keys(args).find((name) => !known.has(name));
  if (unknown !== undefined) return refusal(555, `5.5.4 the parameter ${unknown.slice(0, 40)} is not known here`);
  const priority = args['MT-PRIORITY'];
  if (priority !== undefined && !(typeof priority === 'string' && /^(?:0|[+-]?[1-9])$/.test(priority)))
    return refusal(501, '5.5.2 MT-PRIORITY is a whole number from -9 to 9');
  return undefined;
}

function mailParameters(address: SMTPServerAddress, session: SMTPServerSession): MailParameters {
  const args = (address.args || {}) as Record<string, string | true>;
  const text = (key: string) => (typeof args[key] === 'string' ? (args[key] as string) : undefined);
  const priority = Number(text('MT-PRIORITY') ?? Number.NaN);
  const ret = text('RET')?.toUpperCase();
  const envelopeId = text('ENVID');
  const transaction = text('TRANSID');
  return {
    reversePath: asciiDomain(address.address),
    ...(text('SIZE') === undefined ? {} : { size: Number(text('SIZE')) }),
    eightBit: text('BODY')?.toUpperCase() === '8BITMIME',
    smtputf8: args.SMTPUTF8 === true || session.envelope.smtpUtf8 === true,
    ...(ret === 'FULL' || ret === 'HDRS' ? { ret } : {}),
    ...(envelopeId === undefined ? {} : { envelopeId: encodeXtext(envelopeId) }),
    ...(priority >= -9 && priority <= 9 ? { priority: Math.trunc(priority) } : {}),
    ...(transaction === undefined ? {} : { transaction }),
  };
}

function answer(reply: Reply, done: Callback): void {
  if (reply.code === 250) done();
  else done(refusal(reply.code, reply.status ? `${reply.status} ${reply.text}` : reply.text));
}

function refusal(responseCode: number, message: string): Error & { responseCode: number } {
  return Object.assign(new Error(message), { responseCode });
}

function asciiDomain(address: string): string {
  const at = address.lastIndexOf('@');
  if (at < 0 || address.at(at + 1) === '[') return address;
  return `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1)) || address.slice(at + 1)}`;
}

/** RFC 3461 section 4. */
const encodeXtext = (text: string): string =>
  text.replace(/[^!-*,-<>-~]/g, (c) => `+${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

function encodeOrcpt(text: string): string {
  const at = text.indexOf(';');
  return `${text.slice(0, at + 1)}${encodeXtext(text.slice(at + 1))}`;
}
