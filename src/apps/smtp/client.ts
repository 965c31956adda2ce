/**
 * The sending side of SMTP as a machine: octets of replies in; command and message octets, and requests for the message's
 * octets, out. RFC 5321 (client), 1870 SIZE, 2920 PIPELINING, 3207 STARTTLS, 3461 DSN, 4954 AUTH PLAIN, 6152 8BITMIME,
 * 6531 SMTPUTF8, 6710 MT-PRIORITY, 3030 CHUNKING and RFC 1845 CHECKPOINT. Not: BINARYMIME, other SASL mechanisms, LMTP.
 *
 * With PIPELINING a message costs one round trip: MAIL, RCPT and DATA leave in one group, and the next message's group right
 * behind the final dot (RFC 2920 section 3.1). With CHECKPOINT the reply to MAIL may be 355 and an offset; the recipients are
 * sent all the same, so that they can be pipelined, and a server that answers them 503 there has them already.
 *
 * With CHUNKING a small message that is sent for the first time costs none: its octets follow its envelope in one chunk, and the next
 * message follows them. Should the peer have some of it all the same (355), it takes the whole anew; what it has accepted, it swallows.
 */
import { DotStuffer } from './dot-stuffer.ts';
import type { Recipient } from './envelope.ts';
import { base64, type OutgoingMessage, ServerExtensions } from './extensions.ts';
import { formatReply, isPositive, ownReply, type Reply, ReplyReader } from './reply.ts';

export interface ClientSettings {
  /** What EHLO says. */
  readonly name: string;
  readonly tls: 'never' | 'opportunistic' | 'required';
  readonly auth?: { readonly user: string; readonly password: string };
  /** Octets of a message that are asked for at a time; default 32 KiB. */
  chunkOctets?(): number | undefined;
}

export type ClientInput =
  | { readonly kind: 'connected' }
  | { readonly kind: 'octets'; readonly octets: Uint8Array }
  | { readonly kind: 'secured' }
  | { readonly kind: 'closed'; readonly reason: string }
  | { readonly kind: 'message'; readonly message: OutgoingMessage }
  | { readonly kind: 'body'; readonly octets: Uint8Array }
  | { readonly kind: 'quit' };

export type ClientTransmit =
  | { readonly kind: 'octets'; readonly octets: Uint8Array }
  | { readonly kind: 'startTls' }
  | { readonly kind: 'body'; readonly message: OutgoingMessage; readonly offset: number; readonly length: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'abort'; readonly reason: string };

export interface RecipientReply {
  readonly recipient: Recipient;
  readonly reply: Reply;
  /** The server has DSN: it will tell of success itself (RFC 3461 section 5.2.2). */
  readonly dsn?: boolean;
}
export type ClientEvent =
  | { readonly kind: 'ready'; readonly checkpoint: boolean; readonly pipelining: boolean }
  /** The session cannot be had: refused, no TLS where it is required, no EHLO. */
  | { readonly kind: 'refused'; readonly reply: Reply }
  | { readonly kind: 'resumed'; readonly message: OutgoingMessage; readonly offset: number }
  | { readonly kind: 'bodySent'; readonly message: OutgoingMessage }
  | { readonly kind: 'result'; readonly message: OutgoingMessage; readonly replies: readonly RecipientReply[] };

type Expectation =
  | { readonly kind: 'greeting' | 'ehlo' | 'helo' | 'starttls' | 'auth' | 'quit' | 'rset' }
  | { readonly kind: 'mail' | 'data' | 'dot'; readonly transfer: Transfer }
  | { readonly kind: 'rcpt'; readonly transfer: Transfer; readonly recipient: Recipient };

interface Transfer {
  readonly message: OutgoingMessage;
  readonly accepted: Recipient[];
  readonly refused: RecipientReply[];
  mail: Reply | undefined;
  offset: number;
  resumed: boolean;
  sent: boolean;
  /** 354 came although no recipient was accepted: only the dot is sent (RFC 2920 section 3.1). */
  empty: boolean;
  /** Its octets follow its envelope at once (RFC 3030). */
  readonly chunked: boolean;
}

const CHUNK_OCTETS = 32768;
/**
 * What is sent without asking first is wasted when the recipients are refused, or when the peer had some of it already, which a relay that was
 * killed does not know. Of a larger message a round trip is little.
 */
