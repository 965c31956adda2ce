/** Drives one FTP session machine: its control connection, its data connections, its account's files and its timer. */
import type { FileHandle } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import {
  type Answer,
  type AnswerOf,
  canonicalAddress,
  FtpSession,
  type Operation,
  type Operations,
  type SessionEnvironment,
  type SessionInput,
  type SessionSettings,
} from '../apps/ftp/index.ts';
import { fail, type Instant, instant, ok } from '../core/index.ts';
import type { FtpAccounts } from './ftp-accounts.ts';
import { FtpControlConnection } from './ftp-control.ts';
import { FtpDataConnections } from './ftp-data.ts';
import { attempt, type FtpTree, reasonOf } from './ftp-files.ts';
import { type Progress, receiveFile, sendFile, sendOctets } from './ftp-transfer.ts';
import type { Upload } from './ftp-upload.ts';

export interface FtpSessionOptions {
  readonly socket: Socket;
  readonly implicitTls: boolean;
  readonly settings: Omit<SessionSettings, 'localAddress' | 'remoteAddress' | 'implicitTls'>;
  readonly environment: SessionEnvironment;
  readonly accounts: FtpAccounts;
  readonly passivePorts: readonly [number, number] | undefined;
  readonly passiveAddress: string | undefined;
  readonly secureContext: () => SecureContext | undefined;
  readonly log: (line: string) => void;
  readonly onEnd: () => void;
}

/** setTimeout's range; a later deadline is looked at again then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Replies that a client does not read: past this the session ends. */
const BACKLOG_LIMIT_OCTETS = 4 * 1024 * 1024;

const now = (): Instant => instant(performance.now() * 1e6);

type Opened =
  | { readonly kind: 'read'; readonly file: FileHandle; readonly offset: number; readonly end: number }
  | {
      readonly kind: 'write';
      readonly upload: Upload;
    };

export class FtpServerSession {
  readonly #options: FtpSessionOptions;
  readonly #machine: FtpSession;
  readonly #control: FtpControlConnection;
  readonly #data: FtpDataConnections;
  readonly remoteAddress: string;
  #tree: FtpTree | undefined;
  #opened: Opened | undefined;
  #progress: Progress = { octets: 0 };
  #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  /** The control connection is gone: an upload that ends now was cut off, however its data connection ended. */
  #clientGone = false;
  /**
   * An upload arrives. It outlives its control connection: what a client that was killed in the middle of a pass left in its kernel
   * and in the link's queue need not be sent again. It ends with its data connection, when it stalls, or when the client is back.
   */
  #receiving = false;
  #performing: Promise<void> = Promise.resolve();

