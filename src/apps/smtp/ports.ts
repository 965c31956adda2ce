/**
 * What the relay needs from outside. The disk store, sockets, the Maildir and the clock are adapters in src/io; tests have
 * fakes of the same shape in test/support. All promises of one store settle in the order of the calls for one id.
 */
import type { WallTime } from '../../core/index.ts';
import type { Envelope, Recipient } from './envelope.ts';
import type { FinishedMessage } from './finished-message.ts';
import type { Route } from './policy.ts';
import type { Reply } from './reply.ts';

export interface Contact {
  readonly peer: string;
  readonly begin: WallTime;
  readonly end: WallTime;
  readonly octetsIn?: number;
  readonly octetsOut?: number;
}

export interface ContactPlan {
  next(from: WallTime, count: number): readonly Contact[];
  readonly always: boolean;
}

/** A message under reception that is not accepted yet. Appends are sequential. */
export interface Spool {
  append(octets: Uint8Array): Promise<void>;
  /** Octets that would survive a crash now: everything appended so far is forced to the disk, and the length noted. */
  checkpoint(octets: number): Promise<void>;
  close(): Promise<void>;
}

/** A transaction of RFC 1845 that ended before the final dot. */
export interface PartialTransaction {
  readonly transaction: string;
  readonly id: string;
  /** A client that follows RFC 1845 to the letter does not name them again. */
  readonly recipients: readonly Recipient[];
  /** Octets stored, up to the begin of a line: where the client goes on. */
  readonly octets: number;
  readonly updated: WallTime;
}

/** What is kept beside the octets of a transaction that may be interrupted. */
export type PartialNote = Pick<PartialTransaction, 'transaction' | 'recipients'>;

export interface StoreContents {
  readonly queued: readonly Envelope[];
  readonly finished: readonly FinishedMessage[];
  readonly partial: readonly PartialTransaction[];
}

export interface MailStore {
  load(): Promise<StoreContents>;
  /** A new spool, or, with `resume`, the kept octets of an interrupted one cut to that length. Rejects with ENOSPC and the like. */
  spool(id: string, note: PartialNote | undefined, resume?: number): Promise<Spool>;
  /** Reads back a spool that is not committed: to scan a resumed header section. */
  readSpool(id: string, offset: number, length: number): Promise<Uint8Array>;
  discardSpool(id: string): Promise<void>;
  /** Makes the message and its envelope durable. When the promise resolves, the message is accepted; before, it is not. */
  commit(envelope: Envelope): Promise<void>;
  /** Replaces the envelope, durably. */
  save(envelope: Envelope): Promise<void>;
  /** Nothing is left to do for the message: its octets go, its envelope is remembered. */
  finish(envelope: Envelope): Promise<void>;
  forget(id: string): Promise<void>;
  read(id: string, offset: number, length: number): Promise<Uint8Array>;
  /** Octets free for messages. */
  free(): Promise<number>;
}

/** An outgoing connection. Its owner learns of what happens through the `Dialed` it passed to `dial`. */
export interface Connection {
  /** Resolves when more may be written. */
  write(octets: Uint8Array): Promise<void>;
  /** Resolves when TLS is up; rejects when it cannot be. */
  startTls(): Promise<void>;
  /** Octets written that the peer's kernel has not acknowledged, sent or not; undefined: unknown. */
  unacknowledged?(): number | undefined;
  /** Ends politely, after what was written. */
  end(): void;
  /** Ends now; what is still in flight may be lost. */
  abort(): void;
}
export interface Dialed {
  connected(): void;
  received(octets: Uint8Array): void;
  /** Once, whether or not it was ever connected. */
  closed(reason: string): void;
  /** Once, instead of `closed`: no connection can ever be had, for the reason given (5yz). Nothing was connected. */
  unroutable(reply: Reply): void;
}

/** @param answerSeconds how long the answer to an attempt to connect may well take. */
export type Dial = (route: Route, domain: string, dialed: Dialed, answerSeconds: number) => Connection;

export interface LocalResult {
  readonly ok: boolean;
  /** Worth another try. */
  readonly temporary: boolean;
  /** RFC 3463. */
  readonly status: string;
  readonly diagnostic: string;
}
