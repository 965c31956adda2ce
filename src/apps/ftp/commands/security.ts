/** TLS: AUTH, PBSZ, PROT, CCC (RFC 2228 as RFC 4217 uses it). ADAT, MIC, CONF and ENC belong to other mechanisms: 502. */
import { type CommandContext, type CommandRow, hasArgument } from '../command.ts';
import { perform, type Run } from '../operations.ts';
import { reply } from '../reply.ts';

function* auth(context: CommandContext, argument: string): Run {
  const mechanism = argument.trim().toUpperCase();
  // TLS-P and SSL are older names: both meant that the data connection is protected too (RFC 4217 section 17).
  if (!['TLS', 'TLS-C', 'TLS-P', 'SSL'].includes(mechanism)) {
    context.reply(504, 'Only AUTH TLS is understood.');
    return;
  }
  context.discardInput();
  context.reply(234, 'Proceed with the TLS handshake.');
  context.reinitialise();
  const answer = yield* perform('start-tls', {});
  if (!answer.ok) {
    context.log('tls=failed');
    context.close();
    return;
  }
  const { state } = context;
  state.secure = true;
  if (mechanism === 'TLS-P' || mechanism === 'SSL') {
    state.protectionSizeGiven = true;
    state.protection = 'P';
  }
}

function prot(context: CommandContext, argument: string): undefined {
  const level = argument.trim().toUpperCase();
  if (level === 'C' || level === 'P') {
    context.state.protection = level;
    context.reply(200, level === 'P' ? 'Data connections are protected.' : 'Data connections are clear.');
  } else if (level === 'S' || level === 'E') context.reply(536, 'TLS knows the levels C and P only.');
  else context.reply(504, 'The protection level is C or P.');
}

function* ccc(context: CommandContext): Run {
  context.discardInput();
  context.reply(200, 'The control connection goes on in clear.');
  const answer = yield* perform('clear-channel', {});
  if (answer.ok) context.state.secure = false;
  else context.close();
}

const secure = ({ state }: CommandContext) => (state.secure ? undefined : reply(503, 'Send AUTH TLS first.'));

const otherMechanism = (verb: string): CommandRow => ({
  verb,
  syntax: verb,
  description: 'not for TLS',
  proceed(context) {
    context.reply(502, 'Not used with TLS.');
  },
});

export const SECURITY: readonly CommandRow[] = [
  {
    verb: 'AUTH',
    syntax: 'AUTH TLS',
    description: 'start TLS on the control connection',
    check: [
      hasArgument,
      ({ settings }) =>
        settings.tls === 'off' ? reply(502, 'No TLS here: the server has no certificate.') : undefined,
      ({ state }) => (state.secure ? reply(503, 'TLS is on already.') : undefined),
    ],
    proceed: auth,
  },
  {
    verb: 'PBSZ',
    syntax: 'PBSZ 0',
    description: 'protection buffer size, always 0 with TLS',
    check: [secure, hasArgument],
    proceed(context) {
      context.state.protectionSizeGiven = true;
      context.reply(200, 'PBSZ=0');
    },
  },
  {
    verb: 'PROT',
    syntax: 'PROT C|P',
    description: 'data connections in clear or with TLS',
    check: [
      secure,
      ({ state }) => (state.protectionSizeGiven ? undefined : reply(503, 'Send PBSZ first.')),
      hasArgument,
    ],
    proceed: prot,
  },
  {
    verb: 'CCC',
    syntax: 'CCC',
    description: 'go on without TLS on the control connection',
    check: [
      ({ state }) => (state.secure ? undefined : reply(533, 'The control connection is clear already.')),
      ({ settings }) => (settings.tls === 'required' ? reply(534, 'TLS is required here.') : undefined),
    ],
    proceed: ccc,
  },
  ...['ADAT', 'MIC', 'CONF', 'ENC'].map(otherMechanism),
];
