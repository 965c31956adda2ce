/** `omni shell NODE`: the user's shell on a node. */
import type { Command } from 'commander';
import { executeInNamespace } from '../../testbed/execute.ts';
import { requireIp, requireRoot } from '../../testbed/preconditions.ts';
import { findNode, readScenario, selectRunningTestbed } from '../../testbed/select.ts';
import { note, verb } from '../verb.ts';

export function command(): Command {
  return verb('shell', 'Open a shell on a node; the other nodes are there by name.', [
    'omni shell spacecraft',
    'omni shell control --testbed second',
  ])
    .argument('<node>', 'a node of the scenario')
    .option('--testbed <name>', 'which testbed; default: the only one')
    .action(async (name: string, { testbed }: { testbed?: string }) => {
      requireRoot("the node's namespace is entered");
      requireIp();
      const { paths } = await selectRunningTestbed(testbed);
      const { namespace, addresses } = findNode(readScenario(paths), name);
      if (process.stdin.isTTY) note(`omni: a shell on ${name} (${addresses.join(', ')}); 'exit' leaves it`);
      process.exitCode = await executeInNamespace(namespace, [process.env.SHELL ?? '/bin/sh'], {
        // Debian's bash prompt shows it in parentheses.
        debian_chroot: namespace,
        OMNI_NODE: name,
      });
    });
}
