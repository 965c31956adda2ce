/**
 * The receiving side: what a server answers to MAIL, RCPT and the final dot, and what it keeps of a transaction that broke off.
 * The server on the wire is an adapter (src/io/smtp-listener.ts); it hands over each command and the unstuffed octets, of DATA
 * as of BDAT (RFC 3030). A message whose last chunk ends inside a line gets its CRLF here: onward it may have to go by DATA.
 *
 * RFC 5321 sections 4.1.1, 6.3 and 7; RFC 1845: the transaction table. A transaction that was accepted before is answered 355
 * with the message's full length, its data is swallowed, and the final dot gets the 250 that was lost: no duplicate.
 * A transaction whose earlier connection still looks alive is taken over: after a loss of signal its socket is a ghost.
 */
import type { WallTime } from '../../core/index.ts';
import { type Envelope, LOCAL_HOP, type Recipient } from './envelope.ts';
import type { FinishedMessage } from './finished-message.ts';
import type { Client, Limits, Policy } from './policy.ts';
import type { MailStore, PartialTransaction } from './ports.ts';
import { ownReply, type Reply } from './reply.ts';
import { Transaction } from './transaction.ts';
import { secondsBetween } from './wall-time.ts';

export interface MailParameters {
  readonly reversePath: string;
  readonly size?: number;
  readonly eightBit?: boolean;
  readonly smtputf8?: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  readonly envelopeId?: string;
  readonly priority?: number;
  /** TRANSID as received. */
  readonly transaction?: string;
}
export interface RecipientParameters {
  readonly notify?: readonly string[];
  readonly originalRecipient?: string;
}

export interface ReceiverPorts {
  readonly store: MailStore;
  readonly policy: Policy;
  readonly limits: Limits;
  /** This relay's name in `Received` fields. */
  readonly name: string;
  readonly joinPartials: boolean;
  now(): WallTime;
  newId(): string;
  /** The message is durable; what becomes of it is the queue's business. */
  accepted(envelope: Envelope): void;
  /** The largest message that can ever reach the hop, or undefined when any can. */
  largestFor(hop: string): number | undefined;
  log(line: string): void;
}

/** A relay that has sent nothing for this long, in the middle of a message, is gone. */
const SILENT_SECONDS = 5;
const STRANGER = '~';
const TRANSACTION_SYNTAX = /^<[!-~]{1,78}>$/;

export class Receiver {
  readonly #ports: ReceiverPorts;
  /** Transactions of messages that were accepted, by client and id. There are as many as a month brings, so they are small. */
  readonly #accepted = new Map<string, { id: string; octets: number; addresses: string | readonly string[] }>();
  readonly #partial = new Map<string, PartialTransaction>();
  readonly #active = new Map<string, Transaction>();
  #heardAt = 0n as WallTime;

  constructor(ports: ReceiverPorts) {
    this.#ports = ports;
  }

  /** From the store at the start. */
  restore(known: readonly FinishedMessage[], partial: readonly PartialTransaction[]): void {
    for (const envelope of known) this.remember(envelope);
    for (const transaction of partial) this.#partial.set(transaction.transaction, transaction);
  }

  remember(envelope: Pick<FinishedMessage, 'id' | 'transaction' | 'octets' | 'recipients'>): void {
    if (envelope.transaction === undefined) return;
    const { id, octets, recipients } = envelope;
    const addresses = recipients.map(({ address }) => address);
    const [only] = addresses;
    this.#accepted.set(envelope.transaction, { id, octets, addresses: addresses.length === 1 ? only! : addresses });
  }

  forget(transaction: string): void {
    this.#accepted.delete(transaction);
  }

  knows(transaction: string): boolean {
    return this.#accepted.has(transaction);
  }

  /** Another relay is in the middle of a message to us. One whose connection went without a word is not, though it may still come back. */
  get receiving(): boolean {
    return this.#active.size > 0 && Math.abs(secondsBetween(this.#heardAt, this.#ports.now())) < SILENT_SECONDS;
  }
  heard(): void {
    this.#heardAt = this.#ports.now();
  }
  get partialCount(): number {
    return this.#partial.size;
  }

