/**
 * Results as tables: one row a cell with the mean, the median and the 95 % bootstrap interval of each measure over the sound runs,
 * for people, as CSV and as JSON; or one row a run. Pure.
 */
import { type Interval, summarise } from '../statistics.ts';
import { isSound, type SweepMeasures, type SweepResult } from './result.ts';

/** A number of a run that tables show: its column, its unit, and whether people see it without asking. */
export interface Column {
  readonly name: string;
  readonly unit: string;
  readonly of: (measures: SweepMeasures) => number | null;
}

export const COLUMNS: readonly Column[] = [
  { name: 'goodput', unit: 'bit/s', of: (m) => m.goodputBitPerSecond },
  { name: 'utilisation', unit: '1', of: (m) => m.utilisation },
  { name: 'efficiency', unit: '1', of: (m) => m.efficiency },
  { name: 'seconds', unit: 's', of: (m) => m.seconds },
  { name: 'finish', unit: 's', of: (m) => m.finishSeconds },
  { name: 'octets', unit: 'octet', of: (m) => m.octets },
  { name: 'segments', unit: '1', of: (m) => m.segments },
  { name: 'retransmissions', unit: '1', of: (m) => m.retransmissions.total },
  { name: 'retransmissions fast', unit: '1', of: (m) => m.retransmissions.fast },
  { name: 'retransmissions timeout', unit: '1', of: (m) => m.retransmissions.timeout + m.retransmissions.probe },
  { name: 'retransmissions spurious', unit: '1', of: (m) => m.retransmissions.spurious },
  { name: 'round trip median', unit: 's', of: (m) => m.roundTrip?.median ?? null },
  { name: 'round trip minimum', unit: 's', of: (m) => m.roundTrip?.minimum ?? null },
  { name: 'frames lost to noise', unit: '1', of: (m) => lostTo(m, (reason) => reason.startsWith('noise-')) },
  { name: 'packets lost in a queue', unit: '1', of: (m) => lostTo(m, (reason) => reason.startsWith('queue-')) },
  { name: 'bit errors', unit: '1', of: (m) => m.frames.bitErrors },
  { name: 'exchanges', unit: '1', of: (m) => m.exchanges?.done ?? null },
  { name: 'exchange median', unit: 's', of: (m) => m.exchanges?.seconds?.median ?? null },
];

const lostTo = (m: SweepMeasures, is: (reason: string) => boolean): number =>
  Object.entries(m.frames.lost).reduce((sum, [reason, count]) => sum + (is(reason) ? count : 0), 0);

export interface MeasureSummary {
  readonly unit: string;
  readonly mean: number;
  readonly median: number;
  readonly meanInterval: Interval;
  readonly medianInterval: Interval;
  readonly least: number;
  readonly greatest: number;
  readonly deviation: number;
}

export interface CellSummary {
  readonly cell: string;
  readonly varied: SweepResult['settings']['varied'];
  readonly settings: SweepResult['settings'];
  /** Runs that count. */
  readonly runs: number;
  /** Repetitions that hit the time limit, and those of which every attempt was late or failed. */
  readonly incomplete: number;
  readonly unsound: number;
  readonly measures: Readonly<Record<string, MeasureSummary>>;
}

/** In the order of what varies, first key first. */
export function summariseCells(results: readonly SweepResult[]): CellSummary[] {
  const cells = new Map<string, SweepResult[]>();
  for (const result of results) {
    const known = cells.get(result.cell);
    if (known === undefined) cells.set(result.cell, [result]);
    else known.push(result);
  }
  const summaries = [...cells].map(([cell, runs]) => {
    const sound = soundRuns(runs);
    const settled = new Set(sound.map(({ repetition }) => repetition));
    const open = new Map(runs.filter((r) => !settled.has(r.repetition)).map((r) => [r.repetition, r]));
    const measures: Record<string, MeasureSummary> = {};
    for (const { name, unit, of } of COLUMNS) {
      const values = sound.map((run) => of(run.measures)).filter((value) => value !== null);
      if (values.length === 0) continue;
      const { count: _, ...summary } = summarise(values, { seed: `${cell}/${name}` });
      measures[name] = { unit, ...summary };
    }
    const { settings } = runs[0]!;
    return {
      cell,
      varied: settings.varied,
      settings,
      runs: sound.length,
      incomplete: [...open.values()].filter((run) => run.outcome === 'incomplete' && !run.lateness.late).length,
      unsound: [...open.values()].filter((run) => run.outcome !== 'incomplete' || run.lateness.late).length,
      measures,
    };
  });
  const keys = variedKeys(summaries);
  return summaries.sort((a, b) => {
    for (const key of keys) {
      const order = compareValues(a.varied[key], b.varied[key]);
      if (order !== 0) return order;
    }
    return 0;
  });
}

