/**
 * The relay with its sockets and files: store, listener, dialer, Maildirs and clock around the machine of src/apps/smtp.
 * It is the same behind `omni serve smtp` and on a node of a testbed. The driver wakes the machine when it asks to be woken,
 * and at least twice a second, because a node's clock may be set at any time.
 */
import { randomBytes } from 'node:crypto';
import { domainToASCII } from 'node:url';
import {
  type ContactPlan,
  DEFAULT_LIMITS,
  DEFAULT_RETRY,
  type Envelope,
  type Limits,
  type LocalResult,
  type MessageReader,
  Policy,
  type PolicySettings,
  parseMailbox,
  type QueueLine,
  type Recipient,
  Relay,
  type RetrySettings,
} from '../apps/smtp/index.ts';
import { OmniError, type WallTime } from '../core/index.ts';
import { DiskMailStore } from './mail-store.ts';
import { deliverToMaildir } from './maildir.ts';
import { dialer } from './smtp-dialer.ts';
import { SmtpListener, type SmtpListenerOptions } from './smtp-listener.ts';
import { SocketKernel } from './socket-kernel.ts';

export interface MailRelayOptions {
  readonly name: string;
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly queue: string;
  /** Where mail for our own domains goes, one Maildir per mailbox; undefined: the queue's folder `mail`. */
  readonly maildir: string;
  readonly policy: PolicySettings;
  readonly contacts: ContactPlan;
  readonly limits?: Partial<Limits>;
  readonly scheduledRetry?: RetrySettings;
  readonly unscheduledRetry?: RetrySettings;
  readonly tls?: SmtpListenerOptions['tls'];
  authenticate?: SmtpListenerOptions['authenticate'];
  readonly joinPartials?: boolean;
  readonly slowSeconds?: number;
  readonly maxClients?: number;
  now(): WallTime;
  log(line: string): void;
  /** The crash tests' knife: called before each step of the store. */
  step?(name: string): void;
}

/** Takes a message for a mailbox of ours, or leaves it to the next; the last is the Maildir. */
export type LocalHandler = (delivery: LocalDelivery) => Promise<LocalResult | undefined>;
export interface LocalDelivery {
  readonly envelope: Envelope;
  readonly recipient: Recipient;
  readonly mailbox: string;
  readonly octets: number;
  readonly read: MessageReader;
}

const LONGEST_SLEEP_MS = 500;

export class MailRelay {
  readonly relay: Relay;
  readonly #options: MailRelayOptions;
  readonly #listeners: SmtpListener[] = [];
  readonly #handlers: LocalHandler[] = [];
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #closed = false;

  static async start(options: MailRelayOptions): Promise<MailRelay> {
    const relay = new MailRelay(options, await SocketKernel.load());
    await relay.#start();
    return relay;
  }

  private constructor(options: MailRelayOptions, kernel: SocketKernel) {
    this.#options = options;
    const { now, log } = options;
    const store = new DiskMailStore({
      root: options.queue,
      now,
      log,
      ...(options.step === undefined ? {} : { step: options.step }),
    });
    this.relay = new Relay(
      {
        name: options.name,
        limits: { ...DEFAULT_LIMITS, ...options.limits },
        ...DEFAULT_RETRY,
        joinPartials: options.joinPartials ?? false,
        ...(options.scheduledRetry === undefined ? {} : { scheduledRetry: options.scheduledRetry }),
        ...(options.unscheduledRetry === undefined ? {} : { unscheduledRetry: options.unscheduledRetry }),
      },
      {
        store,
        policy: makePolicy(options.policy),
        contacts: options.contacts,
        now,
        newId,
        dial: dialer(kernel),
        deliverLocally: (envelope, recipient, read) => this.#deliver(envelope, recipient, read),
        wakeUp: () => this.#wakeSoon(),
        log,
      },
    );
  }

  /** Earlier handlers are asked first. */
  addHandler(handler: LocalHandler): void {
    this.#handlers.push(handler);
  }

