/** `omni exec NODE -- COMMAND…`: a program on a node, with our terminal, its exit code, our signals. */
import type { Command } from 'commander';
import { executeInNamespace } from '../../testbed/execute.ts';
import { requireIp, requireRoot } from '../../testbed/preconditions.ts';
import { findNode, readScenario, selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { VerbError, verb } from '../verb.ts';

export function command(): Command {
  return verb('exec', 'Run a program on a node; its exit code is ours.', [
    'omni exec control -- ping -c 3 spacecraft',
    'omni exec control -- curl -O ftp://spacecraft/pub/earth.png',
    "omni exec spacecraft -- sh -c 'ip route; ss -ltn'",
  ])
    .argument('<node>', 'a node of the scenario')
    .argument('<command...>', 'the program and its arguments, after --')
    .option('--testbed <name>', 'which testbed; default: the only one')
    .passThroughOptions()
    .action(async (node: string, words: string[], { testbed }: { testbed?: string }) => {
      const program = words[0] === '--' ? words.slice(1) : words;
      if (program.length === 0) throw new VerbError(EXIT.usage, 'what shall run?', 'omni exec NODE -- COMMAND…');
      requireRoot("the node's namespace is entered");
      requireIp();
      const { paths } = await selectRunningTestbed(testbed);
      process.exitCode = await executeInNamespace(findNode(readScenario(paths), node).namespace, program);
    });
}
