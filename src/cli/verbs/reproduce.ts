/** `omni reproduce FILE.svg`: measures a figure again from the provenance in its file. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { LiveLine } from '../../console/live-line.ts';
import { table } from '../../console/table.ts';
import { OmniError } from '../../core/index.ts';
import { FIGURES } from '../../lab/paper/figures/index.ts';
import { contextOf } from '../../lab/paper/paper.ts';
import { type Provenance, readProvenance } from '../../lab/paper/provenance.ts';
import { chosenPoints, type Reproduced, reproduce } from '../../lab/paper/reproduce.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';
import { interruptible, progressLine, requireMachine, whole } from './paper.ts';

interface ReproduceVerbOptions {
  readonly points?: string;
  readonly repetitions?: string;
  readonly only?: string;
  readonly seed?: string;
  readonly output?: string;
  readonly parallel?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'reproduce',
    "Measure a figure of 'omni paper' again from the provenance in its SVG, and say which points fall inside the published intervals. Ends with 0 when none lies outside, 1 otherwise.",
    [
      'omni reproduce omni-paper/fer.svg                      # computed: comes out the same',
      'omni reproduce tcp-vs-ber.svg --points 6               # six points, spread over the figure',
      "omni reproduce asymmetry.svg --only 'MSS 512' --repetitions 1",
      'omni reproduce uosat-ftp.svg --seed 7                  # with other bit errors',
    ],
  )
    .argument('<file.svg>', 'a figure that omni paper drew')
    .option('--points <n>', 'at most so many points, spread over the figure; default: all')
    .option('--only <text>', 'points of panels and series whose name holds this')
    .option('--repetitions <n>', "runs of each point, in place of the figure's own numbers")
    .option('--seed <seed>', "of the bit errors; default: the figure's")
    .option('--output <directory>', 'keep the runs here, and go on with those it has; default: a temporary directory')
    .option('--parallel <n>', 'runs side by side at most')
    .option('--strict', 'end with 0 only when every mean lies inside')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(file: string, options: ReproduceVerbOptions): Promise<void> {
  const { provenance, intact } = readProvenance(readText(file), file);
  if (!intact) note(`omni: ${file} was edited: its provenance does not fit its checksum`);
  const choice = {
    ...(options.points === undefined ? {} : { points: whole(options.points, '--points') }),
    ...(options.repetitions === undefined ? {} : { repetitions: whole(options.repetitions, '--repetitions') }),
    ...(options.parallel === undefined ? {} : { parallel: whole(options.parallel, '--parallel') }),
    ...(options.only === undefined ? {} : { only: options.only }),
  };
  const { abort, release } = interruptible();
  const line = new LiveLine();
  const began = performance.now();
  const directory = options.output ?? mkdtempSync(join(tmpdir(), 'omni-reproduce-'));
  const shared = {
    ...choice,
    directory,
    file: join(directory, 'runs.jsonl'),
    seed: options.seed ?? provenance.seed,
    signal: abort.signal,
    progress: (state: Parameters<typeof progressLine>[0]) =>
      line.show(progressLine(state), (performance.now() - began) / 1000),
  };
  try {
    const chosen = chosenPoints(provenance, shared);
    const kinds = new Set(chosen.map(({ recipe }) => recipe?.kind));
    const module = FIGURES.find(({ name }) => name === provenance.figure);
    const needsTestbeds = kinds.has('sweep') || kinds.has('transfer');
    requireMachine([
      {
        name: provenance.figure,
        needsTestbeds,
        ...(module?.programs === undefined ? {} : { programs: module.programs }),
      },
    ]);
    const results = await reproduce(chosen, contextOf(shared), shared);
    line.clear();
    if (options.json) printJson(asJson(provenance, intact, results));
    else process.stdout.write(text(provenance, results));
    const good = options.strict ? ['equal', 'inside'] : ['equal', 'inside', 'compatible'];
    if (!intact || !results.every(({ verdict }) => good.includes(verdict))) process.exitCode = EXIT.failure;
  } catch (error) {
    line.clear();
    if (!abort.signal.aborted) throw error;
    throw new VerbError(
      EXIT.interrupted,
      'interrupted',
      options.output === undefined ? 'With --output DIRECTORY the next goes on where this stopped.' : undefined,
    );
  } finally {
    release();
    if (options.output === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new OmniError('OMNI_BAD_FILE', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

const VERDICTS = ['equal', 'inside', 'compatible', 'outside', 'not measured'] as const;
/** A long figure says how many; --json has them all. */
const MOST_EQUAL_SHOWN = 24;

function text({ figure, made, versions }: Provenance, results: readonly Reproduced[]): string {
  const shown = results.length > MOST_EQUAL_SHOWN ? results.filter(({ verdict }) => verdict !== 'equal') : results;
  const rows = shown.map(({ published: p, measured: m, verdict }) => [
    `${p.panel}: ${p.series}`,
    number(p.x),
    number(p.y),
    p.low === undefined ? '' : `${number(p.low)} … ${number(p.high)}`,
    number(m.y),
    m.low === undefined ? '' : `${number(m.low)} … ${number(m.high)}`,
    String(m.runs ?? ''),
    verdict,
  ]);
  const head = ['point', 'x', 'published', 'interval', 'now', 'interval', 'runs', ''];
  const counts = VERDICTS.map((verdict) => ({
    verdict,
    n: results.filter((r) => r.verdict === verdict).length,
  })).filter(({ n }) => n > 0);
  return `${figure}, made ${made.slice(0, 10)} with omni ${versions.omni} on Linux ${versions.kernel}\n${rows.length === 0 ? '' : table([head, ...rows], { ruleAfter: 1 })}
${results.length} points: ${counts.map(({ verdict, n }) => `${n} ${verdict}`).join(', ')}. Inside: the new mean lies in the published 95 % interval; compatible: the intervals overlap.
`;
}

const number = (value: number | undefined): string =>
  value === undefined
    ? ''
    : value !== 0 && Math.abs(value) < 1e-3
      ? value.toExponential(2)
      : String(Number(value.toPrecision(4)));

const asJson = ({ figure, versions, made }: Provenance, intact: boolean, results: readonly Reproduced[]): unknown => ({
  ...{ figure, made, versions, intact },
  counts: Object.fromEntries(VERDICTS.map((verdict) => [verdict, results.filter((r) => r.verdict === verdict).length])),
  points: results,
});
