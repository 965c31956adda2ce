/** Access control: USER, PASS, ACCT, REIN, QUIT (RFC 959 section 4.1.1) and HOST (RFC 7151). */
import { canonicalAddress } from '../address.ts';
import { type CommandContext, type CommandRow, hasArgument, loggedIn, secureEnough } from '../command.ts';
import { perform, type Run } from '../operations.ts';
import { reply } from '../reply.ts';

const ANONYMOUS = new Set(['anonymous', 'ftp']);
/** Each failed login of a session waits longer for its answer, so that guessing is slow. */
const FAILED_LOGIN_SECONDS = 1;

function user(context: CommandContext, argument: string): undefined {
  const { state, settings } = context;
  state.account = undefined;
  state.user = argument;
  state.workingDirectory = '/';
  const anonymous = ANONYMOUS.has(argument.toLowerCase()) && settings.anonymous !== 'off';
  // The same answer for a name that does not exist: the names are nobody's business.
  context.reply(331, anonymous ? 'Any password will do; your e-mail address is customary.' : 'Password required.');
}

function* pass(context: CommandContext, argument: string): Run {
  const { state, settings } = context;
  const name = state.user!;
  state.user = undefined;
  if (ANONYMOUS.has(name.toLowerCase()) && settings.anonymous !== 'off') {
    state.account = { user: 'anonymous', anonymous: true, writable: settings.anonymous === 'read-write' };
    context.log('login=anonymous');
    context.reply(230, `Logged in; you may ${state.account.writable ? 'read and write' : 'read'}.`);
    return;
  }
  const answer = yield* perform('authenticate', { user: name, password: argument });
  if (answer.ok) {
    state.account = answer.value;
    state.failedLogins = 0;
    context.log(`login=${JSON.stringify(name)}`);
    context.reply(230, 'Logged in.');
    return;
  }
  state.failedLogins++;
  yield* perform('wait', { seconds: FAILED_LOGIN_SECONDS * state.failedLogins });
  context.log(`login-failed=${JSON.stringify(name.slice(0, 64))}`);
  context.reply(530, 'Login incorrect.');
}

function host(context: CommandContext, argument: string): undefined {
  const name = argument.trim().toLowerCase();
  const literal = /^\[([0-9a-f:.]+)\]$/.exec(name)?.[1] ?? (/^[\d.]+$/.test(name) ? name : undefined);
  if (literal === undefined && !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?$/.test(name))
    context.reply(501, 'Give a host name or an address literal without a port.');
  else if (literal !== undefined && canonicalAddress(literal) !== context.settings.localAddress)
    context.reply(504, 'That is not the address you are connected to.');
  else {
    context.state.host = name;
    context.reply(220, 'Host accepted.');
  }
}

export const ACCESS: readonly CommandRow[] = [
  {
    verb: 'USER',
    syntax: 'USER <name>',
    description: 'name the account to log in to',
    check: [hasArgument, secureEnough],
    proceed: user,
  },
  {
    verb: 'PASS',
    syntax: 'PASS <password>',
    description: 'log in',
    check: [
      secureEnough,
      ({ state }) => (state.user === undefined ? reply(503, 'Send USER first.') : undefined),
      ({ state }) => (state.account === undefined ? undefined : reply(230, 'Logged in already.')),
    ],
    proceed: pass,
  },
  {
    verb: 'ACCT',
    syntax: 'ACCT <account>',
    description: 'accepted, without effect',
    check: [loggedIn],
    proceed(context) {
      context.reply(202, 'No account is needed.');
    },
  },
  {
    verb: 'REIN',
    syntax: 'REIN',
    description: 'log out and begin again on the same connection',
    proceed(context) {
      context.reinitialise();
      context.reply(220, 'Ready for a new user.');
    },
  },
  {
    verb: 'QUIT',
    syntax: 'QUIT',
    description: 'end the session',
    proceed(context) {
      context.reply(221, 'Goodbye.');
      context.close();
    },
  },
  {
    verb: 'HOST',
    syntax: 'HOST <name>',
    description: 'name the virtual host; all names lead here (RFC 7151)',
    check: [
      hasArgument,
      ({ state }) => (state.account === undefined ? undefined : reply(503, 'HOST comes before the login.')),
    ],
    proceed: host,
  },
];
