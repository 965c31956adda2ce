/** `omni link`: show a running link, change it while it runs, or replay a scenario's links in virtual time. */
import type { Command } from 'commander';
import { OmniError } from '../../core/index.ts';
import { formatDuration, formatRate } from '../../scenario/index.ts';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { parseLinkChanges } from '../../testbed/link-change.ts';
import { selectRunningTestbed, type TestbedState } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { printJson, VerbError, verb } from '../verb.ts';
import { replayCommand } from './link-replay.ts';

type LinkStatus = DaemonStatus['dataPlane']['links'][number];
type Direction = LinkStatus['up'];

interface Options {
  readonly testbed?: string;
  readonly json?: boolean;
}

export function command(): Command {
  const command = verb('link', 'Show a link, change it while it runs, or replay it in virtual time.', [
    'omni link show',
    'omni link set space down.ber=1e-5 up.delay=20ms',
    'omni link set space down.ber=0',
    'omni link replay uosat12 --count 1000',
  ]);
  command
    .addCommand(showCommand())
    .addCommand(setCommand())
    .addCommand(replayCommand())
    .action(() => {
      throw new VerbError(EXIT.usage, 'which: show, set or replay?', "'omni link --help' shows examples");
    });
  return command;
}

function showCommand(): Command {
  return verb('show', 'Show the settings and the counters of links as they are now.', [
    'omni link show',
    'omni link show space --json',
  ])
    .argument('[link]', 'only this link')
    .option('--testbed <name>', 'which running testbed; default: the only one')
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, options: Options) => {
      const links = linksOf(await statusOf(await selectRunningTestbed(options.testbed)), name);
      if (options.json) printJson(links);
      else process.stdout.write(`${links.map(text).join('\n')}\n`);
    });
}

function setCommand(): Command {
  return verb(
    'set',
    'Change settings of a link while it runs, at once. Nothing else is touched; what is not named stays as it is.',
    [
      'omni link set space down.ber=1e-5 up.delay=20ms',
      'omni link set space rate=9600 jitter=2ms            both directions',
      'omni link set space down.burst=good:50k,bad:200,badBer:0.1',
      'omni link set space down.ber=0                      no errors',
    ],
  )
    .argument('<link>', 'the name of a link; may be left out when there is only one')
    .argument(
      '[changes...]',
      'KEY=VALUE with the keys rate, delay, jitter, ber, burst; up. or down. before it for one way',
    )
    .option('--testbed <name>', 'which running testbed; default: the only one')
    .option('--json', 'print JSON: the link after the change')
    .action(async (first: string, rest: string[], options: Options) => {
      const named = !first.includes('=');
      const changes = changesOf(named ? rest : [first, ...rest]);
      parseLinkChanges(changes);
      const testbed = await selectRunningTestbed(options.testbed);
      const links = linksOf(await statusOf(testbed), named ? first : undefined);
      if (links.length > 1)
        throw new VerbError(EXIT.usage, `which link: ${links.map((link) => link.name).join(', ')}?`);
      const link = links[0]!.name;
      await controlRequest(testbed.paths.controlSocket, 'set-link', { link, changes });
      const [after] = linksOf(await statusOf(testbed), link);
      if (options.json) printJson(after);
      else process.stdout.write(`${text(after!)}\n`);
    });
}

function changesOf(words: readonly string[]): Record<string, string> {
  if (words.length === 0) throw new VerbError(EXIT.usage, 'what is to change?', 'write KEY=VALUE, as down.ber=1e-5');
  const changes: Record<string, string> = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw new VerbError(EXIT.usage, `'${word}' is not a change`, 'write KEY=VALUE, as down.ber=1e-5');
    const key = word.slice(0, at);
    if (Object.hasOwn(changes, key)) throw new VerbError(EXIT.usage, `'${key}' is there twice`);
    changes[key] = word.slice(at + 1);
  }
  return changes;
}

async function statusOf({ paths }: TestbedState): Promise<readonly LinkStatus[]> {
  return ((await controlRequest(paths.controlSocket, 'status')) as DaemonStatus).dataPlane.links;
}

function linksOf(links: readonly LinkStatus[], name: string | undefined): readonly LinkStatus[] {
  const found = name === undefined ? links : links.filter((link) => link.name === name);
  if (found.length > 0) return found;
  if (links.length === 0) throw new OmniError('OMNI_NO_SUCH_LINK', 'this testbed has no space link');
  throw new OmniError('OMNI_NO_SUCH_LINK', `there is no link '${name}'`, {
    remedy: `the links are ${links.map((link) => link.name).join(', ')}`,
  });
}

function text({ name, from, to, encapsulation, fcs, mtuOctets, up, down }: LinkStatus): string {
  return [
    `${name}  ${from} – ${to}  (${encapsulation}, FCS-${fcs}, MTU ${mtuOctets})`,
    ...settings('up', up),
    ...settings('down', down),
  ].join('\n');
}

function settings(name: string, direction: Direction): string[] {
  const { counters } = direction;
  const count = (key: string) => counters[key] ?? 0;
  return [
    `  ${name.padEnd(4)}  ${direction.up ? 'in contact' : 'no contact'}  rate=${formatRate(direction.rateBitPerSecond)} delay=${formatDuration(Math.round(direction.delayMilliseconds * 1e6))} jitter=${formatDuration(Math.round(direction.jitterMilliseconds * 1e6))} ${noise(direction.noise)}`,
    `        packets sent ${count('packetsIn')}, delivered ${count('packetsOut')}, lost ${count('packetsLost')}, in flight ${count('packetsInFlight')}; bit errors ${count('bitErrors')}; frames with a bad FCS ${count('framesFcsError')}, aborted ${count('framesAborted')}`,
  ];
}

function noise(config: Direction['noise']): string {
  switch (config.kind) {
    case 'independent':
      return `ber=${config.ber === 0 ? 0 : config.ber.toExponential()}`;
    case 'burst':
      return `burst=good:${config.goodBits},bad:${config.badBits},badBer:${config.badBer},goodBer:${config.goodBer}`;
    case 'recorded':
      return `errors from a file (${config.positions.length} positions)`;
  }
}
