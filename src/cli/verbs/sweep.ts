/** `omni sweep`: a matrix of links, TCP stacks and workloads, run with repetitions; shown, merged and exported. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { bar, LiveLine } from '../../console/live-line.ts';
import { table } from '../../console/table.ts';
import { SweepError } from '../../lab/sweep/error.ts';
import { listOf, parseSetting, parseShard, parseVariation } from '../../lab/sweep/flags.ts';
import { readResults } from '../../lab/sweep/journal.ts';
import { cores } from '../../lab/sweep/machine.ts';
import { timeLineOf } from '../../lab/sweep/mahimahi.ts';
import { type Job, readJobFile, type SweepMatrix } from '../../lab/sweep/matrix.ts';
import { loadOf, Planner } from '../../lab/sweep/planner.ts';
import type { SweepResult } from '../../lab/sweep/result.ts';
import { planSweep, type SweepProgress, sweep } from '../../lab/sweep/run.ts';
import {
  COLUMN_STYLES,
  type ColumnStyle,
  cellsCsv,
  mergeResults,
  runsCsv,
  summariseCells,
  tableRows,
  valueText,
  variedKeys,
} from '../../lab/sweep/table.ts';
import { tasksOf, withoutDone } from '../../lab/sweep/tasks.ts';
import { parseDuration } from '../../scenario/index.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface Options {
  readonly scenario?: string;
  readonly set: readonly string[];
  readonly vary: readonly string[];
  readonly stack?: string;
  readonly workload?: string;
  readonly repetitions?: string;
  readonly seed?: string;
  readonly name?: string;
  readonly output?: string;
  readonly shard?: string;
  readonly parallel?: string;
  readonly attempts?: string;
  readonly latenessBound?: string;
  readonly keepCaptures?: string;
  readonly dryRun?: boolean;
  readonly show?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly runs?: boolean;
  readonly columns?: string;
}

const again = (value: string, before: readonly string[]): string[] => [...before, value];

export function command(): Command {
  const sweeping = verb(
    'sweep',
    'Measure TCP, files, mail or telemetry over a matrix of links: every combination of what varies, many times, each run in a testbed of its own with errors of its own. Results are a file of JSON lines; a sweep that was interrupted goes on where it was.',
    [
      "omni sweep --vary ber=1e-7,1e-6,1e-5 --stack '2000,today' --repetitions 20",
      'omni sweep examples/sweep/tcp-vs-ber.yaml',
      'omni sweep job.yaml --shard 2/8 --output part-2.jsonl      a part of it, on this machine',
      'omni sweep merge all.jsonl part-*.jsonl',
      'omni sweep --show all.jsonl                                the table: means and 95 % intervals',
      'omni sweep --show all.jsonl --csv > cells.csv              --runs: one row a run',
    ],
  )
    .argument('[job]', 'a job file (YAML); flags add to it')
    .option(
      '--scenario <name>',
      'a scenario file or a built-in one (default: lab, one link of 1 Mbit/s, 20 ms round trip)',
    )
    .option('--set <key=value>', 'for every cell; can be given again', again, [])
    .option('--vary <key=v1,v2>', 'a cell for each value; can be given again', again, [])
    .option('--stack <list>', "TCP stacks: 2000, rfc2488, today, bbr; the same as --vary 'stack=…'")
    .option('--workload <list>', 'bulk, ftp-get, ftp-put, mail, telemetry, request-response (default: bulk)')
    .option('--repetitions <n>', 'runs of each cell, each with a seed of its own (default: 1)')
    .option('--seed <seed>', 'that all seeds are derived from (default: 1)')
    .option('--name <name>', "of the sweep, in its results (default: the job's, or sweep)")
    .option('--output <file>', 'results are appended here, and what it has is not run again (default: NAME.jsonl)')
    .option('--shard <i/n>', 'only this part of the runs')
    .option('--parallel <n>', 'runs side by side at most (default: as many as the machine carries)')
    .option('--attempts <n>', 'times that a late or failed run is made', '3')
    .option(
      '--lateness-bound <time>',
      'an emulator later than this repeats the run (default: a quarter of the round trip)',
    )
    .option('--keep-captures <directory>', "keep every run's packets as pcapng")
    .option('--dry-run', 'check the matrix and say what it would take; build nothing')
    .option('--show <file>', 'print the table of a results file; run nothing')
    .option('--csv', 'print CSV, units in the header')
    .option('--runs', 'with --csv: a row for each run, not for each cell')
    .option('--columns <style>', `with --csv --runs: ${COLUMN_STYLES.join(', ')}`, 'omni')
    .option('--json', 'print JSON')
    .action(run);
  sweeping
    .command('merge')
    .description('Join results files of shards into one; a run that several have is taken once.')
    .argument('<output>', 'written anew')
    .argument('<inputs...>', 'results files')
    .exitOverride()
    .action(merge);
  sweeping
    .command('mahimahi')
    .description("Print a mahimahi trace as a rate over time, for a scenario's or a job's `rate`.")
    .argument('<trace>', 'a file of milliseconds, one delivery opportunity of 1504 octets a line')
    .option('--bin <time>', 'opportunities are counted over this time', '100ms')
    .exitOverride()
    .action(mahimahi);
  return sweeping;
}

async function run(file: string | undefined, options: Options): Promise<void> {
  if (options.show !== undefined) {
    show(readAll(options.show), options);
    return;
  }
  const job = jobOf(file, options);
  const { matrix } = job;
  const output = options.output ?? `${matrix.name ?? 'sweep'}.jsonl`;
  if (options.dryRun) {
    plan(job, output, options);
    return;
  }
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  const line = new LiveLine();
  const started = performance.now();
  const results: SweepResult[] = [];
  try {
    const running = sweep(matrix, {
      output,
      directory: job.directory,
      shard: options.shard === undefined ? undefined : parseShard(options.shard),
      captures: options.keepCaptures,
      parallel: numberOf(options.parallel, '--parallel'),
      attempts: numberOf(options.attempts, '--attempts'),
      latenessBound: durationOf(options.latenessBound, '--lateness-bound'),
      signal: abort.signal,
      note,
      onProgress: (progress) => line.show(progressLine(progress), (performance.now() - started) / 1000),
    });
    for await (const result of running) {
      results.push(result);
      if (result.outcome === 'failed') {
        line.clear();
        note(`omni: a run of ${cellName(result)} failed: ${result.problem}`);
      }
    }
  } catch (error) {
    line.clear();
    const code = (error as { code?: string }).code;
    if (code === 'OMNI_INTERRUPTED')
      throw new VerbError(
        EXIT.interrupted,
        `interrupted; ${results.length} results are in ${output}, every testbed is removed`,
        'the same command goes on from there',
      );
    throw error;
  }
  line.clear();
  show(results, options);
  const unsound = summariseCells(results).reduce((sum, cell) => sum + cell.unsound, 0);
  note(`results: ${output}`);
  if (unsound > 0) {
    note(
      `omni: ${unsound} runs were late or failed at every attempt and do not count; the same command tries them again`,
    );
    process.exitCode = EXIT.failure;
  }
}

function show(results: readonly SweepResult[], options: Options): void {
  const cells = summariseCells(results);
  if (options.csv) {
    const style = options.columns as ColumnStyle;
    if (!COLUMN_STYLES.includes(style))
      throw new VerbError(EXIT.usage, `--columns: '${style}' is not one of ${COLUMN_STYLES.join(', ')}`);
    process.stdout.write(options.runs ? runsCsv(results, style) : cellsCsv(cells));
  } else if (options.json) printJson(cells);
  else if (cells.length === 0) note('no results yet');
  else process.stdout.write(table(tableRows(cells), { ruleAfter: 1 }));
}

function plan(job: Job, output: string, options: Options): void {
  const cells = planSweep(job);
  const shard = options.shard === undefined ? undefined : parseShard(options.shard);
  const all = tasksOf(cells, job.matrix.repetitions ?? 1, job.matrix.seed ?? 1, shard);
  const left = withoutDone(all, readResults(output).results);
  const work = left.reduce((sum, { cell }) => sum + loadOf(cell).cores * loadOf(cell).seconds, 0);
  const longest = left.reduce((most, { cell }) => Math.max(most, loadOf(cell).seconds), 0);
  const { budget } = new Planner({ cores: cores() });
  const seconds = Math.max(longest, work / budget);
  if (options.json) {
    const listed = cells.map(({ id, settings }) => ({ cell: id, ...settings, ...loadOf(planned(cells, id)) }));
    printJson({ cells: listed, runs: all.length, done: all.length - left.length, seconds });
    return;
  }
  const keys = variedKeys(cells.map(({ settings }) => settings));
  const rows = cells.map((cell) => [
    cell.id,
    ...keys.map((key) => valueText(cell.settings.varied[key])),
    `${(100 * loadOf(cell).cores).toFixed(0)} %`,
    `${loadOf(cell).seconds.toFixed(0)} s`,
  ]);
  process.stdout.write(table([['cell', ...keys, 'of a core', 'a run'], ...rows], { ruleAfter: 1 }));
  process.stdout.write(
    `${cells.length} cells, ${all.length} runs, ${all.length - left.length} done already; about ${timeText(seconds)} on ${cores()} cores.\n`,
  );
}

const planned = <Cell extends { id: string }>(cells: readonly Cell[], id: string): Cell =>
  cells.find((c) => c.id === id)!;

function merge(output: string, inputs: readonly string[]): void {
  const files = inputs.map(readAll);
  const merged = mergeResults(files);
  if (existsSync(output) && !inputs.includes(output))
    throw new VerbError(EXIT.usage, `${output} is there already`, 'name another file, or remove it first');
  writeFileSync(output, merged.map((result) => `${JSON.stringify(result)}\n`).join(''));
  const total = files.reduce((sum, results) => sum + results.length, 0);
  process.stdout.write(`${output}: ${merged.length} results of ${total} in ${inputs.length} files\n`);
}

function mahimahi(trace: string, { bin }: { bin: string }): void {
  const milliseconds = Math.max(1, Math.round((durationOf(bin, '--bin') ?? 0) / 1e6));
  process.stdout.write(stringify({ rate: timeLineOf(readText(trace), milliseconds, trace) }));
}

function readAll(file: string): SweepResult[] {
  readText(file);
  const { results, ignored } = readResults(file);
  if (ignored > 0) note(`omni: ${ignored} lines of ${file} are no results and are passed over`);
  return [...results];
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new VerbError(EXIT.dataError, `cannot read ${file}: ${(error as Error).message}`);
  }
}

function jobOf(file: string | undefined, options: Options): Job {
  const base: Job = file === undefined ? { matrix: {}, directory: '.' } : readJob(file);
  const set = Object.fromEntries(options.set.map((text) => parseSetting(text, '--set')));
  const vary = Object.fromEntries(options.vary.map((text) => parseVariation(text, '--vary')));
  if (options.stack !== undefined) vary.stack = listOf(options.stack, '--stack');
  if (options.workload !== undefined) vary.workload = listOf(options.workload, '--workload');
  // One value is a setting, not a variation.
  for (const key of ['stack', 'workload']) {
    const [only, another] = vary[key] ?? [];
    if (only !== undefined && another === undefined) {
      set[key] = only;
      delete vary[key];
    }
  }
  const { matrix } = base;
  const repetitions = numberOf(options.repetitions, '--repetitions') ?? matrix.repetitions;
  const seed = options.seed ?? matrix.seed;
  const name = options.name ?? matrix.name;
  const scenario = options.scenario ?? matrix.scenario;
  const merged: SweepMatrix = {
    ...matrix,
    ...(name !== undefined && { name }),
    ...(scenario !== undefined && { scenario }),
    ...(repetitions !== undefined && { repetitions }),
    ...(seed !== undefined && { seed }),
    set: { ...matrix.set, ...set } as NonNullable<SweepMatrix['set']>,
    vary: { ...matrix.vary, ...vary } as NonNullable<SweepMatrix['vary']>,
  };
  // A scenario on the command line is relative to where one stands.
  return options.scenario === undefined ? { ...base, matrix: merged } : { directory: '.', matrix: merged };
}

function readJob(file: string): Job {
  readText(file);
  return readJobFile(file);
}

function progressLine({ done, total, running, repeated, secondsLeft }: SweepProgress): string {
  const left = secondsLeft === undefined ? '' : `, about ${timeText(secondsLeft)} left`;
  const more = repeated === 0 ? '' : `, ${repeated} made again`;
  return `${bar(done / Math.max(1, total), 20)} ${done} of ${total} runs, ${running} running${more}${left}`;
}

function timeText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const cellName = ({ settings }: SweepResult): string =>
  Object.entries(settings.varied)
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .join(' ') || 'the cell';

function numberOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new SweepError(flag, `'${text}' is not a whole number from 1`);
  return value;
}

function durationOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new SweepError(flag, parsed.reason);
  return parsed.value;
}
