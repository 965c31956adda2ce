/** What a verb is: one file in src/cli/verbs that exports `command()`, and one line in src/cli/main.ts. */
import { Command, type CommanderError } from 'commander';
import { OmniError } from '../core/index.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface VerbModule {
  command(): Command;
}

/** An error of the user's or the environment's that ends the verb with this exit code. */
export class VerbError extends Error {
  readonly exitCode: ExitCode;
  readonly remedy: string | undefined;
  constructor(exitCode: ExitCode, message: string, remedy?: string) {
    super(message);
    this.exitCode = exitCode;
    this.remedy = remedy;
  }
}

/** A commander command with our defaults; `examples` end its help. */
export function verb(name: string, summary: string, examples: readonly string[]): Command {
  const command = new Command(name).description(summary).exitOverride().showHelpAfterError('(--help shows examples)');
  command.helpCommand(false);
  if (examples.length > 0)
    command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`);
  return command;
}

/** Machine-readable output: one JSON document on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** All words for people that are not the result go to stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

const EXIT_OF: Readonly<Record<string, ExitCode>> = {
  OMNI_NO_PERMISSION: EXIT.noPermission,
  OMNI_UNAVAILABLE: EXIT.unavailable,
  OMNI_INTERRUPTED: EXIT.interrupted,
  OMNI_NO_TESTBED: EXIT.temporary,
  OMNI_TESTBED_UP: EXIT.temporary,
  OMNI_TESTBED_BUSY: EXIT.temporary,
  OMNI_NAME_TAKEN: EXIT.temporary,
  OMNI_NO_DAEMON: EXIT.temporary,
  OMNI_BAD_CHANGE: EXIT.usage,
  OMNI_NOTHING: EXIT.usage,
  OMNI_BAD_FILE: EXIT.dataError,
  OMNI_READ: EXIT.dataError,
  OMNI_BAD_ORBIT: EXIT.dataError,
  OMNI_BAD_SWEEP: EXIT.dataError,
};

/** One clear sentence and the exit code for whatever a verb threw. */
export function explain(error: unknown): { text: string; exitCode: number } {
  if (error instanceof VerbError) return { text: sentence(error.message, error.remedy), exitCode: error.exitCode };
  if (error instanceof OmniError) {
    const code = (error.cause as { code?: string } | undefined)?.code;
    const exitCode = EXIT_OF[error.code] ?? (code === 'EPERM' || code === 'EACCES' ? EXIT.noPermission : EXIT.failure);
    return { text: sentence(error.message, error.remedy), exitCode };
  }
  if (isCommanderError(error)) return { text: '', exitCode: error.exitCode === 0 ? EXIT.success : EXIT.usage };
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), exitCode: EXIT.software };
}

const sentence = (message: string, remedy: string | undefined): string =>
  `omni: ${message}${remedy === undefined ? '' : `\n      ${remedy}`}`;

const isCommanderError = (error: unknown): error is CommanderError =>
  error instanceof Error && typeof (error as { code?: unknown }).code === 'string' && 'exitCode' in error;
