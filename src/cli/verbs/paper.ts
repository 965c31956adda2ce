/** `omni paper`: the figures of the OMNI paper, measured again on this machine. */
import type { Command } from 'commander';
import { bar, LiveLine } from '../../console/live-line.ts';
import { table } from '../../console/table.ts';
import { capturedTransfer } from '../../lab/paper/figures/captured.ts';
import { FIGURES } from '../../lab/paper/figures/index.ts';
import type { FigureModule } from '../../lab/paper/module.ts';
import { makePaper, type PaperProgress, type PaperReport } from '../../lab/paper/paper.ts';
import { findProgram, requireTestbedMachine } from '../../testbed/preconditions.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface PaperOptions {
  readonly all?: boolean;
  readonly output: string;
  readonly seed: string;
  readonly repetitions?: string;
  readonly scale: string;
  readonly parallel?: string;
  readonly png: boolean;
  readonly fresh?: boolean;
  readonly capture?: string;
  readonly link?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'paper',
    'Measure the figures of the OMNI paper again and draw them: SVG with provenance, PNG, CSV, methods, one HTML report. What a killed run had finished is kept: the same command goes on.',
    [
      'omni paper                                   # lists the figures',
      'omni paper fer ntp                           # two that need no root and no testbeds',
      'omni paper --all                             # everything: some 15 minutes on 2 cores',
      'omni paper tcp-vs-ber --repetitions 2        # a quick look, with wide intervals',
      'omni paper time-sequence --capture my.pcapng # of a capture of yours',
      'omni reproduce omni-paper/tcp-vs-ber.svg     # measures it again and compares',
    ],
  )
    .argument('[figures...]', FIGURES.map(({ name }) => name).join(', '))
    .option('--all', 'all figures')
    .option('--output <directory>', 'where figures, runs and the report go', 'omni-paper')
    .option('--seed <seed>', 'of all bit errors', '2000')
    .option('--repetitions <n>', "runs of each point, in place of the figure's own numbers")
    .option('--scale <part>', 'frames, seconds and octets of each run as a part of the full amount, above 0 to 1', '1')
    .option('--parallel <n>', 'runs side by side at most; default: as many as the machine carries')
    .option('--no-png', 'SVG only')
    .option('--fresh', 'make figures again that the directory has already (runs are kept)')
    .option('--capture <file>', 'time-sequence: draw the largest transfer of this capture of the recorder')
    .option('--link <name>', 'with --capture, of this link')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(names: readonly string[], options: PaperOptions): Promise<void> {
  if (names.length === 0 && !options.all) {
    list(options.json ?? false);
    return;
  }
  const unknown = names.find((name) => !FIGURES.some((figure) => figure.name === name));
  if (unknown !== undefined)
    throw new VerbError(
      EXIT.usage,
      `there is no figure '${unknown}'`,
      `There are ${FIGURES.map(({ name }) => name).join(', ')}.`,
    );
  const figures = await chooseFigures(names, options);
  const numbers = {
    ...(options.repetitions === undefined ? {} : { repetitions: whole(options.repetitions, '--repetitions') }),
    ...(options.parallel === undefined ? {} : { parallel: whole(options.parallel, '--parallel') }),
    scale: part(options.scale),
  };
  requireMachine(figures);
  const { abort, release } = interruptible();
  const line = new LiveLine();
  const began = performance.now();
  try {
    const report = await makePaper({
      figures,
      directory: options.output,
      seed: options.seed,
      ...numbers,
      png: options.png,
      fresh: options.fresh ?? false,
      signal: abort.signal,
      note,
      progress: (state) => line.show(progressLine(state), (performance.now() - began) / 1000),
    });
    line.clear();
    if (options.json) printJson(asJson(report));
    else process.stdout.write(reportText(report));
  } catch (error) {
    line.clear();
    if (!abort.signal.aborted) throw error;
    throw new VerbError(
      EXIT.interrupted,
      'interrupted; finished runs and figures are kept',
      'The same command goes on.',
    );
  } finally {
    release();
  }
}

