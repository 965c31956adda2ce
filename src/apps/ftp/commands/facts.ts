/**
 * Facts of one file: SIZE, MDTM (RFC 3659 sections 3 and 4), MFMT (draft-somers-ftp-mfxx), HASH (draft-bryan-ftpext-hash) and
 * the older XSHA512, XSHA256, XSHA1, XMD5 and XCRC that clients still ask for. RANG is left out: the X forms take a range.
 */
import { formatTimeValue, parseTimeValue } from '../calendar.ts';
import { type CommandContext, type CommandRow, hasArgument, loggedIn, pathOf, replyFor, writable } from '../command.ts';
import { type HashAlgorithm, perform, type Run } from '../operations.ts';

export const HASH_ALGORITHMS: Readonly<Record<HashAlgorithm, true>> = {
  'SHA-512': true,
  'SHA-256': true,
  'SHA-1': true,
  MD5: true,
  CRC32: true,
};

function* size(context: CommandContext, argument: string): Run {
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const answer = yield* perform('size', { path, ascii: context.state.type === 'A' });
  context.state.sizeTold = answer.ok ? { path, octets: answer.value.octets } : undefined;
  if (answer.ok) context.reply(213, String(answer.value.octets));
  else context.reply(...replyFor(answer.reason));
}

function* modificationTime(context: CommandContext, argument: string): Run {
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const answer = yield* perform('describe', { path });
  if (!answer.ok) context.reply(...replyFor(answer.reason));
  else if (answer.value.type === 'directory') context.reply(...replyFor('not-a-file'));
  else context.reply(213, formatTimeValue(Math.floor(answer.value.modifiedMs / 1000) * 1000));
}

function* modifyTime(context: CommandContext, argument: string): Run {
  const space = argument.indexOf(' ');
  const modifiedMs = parseTimeValue(argument.slice(0, Math.max(0, space)));
  const name = argument.slice(space + 1);
  if (modifiedMs === undefined || name === '') {
    context.reply(501, 'Syntax: MFMT YYYYMMDDHHMMSS <pathname>');
    return;
  }
  const path = pathOf(context, name);
  if (path === undefined) return;
  const answer = yield* perform('set-modified', { path, modifiedMs });
  if (answer.ok) context.reply(213, `Modify=${formatTimeValue(modifiedMs)}; ${path}`);
  else context.reply(...replyFor(answer.reason));
}

function* hash(context: CommandContext, argument: string): Run {
  const path = pathOf(context, argument);
  if (path === undefined) return;
  const algorithm = context.state.hashAlgorithm;
  const answer = yield* perform('hash', { path, algorithm, begin: 0 });
  if (!answer.ok) context.reply(...replyFor(answer.reason));
  else {
    const { hash: value, begin, end } = answer.value;
    context.reply(213, `${algorithm} ${begin}-${Math.max(begin, end - 1)} ${value} ${argument}`);
  }
}

/** `XSHA256 path`, `XSHA256 "path" [begin [end]]` */
const oldHash = (verb: string, algorithm: HashAlgorithm): CommandRow => ({
  verb,
  syntax: `${verb} <pathname> | ${verb} "<pathname>" [<begin> [<end>]]`,
  description: `${algorithm} of a file`,
  check: [loggedIn, hasArgument],
  *proceed(context, argument) {
    const match = /^"(.*)"(?: (\d{1,15})(?: (\d{1,15}))?)?$/.exec(argument);
    const path = pathOf(context, match?.[1]?.replaceAll('""', '"') ?? argument);
    if (path === undefined) return;
    const end = match?.[3];
    const range = { begin: Number(match?.[2] ?? 0), ...(end === undefined ? {} : { end: Number(end) }) };
    const answer = yield* perform('hash', { path, algorithm, ...range });
    if (answer.ok) context.reply(250, answer.value.hash.toUpperCase());
    else context.reply(...replyFor(answer.reason));
  },
});

const row = (verb: string, syntax: string, description: string, proceed: CommandRow['proceed']): CommandRow => ({
  verb,
  syntax,
  description,
  check: [loggedIn, hasArgument],
  proceed,
});

export const FACT_COMMANDS: readonly CommandRow[] = [
  row('SIZE', 'SIZE <pathname>', 'octets that RETR would send', size),
  row('MDTM', 'MDTM <pathname>', 'when a file was modified, UTC', modificationTime),
  {
    ...row('MFMT', 'MFMT <time> <pathname>', 'set when a file was modified, UTC', modifyTime),
    check: [loggedIn, hasArgument, writable],
  },
  row('HASH', 'HASH <pathname>', 'hash of a file; OPTS HASH chooses the algorithm', hash),
  oldHash('XSHA512', 'SHA-512'),
  oldHash('XSHA256', 'SHA-256'),
  oldHash('XSHA1', 'SHA-1'),
  oldHash('XMD5', 'MD5'),
  oldHash('XCRC', 'CRC32'),
];