function compareValues(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [x, y] = [valueText(a), valueText(b)];
  return x.localeCompare(y, 'en', { numeric: true });
}

/** One sound run for each repetition: the first, should merged files have several. */
export function soundRuns(results: readonly SweepResult[]): (SweepResult & { readonly measures: SweepMeasures })[] {
  const seen = new Set<string>();
  return results.filter(isSound).filter(({ cell, repetition }) => {
    const key = `${cell}/${repetition}`;
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

/** Rows of text for a terminal: what varies, then what most people ask. */
export function tableRows(cells: readonly CellSummary[]): string[][] {
  const keys = variedKeys(cells);
  const exchanges = cells.some(({ measures }) => measures['exchange median'] !== undefined);
  const head = [
    ...keys,
    'runs',
    'goodput: mean',
    'median',
    '95 % of the mean',
    'of the line',
    '95 %',
    'again: fast',
    'time-out',
    'needless',
    'round trip',
    'lost: noise',
    'queue',
    ...(exchanges ? ['exchange'] : []),
    'left out',
  ];
  const rows = cells.map(({ varied, runs, incomplete, unsound, measures }) => {
    const { goodput, utilisation } = measures;
    const mean = (name: string, digits = 1) => measures[name]?.mean.toFixed(digits) ?? '–';
    const left = [incomplete > 0 ? `${incomplete} over time` : '', unsound > 0 ? `${unsound} late or failed` : ''];
    return [
      ...keys.map((key) => valueText(varied[key])),
      String(runs),
      goodput === undefined ? '–' : bitRate(goodput.mean),
      goodput === undefined ? '–' : bitRate(goodput.median),
      goodput === undefined ? '–' : `${bitRate(goodput.meanInterval.low)} … ${bitRate(goodput.meanInterval.high)}`,
      utilisation === undefined ? '–' : percent(utilisation.mean),
      utilisation === undefined
        ? '–'
        : `${percent(utilisation.meanInterval.low)} … ${percent(utilisation.meanInterval.high)}`,
      mean('retransmissions fast'),
      mean('retransmissions timeout'),
      mean('retransmissions spurious'),
      measures['round trip median'] === undefined ? '–' : milliseconds(measures['round trip median'].mean),
      mean('frames lost to noise'),
      mean('packets lost in a queue'),
      ...(exchanges
        ? [measures['exchange median'] === undefined ? '–' : milliseconds(measures['exchange median'].mean)]
        : []),
      left.filter((text) => text !== '').join(', ') || '0',
    ];
  });
  return [head, ...rows];
}

/** One row a cell; every measure with mean, median and interval. */
export function cellsCsv(cells: readonly CellSummary[]): string {
  const keys = variedKeys(cells);
  const columns = COLUMNS.filter(({ name }) => cells.some(({ measures }) => measures[name] !== undefined));
  const head = [
    'cell',
    ...keys,
    'runs [1]',
    'incomplete [1]',
    'unsound [1]',
    ...columns.flatMap(({ name, unit }) =>
      ['mean', 'median', 'mean low 95', 'mean high 95', 'deviation'].map((what) => `${name} ${what} [${unit}]`),
    ),
  ];
  const rows = cells.map((cell) => [
    cell.cell,
    ...keys.map((key) => valueText(cell.varied[key])),
    cell.runs,
    cell.incomplete,
    cell.unsound,
    ...columns.flatMap(({ name }): (string | number)[] => {
      const m = cell.measures[name];
      return m === undefined
        ? ['', '', '', '', '']
        : [m.mean, m.median, m.meanInterval.low, m.meanInterval.high, m.deviation];
    }),
  ]);
  return csv([head, ...rows]);
}

export type ColumnStyle = 'omni' | 'flent' | 'ns3';
export const COLUMN_STYLES: readonly ColumnStyle[] = ['omni', 'flent', 'ns3'];

type RunColumn = readonly [
  head: string,
  of: (run: SweepResult & { readonly measures: SweepMeasures }) => string | number,
];

const MILLION = 1e6;
const RUN_COLUMNS: Readonly<Record<ColumnStyle, readonly RunColumn[]>> = {
  omni: [
    ...COLUMNS.map(({ name, unit, of }): RunColumn => [`${name} [${unit}]`, ({ measures }) => of(measures) ?? '']),
    ['lateness maximum [ns]', ({ lateness }) => lateness.maximumNanoseconds],
  ],
  // The series names of flent's tcp_download and tcp_upload tests, and its units.
  flent: [
    [
      'TCP download [Mbits/s]',
      (run) => (run.settings.direction === 'down' ? run.measures.goodputBitPerSecond / MILLION : ''),
    ],
    [
      'TCP upload [Mbits/s]',
      (run) => (run.settings.direction === 'up' ? run.measures.goodputBitPerSecond / MILLION : ''),
    ],
    ['TCP RTT [ms]', ({ measures }) => (measures.roundTrip === null ? '' : 1000 * measures.roundTrip.median)],
    ['TCP retransmissions [1]', ({ measures }) => measures.retransmissions.total],
    ['TOTAL_LENGTH [s]', ({ measures }) => measures.seconds],
  ],
  // The attributes of a Flow in ns-3's FlowMonitor.
  ns3: [
    ['txPackets [1]', ({ measures }) => measures.segmentsSent],
    ['rxPackets [1]', ({ measures }) => measures.segments],
    ['rxBytes [octet]', ({ measures }) => measures.octets],
    ['lostPackets [1]', ({ measures }) => Object.values(measures.frames.lost).reduce((sum, n) => sum + n, 0)],
    ['throughput [bit/s]', ({ measures }) => measures.goodputBitPerSecond],
    ['duration [s]', ({ measures }) => measures.seconds],
  ],
};

/** One row a sound run. */
export function runsCsv(results: readonly SweepResult[], style: ColumnStyle = 'omni'): string {
  const runs = soundRuns(results);
  const keys = variedKeys(runs.map(({ settings }) => settings));
  const columns = RUN_COLUMNS[style];
  const head = ['cell', ...keys, 'repetition [1]', 'seed', ...columns.map(([name]) => name)];
  const rows = runs.map((run) => [
    run.cell,
    ...keys.map((key) => valueText(run.settings.varied[key])),
    run.repetition,
    run.seed,
    ...columns.map(([, of]) => of(run)),
  ]);
  return csv([head, ...rows]);
}

/** Several results files as one: each run once, in the order of cells and repetitions as they first appear. */
export function mergeResults(files: readonly (readonly SweepResult[])[]): SweepResult[] {
  const lines = new Map<string, SweepResult>();
  for (const results of files) for (const result of results) lines.set(JSON.stringify(result), result);
  const cells = new Map([...lines.values()].map(({ cell }, i) => [cell, i] as const).reverse());
  return [...lines.values()].sort(
    (a, b) => cells.get(a.cell)! - cells.get(b.cell)! || a.repetition - b.repetition || a.attempt - b.attempt,
  );
}

export function variedKeys(cells: readonly Pick<CellSummary, 'varied'>[]): string[] {
  return [...new Set(cells.flatMap(({ varied }) => Object.keys(varied)))];
}

export function valueText(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** RFC 4180. */
function csv(rows: readonly (readonly (string | number)[])[]): string {
  const field = (value: string | number): string => {
    const text = typeof value === 'number' ? String(value) : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

export function bitRate(bitPerSecond: number): string {
  if (bitPerSecond >= 1e6) return `${(bitPerSecond / 1e6).toPrecision(3)} Mbit/s`;
  return `${(bitPerSecond / 1e3).toPrecision(3)} kbit/s`;
}
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const milliseconds = (seconds: number): string => `${(1000 * seconds).toFixed(0)} ms`;
