/**
 * One FTP session at the server: the protocol interpreter of RFC 959 (with RFC 1123 section 4.1, 2228/4217, 2389, 2428, 3659
 * and 7151) without any I/O. Octets of the control connection and answers to operations come in; octets of the control
 * connection, operations and a deadline come out. Data connections and files are the adapter's; their octets never pass here.
 *
 * Commands run one after the other. While one runs, those that follow are queued, except ABOR, and STAT without an argument,
 * which are acted on at once (RFC 959 section 4.1.3). All time-outs count contact time only (contact-time.ts).
 */
import { type Deadline, type Instant, type Machine, ok, seconds, TimerTable } from '../../core/index.ts';
import type { CommandContext, SessionEnvironment, SessionSettings, SessionState } from './command.ts';
import { ROWS } from './commands/table.ts';
import { deadlineInContact } from './contact-time.ts';
import { ControlReader } from './control-reader.ts';
import { FACTS } from './listing.ts';
import { printable, toOctets, toUnicode, upperCase } from './octet-text.ts';
import type { Answer, Operation, Run } from './operations.ts';
import { formatReply, reply } from './reply.ts';

export type SessionInput =
  | { readonly kind: 'octets'; readonly octets: Uint8Array }
  /** The answer to the operation performed last. */
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** How far the running transfer is; the answer to `ask-progress`. */
  | { readonly kind: 'progress'; readonly octets: number; readonly connected: boolean }
  /** The control connection has ended. */
  | { readonly kind: 'closed' }
  /** The server stops: say so and close once nothing runs. */
  | { readonly kind: 'shutdown' };

export type SessionEvent =
  | { readonly kind: 'perform'; readonly operation: Operation }
  /** End the running operation soon; its answer still comes. */
  | { readonly kind: 'abort' }
  | { readonly kind: 'ask-progress' }
  /** Close the control connection after what was transmitted, and release all that the session holds. */
  | { readonly kind: 'close' }
  | { readonly kind: 'log'; readonly line: string };

/** Commands waiting behind a running one. More than any client pipelines; past it the session ends. */
const QUEUE_LIMIT_LINES = 500;
const LOGIN_SECONDS = 120;
const CONNECT_SECONDS = 60;
const FAILED_LOGINS_PER_SESSION = 3;
/** Lines of nonsense before the connection is closed: a browser or a probe, not an FTP client. */
const NONSENSE_LIMIT_LINES = 20;

type Timer = 'idle' | 'login' | 'stall' | 'connect' | 'wait';

export class FtpSession implements Machine<SessionInput, Uint8Array, SessionEvent> {
  readonly #settings: SessionSettings;
  readonly #environment: SessionEnvironment;
  readonly #reader = new ControlReader();
  readonly #timers = new TimerTable<Timer>();
  readonly #context: CommandContext;
  #state: SessionState;
  #transmits: Uint8Array[] = [];
  #events: SessionEvent[] = [];
  #queue: string[] = [];
  #run: { readonly verb: string; readonly generator: Run; operation: Operation } | undefined;
  #aborting: 'client' | 'stall' | 'connect' | undefined;
  #statusAsked = false;
  #progressOctets = -1;
  #nonsense = 0;
  #discarded = false;
  #closed = false;
  #shutdown = false;
  #now: Instant;

