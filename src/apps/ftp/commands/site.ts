/** SITE: CHMOD, IDLE, HELP, and PASS, which tells when the spacecraft is in contact next and what still fits into the pass. */
import { formatForPeople } from '../calendar.ts';
import { type CommandContext, type CommandRow, hasArgument, loggedIn, pathOf, replyFor, writable } from '../command.ts';
import { perform, type Run } from '../operations.ts';

const LONGEST_IDLE_SECONDS = 7 * 24 * 3600;
const CONTACTS_SHOWN = 5;

const SUBCOMMANDS: Readonly<Record<string, (context: CommandContext, argument: string) => Run | undefined>> = {
  CHMOD: chmod,
  IDLE: idle,
  PASS: pass,
  HELP(context) {
    context.reply(214, 'SITE commands:', 'CHMOD <octal mode> <pathname>', 'IDLE [<seconds>]', 'PASS', 'End');
  },
};

function* chmod(context: CommandContext, argument: string): Run {
  const refusal = writable(context, argument);
  if (refusal !== undefined) {
    context.reply(refusal.code, ...refusal.lines);
    return;
  }
  const match = /^0?([0-7]{3}) (.+)$/s.exec(argument);
  if (match === null) {
    context.reply(501, 'Syntax: SITE CHMOD <octal mode, 3 digits> <pathname>');
    return;
  }
  const path = pathOf(context, match[2]!);
  if (path === undefined) return;
  const answer = yield* perform('set-mode', { path, mode: Number.parseInt(match[1]!, 8) });
  context.reply(...(answer.ok ? ([200, 'Mode changed.'] as [number, string]) : replyFor(answer.reason)));
}

function idle(context: CommandContext, argument: string): undefined {
  const { state } = context;
  const wanted = Number(argument.trim());
  if (argument.trim() !== '') {
    if (!/^\d{1,9}$/.test(argument.trim()) || wanted < 10 || wanted > LONGEST_IDLE_SECONDS) {
      context.reply(501, `Give 10 to ${LONGEST_IDLE_SECONDS} seconds.`);
      return;
    }
    state.idleSeconds = wanted;
  }
  context.reply(200, `Sessions end after ${state.idleSeconds} s of contact time without a command.`);
}

function pass(context: CommandContext): undefined {
  const { contacts } = context.environment;
  if (contacts.always) {
    context.reply(200, 'The link is always up.');
    return;
  }
  const now = context.environment.wallTime();
  const next = contacts.next(now, CONTACTS_SHOWN);
  if (next.length === 0) {
    context.reply(200, 'No contact is planned.');
    return;
  }
  const lines = next.map((contact) => {
    const begin = contact.begin > now ? contact.begin : now;
    // Of a pass that has begun only its rest counts.
    const share = Number(contact.end - begin) / Math.max(1, Number(contact.end - contact.begin));
    const toUs = contact.octetsIn === undefined ? '' : `, up ${Math.floor(contact.octetsIn * share)} octets`;
    const fromUs = contact.octetsOut === undefined ? '' : `, down ${Math.floor(contact.octetsOut * share)} octets`;
    const state = contact.begin <= now ? 'now' : formatForPeople(Number(contact.begin / 1_000_000n));
    const end = formatForPeople(Number(contact.end / 1_000_000n));
    const lasts = Math.round(Number(contact.end - begin) / 1e9);
    return `${contact.peer}: ${state} to ${end}, ${lasts} s${toUs}${fromUs}`;
  });
  context.reply(200, `Contacts, UTC (now ${formatForPeople(Number(now / 1_000_000n))}):`, ...lines, 'End');
}

export const SITE: CommandRow = {
  verb: 'SITE',
  syntax: 'SITE CHMOD|IDLE|PASS|HELP',
  description: 'commands of this server; SITE PASS tells the next contacts',
  check: [loggedIn, hasArgument],
  *proceed(context, argument) {
    const space = argument.indexOf(' ');
    const name = (space < 0 ? argument : argument.slice(0, space)).toUpperCase();
    const command = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
    if (command === undefined) context.reply(504, 'There is no such SITE command; SITE HELP lists them.');
    else {
      const run = command(context, space < 0 ? '' : argument.slice(space + 1));
      if (run !== undefined) yield* run;
    }
  },
};