  mayRelay(client: Client): boolean {
    return this.#ports.policy.mayRelay(client);
  }

  async mail(client: Client, parameters: MailParameters): Promise<{ transaction?: Transaction; reply: Reply }> {
    const { limits, store } = this.#ports;
    const size = parameters.size ?? 0;
    if (size > limits.messageOctets)
      return refuse(552, '5.3.4', `${size} octets are too many; up to ${limits.messageOctets} would fit`);
    const free = await store.free();
    if (size + limits.reserveOctets > free)
      return refuse(452, '4.3.1', `the disk is full: ${Math.max(0, free - limits.reserveOctets)} octets would fit now`);
    const key = this.#key(client, parameters.transaction);
    if (key === 'invalid') return refuse(501, '5.5.4', 'TRANSID is not as RFC 1845 says');
    if (key !== undefined)
      // Again, for another connection may have been as quick.
      for (let active = this.#active.get(key); active !== undefined; active = this.#active.get(key))
        await active.lost('taken over by a new connection');

    const before = key === undefined ? undefined : this.#accepted.get(key);
    const partial = key === undefined ? undefined : this.#partial.get(key);
    const id = before?.id ?? partial?.id ?? this.#ports.newId();
    // Of a message that came without its last CRLF we have more octets than the client, who takes no offset beyond its own.
    const offset =
      before === undefined ? (partial?.octets ?? 0) : Math.min(before.octets, parameters.size ?? before.octets);
    const transaction = new Transaction(this.#ports, this, {
      client,
      parameters,
      key,
      id,
      offset,
      duplicate: before !== undefined,
      recipients: before === undefined ? (partial?.recipients ?? []) : named(before.addresses),
    });
    if (key !== undefined && before === undefined) {
      this.heard();
      this.#partial.delete(key);
      this.#active.set(key, transaction);
    }
    // An empty partial is an ordinary beginning (RFC 1845 section 3 knows 355 only for an interrupted data transfer).
    if (offset > 0) return { transaction, reply: ownReply(355, '', `${offset} is the transaction offset`) };
    return { transaction, reply: ownReply(250, '2.1.0', 'sender ok') };
  }

  /** A TRANSID is unique together with the client's name (RFC 1845 section 2); of a stranger the name alone says nothing. */
  #key(client: Client, transaction: string | undefined): string | 'invalid' | undefined {
    if (transaction === undefined) return undefined;
    const who = this.#ports.policy.mayRelay(client) ? '' : `${STRANGER}${client.address} `;
    return TRANSACTION_SYNTAX.test(transaction) ? `${who}${client.name.toLowerCase()} ${transaction}` : 'invalid';
  }

  ended(transaction: Transaction): void {
    if (transaction.key !== undefined && this.#active.get(transaction.key) === transaction)
      this.#active.delete(transaction.key);
  }

  /** Keeps what came of an interrupted transaction; over the limits the oldest go. */
  async keep(partial: PartialTransaction): Promise<void> {
    const { limits, store } = this.#ports;
    this.#partial.set(partial.transaction, partial);
    const strange = partial.transaction.startsWith(STRANGER);
    const byAge = [...this.#partial.values()]
      .filter(({ transaction }) => transaction.startsWith(STRANGER) === strange)
      .sort((a, b) => (a.updated < b.updated ? -1 : 1));
    const most = strange ? limits.strangerTransactions : limits.partialTransactions;
    const mostOctets = strange ? limits.strangerOctets : limits.partialOctets;
    let octets = byAge.reduce((sum, p) => sum + p.octets, 0);
    for (const [gone, old] of byAge.entries()) {
      if (byAge.length - gone <= most && octets <= mostOctets) break;
      this.#partial.delete(old.transaction);
      octets -= old.octets;
      await store.discardSpool(old.id);
    }
  }
}

/** Of a message that has come: their names are all that is asked for. */
const named = (addresses: string | readonly string[]): Recipient[] =>
  [addresses].flat().map((address) => ({ address, state: 'queued', hop: LOCAL_HOP }));

const refuse = (code: number, status: string, text: string) => ({ reply: ownReply(code, status, text) });
