/**
 * `npm run bench:fer` and `npm run bench:undetected`: how true the channel is, as two tables on stdout (Markdown, or --json).
 * Options: --frames=N (fer, frames a cell), --damaged=N (undetected, damaged frames a cell), --workers=N, --json.
 */
import { availableParallelism, cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { binomialInterval99 } from '../frame-error-rate.ts';
import { type Cell, frameErrorRateCells, frameErrorRateShards, undetectedCells, undetectedShards } from './cells.ts';
import { poissonLimits99 } from './interval.ts';
import { measure, type Totals } from './workers.ts';

const USAGE = 'usage: fidelity fer|undetected [--frames=N] [--damaged=N] [--workers=N] [--json]';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: 'string', default: '1000000' },
    damaged: { type: 'string', default: '10000000' },
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
const shards = which === 'fer' ? frameErrorRateShards(cells, frames) : undetectedShards(cells, damaged);
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
      exponent(cell.ber),
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
  const rows = cells.map((cell, i) => {
    const { errors, undetected, spurious } = totals[i]!;
    const { low, high } = poissonLimits99(undetected, errors);
    return [
      `FCS-${cell.fcs}`,
      coding(cell),
      cell.frameOctets,
      exponent(cell.ber),
      errors,
      undetected,
      spurious,
      scientific(undetected / errors),
      `${scientific(low)} … ${scientific(high)}`,
      `${((undetected / errors) * 2 ** cell.fcs).toPrecision(3)}`,
    ];
  });
  const head = [
    'FCS',
    'line code',
    'octets',
    'BER',
    'damaged',
    'undetected',
    'of them spurious',
    'rate',
    '99 % interval',
    'rate ÷ 2^−FCS',
  ];
  return `${table(head, rows)}\n${summary()}`;
}

/** All cells of one FCS and one line code together, beside the theory of random damage. */
function summary(): string {
  const groups = new Map<string, { cell: Cell; sum: Pick<Totals, 'errors' | 'undetected'> }>();
  for (const [i, cell] of cells.entries()) {
    const key = `FCS-${cell.fcs} ${coding(cell)}`;
    const group = groups.get(key) ?? { cell, sum: { errors: 0, undetected: 0 } };
    group.sum.errors += totals[i]!.errors;
    group.sum.undetected += totals[i]!.undetected;
    groups.set(key, group);
  }
  const rows = [...groups.values()].map(({ cell, sum }) => {
    const { low, high } = poissonLimits99(sum.undetected, sum.errors);
    return [
      `FCS-${cell.fcs}`,
      coding(cell),
      sum.errors,
      sum.undetected,
      scientific(sum.undetected / sum.errors),
      `${scientific(low)} … ${scientific(high)}`,
      `2^−${cell.fcs} = ${scientific(2 ** -cell.fcs)}`,
    ];
  });
  return table(['FCS', 'line code', 'damaged', 'undetected', 'rate', '99 % interval', 'theory'], rows);
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

function exponent(x: number): string {
  return x.toExponential(0);
}

function scientific(x: number): string {
  return x === 0 ? '0' : x.toExponential(3);
}
