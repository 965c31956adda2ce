/** `omni down`: removes a testbed, whole or what a crash left of it. */
import type { Command } from 'commander';
import { OmniError } from '../../core/index.ts';
import { takeLock } from '../../testbed/lock.ts';
import { requireIp, requireRoot } from '../../testbed/preconditions.ts';
import { type Removal, removeTestbed } from '../../testbed/remove.ts';
import { removeOrphanedScratch } from '../../testbed/scratch.ts';
import { listTestbeds, selectTestbed, type TestbedState } from '../../testbed/select.ts';
import { note, printJson, verb } from '../verb.ts';

interface Options {
  readonly all?: boolean;
  readonly purge?: boolean;
  readonly testbed?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'down',
    'Remove a testbed: every process, namespace, device and file that is its own, also after a crash.',
    [
      'omni down               the only one',
      'omni down uosat12',
      'omni down --all',
      'omni down --purge       also the files that its nodes stored (images, mail)',
    ],
  )
    .argument('[testbed]', 'which; default: the only one')
    .option('--testbed <name>', 'the same as the argument')
    .option('--all', 'every testbed')
    .option('--purge', 'also what outlives a testbed: files on the nodes, mail queues, clocks')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(argument: string | undefined, options: Options): Promise<void> {
  requireRoot('namespaces are removed');
  requireIp();
  const testbeds = options.all ? await listTestbeds() : [await selectTestbed(argument ?? options.testbed)];
  // A removal that has begun is carried through: half a testbed is worse than waiting a second.
  const carryOn = () => note('omni: carrying the removal through; the machine will be clean');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, carryOn);
  const removed: (Removal & { name: string })[] = [];
  for (const testbed of testbeds)
    removed.push({ name: testbed.name, ...(await remove(testbed, options.purge === true)) });
  if (options.all) removeOrphanedScratch();
  if (options.json) printJson(removed);
  else
    for (const { name, namespaces, processes } of removed)
      process.stdout.write(`${name} is down: ${namespaces} namespaces and ${processes} processes removed\n`);
}

async function remove({ name, paths }: TestbedState, purge: boolean): Promise<Removal> {
  const lock = await takeLock(paths);
  if (lock === undefined)
    throw new OmniError('OMNI_TESTBED_BUSY', `another omni command is building or removing '${name}'`, {
      remedy: 'wait for it, or interrupt it there',
    });
  try {
    return await removeTestbed(paths, { purge });
  } finally {
    lock.release();
  }
}