async function chooseFigures(names: readonly string[], options: PaperOptions): Promise<readonly FigureModule[]> {
  if (options.capture === undefined) {
    if (options.link !== undefined) throw new VerbError(EXIT.usage, '--link goes with --capture');
    return options.all ? FIGURES : FIGURES.filter(({ name }) => names.includes(name));
  }
  if (names.join() !== 'time-sequence')
    throw new VerbError(EXIT.usage, '--capture draws one figure', 'omni paper time-sequence --capture FILE');
  return [await capturedTransfer(options.capture, options.link)];
}

/** Refuses before the first run, with the remedy. */
export function requireMachine(figures: readonly Pick<FigureModule, 'name' | 'needsTestbeds' | 'programs'>[]): void {
  if (figures.some(({ needsTestbeds }) => needsTestbeds)) requireTestbedMachine();
  for (const { name, programs = [] } of figures)
    for (const program of programs)
      if (findProgram(program) === undefined)
        throw new VerbError(EXIT.unavailable, `the figure '${name}' needs ${program}`, `apt-get install ${program}`);
}

/** Ctrl-C and SIGTERM end what runs, and clean up. */
export function interruptible(): { abort: AbortController; release: () => void } {
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  return { abort, release: () => void process.off('SIGINT', interrupt).off('SIGTERM', interrupt) };
}

export function progressLine({ what, done, total, running, repeated, secondsLeft }: PaperProgress): string {
  const share = total === 0 ? 1 : done / total;
  const count = total === 1 ? '' : ` ${done}/${total}`;
  const side = running === undefined ? '' : `, ${running} side by side`;
  const again = repeated === undefined || repeated === 0 ? '' : `, ${repeated} repeated`;
  return `${what}${count} ${bar(share, 20)} ${Math.floor(100 * share)} %${side}${again}${secondsLeft === undefined ? '' : `, about ${duration(secondsLeft)} left`}`;
}

const duration = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;

function list(json: boolean): void {
  if (json) printJson(FIGURES.map(({ name, summary, needsTestbeds }) => ({ name, summary, needsTestbeds })));
  else {
    const rows = FIGURES.map(
      ({ name, summary, needsTestbeds }) =>
        `  ${name.padEnd(14)} ${summary}${needsTestbeds ? '' : ' (no root needed)'}`,
    );
    process.stdout.write(
      `${rows.join('\n')}\n\nomni paper NAME… makes some, omni paper --all makes all; omni paper --help shows examples.\n`,
    );
  }
}

function reportText({ figures, directory, runs, seconds }: PaperReport): string {
  const rows = [
    ['figure', 'runs', 'points', ''],
    ...figures.map(({ name, provenance, kept }) => [
      name,
      String(provenance.runs.sound),
      String(provenance.points.filter(({ low }) => low !== undefined).length),
      kept ? 'kept' : 'made',
    ]),
  ];
  const findings = figures.flatMap(({ name, provenance }) => [
    `${name}`,
    ...provenance.findings.map((finding) => `  - ${finding}`),
    '',
  ]);
  const counted =
    runs.made === 0 ? '' : ` ${runs.sound} runs count; ${runs.late} were late and repeated, ${runs.failed} failed.`;
  return `${table(rows, { ruleAfter: 1 })}
${findings.join('\n')}
${duration(seconds)}.${counted}
${directory}/report.html joins the figures; ${directory}/SHA256SUMS has the checksums (cd ${directory} && sha256sum -c SHA256SUMS).
`;
}

function asJson({ figures, ...report }: PaperReport): unknown {
  return {
    ...report,
    figures: figures.map(({ name, files, kept, provenance: { findings, runs, checksum } }) => ({
      name,
      files,
      kept,
      findings,
      runs,
      checksum,
    })),
  };
}

export function whole(text: string, flag: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100_000)
    throw new VerbError(EXIT.usage, `${flag} takes a whole number from 1, not '${text}'`);
  return value;
}

function part(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1))
    throw new VerbError(EXIT.usage, `--scale takes a number above 0, at most 1, not '${text}'`);
  return value;
}
