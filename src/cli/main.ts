/** The command line: finds the verb, loads its file, and turns what it throws into one sentence and an exit code. */
import { constants } from 'node:os';
import { EXIT } from './exit-codes.ts';
import { explain, type VerbModule } from './verb.ts';

interface VerbEntry {
  readonly summary: string;
  readonly load: () => Promise<VerbModule>;
}

/** Every verb, in the order that help shows. */
const VERBS: Readonly<Record<string, VerbEntry>> = {
  demo: { summary: "replay UoSAT-12's flight result, in two minutes", load: () => import('./verbs/demo.ts') },
  up: { summary: 'bring a testbed up', load: () => import('./verbs/up.ts') },
  down: { summary: 'remove a testbed, also after a crash', load: () => import('./verbs/down.ts') },
  status: { summary: 'show what is up: nodes, links, services', load: () => import('./verbs/status.ts') },
  top: { summary: 'watch links, queues, contacts and losses, live', load: () => import('./verbs/top.ts') },
  exec: { summary: 'run a program on a node', load: () => import('./verbs/exec.ts') },
  shell: { summary: 'open a shell on a node', load: () => import('./verbs/shell.ts') },
  capture: { summary: 'record what passes on the links, as pcapng', load: () => import('./verbs/capture.ts') },
  why: { summary: "tell a packet's life", load: () => import('./verbs/why.ts') },
  contacts: { summary: 'list the next passes and what fits into them', load: () => import('./verbs/contacts.ts') },
  link: { summary: 'show, change or replay a link', load: () => import('./verbs/link.ts') },
  validate: { summary: 'check a scenario file; print the JSON Schema', load: () => import('./verbs/validate.ts') },
  doctor: { summary: 'check that this machine can run testbeds', load: () => import('./verbs/doctor.ts') },
  mip: { summary: 'show Mobile IP: bindings, visitors, registrations', load: () => import('./verbs/mip.ts') },
  ntp: { summary: "watch a node's clock and NTP; ask NTP servers", load: () => import('./verbs/ntp.ts') },
  fetch: { summary: 'fetch a file by FTP, across passes', load: () => import('./verbs/fetch.ts') },
  put: { summary: 'send a file by FTP, across passes', load: () => import('./verbs/put.ts') },
  serve: { summary: 'run one service alone: omni serve ftp, ntp, smtp', load: () => import('./verbs/serve.ts') },
  cmd: {
    summary: 'send a command to a spacecraft: blind, reliable or time-tagged',
    load: () => import('./verbs/cmd.ts'),
  },
  tlm: { summary: 'record, follow, decode and export telemetry', load: () => import('./verbs/tlm.ts') },
  'command-load': {
    summary: 'sign a command load and mail it to the spacecraft',
    load: () => import('./verbs/command-load.ts'),
  },
  mailq: { summary: 'show and change what waits in the mail queues', load: () => import('./verbs/mailq.ts') },
  sweep: { summary: 'measure TCP and services over a matrix of links', load: () => import('./verbs/sweep.ts') },
  paper: { summary: 'measure and draw the figures of the OMNI paper', load: () => import('./verbs/paper.ts') },
  reproduce: { summary: 'measure a figure again from its file', load: () => import('./verbs/reproduce.ts') },
  version: { summary: 'print the versions of omni, Node and the kernel', load: () => import('./verbs/version.ts') },
};

// A reader that has seen enough (`| head`) closes the pipe: the verb ends as by SIGTERM where it has something to tidy, else as programs do
// that SIGPIPE ends; in no case with a trace.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (process.listenerCount('SIGTERM') > 0) process.kill(process.pid, 'SIGTERM');
  else process.exit(128 + constants.signals.SIGPIPE);
});

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
  const asked = rest[0];
  if (name === 'help' && asked !== undefined) await run(asked, ['--help']);
  else process.stdout.write(overview());
} else if (name === '--version' || name === '-V') await run('version', rest);
else await run(name, rest);

async function run(verbName: string, args: string[]): Promise<void> {
  const entry = Object.hasOwn(VERBS, verbName) ? VERBS[verbName] : undefined;
  if (entry === undefined) {
    process.stderr.write(`omni: there is no verb '${verbName}'. ${nearest(verbName)}'omni help' lists them.\n`);
    process.exitCode = EXIT.usage;
    return;
  }
  try {
    const command = (await entry.load()).command();
    command.name(`omni ${verbName}`);
    await command.parseAsync(args, { from: 'user' });
  } catch (error) {
    const { text, exitCode } = explain(error);
    if (text !== '') process.stderr.write(`${text}\n`);
    process.exitCode = exitCode;
  }
}

function overview(): string {
  const width = Math.max(...Object.keys(VERBS).map((v) => v.length));
  const lines = Object.entries(VERBS).map(([verbName, { summary }]) => `  ${verbName.padEnd(width)}  ${summary}`);
  return `omni: a spacecraft as an ordinary host on the Internet, on one Linux machine\n\nUsage: omni VERB [options]     omni VERB --help shows its options and examples\n\n${lines.join('\n')}\n`;
}

function nearest(word: string): string {
  const candidates = Object.keys(VERBS).filter((v) => v.startsWith(word) || word.startsWith(v));
  return candidates.length > 0 ? `Did you mean '${candidates[0]}'? ` : '';
}
