/** `omni link replay`: datagrams at set instants over a scenario's links in virtual time, and the SHA-256 of all that happened. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { LiveLine } from '../../console/live-line.ts';
import { OmniError } from '../../core/index.ts';
import { DEFAULT_DATAGRAM_OCTETS, type LinkReplay, replayLinks } from '../../lab/link-replay.ts';
import { loadScenario, type Parsed, parseOctets, parseRate } from '../../scenario/index.ts';
import { EXIT } from '../exit-codes.ts';
import { printJson, VerbError, verb } from '../verb.ts';
import { scenarioProblems } from './validate.ts';

interface Options {
  readonly link?: string;
  readonly direction: string;
  readonly count: string;
  readonly size?: string;
  readonly rate?: string;
  readonly seed?: string;
  readonly transcript?: string;
  readonly json?: boolean;
}

export function replayCommand(): Command {
  return verb(
    'replay',
    "Send UDP datagrams at set instants over a scenario's links in virtual time and print the SHA-256 of the transcript: the same on every run and machine. Needs no root and no testbed.",
    [
      'omni link replay uosat12',
      'omni link replay uosat12 --seed 7 --count 10000 --size 552 --rate 30k --direction down',
      'omni link replay my-mission.yaml --transcript frames.txt && sha256sum frames.txt',
    ],
  )
    .argument('[scenario]', 'a file, or the name of a built-in scenario', 'uosat12')
    .option('--link <name>', 'only this link')
    .option('--direction <up|down|both>', 'which way', 'both')
    .option('--count <n>', 'datagrams each way', '1000')
    .option('--size <octets>', `IP octets of a datagram; default ${DEFAULT_DATAGRAM_OCTETS}, or the MTU`)
    .option('--rate <bit/s>', "of IP octets each way; default 80 % of the line's rate")
    .option('--seed <seed>', "another seed; default: the scenario's")
    .option('--transcript <file>', 'write every event to this file; its SHA-256 is the one printed')
    .option('--json', 'print JSON')
    .action(run);
}

function run(scenarioName: string, options: Options): void {
  const scenario = scenarioProblems(() => loadScenario(scenarioName, { seed: options.seed }));
  const count = Number(options.count);
  if (!(Number.isInteger(count) && count >= 1))
    throw new VerbError(EXIT.usage, `--count ${options.count}: a whole number over 0`);
  const directions = ['up', 'down', 'both'].includes(options.direction) ? options.direction : undefined;
  if (directions === undefined) throw new VerbError(EXIT.usage, `--direction ${options.direction}: up, down or both`);
  const file = options.transcript === undefined ? undefined : open(options.transcript);
  const live = new LiveLine();
  const started = performance.now();
  try {
    const replay = replayLinks({
      scenario,
      seed: scenario.seed,
      count,
      ...(options.link !== undefined && { links: [options.link] }),
      ...(directions !== 'both' && { directions: [directions as 'up' | 'down'] }),
      ...(options.size !== undefined && { octets: value('--size', parseOctets(options.size)) }),
      ...(options.rate !== undefined && { rateBitPerSecond: value('--rate', parseRate(options.rate)) }),
      progress: (virtualSeconds) => {
        const elapsed = (performance.now() - started) / 1000;
        if (elapsed > 2)
          live.show(`${virtualSeconds.toFixed(0)} s of virtual time in ${elapsed.toFixed(0)} s`, elapsed);
      },
      ...(file !== undefined && { write: (line: string) => writeSync(file, line) }),
    });
    live.clear();
    if (options.json) printJson({ scenario: scenario.name, seed: scenario.seed, ...replay });
    else process.stdout.write(text(scenario.name, scenario.seed, replay, (performance.now() - started) / 1000));
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function open(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (cause) {
    throw new OmniError('OMNI_READ', `writing the transcript: ${(cause as Error).message}`, { cause });
  }
}

function value(option: string, parsed: Parsed<number>): number {
  if (parsed.ok) return parsed.value;
  throw new VerbError(EXIT.usage, `${option}: ${parsed.reason}`);
}

function text(name: string, seed: number | string, replay: LinkReplay, seconds: number): string {
  const rows = replay.links.flatMap((link) =>
    (['up', 'down'] as const).map((direction) => {
      const {
        packetsIn = 0,
        packetsOut = 0,
        packetsLost = 0,
        bitErrors = 0,
        framesFcsError = 0,
      } = link[direction].counters;
      return `  ${`${link.name}.${direction}`.padEnd(20)} sent ${packetsIn}, delivered ${packetsOut}, lost on the line ${packetsLost}; bit errors ${bitErrors}, frames with a bad FCS ${framesFcsError}`;
    }),
  );
  const cut = replay.packetsUnderWay > 0 ? `, ${replay.packetsUnderWay} packets still under way` : '';
  return `${name}, seed ${seed}: ${replay.datagrams} datagrams in ${replay.virtualSeconds.toFixed(3)} s of virtual time (${seconds.toFixed(1)} s of yours)${cut}
${rows.join('\n')}
${replay.sha256}  transcript, ${replay.lines} lines
`;
}
