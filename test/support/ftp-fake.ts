/** An FTP session machine with an imaginary world around it: files in a map, a clock that jumps, nothing that sleeps. */
import {
  ALWAYS_IN_CONTACT,
  type Answer,
  type ContactForecast,
  type Entry,
  FtpSession,
  fromOctets,
  nameOf,
  type Operation,
  parentOf,
  type SessionSettings,
  toOctets,
} from '../../src/apps/ftp/index.ts';
import { type Duration, fail, type Instant, instant, ok, seconds, type WallTime } from '../../src/core/index.ts';

export const DIRECTORY = Symbol('directory');

export class FakeFtpWorld {
  now: Instant = instant(0);
  /** Paths and what is there. */
  readonly tree = new Map<string, string | typeof DIRECTORY>([['/', DIRECTORY]]);
  readonly replies: string[] = [];
  readonly logs: string[] = [];
  readonly performed: Operation[] = [];
  /** Transfers do not end by themselves when true; `endTransfer` ends them. */
  holdTransfers = false;
  transferOctets = 0;
  connected = true;
  /** What the client sends in the next upload. */
  upload = 'data';
  closed = false;
  readonly session: FtpSession;
  #held: Operation | undefined;
  #opened: { path: string; offset: number; how: string } | undefined;
  #received = '';

  constructor(settings: Partial<SessionSettings> = {}, contacts: ContactForecast = ALWAYS_IN_CONTACT) {
    const all: SessionSettings = {
      localAddress: '10.0.0.1',
      remoteAddress: '10.0.0.2',
      tls: 'offered',
      implicitTls: false,
      anonymous: 'off',
      idleSeconds: 300,
      stallSeconds: 300,
      greeting: 'hello',
      ...settings,
    };
    this.session = new FtpSession(all, { contacts, wallTime: () => BigInt(this.now) as WallTime }, this.now);
    this.#drain();
  }

  /** Sends octet text as it is; the replies that come at once, one string each. */
  send(text: string): string[] {
    return this.sendOctets(toOctets(text));
  }

  sendOctets(octets: Uint8Array): string[] {
    const before = this.replies.length;
    this.session.handleInput({ kind: 'octets', octets }, this.now);
    this.#drain();
    return this.replies.slice(before);
  }

  /** One command; the code of its last reply. */
  say(line: string): number {
    const replies = this.send(`${line}\r\n`);
    return Number(replies.at(-1)?.slice(0, 3) ?? 0);
  }

  logIn(): this {
    this.send('USER op\r\nPASS secret\r\nTYPE I\r\n');
    return this;
  }

  /** Lets so much time pass, waking the machine at each of its deadlines. */
  pass(duration: Duration): void {
    const until = instant(this.now + duration);
    for (
      let deadline = this.session.pollTimeout();
      deadline !== undefined && deadline.at <= until;
      deadline = this.session.pollTimeout()
    ) {
      this.now = instant(Math.max(this.now, deadline.at));
      this.session.handleTimeout(this.now);
      this.#drain();
    }
    this.now = until;
  }

  endTransfer(answer: Answer = ok({ octets: this.transferOctets })): void {
    this.#held = undefined;
    this.session.handleInput({ kind: 'answer', answer }, this.now);
    this.#drain();
  }

  #drain(): void {
    for (let octets = this.session.pollTransmit(); octets !== undefined; octets = this.session.pollTransmit())
      this.#receive(fromOctets(octets));
    for (let event = this.session.pollEvent(); event !== undefined; event = this.session.pollEvent()) {
      if (event.kind === 'close') this.closed = true;
      else if (event.kind === 'log') this.logs.push(event.line);
      else if (event.kind === 'ask-progress') {
        this.session.handleInput(
          { kind: 'progress', octets: this.transferOctets, connected: this.connected },
          this.now,
        );
      } else if (event.kind === 'abort') {
        if (this.#held !== undefined) this.endTransfer(fail('aborted'));
      } else this.#perform(event.operation);
      this.#drain();
    }
  }

  #receive(text: string): void {
    // Refused Telnet options are no part of a reply.
    this.#received += text.replace(/\xff[\xfb-\xfe][\s\S]/g, '');
    for (;;) {
      const match = /^(?:(\d{3}) [^\n]*\r\n|(\d{3})-[\s\S]*?\r\n\2 [^\n]*\r\n)/.exec(this.#received);
      if (match === null) return;
      this.#received = this.#received.slice(match[0].length);
      this.replies.push(match[0]);
    }
  }

