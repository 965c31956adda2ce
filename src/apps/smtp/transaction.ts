/**
 * One mail transaction as a server has it, from MAIL to the final reply: its octets on their way to the store, what is wrong with them, and
 * what is kept when it breaks off (RFC 1845) or is taken over.
 */
import type { WallTime } from '../../core/index.ts';
import type { Envelope, Recipient } from './envelope.ts';
import { LOCAL_HOP } from './envelope.ts';
import { fieldOf, headerPriority, MessageScanner, receivedCount } from './message-scanner.ts';
import { partialInfo } from './partial.ts';
import type { Client } from './policy.ts';
import type { PartialNote, Spool } from './ports.ts';
import type { MailParameters, Receiver, ReceiverPorts, RecipientParameters } from './receiver.ts';
import { ownReply, type Reply } from './reply.ts';
import { formatMailDate, secondsBetween } from './wall-time.ts';

/** How often the octets of a running transaction are forced to the disk, so that a crash costs at most this. */
const CHECKPOINT_SECONDS = 1;
const NAME_SYNTAX = /^(?:[\p{L}\p{N}_.-]+|\[(?:IPv6:)?[0-9A-F:.]+\])$/iu;
const CRLF = Uint8Array.of(13, 10);

interface TransactionStart {
  readonly client: Client;
  readonly parameters: MailParameters;
  readonly key: string | undefined;
  readonly id: string;
  readonly offset: number;
  readonly duplicate: boolean;
  readonly recipients: readonly Recipient[];
}

type Fault = { readonly reply: Reply };

/** One mail transaction, from MAIL to the reply to the final dot. */
export class Transaction {
  readonly key: string | undefined;
  readonly #ports: ReceiverPorts;
  readonly #receiver: Receiver;
  readonly #start: TransactionStart;
  readonly #recipients = new Map<string, Recipient>();
  readonly #scanner: MessageScanner;
  #spool: Spool | undefined;
  #offset: number;
  #chunks = 0;
  #fault: Fault | undefined;
  #over = false;
  #checkpointed: WallTime;
  #work: Promise<void> = Promise.resolve();
  /** Once it is over: when its octets are kept, dropped or a message. */
  #settled: Promise<void> = Promise.resolve();

  constructor(ports: ReceiverPorts, receiver: Receiver, start: TransactionStart) {
    this.#ports = ports;
    this.#receiver = receiver;
    this.#start = start;
    this.key = start.key;
    this.#scanner = new MessageScanner(ports.limits.headerOctets);
    this.#checkpointed = ports.now();
    this.#offset = start.offset;
    for (const recipient of start.recipients) this.#recipients.set(recipient.address, recipient);
  }

