/**
 * The server side of SMTP for simulated links: just enough grammar to stand where smtp-server stands in the product, in front of
 * the same receiver. Text in, replies out; commands of one connection are handled one after the other.
 */
import type { Client, Receiver, Transaction } from '../../../src/apps/smtp/index.ts';
import { formatReply, type Reply } from '../../../src/apps/smtp/index.ts';

export class ServerSession {
  readonly #receiver: Receiver;
  readonly #address: string;
  readonly #send: (text: string) => void;
  #pending = '';
  #replies = '';
  #client: Client;
  #transaction: Transaction | undefined;
  #inData = false;
  /** Octets of a chunk that are to come. */
  #chunk: { octets: number; left: number; last: boolean } | undefined;
  #work: Promise<void> = Promise.resolve();
  #closed = false;
  extensions = [
    'PIPELINING',
    '8BITMIME',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'DSN',
    'SIZE 100000000',
    'MT-PRIORITY',
    'CHUNKING',
  ];

  constructor(receiver: Receiver, address: string, send: (text: string) => void) {
    this.#receiver = receiver;
    this.#address = address;
    this.#send = send;
    this.#client = { address, name: '', secure: false };
    send('220 simulated ESMTP\r\n');
  }

  received(octets: Uint8Array): void {
    this.#work = this.#work.then(async () => {
      await this.#take(new TextDecoder('latin1').decode(octets));
      // Replies to a group travel together, those to MAIL and RCPT with that to their BDAT.
      if (this.#chunk === undefined) this.#flush();
    });
  }

  async closed(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#work;
    await this.#transaction?.lost('connection closed');
  }

  async #take(text: string): Promise<void> {
    this.#pending += text;
    for (;;) {
      if (this.#inData) {
        if (!(await this.#data())) return;
      } else if (this.#chunk !== undefined) {
        if (!(await this.#chunked())) return;
      } else {
        const end = this.#pending.indexOf('\r\n');
        if (end < 0) return;
        const line = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + 2);
        await this.#command(line);
      }
    }
  }

  /** True when the dot was found. Takes whole lines; a line of a real message is short. */
  async #data(): Promise<boolean> {
    let at = 0;
    let body = '';
    let ended = false;
    for (let end = this.#pending.indexOf('\r\n'); end >= 0 && !ended; end = this.#pending.indexOf('\r\n', at)) {
      const line = this.#pending.slice(at, end + 2);
      at = end + 2;
      if (line === '.\r\n') ended = true;
      else body += line.startsWith('.') ? line.slice(1) : line;
    }
    this.#pending = this.#pending.slice(at);
    if (body !== '') await this.#transaction!.write(latin1(body));
    if (!ended) return false;
    this.#inData = false;
    const reply = await this.#transaction!.end();
    this.#transaction = undefined;
    this.#reply(reply);
    return true;
  }

  /** True when the chunk was whole. */
  async #chunked(): Promise<boolean> {
    const chunk = this.#chunk!;
    const part = this.#pending.slice(0, chunk.left);
    this.#pending = this.#pending.slice(part.length);
    chunk.left -= part.length;
    if (part !== '') await this.#transaction?.write(latin1(part));
    if (chunk.left > 0) return false;
    this.#chunk = undefined;
    if (this.#transaction === undefined) this.#say('503 5.5.1 no RCPT\r\n');
    else if (chunk.last) {
      this.#reply(await this.#transaction.end());
      this.#transaction = undefined;
    } else this.#reply(await this.#transaction.chunkEnd(chunk.octets));
    return true;
  }

  async #command(line: string): Promise<void> {
    const [verb] = line.toUpperCase().split(' ');
    if (verb === 'EHLO') {
      this.#client = { address: this.#address, name: line.slice(5), secure: false };
      const offers = [...this.extensions];
      offers.push('CHECKPOINT');
      this.#say([`hello`, ...offers].map((t, i, all) => `250${i < all.length - 1 ? '-' : ' '}${t}\r\n`).join(''));
    } else if (verb === 'MAIL') {
      const [, address, rest] = /^MAIL FROM:<([^>]*)>(.*)$/i.exec(line) ?? [];
      const get = (key: string) => new RegExp(` ${key}=(\\S+)`, 'i').exec(rest ?? '')?.[1];
      const transaction = get('TRANSID');
      await this.#transaction?.lost('a new transaction');
      const answer = await this.#receiver.mail(this.#client, {
        reversePath: address ?? '',
        size: Number(get('SIZE') ?? 0),
        priority: Number(get('MT-PRIORITY') ?? 0),
        ...(transaction === undefined ? {} : { transaction }),
      });
      this.#transaction = answer.transaction;
      this.#reply(answer.reply);
    } else if (verb === 'RCPT') {
      const [, address] = /^RCPT TO:<([^>]*)>/i.exec(line) ?? [];
      if (this.#transaction === undefined) this.#say('503 5.5.1 no MAIL\r\n');
      else this.#reply(this.#transaction.recipient(address ?? '', {}));
    } else if (verb === 'DATA') {
      if (this.#transaction === undefined || this.#transaction.recipientCount === 0) this.#say('503 5.5.1 no RCPT\r\n');
      else {
        this.#inData = true;
        this.#say('354 go on\r\n');
      }
    } else if (verb === 'BDAT') {
      const [, size, last] = line.toUpperCase().split(' ');
      const octets = Number(size);
      this.#chunk = { octets, left: octets, last: last === 'LAST' };
      if (this.#transaction?.recipientCount === 0) this.#transaction = undefined;
      await this.#transaction?.chunk(octets, this.#chunk.last);
    } else if (verb === 'RSET') {
      await this.#transaction?.lost('reset');
      this.#transaction = undefined;
      this.#say('250 reset\r\n');
    } else if (verb === 'QUIT') this.#say('221 bye\r\n');
    else this.#say('250 ok\r\n');
  }

  #say(text: string): void {
    this.#replies += text;
  }

  #flush(): void {
    if (this.#replies !== '' && !this.#closed) this.#send(this.#replies);
    this.#replies = '';
  }

  #reply(reply: Reply): void {
    if (!this.#closed) this.#say(`${formatReply(reply)}\r\n`);
  }
}

export function latin1(text: string): Uint8Array {
  const octets = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) octets[i] = text.charCodeAt(i);
  return octets;
}
