/**
 * Makes figures into a directory: for each its SVG with provenance, PNG, CSV and methods; the report that joins them, and the
 * checksums. Everything is made again from what the directory has: a killed command, started again, goes on where it was.
 *
 *   runs.jsonl          every run of the sweeps (docs/sweep.md)
 *   NAME.svg .png .csv  NAME.md: methods and findings
 *   report.html         all figures of the directory, in one file
 *   SHA256SUMS          of all these, for `sha256sum -c`
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OmniError } from '../../core/index.ts';
import { writeWholeFile } from '../../io/whole-file.ts';
import type { Shard } from '../fidelity/cells.ts';
import type { Totals } from '../fidelity/workers.ts';
import { machine, versions } from '../sweep/machine.ts';
import { drawFigure } from './chart.ts';
import { csvFiles } from './csv.ts';
import type { Figure } from './figure.ts';
import type { FigureContext, FigureModule } from './module.ts';
import { hasFonts, renderPng } from './png.ts';
import {
  canonicalJson,
  type Origin,
  type Provenance,
  provenanceOf,
  provenanceText,
  readProvenance,
  sha256,
} from './provenance.ts';
import { reportPage } from './report.ts';
import { NO_RUNS, type PaperRuns, runCells } from './runs.ts';

export interface PaperOptions {
  readonly figures: readonly FigureModule[];
  readonly directory: string;
  readonly seed: string;
  /** In place of each cell's own number of runs. */
  readonly repetitions?: number;
  /** Of the full amount of frames and octets: 1. */
  readonly scale?: number;
  /** Runs side by side at most. */
  readonly parallel?: number;
  readonly png?: boolean;
  /** Make figures again though the directory has them. */
  readonly fresh?: boolean;
  readonly signal: AbortSignal;
  note(text: string): void;
  progress(state: PaperProgress): void;
}