  constructor(settings: SessionSettings, environment: SessionEnvironment, now: Instant) {
    this.#settings = settings;
    this.#environment = environment;
    this.#now = now;
    this.#state = freshState(settings, settings.implicitTls);
    const session = this;
    this.#context = {
      get state() {
        return session.#state;
      },
      settings,
      environment,
      rows: ROWS,
      reply: (code, ...lines) => this.#reply(code, ...lines),
      close: () => this.#close(),
      log: (line) => this.#log(line),
      reinitialise: () => {
        this.#state = { ...freshState(settings, this.#state.secure), failedLogins: this.#state.failedLogins };
      },
      discardInput: () => {
        this.#reader.clear();
        this.#queue = [];
        this.#discarded = true;
      },
    };
    this.#reply(220, ...settings.greeting.split('\n'));
    this.#setTimer('login', LOGIN_SECONDS);
    this.#setTimer('idle', this.#state.idleSeconds);
  }

  /** For status displays. */
  get description(): { user: string | undefined; command: string | undefined; secure: boolean } {
    return { user: this.#state.account?.user, command: this.#run?.verb, secure: this.#state.secure };
  }

  handleInput(input: SessionInput, now: Instant): void {
    this.#now = now;
    if (this.#closed) return;
    switch (input.kind) {
      case 'octets':
        this.#readControl(input.octets);
        break;
      case 'answer':
        if (this.#run !== undefined) this.#resume(this.#explainAbort(input.answer));
        break;
      case 'progress':
        this.#onProgress(input.octets, input.connected);
        break;
      case 'closed':
        this.#close();
        return;
      case 'shutdown':
        this.#shutdown = true;
        break;
    }
    this.#runQueue();
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    for (let timer = this.#timers.expired(now); timer !== undefined; timer = this.#timers.expired(now)) {
      if (this.#closed) return;
      if (timer === 'wait') this.#resume(ok({}));
      else if (timer === 'idle') this.#timeOut('Nothing was asked for so long that the session ends.');
      else if (timer === 'login') this.#timeOut('No login within the time allowed.');
      else if (this.#run !== undefined) this.#events.push({ kind: 'ask-progress' });
    }
    this.#runQueue();
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift();
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Deadline | undefined {
    return this.#closed ? undefined : this.#timers.next();
  }

  #readControl(octets: Uint8Array): void {
    this.#discarded = false;
    for (const line of this.#reader.read(octets)) {
      if (this.#closed) return;
      if (line.kind === 'too-long') this.#queue.push('\0too-long');
      else if (!this.#actAtOnce(line.text)) this.#queue.push(line.text);
      // One at a time: AUTH must be able to discard what came in the same segment.
      this.#runQueue();
      if (this.#discarded) break;
    }
    const refusals = this.#reader.takeRefusals();
    if (refusals !== undefined) this.#transmits.push(refusals);
    if (this.#queue.length > QUEUE_LIMIT_LINES) this.#timeOut('Too many commands at once.');
  }

  /** ABOR and STAT while a command runs. */
  #actAtOnce(text: string): boolean {
    if (this.#run === undefined) return false;
    const verb = upperCase(text.trim());
    if (verb === 'STAT' && this.#run.operation.do === 'transfer') {
      this.#statusAsked = true;
      this.#events.push({ kind: 'ask-progress' });
      return true;
    }
    if (verb !== 'ABOR') return false;
    this.#abort('client');
    return true;
  }

  #abort(why: 'client' | 'stall' | 'connect'): void {
    if (this.#aborting === undefined) this.#events.push({ kind: 'abort' });
    if (this.#aborting !== 'client') this.#aborting = why;
  }

  #runQueue(): void {
    while (this.#run === undefined && !this.#closed) {
      if (this.#shutdown) {
        this.#timeOut('The server stops.');
        return;
      }
      const text = this.#queue.shift();
      if (text === undefined) return;
      this.#begin(text);
    }
  }

  #begin(text: string): void {
    this.#setTimer('idle', this.#state.idleSeconds);
    if (text === '\0too-long') {
      this.#reply(500, 'The command line is too long.');
      this.#countNonsense();
      return;
    }
    // Spaces belong to names, so only the one after the verb goes (RFC 959 section 5.3.1).
    const space = text.indexOf(' ');
    const verb = upperCase(space < 0 ? text : text.slice(0, space));
    const argument = space < 0 ? '' : text.slice(space + 1);
    if (verb === '') return;
    const row = ROWS.get(verb);
    if (row === undefined) {
      this.#reply(500, `Command not understood: '${verb.slice(0, 40)}'.`);
      this.#countNonsense();
      return;
    }
    this.#nonsense = 0;
    this.#log(`command=${row.verb}${argument === '' || row.verb === 'PASS' ? '' : ` argument=${forLog(argument)}`}`);
    if (row.verb !== 'RNTO') this.#state.renameFrom = undefined;
    for (const check of row.check ?? []) {
      const refusal = check(this.#context, argument);
      if (refusal !== undefined) {
        this.#reply(refusal.code, ...refusal.lines);
        this.#afterCommand(row.verb);
        return;
      }
    }
    const generator = row.proceed(this.#context, argument);
    if (generator === undefined) this.#afterCommand(row.verb);
    else this.#step(row.verb, generator, generator.next());
  }

  /** An abort of ours was not the client's wish: the reply says what was missed. */
  #explainAbort(answer: Answer): Answer {
    if (answer.ok || answer.reason !== 'aborted' || this.#aborting === 'client') return answer;
    if (this.#aborting === 'connect') return { ok: false, reason: 'no-connection' };
    return this.#aborting === 'stall' ? { ok: false, reason: 'connection-lost' } : answer;
  }

  #resume(answer: Answer): void {
    const { verb, generator } = this.#run!;
    this.#step(verb, generator, generator.next(answer));
  }

  #step(verb: string, generator: Run, result: IteratorResult<Operation, void>): void {
    this.#timers.clear('stall');
    this.#timers.clear('connect');
    if (this.#closed) {
      this.#run = undefined;
      return;
    }
    if (result.done) {
      this.#run = undefined;
      this.#afterCommand(verb);
      return;
    }
    const operation = result.value;
    this.#run = { verb, generator, operation };
    this.#timers.clear('idle');
    if (operation.do === 'wait') {
      this.#timers.setAfter('wait', this.#now, seconds(operation.seconds));
      return;
    }
    if (operation.do === 'transfer') {
      this.#progressOctets = -1;
      this.#setTimer('connect', CONNECT_SECONDS);
      this.#setTimer('stall', this.#settings.stallSeconds);
    }
    this.#events.push({ kind: 'perform', operation });
    if (this.#aborting !== undefined) this.#events.push({ kind: 'abort' });
  }

  #afterCommand(verb: string): void {
    this.#setTimer('idle', this.#state.idleSeconds);
    if (this.#state.account !== undefined) this.#timers.clear('login');
    else if (verb === 'REIN' && this.#timers.get('login') === undefined) this.#setTimer('login', LOGIN_SECONDS);
    if (KEEPS_RESTART.has(verb) === false) this.#state.restartAt = 0;
    if (this.#state.failedLogins >= FAILED_LOGINS_PER_SESSION) this.#timeOut('Too many failed logins.');
    if (this.#aborting === 'client') this.#reply(226, 'ABOR command successful.');
    this.#aborting = undefined;
    if (this.#statusAsked) this.#onProgress(0, false);
  }

  /** The adapter's word on the running transfer: for STAT, and to tell a slow transfer from a dead one. */
  #onProgress(octets: number, connected: boolean): void {
    if (this.#statusAsked) {
      this.#statusAsked = false;
      const what = this.#run === undefined ? 'No transfer in progress.' : `${this.#run.verb}: ${octets} octets so far.`;
      this.#reply(211, 'Status', what, 'End of status');
    }
    if (this.#run?.operation.do !== 'transfer') return;
    if (!connected) {
      if (this.#timers.get('connect') === undefined) this.#abort('connect');
    } else if (this.#timers.get('stall') === undefined) {
      if (octets <= this.#progressOctets) this.#abort('stall');
      this.#setTimer('stall', this.#settings.stallSeconds);
      this.#progressOctets = octets;
    }
  }

  #countNonsense(): void {
    if (++this.#nonsense >= NONSENSE_LIMIT_LINES) this.#timeOut('Too many lines that are no commands.');
  }

  #timeOut(text: string): void {
    if (this.#closed) return;
    this.#reply(421, text);
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#run = undefined;
    this.#events.push({ kind: 'close' });
  }

  #reply(code: number, ...lines: string[]): void {
    this.#transmits.push(toOctets(formatReply(reply(code, ...lines))));
    if (code >= 400) this.#log(`reply=${code} text=${forLog(lines[0] ?? '')}`);
  }

  #log(line: string): void {
    this.#events.push({ kind: 'log', line });
  }

  #setTimer(timer: Timer, afterSeconds: number): void {
    const { contacts } = this.#environment;
    const wallNow = this.#environment.wallTime();
    this.#timers.set(timer, deadlineInContact(this.#now, wallNow, seconds(afterSeconds), contacts));
  }
}

/** A restart marker lives until the next command but these, which clients put between (RFC 3659 section 5.3 is stricter). */
const KEEPS_RESTART = new Set(['REST', 'PASV', 'EPSV', 'PORT', 'EPRT', 'TYPE', 'NOOP', 'STAT', 'SIZE', 'MDTM', 'ALLO']);

const forLog = (text: string): string => JSON.stringify(toUnicode(printable(text)).slice(0, 300));

function freshState(settings: SessionSettings, secure: boolean): SessionState {
  return {
    user: undefined,
    account: undefined,
    failedLogins: 0,
    workingDirectory: '/',
    // RFC 959 section 5.1: the default is ASCII Non-print.
    type: 'A',
    restartAt: 0,
    renameFrom: undefined,
    route: undefined,
    onlyExtendedPassive: false,
    secure,
    protectionSizeGiven: settings.implicitTls,
    // An implicit FTPS client expects protected data connections without asking.
    protection: settings.implicitTls ? 'P' : 'C',
    facts: new Set(FACTS),
    hashAlgorithm: 'SHA-256',
    idleSeconds: settings.idleSeconds,
    host: undefined,
    sizeTold: undefined,
    filesSent: 0,
    filesReceived: 0,
  };
}