  get id(): string {
    return this.#start.id;
  }
  get recipientCount(): number {
    return this.#recipients.size;
  }
  /** Named in this session or in the interrupted one. */
  get recipients(): readonly Recipient[] {
    return [...this.#recipients.values()];
  }

  recipient(address: string, parameters: RecipientParameters): Reply {
    const { policy, limits } = this.#ports;
    const decision = policy.recipient(this.#start.client, address);
    if (!decision.ok) return decision.reply;
    if (this.#recipients.size >= limits.recipients) return ownReply(452, '4.5.3', 'too many recipients');
    const largest = this.#ports.largestFor(decision.hop);
    const size = this.#start.parameters.size ?? 0;
    if (largest !== undefined && size > largest)
      return ownReply(552, '5.2.3', `no contact with the next hop is long enough: ${largest} octets would fit`);
    this.#recipients.set(address, { address, state: 'queued', hop: decision.hop, ...parameters });
    return ownReply(250, '2.1.5', 'recipient ok');
  }

  /**
   * A chunk of so many octets comes (RFC 3030 section 2), to be handed to `write`. A message that comes in one chunk comes whole: then its
   * sender did not wait for our 355, and what an earlier try left is of no use to it.
   */
  async chunk(octets: number, last: boolean): Promise<void> {
    await this.#work;
    const { duplicate, parameters } = this.#start;
    if (this.#over || duplicate || this.#fault !== undefined) return;
    if (this.#chunks++ === 0 && this.#offset > 0 && last && octets === parameters.size) {
      this.#offset = 0;
      await this.#drop();
    }
    const before = this.#spool === undefined ? this.#offset : this.#scanner.octets;
    if (before + octets > this.#ports.limits.messageOctets) await this.#failTooLarge();
  }

  /** The reply to a chunk that is not the last one: what is wrong with the message is told now. */
  async chunkEnd(octets: number): Promise<Reply> {
    await this.#work;
    if (this.#over) return ownReply(421, '4.4.2', 'this transaction was taken over by another connection');
    return this.#fault?.reply ?? ownReply(250, '2.0.0', `${octets} octets received`);
  }

  /** Message octets, unstuffed. Faults are kept until the dot; the rest of the message is read and thrown away. */
  write(octets: Uint8Array): Promise<void> {
    if (this.key !== undefined) this.#receiver.heard();
    this.#work = this.#work.then(() => this.#take(octets));
    return this.#work;
  }

  async #take(octets: Uint8Array): Promise<void> {
    if (this.#over || this.#start.duplicate || this.#fault !== undefined) return;
    await this.#append(octets);
  }

  async #append(octets: Uint8Array): Promise<void> {
    const { limits } = this.#ports;
    try {
      await this.#open();
      this.#scanner.write(octets);
      if (this.#scanner.octets > limits.messageOctets) return await this.#failTooLarge();
      if (this.#scanner.headerTooLong)
        return await this.#fail(552, '5.3.4', `the header section has over ${limits.headerOctets} octets`);
      if (this.#scanner.hasBareBefore)
        return await this.#fail(
          550,
          '5.6.0',
          'the message has a bare CR or LF; lines end with CRLF (RFC 5321 section 2.3.8)',
        );
      await this.#spool!.append(octets);
      const now = this.#ports.now();
      if (this.key !== undefined && Math.abs(secondsBetween(this.#checkpointed, now)) >= CHECKPOINT_SECONDS) {
        this.#checkpointed = now;
        await this.#spool!.checkpoint(this.#scanner.lineStart);
      }
    } catch (error) {
      await this.#storeFailed(error);
    }
  }

  async #open(): Promise<void> {
    if (this.#spool !== undefined) return;
    const { store, limits } = this.#ports;
    const { id } = this.#start;
    const offset = this.#offset;
    this.#spool = await store.spool(id, this.#note(), offset > 0 ? offset : undefined);
    if (offset === 0) return;
    // Resumed: look at the header section again, and at no more.
    const scanner = this.#scanner;
    for (let at = 0; at < offset && scanner.inHeader && at < limits.headerOctets; ) {
      const chunk = await store.readSpool(id, at, Math.min(16384, offset - at));
      if (chunk.length === 0) break;
      scanner.write(chunk);
      at += chunk.length;
    }
    this.#scanner.resume(offset);
  }

  #note(): PartialNote | undefined {
    return this.key === undefined ? undefined : { transaction: this.key, recipients: this.recipients };
  }

  #failTooLarge(): Promise<void> {
    const { messageOctets } = this.#ports.limits;
    return this.#fail(552, '5.3.4', `the message is too large; up to ${messageOctets} octets would fit`);
  }

  async #fail(code: number, status: string, text: string): Promise<void> {
    this.#fault = { reply: ownReply(code, status, text) };
    await this.#drop();
  }

  async #storeFailed(error: unknown): Promise<void> {
    const code = (error as { code?: string }).code ?? '';
    this.#ports.log(`event=store-failed id=${this.id} error=${code || String(error)}`);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    this.#fault = {
      reply: ownReply(full ? 452 : 451, full ? '4.3.1' : '4.3.0', full ? 'the disk is full' : 'local error'),
    };
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const spool = this.#spool;
    this.#spool = undefined;
    try {
      await spool?.close();
      await this.#ports.store.discardSpool(this.id);
    } catch (error) {
      this.#ports.log(`event=discard-failed id=${this.id} error=${String(error)}`);
    }
  }

  /** The final dot. When the reply is 250, the message is durable. */
  async end(): Promise<Reply> {
    await this.#work;
    if (this.#over) return ownReply(421, '4.4.2', 'this transaction was taken over by another connection');
    return await this.#settle(this.#conclude());
  }

  /** A new connection that takes the transaction over waits for this: what it is told depends on how this one ended. */
  #settle<T>(work: Promise<T>): Promise<T> {
    this.#over = true;
    const settled = work.finally(() => this.#receiver.ended(this));
    this.#settled = settled.then(
      () => {},
      () => {},
    );
    return settled;
  }

  async #conclude(): Promise<Reply> {
    const { parameters, duplicate } = this.#start;
    if (duplicate) return ownReply(250, '2.6.0', `accepted before as ${this.id}`);
    if (this.#fault !== undefined) return this.#fault.reply;
    if (this.#recipients.size === 0) {
      await this.#drop();
      return ownReply(554, '5.5.1', 'no valid recipients');
    }
    try {
      await this.#open();
    } catch (error) {
      await this.#storeFailed(error);
      return this.#fault!.reply;
    }
    const scanner = this.#scanner;
    const header = scanner.header;
    if (scanner.hasBareLineEnd) await this.#fail(550, '5.6.0', 'the message has a bare CR or LF');
    else if (receivedCount(header) >= this.#ports.limits.received)
      await this.#fail(554, '5.4.6', `the message loops: it has ${receivedCount(header)} Received fields`);
    else if (this.key !== undefined && parameters.size !== undefined && parameters.size !== scanner.octets)
      await this.#fail(451, '4.3.0', `${scanner.octets} octets came of ${parameters.size} announced; send it again`);
    else if (!scanner.endsWithLine) await this.#append(CRLF);
    const fault = this.#fault as Fault | undefined;
    if (fault !== undefined) return fault.reply;

    const envelope = this.#envelope();
    try {
      await this.#spool?.close();
      this.#spool = undefined;
      await this.#ports.store.commit(envelope);
    } catch (error) {
      await this.#storeFailed(error);
      return this.#fault!.reply;
    }
    this.#receiver.remember(envelope);
    this.#ports.accepted(envelope);
    return ownReply(250, '2.6.0', `queued as ${envelope.id}`);
  }

  #envelope(): Envelope {
    const { client, parameters } = this.#start;
    const header = this.#scanner.header;
    const now = this.#ports.now();
    const asked = parameters.priority ?? headerPriority(header) ?? 0;
    // RFC 6710 section 5: who may ask for what is local policy; strangers may only ask for less.
    const priority = Math.max(-9, Math.min(this.#ports.policy.mayRelay(client) ? 9 : 0, asked));
    const subject = fieldOf(header, 'subject')?.slice(0, 200);
    const messageId = fieldOf(header, 'message-id')?.slice(0, 200);
    const ret = parameters.ret;
    // Our own outbox's parts are joined behind the pass, not before it.
    const joinHere =
      this.#ports.joinPartials &&
      (client.address !== '' || this.recipients.every(({ hop }) => hop === LOCAL_HOP)) &&
      this.#ports.policy.mayRelay(client) &&
      partialInfo(header) !== undefined;
    return {
      id: this.id,
      ...(this.key === undefined ? {} : { transaction: this.key }),
      reversePath: parameters.reversePath,
      recipients: joinHere ? this.recipients.map((r) => ({ ...r, hop: LOCAL_HOP })) : this.recipients,
      octets: this.#scanner.octets,
      trace: this.#trace(now),
      priority,
      eightBit: this.#scanner.eightBit || parameters.eightBit === true,
      smtputf8: parameters.smtputf8 === true || this.#hasUtf8Address(),
      ...(ret === undefined ? {} : { ret }),
      ...(parameters.envelopeId === undefined ? {} : { envelopeId: parameters.envelopeId }),
      arrived: now,
      from: client.address === '' ? client.name : `${client.name} [${client.address}]`,
      ...(subject === undefined ? {} : { subject }),
      ...(messageId === undefined ? {} : { messageId }),
      held: false,
      ...(joinHere ? { joinHere } : {}),
      hops: {},
    };
  }

  /** Then the next hop must have SMTPUTF8, whether or not our client said so (RFC 6531 section 3.4). */
  #hasUtf8Address(): boolean {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
    return [this.#start.parameters.reversePath, ...this.#recipients.keys()].some((a) => /[^\u0000-\u007f]/.test(a));
  }

  /** RFC 5321 section 4.4; `with` values of RFC 3848 and RFC 6531 section 4.3. */
  #trace(now: WallTime): string {
    const { client, parameters } = this.#start;
    if (client.address === '') return '';
    const extended = `${parameters.smtputf8 ? 'UTF8' : 'E'}SMTP${client.secure ? 'S' : ''}${client.user === undefined ? '' : 'A'}`;
    // A client that says HELO behind STARTTLS (s-nail does) has spoken ESMTP to get there.
    const protocol = client.plain && !client.secure ? 'SMTP' : extended;
    const literal = client.address.includes(':') ? `IPv6:${client.address}` : client.address;
    // What is neither a domain nor an address literal would read as a comment or as other fields of the trace.
    const name = NAME_SYNTAX.test(client.name) ? client.name : `[${literal}]`;
    const [only] = this.#recipients.size === 1 ? [...this.#recipients.keys()] : [];
    return (
      `Received: from ${name} ([${literal}])\r\n\tby ${this.#ports.name} with ${protocol} id ${this.id}` +
      `${only === undefined ? '' : `\r\n\tfor <${only}>`};\r\n\t${formatMailDate(now)}\r\n`
    );
  }

  /** Drops what an earlier, interrupted try left, so that the next begins anew. */
  async forgetOctets(): Promise<void> {
    await this.#settle(this.#work.then(() => this.#drop()));
  }

  /** The connection is gone before the end (or RSET came): what came of a transaction of RFC 1845 is kept. */
  lost(why: string): Promise<void> {
    return this.#over ? this.#settled : this.#settle(this.#keep(why));
  }

  async #keep(why: string): Promise<void> {
    await this.#work;
    const { log, now } = this.#ports;
    try {
      const octets = this.#scanner.lineStart;
      if (this.key !== undefined && this.#fault === undefined && !this.#start.duplicate) {
        const had = this.#spool === undefined ? this.#offset : octets;
        if (this.#spool !== undefined) await this.#spool.checkpoint(octets);
        await this.#spool?.close();
        if (had > 0) {
          const { id, recipients } = this;
          await this.#receiver.keep({ transaction: this.key, recipients, id, octets: had, updated: now() });
          log(`event=interrupted id=${this.id} octets=${had} why=${JSON.stringify(why)}`);
        }
      } else if (!this.#start.duplicate) await this.#drop();
    } catch (error) {
      log(`event=store-failed id=${this.id} error=${String(error)}`);
    } finally {
      this.#spool = undefined;
    }
  }
}
