/**
 * What a command is: a row of the table, with the checks that come before it and a run that does it (RFC 959 section 5.3). The
 * state of a session is a plain object; the machine in session.ts owns it and only commands change it.
 */
import type { WallTime } from '../../core/index.ts';
import type { ContactForecast } from './contact-time.ts';
import type { Fact } from './listing.ts';
import type { Account, DataRoute, FileReason, HashAlgorithm, Run } from './operations.ts';
import { type PathReason, resolvePath } from './path.ts';
import { type Reply, reply } from './reply.ts';

/** What a session is told when it begins; constant for its life. */
export interface SessionSettings {
  /** Addresses of both ends of the control connection, canonical (see address.ts). */
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly tls: 'off' | 'offered' | 'required';
  /** The control connection began with TLS (implicit FTPS). */
  readonly implicitTls: boolean;
  readonly anonymous: 'off' | 'read-only' | 'read-write';
  readonly idleSeconds: number;
  readonly stallSeconds: number;
  readonly greeting: string;
}

/** What a session may look at. */
export interface SessionEnvironment {
  readonly contacts: ContactForecast;
  wallTime(): WallTime;
}

export interface SessionState {
  user: string | undefined;
  account: Account | undefined;
  failedLogins: number;
  workingDirectory: string;
  type: 'A' | 'I';
  restartAt: number;
  renameFrom: string | undefined;
  route: DataRoute | undefined;
  onlyExtendedPassive: boolean;
  secure: boolean;
  protectionSizeGiven: boolean;
  protection: 'C' | 'P';
  facts: ReadonlySet<Fact>;
  hashAlgorithm: HashAlgorithm;
  idleSeconds: number;
  host: string | undefined;
  /** The last answer to SIZE: what a client that resumes believes is there. */
  sizeTold: { readonly path: string; readonly octets: number } | undefined;
  /** For STAT. */
  filesSent: number;
  filesReceived: number;
}

/** What a command gets. */
export interface CommandContext {
  readonly state: SessionState;
  readonly settings: SessionSettings;
  readonly environment: SessionEnvironment;
  readonly rows: ReadonlyMap<string, CommandRow>;
  reply(code: number, ...lines: string[]): void;
  /** Closes the control connection after the replies given so far. */
  close(): void;
  log(line: string): void;
  /** Forgets all of the session but the connection and its TLS (REIN). */
  reinitialise(): void;
  /** Throws away received but unprocessed octets of the control connection. */
  discardInput(): void;
}

export type Check = (context: CommandContext, argument: string) => Reply | undefined;

export interface CommandRow {
  readonly verb: string;
  readonly syntax: string;
  readonly description: string;
  /** The first that gives a reply refuses the command. */
  readonly check?: readonly Check[];
  readonly proceed: (context: CommandContext, argument: string) => Run | undefined;
}

export const loggedIn: Check = ({ state }) =>
  state.account === undefined ? reply(530, 'Please log in with USER and PASS.') : undefined;

export const writable: Check = ({ state }) =>
  state.account?.writable ? undefined : reply(550, 'Permission denied: this account may read only.');

export const hasArgument: Check = (_, argument) =>
  argument === '' ? reply(501, 'This command needs an argument.') : undefined;

/** TLS first where it is required (RFC 4217 section 9 says 530, or 534 for the data channel's protection). */
export const secureEnough: Check = ({ state, settings }) =>
  settings.tls === 'required' && !state.secure ? reply(530, 'TLS is required here: send AUTH TLS first.') : undefined;

export const protectedEnough: Check = ({ state, settings }) =>
  settings.tls === 'required' && state.protection !== 'P'
    ? reply(521, 'A protected data connection is required here: send PBSZ 0 and PROT P.')
    : undefined;

/** The absolute path, or a reply already given. */
export function pathOf(context: CommandContext, argument: string): string | undefined {
  const resolved = resolvePath(context.state.workingDirectory, argument);
  if (resolved.ok) return resolved.value;
  context.reply(...replyFor(resolved.reason));
  return undefined;
}

export const nowMs = (context: CommandContext): number => Number(context.environment.wallTime() / 1_000_000n);

/** Code and text for a failure; 4xx where trying again later may help (RFC 1123 section 4.1.2.11). */
export function replyFor(reason: FileReason | PathReason): [number, string] {
  return REPLIES[reason];
}

const REPLIES: Readonly<Record<FileReason | PathReason, [number, string]>> = {
  'not-found': [550, 'No such file or directory.'],
  'not-a-directory': [550, 'Not a directory.'],
  'is-a-directory': [550, 'Is a directory.'],
  'not-a-file': [550, 'Not a plain file.'],
  exists: [550, 'It exists already.'],
  'not-empty': [550, 'The directory is not empty.'],
  denied: [550, 'Permission denied.'],
  outside: [550, 'Permission denied.'],
  'name-invalid': [553, 'The name is not allowed.'],
  'path-invalid': [553, 'The name is not allowed.'],
  'path-too-long': [553, 'The name is too long.'],
  offset: [554, 'The restart offset is beyond the end of the file.'],
  busy: [450, 'The file is being written by another user; try again later.'],
  'disk-full': [452, 'Insufficient storage space; the old file, if any, is intact.'],
  quota: [552, 'Quota exceeded; the old file, if any, is intact.'],
  aborted: [426, 'Aborted.'],
  io: [451, 'Local error in processing.'],
};