  async #start(): Promise<void> {
    const { listen, name, tls, authenticate, log, slowSeconds, maxClients } = this.#options;
    const limits = { ...DEFAULT_LIMITS, ...this.#options.limits };
    await this.relay.start();
    for (const { host, port } of listen)
      this.#listeners.push(
        await SmtpListener.start({
          host,
          port,
          name,
          receiver: this.relay.receiver,
          messageOctets: limits.messageOctets,
          maxRecipients: limits.recipients,
          connected: (address) => this.relay.signOfLife(address),
          log,
          ...(tls === undefined ? {} : { tls }),
          ...(authenticate === undefined ? {} : { authenticate }),
          ...(slowSeconds === undefined ? {} : { slowSeconds }),
          ...(maxClients === undefined ? {} : { maxClients }),
        }),
      );
    this.#wakeSoon();
  }

  get addresses(): { address: string; port: number }[] {
    return this.#listeners.map(({ address: { address, port } }) => ({ address, port }));
  }

  status(): Record<string, unknown> {
    const { queue, counters, receiver } = this.relay;
    const sessions = this.#listeners.reduce((sum, listener) => sum + listener.sessions, 0);
    return { queued: queue.size, queuedOctets: queue.octets, sessions, partial: receiver.partialCount, ...counters };
  }

  /** What `omni mailq` asks for; in a testbed and over the control socket alike. */
  async handleRequest(method: string, params: unknown): Promise<unknown> {
    const { id: asked, skip, count } = (params ?? {}) as { id?: unknown; skip?: unknown; count?: unknown };
    const id = String(asked ?? '');
    switch (method) {
      case 'list':
        return {
          name: this.relay.name,
          queue: this.relay.list({ skip: Number(skip ?? 0), count: Number(count ?? Number.POSITIVE_INFINITY) }),
        } satisfies { name: string; queue: QueueLine[] };
      case 'hold':
      case 'release':
      case 'cancel': {
        const done = method === 'cancel' ? await this.relay.cancel(id) : await this.relay.hold(id, method === 'hold');
        if (!done) throw new OmniError('OMNI_MAIL_ID', `there is no queued message ${id}`);
        return { id, done: method };
      }
      case 'try':
        this.relay.signOfLife();
        return { done: method };
      default:
        throw new OmniError('OMNI_REQUEST', `the mail relay has no request '${method}'`);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await this.relay.stop();
  }

  #wakeSoon(): void {
    if (this.#immediate !== undefined || this.#closed) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const at = this.relay.wake();
    const wait = at === undefined ? LONGEST_SLEEP_MS : Number((at - this.#options.now()) / 1_000_000n) + 1;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.min(LONGEST_SLEEP_MS, wait)));
  }

  async #deliver(envelope: Envelope, recipient: Recipient, read: MessageReader): Promise<LocalResult> {
    const mailbox = (parseMailbox(recipient.address)?.local ?? 'postmaster').replace(/^"(.*)"$/, '$1');
    const octets = envelope.octets + Buffer.byteLength(envelope.trace);
    for (const handler of this.#handlers) {
      const result = await handler({ envelope, recipient, mailbox, octets, read });
      if (result !== undefined) return result;
    }
    return deliverToMaildir({
      root: this.#options.maildir,
      mailbox,
      reversePath: envelope.reversePath,
      recipient: recipient.address,
      id: envelope.id,
      seconds: Number(envelope.arrived / 1_000_000_000n),
      host: this.#options.name,
      octets,
      read,
    });
  }
}

const asciiPattern = (pattern: string): string => {
  const [, dot, domain] = /^(\.?)(.*)$/.exec(pattern)!;
  return `${dot}${domainToASCII(domain!) || domain}`;
};

function makePolicy(settings: PolicySettings): Policy {
  try {
    // Addresses come with A-labels (RFC 5890); settings may be written as people read them.
    const routes = settings.routes.map((route) => ({ ...route, domain: asciiPattern(route.domain) }));
    return new Policy({ ...settings, domains: settings.domains.map(asciiPattern), routes });
  } catch (cause) {
    throw new OmniError('OMNI_MAIL_SETTINGS', (cause as Error).message, { cause });
  }
}

/** Sortable by time, unique without a counter that would have to survive a crash. */
function newId(): string {
  const time = Date.now().toString(36).padStart(9, '0');
  return `${time}-${randomBytes(5).toString('hex')}`;
}
