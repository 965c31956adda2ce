/** `omni ntp`: ask a server, and the experiments on the spacecraft's clock in virtual time. */
import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import {
  ASYMMETRIC_LINKS,
  type AsymmetryRow,
  asymmetry,
  DISCIPLINES,
  figure5,
  figure5Svg,
  holdover,
  referenceText,
} from '../../apps/ntp/index.ts';
import { fromHex } from '../../core/index.ts';
import { hostClock } from '../../io/clock.ts';
import { parseHostPort } from '../../io/ntp-address.ts';
import { ntpKey, parseKey } from '../../io/ntp-keys.ts';
import { queryNtp } from '../../io/ntp-query.ts';
import { type NtpViewOptions, showNtp } from '../ntp-view.ts';
import { note, printJson, verb } from '../verb.ts';

export function command(): Command {
  const ntp = verb('ntp', "Watch a node's clock and its NTP client; ask NTP servers; replay and measure disciplines.", [
    'omni ntp spacecraft                       # what its client reports, beside the true error; the last polls',
    'omni ntp spacecraft --follow              # a line for each poll, as it happens',
    'omni ntp query 127.0.0.1:11123            # one line, like ntpdig; no clock is changed',
    'omni ntp query ground --samples 8 --json',
    'omni ntp figure5 --svg figure5.svg        # figure 5 of the OMNI paper, in virtual time',
    'omni ntp table                            # the table of docs/timing.md',
  ]);
  // The subcommands have options of the same names.
  ntp
    .enablePositionalOptions()
    .argument('[node]', 'node of the running testbed; default: every node that has NTP')
    .option('--testbed <name>', 'which running testbed; default: the only one')
    .option('--polls <n>', 'show so many of the last polls', positive, 8)
    .option('--follow', 'go on with each poll, until Ctrl-C')
    .option('--json', 'print JSON; with --follow one object a line and poll')
    .action((node: string | undefined, options: NtpViewOptions) => showNtp(node, options));
  ntp.addCommand(queryCommand());
  ntp.addCommand(figureCommand());
  ntp.addCommand(tableCommand());
  return ntp;
}

const sub = (name: string, summary: string): Command =>
  new Command(name).description(summary).exitOverride().showHelpAfterError('(--help shows the options)');

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It must be a number above zero.');
  return value;
}

function queryCommand(): Command {
  return sub('query', 'Ask a server for the time and print offset, error bound, address and stratum.')
    .argument('<host[:port]>', 'server; port 123 unless given')
    .option('--samples <n>', 'how often to ask; the answer with the least delay counts', positive, 4)
    .option('--timeout <seconds>', 'how long to wait for each answer', positive, 5)
    .option('--max-distance <seconds>', 'refuse a root distance above this', positive, 16)
    .option('--key <id:hex>', 'authenticate with this AES-128-CMAC key')
    .option('--correction', 'ask the links on the way to stamp their serialisation and queueing')
    .option('--json', 'print JSON')
    .action(async (target: string, options) => {
      const { host, port } = parseHostPort(target, 123);
      const key = options.key === undefined ? undefined : parseKey(options.key);
      const result = await queryNtp({
        host,
        port,
        samples: Math.ceil(options.samples),
        timeoutMs: options.timeout * 1000,
        clock: hostClock(),
        correction: options.correction ?? false,
        maximumDistance: options.maxDistance,
        key: key === undefined ? undefined : ntpKey(key.id, fromHex(key.aes128)),
      });
      const { best } = result;
      const reference =
        best.packet.stratum <= 1
          ? referenceText(best.packet.referenceId)
          : [24, 16, 8, 0].map((s) => (best.packet.referenceId >>> s) & 255).join('.');
      if (options.json) {
        printJson({
          time: isoTime(result.at),
          offsetSeconds: best.offset,
          delaySeconds: best.delay,
          rootDistanceSeconds: best.rootDistance,
          address: result.address,
          port,
          stratum: best.packet.stratum,
          reference,
          leap: LEAP_WORDS[best.packet.leap],
          correction: best.correction,
          samples: result.all.length,
          refused: result.refused,
        });
        return;
      }
      const sign = best.offset < 0 ? '-' : '+';
      process.stdout.write(
        `${isoTime(result.at)} (+0000) ${sign}${Math.abs(best.offset).toFixed(6)} +/- ${best.rootDistance.toFixed(6)} ${host} ${result.address} s${best.packet.stratum} ${LEAP_WORDS[best.packet.leap]}\n`,
      );
    });
}

