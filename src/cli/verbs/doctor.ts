/** `omni doctor`: what this machine has and lacks, each with its remedy. */
import type { Command } from 'commander';
import { diagnose, type Finding } from '../../testbed/doctor.ts';
import { EXIT } from '../exit-codes.ts';
import { printJson, verb } from '../verb.ts';

const MARK = { good: 'good   ', note: 'note   ', missing: 'MISSING' } as const;

export function command(): Command {
  return verb('doctor', 'Check that this machine can run testbeds: rights, devices, programs, leftovers.', [
    'omni doctor',
    'sudo omni doctor --json',
  ])
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const findings = await diagnose();
      if (json) printJson(findings);
      else process.stdout.write(`${findings.map(line).join('\n')}\n${verdict(findings)}\n`);
      const missing = findings.filter((f) => f.state === 'missing');
      if (missing.length > 0)
        process.exitCode = missing.every((f) => f.check === 'root') ? EXIT.noPermission : EXIT.unavailable;
    });
}

const line = ({ state, check, found, remedy }: Finding): string =>
  `${MARK[state]}  ${check}: ${found}${remedy === undefined ? '' : `\n         → ${remedy}`}`;

function verdict(findings: readonly Finding[]): string {
  const missing = findings.filter((f) => f.state === 'missing').length;
  return missing === 0
    ? '\nThis machine can run testbeds.'
    : `\n${missing} of ${findings.length} checks found something missing.`;
}