export interface PaperProgress {
  /** `runs`, or the name of the figure that is being made. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly running?: number;
  readonly repeated?: number;
  readonly secondsLeft?: number | undefined;
}

export interface PaperReport {
  readonly directory: string;
  readonly figures: readonly {
    readonly name: string;
    readonly files: readonly string[];
    readonly provenance: Provenance;
    readonly kept: boolean;
  }[];
  readonly runs: PaperRuns['counts'];
  readonly seconds: number;
}

/** Throws OmniError: OMNI_NO_PERMISSION and OMNI_UNAVAILABLE before the first run, OMNI_DISK_FULL with the runs kept. */
export async function makePaper(options: PaperOptions): Promise<PaperReport> {
  const began = performance.now();
  const { directory, figures } = options;
  const context = contextOf(options);
  await written(directory, mkdir(directory, { recursive: true }));
  const png = (options.png ?? true) && fontsOrNote(options);
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  let sweeping = true;
  // A transfer in real time mostly waits: it has its testbeds beside those of the sweep.
  const besideOptions = { ...options, signal, progress: (state: PaperProgress) => sweeping || options.progress(state) };
  const isBeside = (module: FigureModule) => module.cells === undefined && module.needsTestbeds;
  const beside = new Map(
    figures
      .filter(isBeside)
      .map((module) => [module, makeFigure(module, contextOf(besideOptions), NO_RUNS, besideOptions, png)]),
  );
  const allBeside = Promise.allSettled(beside.values());
  let runs: PaperRuns;
  const made = new Map<FigureModule, PaperReport['figures'][number]>();
  try {
    runs = await runCells(figures, context, { ...options, file: join(directory, 'runs.jsonl') });
    sweeping = false;
    for (const module of figures.toSorted((a, b) => Number(isBeside(a)) - Number(isBeside(b)))) {
      options.signal.throwIfAborted();
      made.set(module, await (beside.get(module) ?? makeFigure(module, context, runs, options, png)));
    }
  } finally {
    failed.abort();
    await allBeside;
  }
  const present = await figuresIn(directory);
  await written(directory, writeWholeFile(join(directory, 'report.html'), reportPage(present), 0o644));
  await written(directory, writeWholeFile(join(directory, 'SHA256SUMS'), checksums(directory), 0o644));
  return {
    directory,
    figures: figures.map((module) => made.get(module)!),
    runs: runs.counts,
    seconds: (performance.now() - began) / 1000,
  };
}

export function contextOf(options: Omit<PaperOptions, 'figures' | 'note'>): FigureContext {
  let what = '';
  return {
    seed: options.seed,
    scale: options.scale ?? 1,
    repetitions: options.repetitions,
    directory: options.directory,
    signal: options.signal,
    countFrames: (shards, cells, onDone) => countFrames(shards, cells, onDone, options.signal),
    progress: (share) => options.progress({ what, done: share, total: 1 }),
    working: (on) => {
      what = on;
    },
  };
}

async function makeFigure(
  module: FigureModule,
  context: FigureContext,
  runs: PaperRuns,
  options: PaperOptions,
  png: boolean,
): Promise<PaperReport['figures'][number]> {
  const { directory } = options;
  const svgFile = join(directory, `${module.name}.svg`);
  const matrix = module.matrix(context);
  const kept = options.fresh || module.cells !== undefined ? undefined : keptFigure(svgFile, matrix, context.seed, png);
  if (kept !== undefined) return { ...kept, kept: true };
  context.working(module.name);
  const figure = await module.build(context, runs.resultsOf);
  const { svg, files, provenance } = dressed(figure, {
    ...{ seed: context.seed, matrix, made: new Date().toISOString(), versions: versions(), machine: machine() },
    ...runs.originOf(module),
    commands: [paperCommand(module.name, options), `omni reproduce ${module.name}.svg`],
  });
  const all = [...files, { name: `${module.name}.md`, content: methodsPage(provenance) }];
  if (png) all.push({ name: `${module.name}.png`, content: renderPng(svg) });
  // The SVG last: while it is not there, or an old one, the figure is made again.
  all.push({ name: `${module.name}.svg`, content: svg });
  for (const { name, content } of all) await written(directory, writeWholeFile(join(directory, name), content, 0o644));
  return { name: module.name, files: all.map(({ name }) => name).reverse(), provenance, kept: false };
}

interface OutputFile {
  readonly name: string;
  readonly content: string | Uint8Array;
}

/** The figure as SVG with its provenance, and its CSV files. */
export function dressed(
  figure: Figure,
  origin: Omit<Origin, 'files'>,
): { svg: string; files: OutputFile[]; provenance: Provenance } {
  const files = csvFiles(figure).map(({ name, text }) => ({ name, content: text }));
  const provenance = provenanceOf(figure, {
    ...origin,
    files: Object.fromEntries(files.map(({ name, content }) => [name, sha256(content)])),
  });
  const { versions: v, runs } = provenance;
  const made = runs.made > 0 ? `${runs.sound} runs, ` : '';
  const footer = `omni ${v.omni}, Linux ${v.kernel}, Node ${v.node}; ${made}seed ${origin.seed}; ${origin.made.slice(0, 10)}; provenance in the file: omni reproduce ${figure.name}.svg`;
  return { svg: drawFigure(figure, provenanceText(provenance), footer), files, provenance };
}

/** What the directory has, if it is what would be made. */
function keptFigure(
  svgFile: string,
  matrix: unknown,
  seed: string,
  png: boolean,
): { name: string; files: string[]; provenance: Provenance } | undefined {
  if (!existsSync(svgFile)) return undefined;
  try {
    const { provenance, intact } = readProvenance(readFileSync(svgFile, 'utf8'), svgFile);
    const name = provenance.figure;
    const files = [`${name}.svg`, ...(png ? [`${name}.png`] : []), `${name}.md`, ...Object.keys(provenance.files)];
    const same =
      intact &&
      provenance.seed === seed &&
      canonicalJson(provenance.matrix) === canonicalJson(matrix) &&
      canonicalJson(provenance.versions) === canonicalJson(versions()) &&
      files.every((file) => existsSync(join(svgFile, '..', file)));
    return same ? { name, files, provenance } : undefined;
  } catch {
    // Not ours, or damaged: it is made again.
    return undefined;
  }
}

function paperCommand(name: string, { seed, repetitions, scale }: PaperOptions): string {
  const more = [
    ...(repetitions === undefined ? [] : [` --repetitions ${repetitions}`]),
    ...(scale === undefined || scale === 1 ? [] : [` --scale ${scale}`]),
  ];
  return `omni paper ${name} --seed ${seed}${more.join('')}`;
}

export const methodsPage = (p: Provenance): string => `# ${p.title}

${p.findings.map((finding) => `- ${finding}`).join('\n')}

## Methods
${p.methods}

Made ${p.made} with ${Object.entries(p.versions)
  .map(([name, version]) => `${name} ${version}`)
  .join(
    ', ',
  )} on ${p.machine.cpu}, ${p.machine.cores} cores. Seed ${p.seed}.${p.runs.made > 0 ? ` ${p.runs.made} runs: ${p.runs.sound} counted; ${p.runs.late} not, because the emulator was late, and repeated; ${p.runs.failed} failed.` : ''}

    ${p.commands.join('\n    ')}
`;

/** All figures of ours in the directory. */
async function figuresIn(directory: string): Promise<{ svg: string; provenance: Provenance }[]> {
  const figures: { svg: string; provenance: Provenance }[] = [];
  for (const name of readdirSync(directory)
    .filter((file) => file.endsWith('.svg'))
    .sort()) {
    const svg = await readFile(join(directory, name), 'utf8');
    try {
      figures.push({ svg, provenance: readProvenance(svg, name).provenance });
    } catch {
      // Somebody else's SVG.
    }
  }
  return figures;
}

const CHECKED = /\.(svg|png|csv|md|html|jsonl)$/;

const checksums = (directory: string): string =>
  readdirSync(directory)
    .filter((name) => CHECKED.test(name))
    .sort()
    .map((name) => `${sha256(readFileSync(join(directory, name)))}  ${name}\n`)
    .join('');

async function countFrames(
  shards: readonly Shard[],
  cells: number,
  onDone: (share: number) => void,
  signal: AbortSignal,
): Promise<Totals[]> {
  const { measure, measureHere } = await import('../fidelity/workers.ts');
  // Worker threads of Node cannot read TypeScript: the tests, which run the source, stay in their own thread.
  if (import.meta.url.endsWith('.ts')) return measureHere(shards, cells);
  return measure(shards, cells, onDone, undefined, signal);
}

function fontsOrNote(options: PaperOptions): boolean {
  if (hasFonts()) return true;
  options.note(
    'omni: this machine has no fonts, so PNG files would have no letters: only SVG is made.\n      apt-get install fonts-dejavu-core',
  );
  return false;
}

/** Names what could not be written, and says so of a full disk. */
async function written<T>(directory: string, writing: Promise<T>): Promise<T> {
  try {
    return await writing;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new OmniError('OMNI_DISK_FULL', `the disk of ${directory} is full`, {
        cause,
        remedy: 'make room and give the same command again: finished runs and figures are kept',
      });
    throw new OmniError('OMNI_OUTPUT', `cannot write into ${directory}: ${message}`, { cause });
  }
}
