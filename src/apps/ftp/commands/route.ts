/**
 * Where data connections go: PORT and PASV (RFC 959), EPRT and EPSV (RFC 2428).
 *
 * Against bouncing (RFC 2577): only the client's own address, and only ports above 1023.
 */
import { type Endpoint, formatPassive, parseExtendedPort, parsePort } from '../address.ts';
import {
  type Check,
  type CommandContext,
  type CommandRow,
  hasArgument,
  loggedIn,
  protectedEnough,
} from '../command.ts';
import { perform, type Run } from '../operations.ts';
import { reply } from '../reply.ts';

function accept(context: CommandContext, to: Endpoint): void {
  if (to.address !== context.settings.remoteAddress) {
    context.reply(501, 'Data connections go to your own address only.');
  } else if (to.port < 1024) context.reply(501, 'Data connections go to ports above 1023 only.');
  else {
    context.state.route = { mode: 'active', to };
    context.reply(200, 'The data connection will go there.');
  }
}

function port(context: CommandContext, argument: string): undefined {
  const to = parsePort(argument);
  if (to.ok) accept(context, to.value);
  else context.reply(501, 'Syntax: PORT h1,h2,h3,h4,p1,p2');
}

function eprt(context: CommandContext, argument: string): undefined {
  const to = parseExtendedPort(argument);
  if (to.ok) accept(context, to.value);
  else if (to.reason === 'protocol') context.reply(522, 'Network protocol not supported, use (1,2)');
  else context.reply(501, 'Syntax: EPRT |1|address|port| or EPRT |2|address|port|');
}

function* pasv(context: CommandContext): Run {
  context.state.route = undefined;
  if (context.settings.remoteAddress.includes(':')) {
    context.reply(425, 'PASV cannot name an IPv6 address; send EPSV.');
    return;
  }
  const answer = yield* perform('listen', { family: 'ipv4' });
  if (!answer.ok) {
    context.reply(425, 'No port is free for a data connection.');
    return;
  }
  context.state.route = { mode: 'passive' };
  context.reply(227, `Entering Passive Mode ${formatPassive(answer.value)}.`);
}

function* epsv(context: CommandContext, argument: string): Run {
  const { state, settings } = context;
  const wanted = argument.trim().toUpperCase();
  if (wanted === 'ALL') {
    state.onlyExtendedPassive = true;
    context.reply(200, 'From now on only EPSV is accepted.');
    return;
  }
  const own = settings.remoteAddress.includes(':') ? '2' : '1';
  if (wanted !== '' && wanted !== own) {
    if (/^\d+$/.test(wanted)) context.reply(522, `Network protocol not supported, use (${own})`);
    else context.reply(501, 'Syntax: EPSV [1|2|ALL]');
    return;
  }
  state.route = undefined;
  const answer = yield* perform('listen', { family: 'same' });
  if (!answer.ok) {
    context.reply(425, 'No port is free for a data connection.');
    return;
  }
  state.route = { mode: 'passive' };
  context.reply(229, `Entering Extended Passive Mode (|||${answer.value.port}|)`);
}

const notAfterEpsvAll: Check = ({ state }) =>
  state.onlyExtendedPassive ? reply(501, 'After EPSV ALL only EPSV is accepted.') : undefined;

const row = (verb: string, syntax: string, description: string, proceed: CommandRow['proceed']): CommandRow => ({
  verb,
  syntax,
  description,
  check: [
    loggedIn,
    protectedEnough,
    ...(verb === 'EPSV' ? [] : [notAfterEpsvAll]),
    ...(verb === 'PORT' || verb === 'EPRT' ? [hasArgument] : []),
  ],
  proceed,
});

export const ROUTE_COMMANDS: readonly CommandRow[] = [
  row('PORT', 'PORT h1,h2,h3,h4,p1,p2', 'the server connects to the client there (IPv4)', port),
  row('PASV', 'PASV', 'the client connects to the server (IPv4)', pasv),
  row('EPRT', 'EPRT |1 or 2|address|port|', 'the server connects to the client there (IPv4, IPv6)', eprt),
  row('EPSV', 'EPSV [1|2|ALL]', 'the client connects to the server (IPv4, IPv6)', epsv),
];
