/** SYST, HELP, NOOP, STAT (RFC 959 section 4.1.3), FEAT (RFC 2389). */
import { type CommandContext, type CommandRow, loggedIn, nowMs, replyFor } from '../command.ts';
import { FACTS, listLine } from '../listing.ts';
import type { Run } from '../operations.ts';
import { HASH_ALGORITHMS } from './facts.ts';
import { findEntries } from './list.ts';

function features({ settings, state }: CommandContext): string[] {
  const facts = FACTS.map((fact) => `${fact}${state.facts.has(fact) ? '*' : ''};`).join('');
  const hashes = Object.keys(HASH_ALGORITHMS).map((name) => `${name}${name === state.hashAlgorithm ? '*' : ''}`);
  return [
    ...(settings.tls === 'off' ? [] : ['AUTH TLS', 'CCC', 'PBSZ', 'PROT']),
    'EPRT',
    'EPSV',
    `HASH ${hashes.join(';')}`,
    'HOST',
    'MDTM',
    'MFMT',
    `MLST ${facts}`,
    'REST STREAM',
    'SIZE',
    'TVFS',
    'UTF8',
    'XCRC',
    'XMD5',
    'XSHA1',
    'XSHA256',
    'XSHA512',
  ];
}

function help(context: CommandContext, argument: string): undefined {
  const wanted = context.rows.get(argument.trim().toUpperCase());
  if (argument.trim() === '') {
    const verbs = [...context.rows.keys()];
    const lines: string[] = [];
    for (let i = 0; i < verbs.length; i += 8)
      lines.push(
        verbs
          .slice(i, i + 8)
          .map((verb) => verb.padEnd(8))
          .join('')
          .trimEnd(),
      );
    context.reply(214, 'These commands are understood:', ...lines, 'HELP <command> tells more.');
  } else if (wanted === undefined) context.reply(502, 'There is no such command.');
  else context.reply(214, `${wanted.syntax} - ${wanted.description}`);
}

function* status(context: CommandContext, argument: string): Run {
  const { state, settings } = context;
  if (argument !== '') {
    const found = yield* findEntries(context, argument);
    if (found === 'replied') return;
    if (typeof found === 'string') {
      context.reply(...replyFor(found));
      return;
    }
    const now = nowMs(context);
    const lines = found.entries.map((entry) => listLine(entry, now).trimEnd());
    context.reply(213, 'Status', ...lines, 'End of status');
    return;
  }
  context.reply(
    211,
    'omni FTP server status',
    `Connected to ${settings.remoteAddress}`,
    state.account === undefined ? 'Not logged in' : `Logged in as ${state.account.user}`,
    `Type ${state.type === 'A' ? 'ASCII Non-print' : 'IMAGE'}, structure FILE, mode STREAM`,
    `Control connection ${state.secure ? 'with TLS' : 'in clear'}, data connections ${state.protection === 'P' ? 'with TLS' : 'in clear'}`,
    `Sessions end after ${state.idleSeconds} s of contact time without a command`,
    `Files sent ${state.filesSent}, received ${state.filesReceived}`,
    'End of status',
  );
}

export const INFORMATION: readonly CommandRow[] = [
  {
    verb: 'SYST',
    syntax: 'SYST',
    description: 'system type',
    proceed(context) {
      context.reply(215, 'UNIX Type: L8');
    },
  },
  {
    verb: 'FEAT',
    syntax: 'FEAT',
    description: 'list extensions',
    proceed(context) {
      context.reply(211, 'Features:', ...features(context), 'End');
    },
  },
  { verb: 'HELP', syntax: 'HELP [<command>]', description: 'list commands or explain one', proceed: help },
  {
    verb: 'STAT',
    syntax: 'STAT [<pathname>]',
    description: 'state of the session or the transfer, or a listing on the control connection',
    check: [(context, argument) => (argument === '' ? undefined : loggedIn(context, argument))],
    proceed: status,
  },
  {
    verb: 'NOOP',
    syntax: 'NOOP',
    description: 'nothing; keeps the session',
    proceed(context) {
      context.reply(200, 'OK.');
    },
  },
];