const LEAP_WORDS = ['no-leap', 'add-leap', 'del-leap', 'unsync'];

/** 2026-11-21 12:00:00.123456 in UTC. */
function isoTime(wall: bigint): string {
  const text = new Date(Number(wall / 1_000_000n)).toISOString();
  const microseconds = ((wall / 1000n) % 1_000_000n).toString().padStart(6, '0');
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${microseconds}`;
}

function figureCommand(): Command {
  return sub('figure5', "Replay figure 5 of the OMNI paper (UoSAT-12, 14 April 2000) and check the paper's milestones.")
    .option('--seed <seed>', 'seed of the jitter', '1')
    .option('--corrected', 'with the links stamping their delays, which the flight did not have')
    .option('--svg <file>', 'draw it')
    .option('--json', 'print JSON')
    .action((options) => {
      const figure = figure5({ seed: options.seed, corrected: options.corrected ?? false });
      if (options.svg !== undefined) {
        writeFileSync(options.svg, figure5Svg(figure));
        note(`figure written to ${options.svg}`);
      }
      if (options.json) {
        printJson({ seed: options.seed, milestones: figure.milestones, reported: figure.result.reported });
        return;
      }
      for (const m of figure.milestones)
        process.stdout.write(
          `${m.what}: paper within ${m.paperTicks} ticks; here ${m.reportedTicks.toFixed(1)} reported, ${m.trueTicks.toFixed(1)} true\n`,
        );
    });
}

function tableCommand(): Command {
  return sub(
    'table',
    'Measure the disciplines on unequal links, with and without correction: the table of docs/timing.md.',
  )
    .option('--seed <seed>', 'seed of the jitter', '1')
    .option('--passes <n>', 'passes of 10 minutes, one every 95', positive, 10)
    .option('--json', 'print JSON')
    .action((options) => {
      const measured = measureTable(options.seed, Math.ceil(options.passes));
      if (options.json) printJson(measured);
      else process.stdout.write(tableMarkdown(measured));
    });
}

interface Measured {
  readonly asymmetry: readonly ({ name: string } & AsymmetryRow)[];
  readonly holdoverRmsSeconds: Readonly<Record<string, number>>;
}

export function measureTable(seed: number | string, passes: number): Measured {
  const rows = ASYMMETRIC_LINKS.flatMap(({ name, ...link }) =>
    DISCIPLINES.flatMap((discipline) =>
      (['off', 'stamp', 'rewrite'] as const).map((correction) => ({
        name,
        ...asymmetry(link, discipline, correction, { seed, passes }),
      })),
    ),
  );
  return { asymmetry: rows, holdoverRmsSeconds: Object.fromEntries(DISCIPLINES.map((d) => [d, holdover(d, seed)])) };
}

const ms = (seconds: number) => (seconds * 1000).toFixed(1);

export function tableMarkdown(measured: Measured): string {
  const lines = [
    '| link up / down | discipline | correction | reported offset | true error | worst in the pass | RMS, passes and gaps |',
    '|---|---|---|---:|---:|---:|---:|',
    ...measured.asymmetry.map(
      (r) =>
        `| ${r.name} | ${r.discipline} | ${r.correction} | ${ms(r.reportedSeconds)} ms | ${ms(r.trueSeconds)} ms | ${ms(r.worstInPassSeconds)} ms | ${ms(r.rmsSeconds)} ms |`,
    ),
    '',
    '| symmetric link, 20 ppm, 5 ms jitter | RMS, passes and gaps |',
    '|---|---:|',
    ...Object.entries(measured.holdoverRmsSeconds).map(([name, rms]) => `| ${name} | ${(rms * 1000).toFixed(2)} ms |`),
  ];
  return `${lines.join('\n')}\n`;
}