  constructor(options: FtpSessionOptions) {
    this.#options = options;
    const { socket } = options;
    const localAddress = canonicalAddress(socket.localAddress ?? '');
    this.remoteAddress = canonicalAddress(socket.remoteAddress ?? '');
    const settings = {
      ...options.settings,
      localAddress,
      remoteAddress: this.remoteAddress,
      implicitTls: options.implicitTls,
    };
    this.#data = new FtpDataConnections({ ...options, localAddress, remoteAddress: this.remoteAddress });
    this.#machine = new FtpSession(settings, options.environment, now());
    this.#control = new FtpControlConnection(
      socket,
      (octets) => this.#input({ kind: 'octets', octets }),
      (why) => {
        this.#clientGone = true;
        if (!this.#ended) this.#options.log(`control=${JSON.stringify(why)}`);
        if (!this.#receiving) this.#input({ kind: 'closed' });
      },
    );
    if (options.implicitTls) void this.#startImplicitTls();
    else this.#drain();
  }

  get status(): { user: string | undefined; command: string | undefined; address: string; octets: number } {
    const { user, command } = this.#machine.description;
    return { user, command, address: this.remoteAddress, octets: this.#progress.octets };
  }

  /** Asks the session to end after its running command. */
  shutDown(): void {
    this.#input({ kind: 'shutdown' });
  }

  /** Ends it now; resolves when no file is open any more. */
  async destroy(): Promise<void> {
    this.#clientGone = true;
    this.#input({ kind: 'closed' });
    this.#control.destroy();
    await this.#performing;
  }

  async #startImplicitTls(): Promise<void> {
    const context = this.#options.secureContext();
    const secured = context === undefined ? fail('tls') : await this.#control.startTls(context);
    if (secured.ok) this.#drain();
    else this.#input({ kind: 'closed' });
  }

  #input(input: SessionInput): void {
    try {
      this.#machine.handleInput(input, now());
      this.#drain();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A bug of ours that one session met must not take the others with it. */
  #fail(error: unknown): void {
    this.#options.log(`error=${JSON.stringify(error instanceof Error ? error.stack : String(error))}`);
    this.#control.destroy();
    this.#end();
  }

  #drain(): void {
    for (let octets = this.#machine.pollTransmit(); octets !== undefined; octets = this.#machine.pollTransmit())
      this.#control.write(octets);
    for (let event = this.#machine.pollEvent(); event !== undefined; event = this.#machine.pollEvent()) {
      if (event.kind === 'perform') this.#perform(event.operation);
      else if (event.kind === 'abort') this.#abortOperation();
      else if (event.kind === 'ask-progress') queueMicrotask(() => this.#reportProgress());
      else if (event.kind === 'log') this.#options.log(event.line);
      else this.#end();
    }
    if (this.#control.backlogOctets > BACKLOG_LIMIT_OCTETS) this.#control.destroy();
    this.#setTimer();
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const deadline = this.#machine.pollTimeout();
    if (deadline === undefined || this.#ended) return;
    const wait = Math.min(LONGEST_TIMER_MS, Math.max(0, Math.ceil((deadline.at - now()) / 1e6)));
    this.#timer = setTimeout(() => {
      try {
        this.#machine.handleTimeout(now());
        this.#drain();
      } catch (error) {
        this.#fail(error);
      }
    }, wait);
  }

  #reportProgress(): void {
    this.#input({ kind: 'progress', octets: this.#progress.octets, connected: this.#data.connected });
  }

  #abortOperation(): void {
    this.#abort.abort();
    this.#data.abort();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#control.end();
    this.#abort.abort();
    // Nobody is there to read the rest: what the kernel holds of it is not worth a pass.
    if (this.#progress.sending) this.#data.abort();
    else this.#data.close();
    void this.#performing.then(async () => {
      await this.#discardOpened();
      this.#options.onEnd();
    });
  }

  #perform(operation: Operation): void {
    this.#abort = new AbortController();
    const answerWith = (answer: Answer) => {
      if (!this.#ended) this.#input(this.#clientGone ? { kind: 'closed' } : { kind: 'answer', answer });
    };
    this.#performing = this.#run(operation).then(answerWith, (error: unknown) => {
      // Our bug, or a file system that does what no file system does: the session says so and goes on.
      this.#options.log(`error=${JSON.stringify(error instanceof Error ? error.stack : String(error))}`);
      answerWith(fail('io'));
    });
  }

  async #run(operation: Operation): Promise<Answer> {
    switch (operation.do) {
      case 'authenticate': {
        const login = await this.#options.accounts.logIn(operation.user, operation.password, this.remoteAddress, now());
        return login;
      }
      case 'start-tls': {
        const context = this.#options.secureContext();
        return context === undefined ? fail('tls') : this.#control.startTls(context);
      }
      case 'clear-channel':
        return this.#control.clearChannel();
      case 'listen':
        return this.#data.listen(operation.family);
      case 'transfer':
        return this.#transfer(operation);
      case 'wait':
        return ok({});
      default:
        return this.#runFileOperation(operation);
    }
  }

  async #runFileOperation(
    operation: Exclude<
      Operation,
      { do: 'authenticate' | 'start-tls' | 'clear-channel' | 'listen' | 'transfer' | 'wait' }
    >,
  ): Promise<Answer> {
    const tree = await this.#accountTree();
    switch (operation.do) {
      case 'describe':
        return tree.describe(operation);
      case 'list':
        return tree.list(operation);
      case 'open-read': {
        const { path, offset, ascii } = operation;
        await this.#discardOpened();
        const opened = await tree.openRead(path, offset, ascii);
        if (!opened.ok) return opened;
        this.#opened = { kind: 'read', offset, ...opened.value };
        return ok({ size: opened.value.size });
      }
      case 'open-write': {
        await this.#discardOpened();
        const opened = await tree.openWrite(operation);
        if (!opened.ok) return opened;
        const { upload, path } = opened.value;
        upload.interrupt = () => this.#abortOperation();
        this.#opened = { kind: 'write', upload };
        return ok({ path });
      }
      case 'make-directory':
        return tree.makeDirectory(operation.path);
      case 'remove-directory':
        return tree.removeDirectory(operation.path);
      case 'delete-file':
        return tree.deleteFile(operation.path);
      case 'rename':
        return tree.rename(operation);
      case 'set-mode':
        return tree.setMode(operation);
      case 'set-modified':
        return tree.setModified(operation);
      case 'size':
        return tree.size(operation, this.#abort.signal);
      case 'hash':
        return tree.hash(operation, this.#abort.signal);
      case 'space':
        return tree.space();
    }
  }

  async #accountTree(): Promise<FtpTree> {
    const user = this.#machine.description.user ?? '';
    if (this.#tree?.owner !== user) this.#tree = await this.#options.accounts.tree(user, this.remoteAddress);
    return this.#tree;
  }

  async #transfer(
    operation: { readonly do: 'transfer' } & Operations['transfer']['ask'],
  ): Promise<AnswerOf<'transfer'>> {
    const progress: Progress = { octets: 0 };
    this.#progress = progress;
    const { signal } = this.#abort;
    const opened = this.#opened;
    this.#opened = undefined;
    let answer: AnswerOf<'transfer'> = fail('no-connection');
    try {
      const connection = await this.#data.open(operation.route, operation.protect);
      if (connection.ok) {
        try {
          answer = await this.#carry(operation, opened, connection.value, progress);
        } finally {
          if (!connection.value.writableFinished || answer.ok === false) connection.value.destroy();
          else connection.value.resume();
        }
      } else answer = connection;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      answer = fail(reason);
    } finally {
      if (signal.aborted && !answer.ok) answer = fail('aborted');
      answer = await this.#finish(opened, answer);
    }
    return answer;
  }

  async #carry(
    operation: Operations['transfer']['ask'],
    opened: Opened | undefined,
    socket: Socket,
    progress: Progress,
  ): Promise<AnswerOf<'transfer'>> {
    if (operation.text !== undefined) return sendOctets(Buffer.from(operation.text, 'latin1'), socket, progress);
    if (opened?.kind === 'read') return sendFile(opened.file, { ...opened, ascii: operation.ascii }, socket, progress);
    if (opened === undefined) return fail('io');
    const { file, offset, limitOctets } = opened.upload;
    const to = { offset, ascii: operation.ascii };
    this.#receiving = true;
    try {
      const received = await receiveFile(file, to, { octets: limitOctets }, socket, progress);
      if (received.ok) socket.end();
      return received;
    } finally {
      this.#receiving = false;
    }
  }

  /** Closes the file; an upload counts only when it is on the disk and its client still there to have ended it. */
  async #finish(opened: Opened | undefined, answer: AnswerOf<'transfer'>): Promise<AnswerOf<'transfer'>> {
    if (opened?.kind === 'read') await opened.file.close();
    if (opened?.kind !== 'write') return answer;
    const noRoom = !answer.ok && (answer.reason === 'disk-full' || answer.reason === 'quota');
    const how = noRoom ? 'no-room' : answer.ok && !this.#clientGone ? 'complete' : 'interrupted';
    const finished = await attempt(async () => {
      await opened.upload.finish(how, () => !this.#clientGone);
      return ok({});
    });
    return finished.ok ? answer : finished;
  }

  async #discardOpened(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await this.#finish(opened, fail('aborted'));
  }
}
