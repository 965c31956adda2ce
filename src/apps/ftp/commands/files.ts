/** The tree: CWD, CDUP, PWD, MKD, RMD, DELE, RNFR, RNTO (RFC 959 section 4.1.3). */
import { type CommandContext, type CommandRow, hasArgument, loggedIn, pathOf, replyFor, writable } from '../command.ts';
import { type OperationName, type Operations, perform, type Run } from '../operations.ts';
import { parentOf } from '../path.ts';
import { quoted, reply } from '../reply.ts';

function* changeDirectory(context: CommandContext, path: string, code: number): Run {
  const described = yield* perform('describe', { path });
  if (!described.ok) context.reply(...replyFor(described.reason));
  else if (described.value.type !== 'directory') context.reply(550, 'Not a directory.');
  else {
    context.state.workingDirectory = path;
    context.reply(code, `The working directory is ${quoted(path)}.`);
  }
}

type PathOperation = 'make-directory' | 'remove-directory' | 'delete-file';

function* change(
  context: CommandContext,
  argument: string,
  name: PathOperation,
  done: (path: string) => [number, string],
): Run {
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const answer = yield* perform(name as OperationName & PathOperation, { path } as Operations[PathOperation]['ask']);
  context.reply(...(answer.ok ? done(path) : replyFor(answer.reason)));
}

function* renameFrom(context: CommandContext, argument: string): Run {
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const described = yield* perform('describe', { path });
  if (!described.ok) {
    context.reply(...replyFor(described.reason));
    return;
  }
  context.state.renameFrom = path;
  context.reply(350, 'It is there; send RNTO.');
}

function* renameTo(context: CommandContext, argument: string): Run {
  const from = context.state.renameFrom!;
  context.state.renameFrom = undefined;
  const to = pathOf(context, argument);
  if (to === undefined) return;
  const answer = yield* perform('rename', { from, to });
  context.reply(...(answer.ok ? ([250, 'Renamed.'] as [number, string]) : replyFor(answer.reason)));
}

const changeRow = (
  verb: string,
  description: string,
  name: PathOperation,
  done: (path: string) => [number, string],
): CommandRow => ({
  verb,
  syntax: `${verb} <pathname>`,
  description,
  check: [loggedIn, hasArgument, writable],
  proceed: (context, argument) => change(context, argument, name, done),
});

export const FILE_COMMANDS: readonly CommandRow[] = [
  {
    verb: 'CWD',
    syntax: 'CWD <pathname>',
    description: 'change the working directory',
    check: [loggedIn, hasArgument],
    *proceed(context, argument) {
      const path = pathOf(context, argument);
      if (path !== undefined) yield* changeDirectory(context, path, 250);
    },
  },
  {
    verb: 'CDUP',
    syntax: 'CDUP',
    description: 'change to the parent directory',
    check: [loggedIn],
    // RFC 959 gives 200 for CDUP in its table and 250 in its text; 250 is what section 5.4 and most servers send.
    proceed: (context) => changeDirectory(context, parentOf(context.state.workingDirectory), 250),
  },
  {
    verb: 'PWD',
    syntax: 'PWD',
    description: 'print the working directory',
    check: [loggedIn],
    proceed(context) {
      context.reply(257, `${quoted(context.state.workingDirectory)} is the working directory.`);
    },
  },
  changeRow('MKD', 'make a directory', 'make-directory', (path) => [257, `${quoted(path)} created.`]),
  changeRow('RMD', 'remove an empty directory', 'remove-directory', () => [250, 'Directory removed.']),
  changeRow('DELE', 'delete a file', 'delete-file', () => [250, 'File deleted.']),
  {
    verb: 'RNFR',
    syntax: 'RNFR <pathname>',
    description: 'name what is to be renamed',
    check: [loggedIn, hasArgument, writable],
    proceed: renameFrom,
  },
  {
    verb: 'RNTO',
    syntax: 'RNTO <pathname>',
    description: 'rename it',
    check: [
      loggedIn,
      hasArgument,
      ({ state }) => (state.renameFrom === undefined ? reply(503, 'Send RNFR first.') : undefined),
    ],
    proceed: renameTo,
  },
];
