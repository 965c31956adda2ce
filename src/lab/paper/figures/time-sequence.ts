/**
 * `time-sequence`: figure 8 of the paper, TCP's sequence numbers against time as tcptrace and xplot draw them, from captures of the
 * flight's transfer replayed: every segment, R where one was sent again, O where one arrived out of order. Several replays
 * meet the same bit errors side by side; the first is drawn, the others tell how far one kernel repeats itself.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { OmniError } from '../../../core/index.ts';
import { writeWholeFile } from '../../../io/whole-file.ts';
import { findScenario } from '../../../scenario/index.ts';
import { takeLock } from '../../../testbed/lock.ts';
import { removeTestbed } from '../../../testbed/remove.ts';
import { testbedPaths } from '../../../testbed/run-directory.ts';
import { FLIGHT } from '../../flight.ts';
import { replay } from '../../replay.ts';
import { mean, summarise } from '../../statistics.ts';
import { reportTransfer, type TransferReport } from '../../transfer-report.ts';
import { readArrivals } from '../arrivals.ts';
import { COLOUR, type Figure, type Point, type Series } from '../figure.ts';
import type { FigureContext, FigureModule } from '../module.ts';
import { sha256 } from '../provenance.ts';
import { beginning, drawTransfer, KILO } from './sequence-plot.ts';

export interface TransferRecipe {
  readonly kind: 'transfer';
  readonly seed: string;
  readonly bitErrorRate: number;
  readonly octets: number;
  readonly replays: number;
  /** Since the first data segment. */
  readonly second: number;
}

const REPLAYS = 5;
const STEP_SECONDS = 5;
const LIMIT_SECONDS = 300;
const LINK = { link: 'space', direction: 'down', linkBitPerSecond: FLIGHT.linkBitPerSecond } as const;

interface Recorded {
  readonly file: string;
  readonly report: TransferReport;
}

export const timeSequence: FigureModule = {
  name: 'time-sequence',
  summary: 'figure 8: TCP sequence against time, from a capture',
  needsTestbeds: true,
  programs: ['curl'],
  matrix: (context) => ({ transfer: transferOf(context) }),
  async build(context) {
    const transfer = transferOf(context);
    return figureOf(await record(transfer, context), transfer);
  },
};

const transferOf = ({ seed, scale, repetitions }: FigureContext): Transfer => ({
  ...{ kind: 'transfer', seed, bitErrorRate: FLIGHT.bitErrorRate },
  octets: Math.max(5000, Math.round(FLIGHT.octets * Math.min(1, scale))),
  replays: Math.min(REPLAYS, repetitions ?? REPLAYS),
});

export async function remeasureTransfers(recipes: readonly TransferRecipe[], context: FigureContext): Promise<Point[]> {
  const recordings = new Map<string, Recorded[]>();
  const points: Point[] = [];
  for (const recipe of recipes) {
    const { second: _, ...transfer } = recipe;
    const key = JSON.stringify(transfer);
    const recorded = recordings.get(key) ?? (await record(transfer, context));
    recordings.set(key, recorded);
    points.push(pointOf(recipe, recorded));
  }
  return points;
}

type Transfer = Omit<TransferRecipe, 'second'>;

