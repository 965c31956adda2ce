/**
 * What a session asks of the world, and what it can be answered. One operation of a session is outstanding at a time; the
 * adapter (src/io/ftp-session.ts) performs it and hands the answer back. All paths are absolute in the account's tree, in
 * octet text.
 */
import type { Result } from '../../core/index.ts';
import type { Endpoint } from './address.ts';

/** A user as logged in. */
export interface Account {
  readonly user: string;
  readonly anonymous: boolean;
  /** May store, delete, rename and so on. */
  readonly writable: boolean;
}

export interface Entry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'other';
  readonly size: number;
  readonly modifiedMs: number;
  /** Permission bits, 0 … 0o7777. */
  readonly mode: number;
  readonly links: number;
  /** Both the same for the same file system object, and for no other (RFC 3659 section 7.5.2). */
  readonly device: number;
  readonly inode: number;
}

export type FileReason =
  | 'not-found'
  | 'not-a-directory'
  | 'is-a-directory'
  | 'not-a-file'
  | 'exists'
  | 'not-empty'
  | 'denied'
  | 'outside'
  | 'name-invalid'
  | 'offset'
  | 'busy'
  | 'disk-full'
  | 'quota'
  | 'aborted'
  | 'io';

export type TransferReason =
  | FileReason
  /** No data connection came about. */
  | 'no-connection'
  /** TLS did not come about on the data connection. */
  | 'tls'
  | 'connection-lost';

export type HashAlgorithm = 'SHA-512' | 'SHA-256' | 'SHA-1' | 'MD5' | 'CRC32';

/** How a data connection comes about. */
export type DataRoute = { readonly mode: 'passive' } | { readonly mode: 'active'; readonly to: Endpoint };

export interface Operations {
  authenticate: { ask: { user: string; password: string }; answer: Result<Account, 'refused' | 'too-many'> };
  'start-tls': { ask: object; answer: Result<object, 'tls'> };
  'clear-channel': { ask: object; answer: Result<object, 'tls'> };
  describe: { ask: { path: string }; answer: Result<Entry, FileReason> };
  list: { ask: { path: string }; answer: Result<readonly Entry[], FileReason> };
  /** Opens a file to be sent; `size` is that of the whole file. */
  'open-read': { ask: { path: string; offset: number; ascii: boolean }; answer: Result<{ size: number }, FileReason> };
  /**
   * Opens a file to be received; with `unique` under a new name made from the path's. `sizeTold` is what the client was told of
   * its size: an upload that the client's older session carried on with in between is cut back to that before it is appended to.
   */
  'open-write': {
    ask: { path: string; how: 'replace' | 'append' | 'resume' | 'unique'; offset: number; sizeTold?: number };
    answer: Result<{ path: string }, FileReason>;
  };
  listen: { ask: { family: 'ipv4' | 'same' }; answer: Result<Endpoint, 'no-port'> };
  /** Sends the opened file or the text, or receives into the opened file. */
  transfer: {
    ask: { direction: 'send' | 'receive'; text?: string; ascii: boolean; route: DataRoute; protect: boolean };
    answer: Result<{ octets: number }, TransferReason>;
  };
  'make-directory': { ask: { path: string }; answer: Result<object, FileReason> };
  'remove-directory': { ask: { path: string }; answer: Result<object, FileReason> };
  'delete-file': { ask: { path: string }; answer: Result<object, FileReason> };
  rename: { ask: { from: string; to: string }; answer: Result<object, FileReason> };
  'set-mode': { ask: { path: string; mode: number }; answer: Result<object, FileReason> };
  'set-modified': { ask: { path: string; modifiedMs: number }; answer: Result<object, FileReason> };
  /** The size as it would be transferred. */
  size: { ask: { path: string; ascii: boolean }; answer: Result<{ octets: number }, FileReason> };
  hash: {
    ask: { path: string; algorithm: HashAlgorithm; begin: number; end?: number };
    answer: Result<{ hash: string; begin: number; end: number }, FileReason>;
  };
  /** Octets that can still be stored: the least of quota and disk. */
  space: { ask: object; answer: Result<{ octets: number }, FileReason> };
  /** Answered by the session's own timer. */
  wait: { ask: { seconds: number }; answer: Result<object, never> };
}

export type OperationName = keyof Operations;
export type Operation = { [N in OperationName]: { readonly do: N } & Readonly<Operations[N]['ask']> }[OperationName];
export type AnswerOf<N extends OperationName> = Operations[N]['answer'];
export type Answer = Operations[OperationName]['answer'];

/** A command's run: it yields operations and is resumed with their answers. */
export type Run<Value = void> = Generator<Operation, Value, Answer>;

/** `const answer = yield* perform('size', { path, ascii })` */
export function* perform<N extends OperationName>(name: N, ask: Operations[N]['ask']): Run<AnswerOf<N>> {
  return (yield { do: name, ...ask } as unknown as Operation) as AnswerOf<N>;
}
