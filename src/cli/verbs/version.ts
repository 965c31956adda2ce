/** `omni version`: what to name in a bug report. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Command } from 'commander';
import { printJson, verb } from '../verb.ts';

export function command(): Command {
  return verb('version', 'Print the versions of omni, Node and the kernel.', ['omni version', 'omni version --json'])
    .option('--json', 'print JSON')
    .action((options: { json?: boolean }) => {
      const versions = { omni: packageVersion(), node: process.versions.node, kernel: release() };
      if (options.json) printJson(versions);
      else process.stdout.write(`omni ${versions.omni} (Node ${versions.node}, Linux ${versions.kernel})\n`);
    });
}

export function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