/** Records the replays, unless the directory has them already: what a killed command had finished is not done again. */
async function record(transfer: Transfer, context: FigureContext): Promise<Recorded[]> {
  const directory = join(resolve(context.directory), 'time-sequence');
  await mkdir(directory, { recursive: true });
  const keys = Array.from({ length: transfer.replays }, (_, i) => `r${i + 1}`);
  const files = keys.map((key) => join(directory, `${key}-link.pcapng`));
  const done = join(directory, 'transfer.json');
  if (readIfThere(done) !== JSON.stringify(transfer)) {
    await rm(done, { force: true });
    const scenarioFile = findScenario('uosat12');
    // Named after the directory: what a killed command left up is found, and removed, by the next.
    const name = `paper-${sha256(directory).slice(0, 8)}`;
    for (const key of keys) await removeLeftOver(`${name}-${key}`);
    const results = await replay({
      scenarioText: readFileSync(scenarioFile, 'utf8'),
      scenarioFile,
      variants: keys.map((key) => ({ key, title: key, tcp: { stack: '2000', maximumSegment: FLIGHT.segmentOctets } })),
      name,
      seed: transfer.seed,
      bitErrorRate: transfer.bitErrorRate,
      image: { name: 'earth-limb.png', octets: transfer.octets, seed: 2000 },
      directory,
      limitSeconds: LIMIT_SECONDS,
      signal: context.signal,
      note: () => {},
      progress: (state) => context.progress(mean(state.map(({ octets, ofOctets }) => octets / ofOctets))),
    });
    const failed = results.find(({ complete }) => !complete);
    if (failed !== undefined)
      throw new OmniError(
        'OMNI_TRANSFER',
        `time-sequence: the transfer failed: ${failed.problem ?? 'the image differs'}`,
      );
    await writeWholeFile(done, JSON.stringify(transfer), 0o644);
  }
  return Promise.all(
    files.map(async (file) => {
      const report = await reportTransfer(file, LINK);
      if (report === undefined) throw new OmniError('OMNI_TRANSFER', `${file} holds no transfer; remove ${done}`);
      return { file, report };
    }),
  );
}

async function removeLeftOver(name: string): Promise<void> {
  const paths = testbedPaths(name);
  if (!existsSync(paths.directory)) return;
  const lock = await takeLock(paths);
  if (lock === undefined)
    throw new OmniError('OMNI_TESTBED_BUSY', 'another omni command makes this figure in this directory', {
      remedy: 'wait for it, or give --output another directory',
    });
  try {
    await removeTestbed(paths, { purge: true });
  } finally {
    lock.release();
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Octets acknowledged so many seconds after the first data segment, over the replays. */
function pointOf(recipe: TransferRecipe, recorded: readonly Recorded[]): Point {
  const values = recorded.map(({ report }) => acknowledgedAt(report, recipe.second) / KILO);
  const { mean: y, meanInterval } = summarise(values);
  return { x: recipe.second, y, ...meanInterval, runs: values.length, recipe: { ...recipe } };
}

function acknowledgedAt({ flow }: TransferReport, second: number): number {
  const began = beginning(flow);
  let octets = 0;
  for (const step of flow.acknowledged) if (step.at - began.at <= second) octets = step.octets - began.sequence;
  return Math.max(0, octets);
}

async function figureOf(recorded: readonly Recorded[], transfer: Transfer): Promise<Figure> {
  const [first] = recorded;
  const arrivals = await readArrivals(first!.file, { ...LINK, ...first!.report.flow });
  const longest = Math.max(...recorded.map(({ report }) => report.seconds));
  const seconds = Array.from({ length: Math.floor(longest / STEP_SECONDS) }, (_, i) => (i + 1) * STEP_SECONDS);
  const repeats: Series = {
    name: `acknowledged, mean of ${recorded.length} replays of the same bit errors`,
    style: { colour: COLOUR.orange, symbol: 'square', hollow: true },
    draw: 'points',
    points: seconds.map((second) => pointOf({ ...transfer, second }, recorded)),
  };
  const range = (of: (report: TransferReport) => number, digits = 0): string => {
    const values = recorded.map(({ report }) => of(report));
    const [least, most] = [Math.min(...values).toFixed(digits), Math.max(...values).toFixed(digits)];
    return least === most ? least : `${least} to ${most}`;
  };
  return drawTransfer(
    first!.report,
    arrivals,
    [repeats],
    `curl fetches ${transfer.octets} octets by FTP from the spacecraft of the scenario uosat12 (38.4 kbit/s down, 9.6 kbit/s up, BER ${transfer.bitErrorRate} down) over the TCP of 2000 with segments of 512 octets, ${transfer.replays} times side by side with the seed ${transfer.seed}: the same bit errors. The link's recorder captured every packet (time-sequence/r*-link.pcapng); the first capture is drawn.`,
    [
      `Over ${recorded.length} replays of the same errors: ${range((r) => r.seconds, 1)} s, ${range((r) => 100 * r.utilisation, 1)} % of the downlink, ${range((r) => r.retransmissions.total)} retransmissions; the flight: ${FLIGHT.seconds} s, ${100 * FLIGHT.utilisation} %, ${FLIGHT.retransmissions.total}.`,
    ],
  );
}