  #perform(operation: Operation): void {
    this.performed.push(operation);
    if (operation.do === 'transfer' && this.holdTransfers) {
      this.#held = operation;
      return;
    }
    this.session.handleInput({ kind: 'answer', answer: this.#answer(operation) }, this.now);
  }

  #answer(operation: Operation): Answer {
    const at = 'path' in operation ? this.tree.get(operation.path) : undefined;
    switch (operation.do) {
      case 'authenticate':
        return operation.user === 'op' && operation.password === 'secret'
          ? ok({ user: 'op', anonymous: false, writable: true })
          : fail('refused');
      case 'describe':
        return at === undefined ? fail('not-found') : ok(this.#entry(operation.path));
      case 'list':
        if (at !== DIRECTORY) return fail(at === undefined ? 'not-found' : 'not-a-directory');
        return ok(this.#children(operation.path).map((path) => this.#entry(path)));
      case 'open-read':
        if (typeof at !== 'string') return fail(at === undefined ? 'not-found' : 'is-a-directory');
        return operation.offset > at.length ? fail('offset') : ok({ size: at.length });
      case 'open-write':
        if (at === DIRECTORY) return fail('is-a-directory');
        if (this.tree.get(parentOf(operation.path)) !== DIRECTORY) return fail('not-found');
        if (operation.how === 'resume' && (at ?? '').length < operation.offset) return fail('offset');
        this.#opened = operation;
        return ok({ path: operation.path });
      case 'listen':
        return ok({ address: '10.0.0.1', port: 40_000 });
      case 'transfer':
        if (operation.direction === 'receive') this.#store();
        return ok({ octets: 0 });
      case 'make-directory':
        if (at !== undefined) return fail('exists');
        if (this.tree.get(parentOf(operation.path)) !== DIRECTORY) return fail('not-found');
        this.tree.set(operation.path, DIRECTORY);
        return ok({});
      case 'remove-directory':
        if (at !== DIRECTORY) return fail(at === undefined ? 'not-found' : 'not-a-directory');
        if (operation.path === '/') return fail('denied');
        if (this.#children(operation.path).length > 0) return fail('not-empty');
        this.tree.delete(operation.path);
        return ok({});
      case 'delete-file':
        if (typeof at !== 'string') return fail(at === undefined ? 'not-found' : 'is-a-directory');
        this.tree.delete(operation.path);
        return ok({});
      case 'rename': {
        const moved = this.tree.get(operation.from);
        if (moved === undefined || this.tree.get(parentOf(operation.to)) !== DIRECTORY) return fail('not-found');
        if (moved === DIRECTORY || this.tree.get(operation.to) === DIRECTORY) return fail('denied');
        this.tree.delete(operation.from);
        this.tree.set(operation.to, moved);
        return ok({});
      }
      case 'size':
        return typeof at === 'string' ? ok({ octets: at.length }) : fail('not-found');
      case 'hash':
        return typeof at === 'string' ? ok({ hash: 'abc', begin: 0, end: at.length }) : fail('not-found');
      case 'space':
        return ok({ octets: 1_000_000 });
      default:
        return ok({});
    }
  }

  #store(): void {
    const { path, offset, how } = this.#opened!;
    const old = this.tree.get(path);
    const head = typeof old === 'string' ? old : '';
    const kept = how === 'append' ? head : how === 'resume' ? head.slice(0, offset) : '';
    this.tree.set(path, kept + this.upload);
  }

  #children(path: string): string[] {
    return [...this.tree.keys()].filter((other) => other !== '/' && parentOf(other) === path);
  }

  #entry(path: string): Entry {
    const at = this.tree.get(path)!;
    const common = { name: nameOf(path) || '/', modifiedMs: 0, links: 1, device: 0, inode: path.length };
    return at === DIRECTORY
      ? { ...common, type: 'directory', size: 4096, mode: 0o755 }
      : { ...common, type: 'file', size: at.length, mode: 0o644 };
  }
}

/** Contacts that begin at these seconds and last `length` seconds. */
export function contactsAt(begins: readonly number[], length: number): ContactForecast {
  const wall = (s: number) => BigInt(seconds(s)) as WallTime;
  const contacts = begins.map((begin) => ({
    peer: 'surrey',
    begin: wall(begin),
    end: wall(begin + length),
    octetsIn: length * 100,
    octetsOut: length * 1000,
  }));
  return { always: false, next: (from, count) => contacts.filter(({ end }) => end > from).slice(0, count) };
}
