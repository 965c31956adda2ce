#!/usr/bin/env node
// `npm run bench [-- NAME…] [--json] [--rounds=N]`: runs bench/NAME.ts (all by default) and prints the median time per unit.
//
// The benchmarks of a file take turns, a slice of each per round, so that a disturbance hits them alike; `ratio` is the median
// over the rounds of the time relative to the file's yardstick in the same round. Compare ratios between machines and runs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const SLICE_MS = 25;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const available = readdirSync(join(root, 'bench'))
  .filter((file) => file.endsWith('.ts') && file !== 'benchmark.ts')
  .map((file) => basename(file, '.ts'));

const usage = `usage: npm run bench [-- NAME…] [--json] [--rounds=N]   (names: ${available.join(', ')})`;
const { names, json, rounds } = readArguments();
const machine = {
  processor: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  kernel: release(),
  node: process.version,
};
const folder = compile();
try {
  const results = {};
  const comparisons = {};
  for (const name of names) {
    const { benchmarks, compare } = await import(pathToFileURL(join(folder, 'bench', `${name}.js`)).href);
    // `compare` measures whole programs against each other and makes its own table.
    if (compare === undefined) results[name] = measure(benchmarks());
    else comparisons[name] = await compare({ rounds, root });
  }
  if (json) process.stdout.write(`${JSON.stringify({ machine, rounds, results, comparisons }, undefined, 2)}\n`);
  else printTables(results, comparisons);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        rounds: { type: 'string', default: '21' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    const count = Number(values.rounds);
    if (!Number.isInteger(count) || count < 1) throw new Error('--rounds takes a whole number above 0');
    const unknown = positionals.find((name) => !available.includes(name));
    if (unknown !== undefined) throw new Error(`there is no bench/${unknown}.ts`);
    return { names: positionals.length > 0 ? positionals : available, json: values.json, rounds: count };
  } catch (error) {
    process.stderr.write(`bench: ${error.message}\n${usage}\n`);
    process.exit(2);
  }
}

/** Compiles bench/ and what it imports into a folder of its own under dist/, where packages still resolve. */
function compile() {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const target = mkdtempSync(join(root, 'dist', '.bench-'));
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: { types: ['node'], rootDir: root, outDir: target, typeRoots: [join(root, 'node_modules/@types')] },
    include: [join(root, 'bench')],
  };
  writeFileSync(join(target, 'tsconfig.json'), JSON.stringify(config));
  const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', target], { stdio: ['ignore', 2, 2] });
  if (status === 0) return target;
  rmSync(target, { recursive: true, force: true });
  process.stderr.write('bench: the benchmarks do not compile\n');
  process.exit(1);
}

function measure(benchmarks) {
  const yardstick = Math.max(
    0,
    benchmarks.findIndex((benchmark) => benchmark.yardstick),
  );
  const runs = benchmarks.map((benchmark) => {
    timeOf(benchmark, 3);
    const once = timeOf(benchmark, 3) / 3;
    const count = Math.max(1, Math.round((SLICE_MS * 1e6) / once));
    timeOf(benchmark, count);
    return count;
  });
  const times = benchmarks.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, benchmark] of benchmarks.entries()) {
      times[i].push(timeOf(benchmark, runs[i]) / runs[i] / benchmark.unitsPerRun);
    }
  }
  return benchmarks.map(({ name, unit }, i) => ({
    name,
    unit,
    medianNanoseconds: median(times[i]),
    leastNanoseconds: Math.min(...times[i]),
    ratio: median(times[i].map((time, round) => time / times[yardstick][round])),
  }));
}

/** Nanoseconds that `count` runs take. */
function timeOf(benchmark, count) {
  let sum = 0;
  const started = process.hrtime.bigint();
  for (let i = 0; i < count; i++) sum += benchmark.run();
  const elapsed = Number(process.hrtime.bigint() - started);
  if (!Number.isFinite(sum)) throw new Error(`${benchmark.name} computed ${sum}`);
  return elapsed;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function printTables(results, comparisons) {
  process.stdout.write(
    `${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, ${rounds} rounds\n`,
  );
  for (const [file, rows] of Object.entries(results)) {
    const width = Math.max(...rows.map((row) => row.name.length), file.length);
    process.stdout.write(`\n${file.padEnd(width)}   median ns      least     ratio\n`);
    for (const row of rows) {
      const columns = [row.medianNanoseconds, row.leastNanoseconds, row.ratio].map((value) =>
        value.toFixed(3).padStart(9),
      );
      process.stdout.write(`${row.name.padEnd(width)}   ${columns.join('  ')}   per ${row.unit}\n`);
    }
  }
  for (const { text } of Object.values(comparisons)) process.stdout.write(text);
}
