#!/usr/bin/env node
// `npm run fuzz [-- NAME…] [--packets=N] [--seed=TEXT]`: feeds hostile input to the targets in test/fuzz, 1e7 packets in all
// unless told. What makes one fail is cut down to the inputs that matter and written to test/vectors/corpus/, which
// `npm test` replays. Exit code 1 when something was found.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const PACKETS_PER_RUN = 4096;
const MOST_FINDINGS = 10;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const available = readdirSync(join(root, 'test/fuzz'))
  .filter((file) => file.endsWith('.ts') && file !== 'target.ts')
  .map((file) => basename(file, '.ts'));
const usage = `usage: npm run fuzz [-- NAME…] [--packets=N] [--seed=TEXT]   (names: ${available.join(', ')})`;

const { names, packets, seed } = readArguments();
const folder = compile();
let found = 0;
try {
  for (const name of names) {
    const { target } = await import(pathToFileURL(join(folder, 'test/fuzz', `${name}.js`)).href);
    found += fuzz(target, Math.ceil(packets / names.length));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = found === 0 ? 0 : 1;

function fuzz(target, count) {
  const began = process.hrtime.bigint();
  let shown = began;
  let findings = 0;
  const runs = Math.ceil(count / PACKETS_PER_RUN);
  for (let run = 0; run < runs && findings < MOST_FINDINGS; run++) {
    const runSeed = `${seed}/${run}`;
    try {
      target.run(target.inputs(runSeed, PACKETS_PER_RUN));
    } catch (error) {
      findings++;
      keep(target, runSeed, error);
    }
    const now = process.hrtime.bigint();
    if (now - shown > 2_000_000_000n) {
      shown = now;
      progress(target, run + 1, runs, began, now);
    }
  }
  const done = runs * PACKETS_PER_RUN;
  const elapsed = Number(process.hrtime.bigint() - began) / 1e9;
  process.stdout.write(
    `${target.name}: ${done} packets in ${elapsed.toFixed(0)} s (${Math.round(done / elapsed)} a second), seed ${seed}: ${findings === 0 ? 'nothing found' : `${findings} runs failed`}\n`,
  );
  return findings;
}

function progress(target, run, runs, began, now) {
  const remaining = ((Number(now - began) / 1e9) * (runs - run)) / run;
  process.stderr.write(`${target.name}: ${Math.floor((100 * run) / runs)} %, ${Math.ceil(remaining)} s to go\n`);
}

/** Writes the shortest list of inputs that still fails. */
function keep(target, runSeed, error) {
  // The generator uses its buffer again, so copy while it runs.
  const steps = [];
  for (const step of target.inputs(runSeed, PACKETS_PER_RUN)) steps.push({ ...step, octets: step.octets.slice() });
  const shortest = shrink(target, steps);
  const record = {
    target: target.name,
    found: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    seed: runSeed,
    steps: shortest.map(({ ingress, octets }) => ({ ingress, octets: Buffer.from(octets).toString('hex') })),
  };
  const text = `${JSON.stringify(record, undefined, 2)}\n`;
  const path = join(
    root,
    'test/vectors/corpus',
    `${target.name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.json`,
  );
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  process.stdout.write(`${target.name}: ${record.found}\n  ${shortest.length} inputs, kept in ${path}\n`);
}

/** Leaves out halves, quarters, … of the inputs as long as the rest still fails. */
function shrink(target, steps) {
  let kept = steps;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (without.length < kept.length && fails(target, without)) kept = without;
      else at += size;
    }
  }
  return kept;
}

function fails(target, steps) {
  try {
    target.run(steps);
    return false;
  } catch {
    return true;
  }
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        packets: { type: 'string', default: '10000000' },
        seed: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    const count = Number(values.packets);
    if (!(Number.isFinite(count) && count >= 1)) throw new Error('--packets takes a number above 0');
    const unknown = positionals.find((name) => !available.includes(name));
    if (unknown !== undefined) throw new Error(`there is no test/fuzz/${unknown}.ts`);
    return {
      names: positionals.length > 0 ? positionals : available,
      packets: count,
      seed: values.seed ?? String(process.hrtime.bigint() % 1_000_000_000n),
    };
  } catch (error) {
    process.stderr.write(`fuzz: ${error.message}\n${usage}\n`);
    process.exit(2);
  }
}

/** Compiles test/fuzz and what it imports into a folder of its own under dist/, where packages still resolve. */
function compile() {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const target = mkdtempSync(join(root, 'dist', '.fuzz-'));
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: { types: ['node'], rootDir: root, outDir: target, typeRoots: [join(root, 'node_modules/@types')] },
    include: [join(root, 'test/fuzz')],
  };
  writeFileSync(join(target, 'tsconfig.json'), JSON.stringify(config));
  const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', target], { stdio: ['ignore', 2, 2] });
  if (status === 0) return target;
  rmSync(target, { recursive: true, force: true });
  process.stderr.write('fuzz: the targets do not compile\n');
  process.exit(1);
}
