/** `omni contacts`: when the next passes are, and how much fits into them. */
import type { Command } from 'commander';
import { type Instant, OmniError } from '../../core/index.ts';
import { STALE_ELEMENTS_DAYS } from '../../node/line-sources.ts';
import { type ListedPass, listPasses, type PassList } from '../../node/pass-list.ts';
import {
  formatDuration,
  loadScenario,
  parseUtc,
  type ResolvedLink,
  type ResolvedScenario,
} from '../../scenario/index.ts';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';
import { scenarioProblems } from './validate.ts';

interface Options {
  readonly scenario?: string;
  readonly testbed?: string;
  readonly count: string;
  readonly from?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'contacts',
    'List the next passes: AOS, LOS, duration, maximum elevation, and the octets that fit each way.',
    [
      'omni contacts                              of the running testbed, from now on',
      'omni contacts space --count 3              of one link',
      'omni contacts --scenario leo.yaml --from 2026-07-05T12:00:00Z',
      "omni contacts --json | jq -r '.passes[0].aos'",
    ],
  )
    .argument('[link]', 'only this link')
    .option('--scenario <file>', 'a scenario file, or the name of a built-in one; nothing needs to be up')
    .option('--testbed <name>', 'which running testbed; default: the only one')
    .option('--count <n>', 'how many passes', '10')
    .option('--from <utc>', "passes that end after this time; default: now, or the scenario's start")
    .option('--json', 'print JSON')
    .action(run);
}

async function run(linkName: string | undefined, options: Options): Promise<void> {
  const count = Number(options.count);
  if (!(Number.isInteger(count) && count >= 1 && count <= 10_000))
    throw new VerbError(EXIT.usage, `--count ${options.count}: a whole number from 1 to 10000`);
  const from = options.from === undefined ? undefined : utcOf(options.from);
  const { scenario, now, lateMilliseconds } = await source(options, from);
  const links = linksOf(scenario, linkName);
  const start = from === undefined ? now : (from - lateMilliseconds - scenario.epochMilliseconds) * 1e6;
  if (start < 0)
    throw new VerbError(
      EXIT.usage,
      `--from ${options.from} is before the scenario's start, ${new Date(scenario.epochMilliseconds).toISOString()}`,
      'its `epoch` says when it starts',
    );
  const planned = listPasses(scenario, links, Math.round(start) as Instant, count);
  const late = (utc: string) => new Date(Date.parse(utc) + lateMilliseconds).toISOString();
  const passes = planned.passes.map((pass) => ({ ...pass, aos: late(pass.aos), los: late(pass.los) }));
  const list = { ...planned, passes };
  if (options.json) printJson({ scenario: scenario.name, ...list });
  else print(list);
  for (const [link, days] of Object.entries(list.elementsAgeDays))
    if (Math.abs(days) > STALE_ELEMENTS_DAYS)
      note(
        `omni: ${link}: the elements are ${Math.abs(days).toFixed(0)} days ${days > 0 ? 'old' : 'ahead'} at the start; take newer ones`,
      );
}

interface Source {
  readonly scenario: ResolvedScenario;
  /** Nanoseconds since its start. */
  readonly now: number;
  /** A testbed begins this much after its scenario was loaded. */
  readonly lateMilliseconds: number;
}

/** Further off, and the scenario has an epoch of its own. */
const STARTING_MILLISECONDS = 60_000;

async function source(options: Options, from: number | undefined): Promise<Source> {
  if (options.scenario !== undefined) {
    const file = options.scenario;
    // A scenario without an epoch begins when it is brought up: here, then.
    return { scenario: scenarioProblems(() => loadScenario(file, { now: from })), now: 0, lateMilliseconds: 0 };
  }
  const { paths } = await selectRunningTestbed(options.testbed).catch((error: unknown) => {
    if (error instanceof OmniError && error.code === 'OMNI_NO_TESTBED' && options.testbed === undefined)
      throw new OmniError('OMNI_NO_TESTBED', 'no testbed is up', {
        remedy: "give a file with --scenario, or bring one up with 'omni up'",
      });
    throw error;
  });
  const { scenario, dataPlane } = (await controlRequest(paths.controlSocket, 'status')) as DaemonStatus;
  const began = Date.now() - dataPlane.uptimeSeconds * 1000;
  const late = Math.round(began - scenario.epochMilliseconds);
  return {
    scenario,
    now: dataPlane.uptimeSeconds * 1e9,
    lateMilliseconds: late > 0 && late < STARTING_MILLISECONDS ? late : 0,
  };
}

function linksOf(scenario: ResolvedScenario, name: string | undefined): readonly ResolvedLink[] {
  if (name === undefined) return scenario.links;
  const links = scenario.links.filter((link) => link.name === name);
  if (links.length > 0) return links;
  throw new OmniError('OMNI_NO_SUCH_LINK', `there is no link '${name}' in '${scenario.name}'`, {
    remedy: `the links are ${scenario.links.map((link) => link.name).join(', ')}`,
  });
}

function utcOf(text: string): number {
  const milliseconds = parseUtc(text);
  if (milliseconds === undefined)
    throw new VerbError(EXIT.usage, `--from '${text}': write UTC as 2026-07-05T12:00:00Z`);
  return milliseconds;
}

function print({ passes, always }: PassList): void {
  for (const link of always) process.stdout.write(`${link}: always in contact\n`);
  if (passes.length === 0) {
    if (always.length === 0) process.stdout.write('no contact follows\n');
    return;
  }
  const head = ['LINK', 'AOS (UTC)', 'LOS', 'DURATION', 'MAX ELEV', 'UP', 'DOWN'];
  const rows = [head, ...passes.map(row)];
  const widths = head.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  for (const cells of rows)
    process.stdout.write(
      `${cells.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}\n`,
    );
}

function row(pass: ListedPass): string[] {
  return [
    pass.link,
    pass.aos.slice(0, 19).replace('T', ' '),
    pass.los.slice(11, 19),
    formatLength(pass.durationSeconds),
    pass.maximumElevationDegrees === undefined ? '-' : `${pass.maximumElevationDegrees.toFixed(1)}°`,
    volume(pass.octetsUp),
    volume(pass.octetsDown),
  ];
}

function formatLength(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return formatDuration(Math.round(seconds * 10) * 1e8);
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}min ${String(whole % 60).padStart(2, '0')}s`
    : `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, '0')}min`;
}

function volume(octets: number | undefined): string {
  if (octets === undefined) return '-';
  for (const [factor, unit] of [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'kB'],
  ] as const)
    if (octets >= factor) return `${(octets / factor).toPrecision(3)} ${unit}`;
  return `${octets} B`;
}