const LARGEST_CHUNKED_OCTETS = 24_576;
/** Messages whose final reply has not come. */
const MOST_UNANSWERED = 16;
const encoder = new TextEncoder();

export class SmtpClient {
  readonly #settings: ClientSettings;
  #reader = new ReplyReader();
  readonly #transmits: ClientTransmit[] = [];
  readonly #events: ClientEvent[] = [];
  readonly #expected: Expectation[] = [];
  readonly #unsent: { readonly line: string; readonly expect: Expectation }[] = [];
  #extensions = new ServerExtensions([]);
  #ready = false;
  #closed = false;
  #quitting = false;
  #secure = false;
  /** The transfer whose octets are being sent. */
  #sending: Transfer | undefined;
  #stuffer = new DotStuffer();
  /** Transfers of this session whose final reply is not in. */
  #open = 0;
  /** Of those, how many have all their octets sent. */
  #dotsAwaited = 0;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
  }

  get checkpoint(): boolean {
    return this.#extensions.has('CHECKPOINT');
  }
  /** A `message` input is welcome: the session is up, and no envelope is under way. */
  get wantsMessage(): boolean {
    if (!this.#ready || this.#closed || this.#quitting) return false;
    if (this.#open === 0) return true;
    return this.#pipelining && this.#open === this.#dotsAwaited && this.#open < MOST_UNANSWERED;
  }
  get busy(): boolean {
    return this.#open > 0;
  }

  handleInput(input: ClientInput): void {
    if (this.#closed) return;
    switch (input.kind) {
      case 'connected':
        this.#expected.push({ kind: 'greeting' });
        break;
      case 'octets': {
        const replies = this.#reader.read(input.octets);
        if (replies === undefined) {
          this.#abort('the peer does not speak SMTP');
          return;
        }
        for (const reply of replies) if (!this.#closed) this.#handleReply(reply);
        break;
      }
      case 'secured':
        // RFC 3207 section 4.2: forget what was learned in the clear.
        this.#secure = true;
        this.#reader = new ReplyReader();
        this.#extensions = new ServerExtensions([]);
        this.#command(`EHLO ${this.#settings.name}`, { kind: 'ehlo' });
        break;
      case 'closed':
        this.#closed = true;
        break;
      case 'message':
        this.#begin(input.message);
        break;
      case 'body':
        this.#sendBody(input.octets);
        break;
      case 'quit':
        this.#quit();
        break;
    }
    this.#flush();
  }

  pollTransmit(): ClientTransmit | undefined {
    return this.#transmits.shift();
  }
  pollEvent(): ClientEvent | undefined {
    return this.#events.shift();
  }

  get #pipelining(): boolean {
    return this.#extensions.has('PIPELINING');
  }

  #handleReply(reply: Reply): void {
    const expectation = this.#expected.shift();
    if (expectation === undefined) {
      // 421 may come at any time (RFC 5321 section 3.8); anything else unasked for is not SMTP.
      this.#refuse(reply.code === 421 ? reply : ownReply(421, '4.5.0', `unexpected reply: ${formatReply(reply)}`));
      return;
    }
    switch (expectation.kind) {
      case 'greeting':
        if (reply.code !== 220) {
          this.#refuse(reply);
          return;
        }
        this.#command(`EHLO ${this.#settings.name}`, { kind: 'ehlo' });
        return;
      case 'ehlo':
        this.#handleEhlo(reply);
        return;
      case 'helo':
        if (!isPositive(reply)) {
          this.#refuse(reply);
          return;
        }
        this.#established();
        return;
      case 'starttls':
        if (reply.code === 220) this.#transmits.push({ kind: 'startTls' });
        else if (this.#settings.tls === 'required') this.#refuse(reply);
        else this.#authenticate();
        return;
      case 'auth':
        if (!isPositive(reply)) {
          this.#refuse(reply);
          return;
        }
        this.#established();
        return;
      case 'quit':
        this.#closed = true;
        this.#transmits.push({ kind: 'end' });
        return;
      case 'rset':
        return;
      default:
        if (reply.code === 421) {
          this.#abort(formatReply(reply));
          return;
        }
        this.#handleTransferReply(expectation, reply);
        return;
    }
  }

  #handleEhlo(reply: Reply): void {
    if (reply.code >= 500 && !this.#secure) {
      this.#command(`HELO ${this.#settings.name}`, { kind: 'helo' });
      return;
    }
    if (!isPositive(reply)) {
      this.#refuse(reply);
      return;
    }
    this.#extensions = new ServerExtensions(reply.lines.slice(1));
    if (!this.#secure && this.#settings.tls !== 'never') {
      if (this.#extensions.has('STARTTLS')) {
        this.#command('STARTTLS', { kind: 'starttls' });
        return;
      }
      if (this.#settings.tls === 'required') {
        this.#refuse(ownReply(454, '4.7.4', 'the peer offers no STARTTLS, and the route requires it'));
        return;
      }
    }
    this.#authenticate();
  }

  #authenticate(): void {
    const auth = this.#settings.auth;
    if (auth === undefined || !this.#extensions.has('AUTH')) {
      this.#established();
      return;
    }
    if (!this.#secure) {
      this.#refuse(ownReply(538, '5.7.11', 'AUTH PLAIN is only done over TLS'));
      return;
    }
    const token = base64(encoder.encode(`\u0000${auth.user}\u0000${auth.password}`));
    this.#command(`AUTH PLAIN ${token}`, { kind: 'auth' });
  }

  #established(): void {
    this.#ready = true;
    this.#events.push({ kind: 'ready', checkpoint: this.checkpoint, pipelining: this.#pipelining });
  }

  #begin(message: OutgoingMessage): void {
    const transfer: Transfer = {
      message,
      accepted: [],
      refused: [],
      mail: undefined,
      offset: 0,
      resumed: false,
      sent: false,
      empty: false,
      chunked:
        message.fresh === true &&
        message.octets <= LARGEST_CHUNKED_OCTETS &&
        this.#pipelining &&
        this.#extensions.has('CHUNKING'),
    };
    const refusal = this.#extensions.refusalOf(message);
    if (refusal !== undefined) {
      const replies = message.recipients.map((recipient) => ({ recipient, reply: refusal }));
      this.#events.push({ kind: 'result', message, replies });
      return;
    }
    this.#open++;
    this.#command(this.#extensions.mail(message), { kind: 'mail', transfer });
    for (const recipient of message.recipients)
      this.#command(this.#extensions.rcpt(recipient), { kind: 'rcpt', transfer, recipient });
    if (!transfer.chunked) {
      this.#command('DATA', { kind: 'data', transfer });
      return;
    }
    this.#command(`BDAT ${message.octets} LAST`, { kind: 'dot', transfer });
    this.#flush();
    this.#sending = transfer;
    this.#wantBody(transfer);
  }

  #handleTransferReply(expectation: Extract<Expectation, { transfer: Transfer }>, reply: Reply): void {
    const { transfer } = expectation;
    switch (expectation.kind) {
      case 'mail':
        transfer.mail = reply;
        if (reply.code === 355 && transfer.chunked) transfer.resumed = true;
        else if (reply.code === 355) {
          const offset = Number(/^\s*(\d{1,15})\b/.exec(reply.text)?.[1] ?? Number.NaN);
          if (!(offset <= transfer.message.octets)) {
            this.#abort(`offset beyond the message: ${formatReply(reply)}`);
            return;
          }
          transfer.offset = offset;
          transfer.resumed = true;
          this.#events.push({ kind: 'resumed', message: transfer.message, offset });
        } else if (!isPositive(reply)) this.#dropUnsent(transfer);
        break;
      case 'rcpt':
        if (isPositive(reply) || (transfer.resumed && reply.code === 503))
          transfer.accepted.push(expectation.recipient);
        else transfer.refused.push({ recipient: expectation.recipient, reply });
        break;
      case 'data':
        if (reply.code === 354) this.#startBody(transfer);
        else this.#finish(transfer, reply);
        break;
      case 'dot':
        if (!transfer.sent) {
          this.#abort(`reply before the end of the message: ${formatReply(reply)}`);
          return;
        }
        this.#dotsAwaited--;
        this.#finish(transfer, reply);
        break;
    }
  }

  /** Not pipelined and MAIL was refused: what is not sent yet is not sent at all. */
  #dropUnsent(transfer: Transfer): void {
    const mine = (c: { expect: Expectation }) => 'transfer' in c.expect && c.expect.transfer === transfer;
    if (!this.#unsent.some(mine)) return;
    const kept = this.#unsent.filter((c) => !mine(c));
    this.#unsent.splice(0, this.#unsent.length, ...kept);
    this.#finish(transfer, transfer.mail!);
  }

  #startBody(transfer: Transfer): void {
    this.#sending = transfer;
    this.#stuffer = new DotStuffer();
    const positive = transfer.mail !== undefined && (isPositive(transfer.mail) || transfer.resumed);
    transfer.empty = !positive || transfer.accepted.length === 0;
    if (transfer.empty) this.#endBody(transfer);
    else this.#wantBody(transfer);
  }

  #wantBody(transfer: Transfer): void {
    const { message, offset } = transfer;
    const length = Math.min(this.#settings.chunkOctets?.() ?? CHUNK_OCTETS, message.octets - offset);
    if (length <= 0) this.#endBody(transfer);
    else this.#transmits.push({ kind: 'body', message, offset, length });
  }

  #sendBody(octets: Uint8Array): void {
    const transfer = this.#sending;
    if (transfer === undefined || transfer.empty) return;
    if (octets.length === 0) {
      this.#abort('the stored message is shorter than its envelope says');
      return;
    }
    transfer.offset += octets.length;
    this.#transmits.push({ kind: 'octets', octets: transfer.chunked ? octets : this.#stuffer.stuff(octets) });
    this.#wantBody(transfer);
  }

  #endBody(transfer: Transfer): void {
    this.#sending = undefined;
    transfer.sent = true;
    this.#dotsAwaited++;
    if (!transfer.chunked) {
      this.#expected.push({ kind: 'dot', transfer });
      this.#transmits.push({
        kind: 'octets',
        octets: encoder.encode(this.#stuffer.atLineStart ? '.\r\n' : '\r\n.\r\n'),
      });
    }
    if (!transfer.empty) this.#events.push({ kind: 'bodySent', message: transfer.message });
  }

  #finish(transfer: Transfer, last: Reply): void {
    this.#open--;
    // When MAIL was refused, its reply is the reason, not the 503 that follow; likewise when every RCPT was.
    const mailRefused = transfer.mail !== undefined && !isPositive(transfer.mail) && !transfer.resumed;
    const answered = new Map(transfer.refused.map((r) => [r.recipient, r.reply]));
    const replies = transfer.message.recipients.map((recipient) => ({
      recipient,
      reply: mailRefused ? transfer.mail! : (answered.get(recipient) ?? last),
      dsn: this.#extensions.has('DSN'),
    }));
    this.#events.push({ kind: 'result', message: transfer.message, replies });
    // A transaction that ended before its DATA leaves MAIL's state behind in a server that took MAIL (RFC 5321 section 4.1.1.5).
    if (!transfer.sent && !mailRefused && this.#expected.length === 0 && !this.#quitting)
      this.#command('RSET', { kind: 'rset' });
  }

  #quit(): void {
    if (this.#quitting) return;
    this.#quitting = true;
    if (this.#ready) this.#command('QUIT', { kind: 'quit' });
    else this.#abort('not needed any more');
  }

  #refuse(reply: Reply): void {
    this.#closed = true;
    this.#events.push({ kind: 'refused', reply });
    this.#transmits.push({ kind: 'end' });
  }

  #abort(reason: string): void {
    this.#closed = true;
    this.#transmits.push({ kind: 'abort', reason });
  }

  #command(line: string, expect: Expectation): void {
    this.#unsent.push({ line, expect });
  }

  /** Sends what may be sent: all of a group with PIPELINING, else one command at a time. */
  #flush(): void {
    let group = '';
    while (this.#unsent.length > 0 && !this.#closed) {
      if (!this.#pipelining && this.#expected.length > 0) break;
      const { line, expect } = this.#unsent.shift()!;
      group += `${line}\r\n`;
      this.#expected.push(expect);
    }
    if (group !== '') this.#transmits.push({ kind: 'octets', octets: encoder.encode(group) });
  }
}
