/**
 * What a sweep varies: the matrix of a job file, of flags or of the API, and its expansion to points, in the order in which they
 * are written: the last key of `vary` changes fastest.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../../scenario/index.ts';
import { SweepError } from './error.ts';
import type { Json } from './keys.ts';

const values = z.record(z.string(), z.json());
const NAME = /^[a-z][a-z0-9-]*$/;

export const sweepMatrixSchema = z.strictObject({
  /** Of the sweep, in its results. Default `sweep`. */
  name: z.string().regex(NAME, 'a name is made of lower-case letters, digits and hyphens').max(40).optional(),
  /** A scenario file or the name of one that comes with omni. Default `lab`: a ground station and a spacecraft. */
  scenario: z.string().optional(),
  /** Scenario keys by dotted path, short names (`ber`, `rate`, `mss`, `stack`, …) and `workload`: the same for every cell. */
  set: values.optional(),
  /** The same keys with lists of values: every combination is a cell. */
  vary: z.record(z.string(), z.array(z.json()).min(1, 'a list of values, at least one')).optional(),
  /** Combinations that are not rectangular: each entry is crossed with `vary`. `repetitions` in it is its own number of runs. */
  cells: z.array(values).min(1).optional(),
  /** Runs of each cell. Default 1. */
  repetitions: z.int().min(1).max(100_000).optional(),
  /** Of the sweep: every run's own seed is derived from it. Default 1. */
  seed: z.union([z.int(), z.string()]).optional(),
  /** The link that is measured; needed when the scenario has several. */
  link: z.string().optional(),
  /** The nodes at the ends of the traffic. Default: the spacecraft at the link, and the control centre or else the other end. */
  spacecraft: z.string().optional(),
  client: z.string().optional(),
});

export type SweepMatrix = z.input<typeof sweepMatrixSchema>;

/** One combination: what all have and what is its own. */
export interface Point {
  readonly set: Readonly<Record<string, Json>>;
  readonly varied: Readonly<Record<string, Json>>;
  /** In place of the matrix's. */
  readonly repetitions?: number;
}

export interface Job {
  readonly matrix: SweepMatrix;
  /** What file names in the matrix are relative to. */
  readonly directory: string;
}

/** A job file, YAML or JSON. Throws SweepError; the file system's error when it cannot be read. */
export function readJobFile(file: string): Job {
  const document = parseDocument(readFileSync(file, 'utf8'), { version: '1.2' });
  const [problem] = document.errors;
  if (problem !== undefined) throw new SweepError(file, problem.message);
  return { matrix: checkMatrix(document.toJS() ?? {}), directory: dirname(file) };
}

export function checkMatrix(input: unknown): SweepMatrix {
  const parsed = sweepMatrixSchema.safeParse(input);
  if (parsed.success) return input as SweepMatrix;
  const [issue] = parsed.error.issues;
  if (issue?.code === 'unrecognized_keys') {
    const known = Object.keys(sweepMatrixSchema.shape);
    const key = issue.keys[0]!;
    const hint = didYouMean(key, known);
    const remedy =
      hint === '' ? `what a sweep varies belongs under 'vary'; known here: ${known.join(', ')}` : undefined;
    throw new SweepError([...issue.path, key].join('.'), `unknown key${hint}`, remedy);
  }
  throw new SweepError(issue?.path.join('.') || 'job', issue?.message ?? 'not a sweep');
}

export function pointsOf(matrix: SweepMatrix): Point[] {
  const set = (matrix.set ?? {}) as Record<string, Json>;
  let varied: Record<string, Json>[] = (matrix.cells as Record<string, Json>[] | undefined) ?? [{}];
  for (const [key, list] of Object.entries((matrix.vary ?? {}) as Record<string, Json[]>)) {
    if (varied.some((one) => key in one))
      throw new SweepError(key, "is in 'cells' and in 'vary'", 'leave it in one of them');
    varied = varied.flatMap((one) => list.map((value) => ({ ...one, [key]: value })));
  }
  return varied.map(({ repetitions, ...one }) => ({
    ...{ set: withoutKeys(set, one), varied: one },
    ...(repetitions === undefined ? {} : { repetitions: wholeNumber(repetitions) }),
  }));
}

/** A cell's own value stands in place of the one for all. */
function withoutKeys(set: Record<string, Json>, own: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(set).filter(([key]) => !(key in own)));
}

function wholeNumber(value: Json): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new SweepError('cells.repetitions', `'${String(value)}' is not a number of runs`);
}
