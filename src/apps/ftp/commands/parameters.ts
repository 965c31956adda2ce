/** Transfer parameters: TYPE, MODE, STRU (RFC 959 section 3.1 and 3.4), REST (RFC 3659 section 5), ALLO, OPTS (RFC 2389). */
import { type CommandContext, type CommandRow, hasArgument, loggedIn, replyFor } from '../command.ts';
import { FACTS, type Fact } from '../listing.ts';
import { type HashAlgorithm, perform, type Run } from '../operations.ts';
import { HASH_ALGORITHMS } from './facts.ts';

const TYPES: Readonly<Record<string, 'A' | 'I'>> = { A: 'A', 'A N': 'A', 'A T': 'A', I: 'I', 'L 8': 'I', L8: 'I' };

function type(context: CommandContext, argument: string): undefined {
  const wanted = argument.trim().toUpperCase();
  const found = Object.hasOwn(TYPES, wanted) ? TYPES[wanted] : undefined;
  if (found !== undefined) {
    context.state.type = found;
    context.reply(200, found === 'A' ? 'Type is ASCII.' : 'Type is IMAGE: octets unchanged.');
  } else if (/^(A C|E( [NTC])?|L ?\d+)$/.test(wanted)) context.reply(504, 'The types here are A, I and L 8.');
  else context.reply(501, 'Syntax: TYPE A|I|L 8');
}

function rest(context: CommandContext, argument: string): undefined {
  const text = argument.trim();
  const offset = Number(text);
  if (!/^\d{1,16}$/.test(text) || offset > Number.MAX_SAFE_INTEGER) {
    context.reply(501, 'A restart marker is a number of octets.');
    return;
  }
  context.state.restartAt = offset;
  context.reply(350, `Restarting at ${offset}. Send STOR or RETR.`);
}

function* allo(context: CommandContext, argument: string): Run {
  const match = /^(\d{1,16})(?: R \d{1,16})?$/i.exec(argument.trim());
  if (match === null) {
    context.reply(501, 'Syntax: ALLO <octets>');
    return;
  }
  const space = yield* perform('space', {});
  if (!space.ok) context.reply(...replyFor(space.reason));
  else if (space.value.octets < Number(match[1])) context.reply(452, `Only ${space.value.octets} octets are free.`);
  else context.reply(200, 'There is room.');
}

function opts(context: CommandContext, argument: string): undefined {
  const [name = '', ...rest] = argument.trim().split(' ');
  const value = rest.join(' ');
  switch (name.toUpperCase()) {
    case 'UTF8':
    case 'UTF-8':
      // Names go through octet by octet, so there is nothing to switch.
      if (/^(on|off|nlst)?$/i.test(value)) context.reply(200, 'Names are octets, by custom UTF-8.');
      else context.reply(501, 'Syntax: OPTS UTF8 ON');
      return;
    case 'MLST': {
      const asked = value.toLowerCase().split(';');
      const chosen: Fact[] = FACTS.filter((fact) => asked.includes(fact.toLowerCase()));
      context.state.facts = new Set(chosen);
      context.reply(200, `MLST OPTS ${chosen.map((fact) => `${fact};`).join('')}`);
      return;
    }
    case 'HASH': {
      if (value === '') context.reply(200, context.state.hashAlgorithm);
      else if (!(value.toUpperCase() in HASH_ALGORITHMS)) context.reply(501, 'Unknown algorithm; FEAT lists them.');
      else {
        context.state.hashAlgorithm = value.toUpperCase() as HashAlgorithm;
        context.reply(200, context.state.hashAlgorithm);
      }
      return;
    }
    default:
      context.reply(501, 'There are options for UTF8, MLST and HASH.');
  }
}

function mode(context: CommandContext, argument: string): undefined {
  const wanted = argument.trim().toUpperCase();
  if (wanted === 'S') context.reply(200, 'Mode is STREAM.');
  else if (wanted === 'B' || wanted === 'C' || wanted === 'Z') context.reply(504, 'The only mode here is S (stream).');
  else context.reply(501, 'Syntax: MODE S');
}

function stru(context: CommandContext, argument: string): undefined {
  const wanted = argument.trim().toUpperCase();
  if (wanted === 'F') context.reply(200, 'Structure is FILE.');
  else if (wanted === 'R' || wanted === 'P') context.reply(504, 'The only structure here is F (file).');
  else context.reply(501, 'Syntax: STRU F');
}

const row = (verb: string, syntax: string, description: string, proceed: CommandRow['proceed']): CommandRow => ({
  verb,
  syntax,
  description,
  check: [loggedIn, hasArgument],
  proceed,
});

export const PARAMETERS: readonly CommandRow[] = [
  row('TYPE', 'TYPE A|I|L 8', 'representation type: text with line-end translation, or octets unchanged', type),
  row('MODE', 'MODE S', 'transfer mode', mode),
  row('STRU', 'STRU F', 'file structure', stru),
  row('REST', 'REST <octets>', 'where the next RETR or STOR begins', rest),
  row('ALLO', 'ALLO <octets>', 'asks whether so much can be stored', allo),
  {
    verb: 'OPTS',
    syntax: 'OPTS <command> [<options>]',
    description: 'options of a command',
    check: [hasArgument],
    proceed: opts,
  },
];
