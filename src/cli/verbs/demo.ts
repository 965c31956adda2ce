/** `omni demo`: UoSAT-12's flight result of 5 July 2000 replayed with the TCP of then and of now. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { bar, LiveLine } from '../../console/live-line.ts';
import { table } from '../../console/table.ts';
import { CEILING, FLIGHT } from '../../lab/flight.ts';
import {
  makeOutputDirectory,
  type ReplayResult,
  type ReplayVariant,
  replay,
  type TransferProgress,
} from '../../lab/replay.ts';
import { findScenario } from '../../scenario/index.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

const VARIANTS: readonly ReplayVariant[] = [
  { key: '2000', title: 'TCP of 2000', tcp: { stack: '2000', maximumSegment: FLIGHT.segmentOctets } },
  // The kernel takes the 12 octets of its timestamps from the segment, so 524 make segments of 512.
  { key: 'today', title: "this kernel's TCP", tcp: { maximumSegment: FLIGHT.segmentOctets + 12 } },
];
const DEFAULT_SEED = 2000;

interface DemoOptions {
  readonly seed: string;
  readonly ber: string;
  readonly octets: string;
  readonly output?: string;
  readonly name: string;
  readonly limit: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'demo',
    "Replay UoSAT-12's flight result: curl fetches an image by FTP from the spacecraft, over TCP as it was in 2000 and as this kernel has it, through the same bit errors. About two minutes; everything is removed afterwards but the captures.",
    ['omni demo', 'omni demo --seed 7            # other bit errors', 'omni demo --ber 1e-5 --json   # a worse link'],
  )
    .option('--seed <seed>', 'of the bit errors', String(DEFAULT_SEED))
    .option('--ber <rate>', 'bit error rate of the downlink', scientific(FLIGHT.bitErrorRate))
    .option('--octets <count>', 'size of the image, from 1000', String(FLIGHT.octets))
    .option('--output <directory>', 'where captures and images go (default: a new directory in the temporary one)')
    .option('--name <prefix>', 'the testbeds are PREFIX-2000 and PREFIX-today', 'demo')
    .option('--limit <seconds>', 'give a transfer up after this time', '900')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(options: DemoOptions): Promise<void> {
  const bitErrorRate = numberOf(options.ber, '--ber', 0, 0.01);
  const octets = numberOf(options.octets, '--octets', 1000, 1e8);
  const limitSeconds = numberOf(options.limit, '--limit', 1, 86_400);
  requireCurl();
  const directory =
    options.output ?? join(tmpdir(), `omni-demo-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}`);
  await makeOutputDirectory(directory);
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const line = new LiveLine();
  note(
    `Two testbeds, one seed (${options.seed}), bit error rate ${scientific(bitErrorRate)} on the 38.4 kbit/s downlink. In each, curl fetches a photograph of\n${octets} octets by FTP from the spacecraft. A minute or so; Ctrl-C ends it and cleans up.\n`,
  );
  try {
    const scenarioFile = findScenario('uosat12');
    const results = await replay({
      scenarioText: readFileSync(scenarioFile, 'utf8'),
      scenarioFile,
      variants: VARIANTS,
      name: options.name,
      seed: options.seed,
      bitErrorRate,
      image: { name: 'earth-limb.png', octets, seed: DEFAULT_SEED },
      directory,
      limitSeconds,
      signal: abort.signal,
      note,
      progress: (state) => line.show(progressLine(state), state[0]!.seconds),
    });
    line.clear();
    if (options.json) printJson(asJson(results, { seed: options.seed, bitErrorRate, directory }));
    else process.stdout.write(report(results, bitErrorRate, directory));
    for (const { variant, problem } of results) if (problem !== undefined) note(`${variant.title}: curl: ${problem}`);
    if (!results.every((result) => result.complete)) process.exitCode = EXIT.failure;
  } catch (error) {
    line.clear();
    if (!abort.signal.aborted) throw error;
    throw new VerbError(
      EXIT.interrupted,
      'interrupted; both testbeds are removed',
      `What was captured so far lies in ${directory}.`,
    );
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function progressLine(state: readonly TransferProgress[]): string {
  return state
    .map(({ variant, octets, ofOctets, seconds, done }) => {
      const rate = seconds > 0 ? (octets * 8) / seconds / 1000 : 0;
      return `${variant.key} ${bar(octets / ofOctets, 10)} ${String(Math.floor((100 * octets) / ofOctets)).padStart(3)} % ${rate.toFixed(1).padStart(5)} kbit/s ${seconds.toFixed(0).padStart(3)} s${done ? ' done' : ''}`;
    })
    .join('  ');
}

function report(results: readonly ReplayResult[], bitErrorRate: number, directory: string): string {
  const row = (name: string, flight: string, cell: (result: ReplayResult) => string): string[] => [
    name,
    flight,
    ...results.map(cell),
  ];
  const transfer = (show: (t: NonNullable<ReplayResult['transfer']>) => string) => (r: ReplayResult) =>
    r.transfer === undefined ? '–' : show(r.transfer);
  const noise = (r: ReplayResult): string => {
    const { lost = {} } = r.transfer?.frames ?? {};
    const reasons = Object.entries(lost).filter(([reason]) => reason.startsWith('noise-'));
    const total = reasons.reduce((sum, [, n]) => sum + n, 0);
    const names = reasons.map(([reason, n]) => `${n} ${reason.slice('noise-'.length)}`).join(', ');
    return total === 0 ? '0' : `${total} (${names})`;
  };
  const queue = (r: ReplayResult): string => String(r.transfer?.frames.lost['queue-full'] ?? 0);
  const rows = [
    ['', `flight, ${FLIGHT.date}`, ...results.map((r) => r.variant.title)],
    row(
      'time',
      `${FLIGHT.seconds} s`,
      transfer((t) => `${t.seconds.toFixed(1)} s`),
    ),
    row(
      'goodput',
      kilobit(FLIGHT.goodputBitPerSecond),
      transfer((t) => kilobit(t.goodputBitPerSecond)),
    ),
    row(
      'of the downlink',
      percent(FLIGHT.utilisation),
      transfer((t) => percent(t.utilisation)),
    ),
    row(
      'segments of 512 octets',
      String(FLIGHT.segments),
      transfer((t) => (t.segmentOctets === 512 ? String(t.segments) : `${t.segments} of up to ${t.segmentOctets}`)),
    ),
    row(
      'sent again',
      String(FLIGHT.retransmissions.total),
      transfer((t) => String(t.retransmissions.total)),
    ),
    row(
      '  asked for by the receiver',
      String(FLIGHT.retransmissions.fast),
      transfer((t) => String(t.retransmissions.fast)),
    ),
    row(
      '  after a time-out',
      String(FLIGHT.retransmissions.timeout),
      transfer((t) => String(t.retransmissions.timeout + t.retransmissions.probe)),
    ),
    row(
      '  needlessly, as proved',
      '',
      transfer((t) => String(t.retransmissions.spurious)),
    ),
    row('bit errors in the downlink', '', (r) => String(r.bitErrors)),
    row('frames lost to them', String(FLIGHT.retransmissions.total), noise),
    row('packets lost in a full queue', '0', queue),
    row('SHA-256 of the image', '', (r) =>
      r.complete ? 'equal' : r.sha256.received === undefined ? 'not received' : 'DIFFERENT',
    ),
  ];
  const [old] = results;
  return `
${table(rows, { ruleAfter: 1 })}
The most that TCP can use of the link is ${percent(CEILING)}: 512 octets of data in frames of 558 and a flag, stuffing not counted.
A file this small meets about ten bit errors, so one run says little. Over 12 seeds at 4.5e-6 (this run: ${scientific(bitErrorRate)}) TCP of 2000 used
79 % of the link (63 to 88), this kernel's 86 % (84 to 87); the flight's ${percent(FLIGHT.utilisation)} lies in the first range and not in the second.

Captures (Wireshark opens the frames as Frame Relay):
  ${old!.files.link}         each frame as sent and as received, the damaged too
  ${old!.files.spacecraft}   what the spacecraft's TCP saw: Statistics > TCP Stream Graphs
  the same for today-*; the images are ${directory}/*-earth-limb.png

Next:
  omni demo --seed 7                       other bit errors
  omni why 'outcome==fcs' -r ${old!.files.link}
  omni up uosat12 && omni exec control -- lftp spacecraft
`;
}

function asJson(
  results: readonly ReplayResult[],
  run: { seed: string; bitErrorRate: number; directory: string },
): unknown {
  return {
    ...run,
    flight: FLIGHT,
    ceiling: CEILING,
    results: results.map(({ variant, transfer, ...result }) => {
      const { flow, ...summary } = transfer ?? { flow: undefined };
      return {
        variant: variant.key,
        tcp: variant.tcp,
        ...result,
        transfer: transfer === undefined ? null : { ...summary, roundTrip: flow?.roundTrip },
      };
    }),
  };
}

function numberOf(text: string, flag: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= least && value <= most))
    throw new VerbError(EXIT.usage, `${flag} takes a number from ${least} to ${most}, not '${text}'`);
  return value;
}

function requireCurl(): void {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    try {
      accessSync(join(folder, 'curl'), constants.X_OK);
      return;
    } catch {}
  throw new VerbError(EXIT.unavailable, 'the demo needs curl', 'apt-get install curl');
}

const kilobit = (bitPerSecond: number): string => `${(bitPerSecond / 1000).toFixed(1)} kbit/s`;
const scientific = (rate: number): string => rate.toExponential().replace('e+0', '');
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
