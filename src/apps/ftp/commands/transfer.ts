/** RETR, STOR, APPE, STOU (RFC 959 section 4.1.3) and ABOR. What can fail without a data connection fails before the 150. */
import {
  type CommandContext,
  type CommandRow,
  hasArgument,
  loggedIn,
  pathOf,
  protectedEnough,
  replyFor,
  writable,
} from '../command.ts';
import { type DataRoute, perform, type Run, type TransferReason } from '../operations.ts';
import { quoted, reply } from '../reply.ts';

function* retrieve(context: CommandContext, argument: string): Run {
  const { state } = context;
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const ascii = state.type === 'A';
  const offset = state.restartAt;
  const opened = yield* perform('open-read', { path, offset, ascii });
  if (!opened.ok) {
    context.reply(...replyFor(opened.reason));
    return;
  }
  const left = opened.value.size - (ascii ? 0 : offset);
  const about = ascii ? '' : ` (${left} bytes)`;
  context.reply(150, `Opening ${ascii ? 'ASCII' : 'BINARY'} mode data connection for ${quoted(path)}${about}.`);
  if (yield* transfer(context, { direction: 'send' })) state.filesSent++;
}

function* receive(context: CommandContext, argument: string, how: 'replace' | 'append' | 'resume' | 'unique'): Run {
  const { state } = context;
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const told = how === 'append' && state.sizeTold?.path === path ? { sizeTold: state.sizeTold.octets } : {};
  const opened = yield* perform('open-write', { path, how, offset: how === 'resume' ? state.restartAt : 0, ...told });
  if (!opened.ok) {
    context.reply(...replyFor(opened.reason));
    return;
  }
  // The form of RFC 1123 section 4.1.2.9 for STOU.
  if (how === 'unique') context.reply(150, `FILE: ${opened.value.path}`);
  else context.reply(150, `Ok to send data for ${quoted(path)}.`);
  if (yield* transfer(context, { direction: 'receive' })) state.filesReceived++;
}

/** Uses the route up: each transfer needs its own PASV or PORT (RFC 1123 section 4.1.2.5). True when all went well. */
export function* transfer(
  context: CommandContext,
  what: { direction: 'send' | 'receive'; text?: string; ascii?: boolean },
): Run<boolean> {
  const { state } = context;
  const route: DataRoute = state.route!;
  state.route = undefined;
  const ascii = what.ascii ?? (what.text === undefined && state.type === 'A');
  const protect = state.protection === 'P';
  const answer = yield* perform('transfer', { ...what, ascii, route, protect });
  if (answer.ok) {
    context.log(`transferred=${answer.value.octets}`);
    context.reply(
      226,
      what.direction === 'receive' ? 'Transfer complete; the file is safely stored.' : 'Transfer complete.',
    );
    return true;
  }
  context.reply(...replyForTransfer(answer.reason));
  return false;
}

function replyForTransfer(reason: TransferReason): [number, string] {
  switch (reason) {
    case 'no-connection':
      return [425, 'No data connection came about.'];
    case 'tls':
      return [425, 'No TLS session came about on the data connection.'];
    case 'connection-lost':
      return [426, 'The data connection was lost; what arrived is kept and can be resumed.'];
    case 'aborted':
      return [426, 'Transfer aborted; what arrived is kept and can be resumed.'];
    default:
      return replyFor(reason);
  }
}

export const routed = ({ state }: CommandContext) =>
  state.route === undefined ? reply(425, 'Send PASV, EPSV, PORT or EPRT first.') : undefined;

const receiveChecks = [loggedIn, hasArgument, writable, protectedEnough, routed];

export const TRANSFER: readonly CommandRow[] = [
  {
    verb: 'RETR',
    syntax: 'RETR <pathname>',
    description: 'send a file to the client',
    check: [loggedIn, hasArgument, protectedEnough, routed],
    proceed: retrieve,
  },
  {
    verb: 'STOR',
    syntax: 'STOR <pathname>',
    description: 'store a file; it appears when it is complete',
    check: [
      ...receiveChecks,
      ({ state }) =>
        state.restartAt > 0 && state.type === 'A'
          ? reply(554, 'Resuming an upload needs TYPE I: an offset in text has no place in the file.')
          : undefined,
    ],
    proceed: (context, argument) => receive(context, argument, context.state.restartAt > 0 ? 'resume' : 'replace'),
  },
  {
    verb: 'APPE',
    syntax: 'APPE <pathname>',
    description: 'store at the end of a file',
    check: receiveChecks,
    proceed: (context, argument) => receive(context, argument, 'append'),
  },
  {
    verb: 'STOU',
    syntax: 'STOU [<pathname>]',
    description: 'store under a new name',
    check: [loggedIn, writable, protectedEnough, routed],
    proceed: (context, argument) => receive(context, argument === '' ? 'file' : argument, 'unique'),
  },
  {
    verb: 'ABOR',
    syntax: 'ABOR',
    description: 'end the running transfer',
    proceed(context) {
      // With a transfer running the session acts at once and this is not reached.
      context.reply(226, 'No transfer to abort.');
    },
  },
];
