/**
 * Where a figure comes from, inside the figure: JSON in the SVG's `<metadata>`. With it alone `omni reproduce` runs the figure
 * again; a checksum over it tells whether a figure was edited. Schema: docs/paper.md.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { OmniError } from '../../core/index.ts';
import type { Figure } from './figure.ts';

export const PROVENANCE_SCHEMA = 'omni-figure/1';

const point = z.strictObject({
  panel: z.string(),
  series: z.string(),
  x: z.number(),
  y: z.number(),
  /** 95 % interval unless the figure's notes say otherwise. */
  low: z.number().optional(),
  high: z.number().optional(),
  runs: z.number().optional(),
  recipe: z.record(z.string(), z.unknown()).optional(),
});

const provenanceSchema = z.strictObject({
  schema: z.literal(PROVENANCE_SCHEMA),
  figure: z.string(),
  title: z.string(),
  /** Makes the figure, and makes it again from this file. */
  commands: z.array(z.string()),
  made: z.iso.datetime(),
  versions: z.record(z.string(), z.string()),
  machine: z.strictObject({ cpu: z.string(), cores: z.number(), memoryOctets: z.number() }),
  seed: z.string(),
  /** Of each run, as far as they have their own. */
  seeds: z.array(z.string()),
  /** What the runs were made with; the figure's own form. */
  matrix: z.unknown(),
  /** Made, sound, and not counted because the emulator was late or the run failed. */
  runs: z.strictObject({ made: z.number(), sound: z.number(), late: z.number(), failed: z.number() }),
  points: z.array(point),
  published: z.array(
    z.strictObject({
      panel: z.string(),
      x: z.number(),
      y: z.number(),
      label: z.string(),
      bound: z.string().optional(),
      source: z.string(),
    }),
  ),
  theory: z.array(
    z.strictObject({
      panel: z.string(),
      name: z.string(),
      source: z.string(),
      points: z.array(z.tuple([z.number(), z.number()])),
    }),
  ),
  methods: z.string(),
  findings: z.array(z.string()),
  /** SHA-256 of the CSV files that belong to the figure, by name. */
  files: z.record(z.string(), z.string()),
  /** SHA-256 of this document as JSON, without spaces and with its keys in order, without this key. */
  checksum: z.string(),
});

export type Provenance = z.output<typeof provenanceSchema>;
export type ProvenancePoint = Provenance['points'][number];

export type Origin = Pick<
  Provenance,
  'commands' | 'made' | 'versions' | 'machine' | 'seed' | 'seeds' | 'matrix' | 'runs' | 'files'
>;

export function provenanceOf(figure: Figure, origin: Origin): Provenance {
  const { name, title, panels, methods, findings } = figure;
  const document = {
    schema: PROVENANCE_SCHEMA,
    figure: name,
    title,
    ...origin,
    points: panels.flatMap((panel) =>
      panel.series.flatMap((series) =>
        series.points.map(({ x, y, low, high, runs, recipe }) =>
          defined({
            panel: panel.key,
            series: series.name,
            x: short(x),
            y: short(y),
            low: short(low),
            high: short(high),
            runs,
            recipe,
          }),
        ),
      ),
    ),
    published: panels.flatMap(({ key, published }) =>
      published.map(({ x, y, label, bound, source }) => defined({ panel: key, x, y, label, bound, source })),
    ),
    theory: panels.flatMap(({ key, theory }) =>
      theory.map((line) => ({
        panel: key,
        name: line.name,
        source: line.source,
        points: line.points.filter(({ y }) => Number.isFinite(y)).map(({ x, y }) => [short(x), short(y)]),
      })),
    ),
    methods,
    findings,
  };
  return provenanceSchema.parse({ ...document, checksum: checksumOf(document) });
}

/** As text that may stand in XML: its `<`, `>` and `&` are written as JSON escapes. */
export function provenanceText(provenance: Provenance): string {
  return JSON.stringify(provenance).replace(/[<>&]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export interface ReadProvenance {
  readonly provenance: Provenance;
  /** The checksum fits: nothing in it was changed. */
  readonly intact: boolean;
}

/** Reads the provenance out of an SVG of ours. Throws OmniError OMNI_BAD_FILE. */
export function readProvenance(svg: string, file: string): ReadProvenance {
  const [, text] = /<metadata>([^<]*)<\/metadata>/.exec(svg) ?? [];
  if (text === undefined)
    throw new OmniError('OMNI_BAD_FILE', `${file} holds no provenance`, {
      remedy: "only figures that 'omni paper' drew, unchanged by an editor that drops <metadata>, can be reproduced",
    });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new OmniError('OMNI_BAD_FILE', `the provenance in ${file} is no JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  const parsed = provenanceSchema.safeParse(document);
  if (!parsed.success) {
    const schema = (document as { schema?: unknown } | null)?.schema;
    const [problem] = parsed.error.issues;
    throw new OmniError(
      'OMNI_BAD_FILE',
      schema === PROVENANCE_SCHEMA
        ? `the provenance in ${file} is damaged: ${problem?.path.join('.')}: ${problem?.message}`
        : `the provenance in ${file} is of schema '${String(schema)}', not ${PROVENANCE_SCHEMA}`,
    );
  }
  const { checksum, ...rest } = parsed.data;
  return { provenance: parsed.data, intact: checksumOf(rest) === checksum };
}

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

const checksumOf = (document: unknown): string => sha256(canonicalJson(document));

/** JSON with the keys of every object in order. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value))
    return `[${value.map((item) => (item === undefined ? 'null' : canonicalJson(item))).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}

const defined = <T extends object>(record: T): T =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;

/** Nine digits: more than any measurement has, and the files stay small. */
export function short(value: number): number;
export function short(value: number | undefined): number | undefined;
export function short(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value.toPrecision(9));
}
