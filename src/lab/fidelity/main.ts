/**
 * `npm run bench:fer` and `npm run bench:undetected`: how true the channel is, as two tables on stdout (Markdown, or --json).
 * Options: --frames=N (fer, frames a cell), --damaged=N (undetected, damaged frames a cell), --fcs=16|32 and --errors=independent|burst (undetected, only these), --workers=N, --json.
 */
import { availableParallelism, cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { binomialInterval99 } from '../frame-error-rate.ts';
import { type Cell, frameErrorRateCells, frameErrorRateShards, undetectedCells, undetectedShards } from './cells.ts';
import { poissonLimits99 } from './interval.ts';
import { measure, type Totals } from './workers.ts';

const USAGE =
  'usage: fidelity fer|undetected [--frames=N] [--damaged=N] [--fcs=16|32] [--errors=independent|burst] [--workers=N] [--json]';

const UNDETECTED_COLUMNS = [
  'damaged',
  'undetected',
  'of them spurious',
  'of damaged',
  '99 % interval',
  'judged by the FCS',
  'of judged',
  '÷ 2^−FCS',
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: 'string', default: '1000000' },
    damaged: { type: 'string', default: '10000000' },
    /** undetected: only this FCS. */
    fcs: { type: 'string' },
    /** undetected: only errors of this kind. */
    errors: { type: 'string' },
    workers: { type: 'string', default: String(availableParallelism()) },
    json: { type: 'boolean', default: false },
  },
});
const [which] = positionals;
const [frames, damaged, workers] = [values.frames, values.damaged, values.workers].map(Number) as [
  number,
  number,
  number,
];
const sound = [frames, damaged, workers].every((n) => Number.isInteger(n) && n >= 1);
if ((which !== 'fer' && which !== 'undetected') || positionals.length !== 1 || !sound) {
  process.stderr.write(`${USAGE}\n`);
  process.exit(64);
}

const cells = which === 'fer' ? frameErrorRateCells() : undetectedCells();
const all = which === 'fer' ? frameErrorRateShards(cells, frames) : undetectedShards(cells, damaged);
const shards = all.filter(({ cell }) => {
  const { fcs, noise } = cells[cell]!;
  return (values.fcs ?? String(fcs)) === String(fcs) && (values.errors ?? noise.kind) === noise.kind;
});
const started = process.hrtime.bigint();
const totals = await measure(shards, cells.length, progress, workers);
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');

const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Linux ${release()}, Node ${process.version}`;
if (values.json) {
  const rows = cells.map((cell, i) => ({ ...cell, ...totals[i] }));
  process.stdout.write(`${JSON.stringify({ machine, workers, seconds, rows }, null, 2)}\n`);
} else {
  process.stdout.write(`${machine}; ${workers} workers, ${seconds.toFixed(0)} s\n\n`);
  process.stdout.write(which === 'fer' ? frameErrorTable() : undetectedTable());
}

function frameErrorTable(): string {
  let outside = 0;
  const rows = cells.map((cell, i) => {
    const { frames: n, errors, expected, meanBits } = totals[i]!;
    const { low, high } = binomialInterval99(n, expected);
    const inside = errors >= low && errors <= high;
    if (!inside) outside++;
    return [
      cell.frameOctets,
      meanBits.toFixed(1),
      noiseOf(cell),
      n,
      errors,
      scientific(errors / n),
      scientific(expected),
      `${low} … ${high}`,
      inside ? 'yes' : '**no**',
    ];
  });
  const head = ['octets', 'mean bits', 'BER', 'frames', 'lost', 'measured', 'theory', '99 % interval', 'inside'];
  return `${table(head, rows)}\n${outside} of ${cells.length} cells outside; by chance ${(cells.length / 100).toFixed(2)} are expected.\n`;
}

function undetectedTable(): string {
  const rows = measured().map(({ cell, total }) => [
    `FCS-${cell.fcs}`,
    coding(cell),
    cell.frameOctets,
    noiseOf(cell),
    ...undetectedColumns(cell, total),
  ]);
  const head = ['FCS', 'line code', 'octets', 'BER', ...UNDETECTED_COLUMNS];
  return `${table(head, rows)}\n${summary()}`;
}

function undetectedColumns(cell: Cell, { errors, undetected, spurious, fcsErrors }: Totals): (string | number)[] {
  const { low, high } = poissonLimits99(undetected, errors);
  const judged = fcsErrors + undetected;
  return [
    errors,
    undetected,
    spurious,
    scientific(undetected / errors),
    `${scientific(low)} … ${scientific(high)}`,
    judged,
    scientific(undetected / judged),
    ((undetected / judged) * 2 ** cell.fcs).toPrecision(3),
  ];
}

function measured(): { cell: Cell; total: Totals }[] {
  return cells.map((cell, i) => ({ cell, total: totals[i]! })).filter(({ total }) => total.frames > 0);
}

/** All cells of one FCS, one line code and one kind of noise together. */
function summary(): string {
  const groups = new Map<string, { cell: Cell; total: Totals }>();
  for (const { cell, total } of measured()) {
    const key = `${cell.fcs} ${coding(cell)} ${cell.noise.kind}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { cell, total: { ...total } });
    else
      for (const field of ['errors', 'undetected', 'spurious', 'fcsErrors'] as const)
        group.total[field] += total[field];
  }
  const rows = [...groups.values()].map(({ cell, total }) => [
    `FCS-${cell.fcs}`,
    coding(cell),
    cell.noise.kind,
    ...undetectedColumns(cell, total),
  ]);
  return table(['FCS', 'line code', 'errors', ...UNDETECTED_COLUMNS], rows);
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (columns: readonly (string | number)[]) => `| ${columns.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---:')) + rows.map(line).join('');
}

function progress(part: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${(100 * part).toFixed(1)} %`);
}

function coding(cell: Cell): string {
  return cell.lineCoding.length === 0 ? 'none' : cell.lineCoding.join(' + ');
}

function noiseOf({ noise }: Cell): string {
  return noise.kind === 'independent' ? noise.ber.toExponential(0) : 'bursts';
}

function scientific(x: number): string {
  return x === 0 ? '0' : x.toExponential(3);
}
