/** LIST, NLST (RFC 959, RFC 1123 section 4.1.2.7) and MLSD (RFC 3659 section 7). A listing is made before the 150 goes out. */
import {
  type CommandContext,
  type CommandRow,
  loggedIn,
  nowMs,
  pathOf,
  protectedEnough,
  replyFor,
} from '../command.ts';
import { factsOf, fitsLine, isPattern, listLine, matchesPattern } from '../listing.ts';
import { type Entry, type FileReason, perform, type Run } from '../operations.ts';
import { joinPath, nameOf, parentOf } from '../path.ts';
import { routed, transfer } from './transfer.ts';

interface Found {
  readonly entries: readonly Entry[];
  /** What the client must put before a name so that it can use it. */
  readonly prefix: string;
}

/**
 * What LIST, NLST and STAT name: a directory's contents, one file, or the matches of a pattern in the last name. Options as of
 * `ls` come first; `a` shows names with a leading dot, `d` the directory itself, others make no difference.
 */
export function* findEntries(context: CommandContext, argument: string): Run<Found | FileReason | 'replied'> {
  const options = /^(-[a-zA-Z1]*(\s+|$))*/.exec(argument)![0];
  const rest = argument.slice(options.length);
  const path = pathOf(context, rest);
  if (path === undefined) return 'replied';
  const hidden = /a/i.test(options);
  const described = yield* perform('describe', { path });
  if (described.ok && (described.value.type !== 'directory' || options.includes('d')))
    return { entries: [{ ...described.value, name: rest === '' ? '.' : rest }], prefix: '' };
  const given = rest === '' || rest.endsWith('/') ? rest : `${rest}/`;
  if (described.ok) {
    const listed = yield* perform('list', { path });
    if (!listed.ok) return listed.reason;
    return { entries: visible(listed.value, hidden), prefix: given };
  }
  const pattern = nameOf(path);
  if (described.reason !== 'not-found' || !isPattern(pattern)) return described.reason;
  const listed = yield* perform('list', { path: parentOf(path) });
  if (!listed.ok) return listed.reason;
  const entries = listed.value.filter(({ name }) => matchesPattern(pattern, name));
  if (entries.length === 0) return 'not-found';
  return { entries: sorted(entries), prefix: rest.slice(0, rest.lastIndexOf('/') + 1) };
}

const sorted = (entries: readonly Entry[]): Entry[] =>
  [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));

const visible = (entries: readonly Entry[], hidden: boolean): Entry[] =>
  sorted(hidden ? entries : entries.filter(({ name }) => !name.startsWith('.')));

function* list(context: CommandContext, argument: string): Run {
  const found = yield* findEntries(context, argument);
  if (found === 'replied') return;
  if (typeof found === 'string') {
    context.reply(...replyFor(found));
    return;
  }
  const now = nowMs(context);
  // Adding is cheaper than join, which copies every line twice.
  let text = '';
  for (const entry of found.entries) text += listLine(entry, now);
  context.reply(150, 'Here comes the directory listing.');
  yield* transfer(context, { direction: 'send', text });
}

function* nameList(context: CommandContext, argument: string): Run {
  const found = yield* findEntries(context, argument);
  if (found === 'replied') return;
  if (typeof found === 'string') {
    context.reply(...replyFor(found));
    return;
  }
  const names = found.entries.filter(({ name }) => fitsLine(name)).map(({ name }) => `${found.prefix}${name}\r\n`);
  context.reply(150, 'Here comes the list of names.');
  yield* transfer(context, { direction: 'send', text: names.join('') });
}

function* machineList(context: CommandContext, argument: string): Run {
  const { state } = context;
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const described = yield* perform('describe', { path });
  if (!described.ok) {
    context.reply(...replyFor(described.reason));
    return;
  }
  if (described.value.type !== 'directory') {
    context.reply(501, 'MLSD lists directories; MLST describes a file.');
    return;
  }
  const listed = yield* perform('list', { path });
  if (!listed.ok) {
    context.reply(...replyFor(listed.reason));
    return;
  }
  const account = state.account!;
  const parent = yield* perform('describe', { path: parentOf(path) });
  let text = `${factsOf(described.value, state.facts, account, 'cdir')} ${path}\r\n`;
  if (path !== '/' && parent.ok && fitsLine(path))
    text += `${factsOf(parent.value, state.facts, account, 'pdir')} ${parentOf(path)}\r\n`;
  if (!fitsLine(path)) text = '';
  for (const entry of listed.value)
    if (fitsLine(entry.name)) text += `${factsOf(entry, state.facts, account)} ${entry.name}\r\n`;
  context.reply(150, 'Here comes the machine listing.');
  yield* transfer(context, { direction: 'send', text });
}

/** MLST: over the control connection. */
function* machineFacts(context: CommandContext, argument: string): Run {
  const { state } = context;
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const described = yield* perform('describe', { path });
  if (!described.ok) {
    context.reply(...replyFor(described.reason));
    return;
  }
  const facts = factsOf(described.value, state.facts, state.account!);
  context.reply(250, `Listing ${path}`, `${facts} ${joinPath(parentOf(path), nameOf(path))}`, 'End');
}

const row = (verb: string, description: string, proceed: CommandRow['proceed']): CommandRow => ({
  verb,
  syntax: `${verb} [<pathname>]`,
  description,
  check: [loggedIn, protectedEnough, routed],
  proceed,
});

export const LIST_COMMANDS: readonly CommandRow[] = [
  row('LIST', 'list a directory for people', list),
  row('NLST', 'list names only', nameList),
  row('MLSD', 'list a directory for programs', machineList),
  {
    verb: 'MLST',
    syntax: 'MLST [<pathname>]',
    description: 'describe one file or directory for programs',
    check: [loggedIn],
    proceed: machineFacts,
  },
];
