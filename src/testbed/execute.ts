/** Runs a program inside a node's namespace, as if it had been started there: its terminal, exit code and signals. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { OmniError } from '../core/index.ts';
import { findProgram } from './preconditions.ts';

/** Signals that a person or a supervisor sends to us but means for the program. */
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;

/** Resolves to its exit code, or 128 + the signal that ended it, as a shell has it. */
export function executeInNamespace(
  namespace: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(findProgram('ip') ?? 'ip', ['netns', 'exec', namespace, ...command], {
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  // The terminal sends Ctrl-C to the whole foreground group, the program included; without a terminal it is ours to pass on.
  const interrupt = () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  };
  const passOn = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', interrupt);
  for (const signal of PASSED_ON) process.on(signal, passOn);
  return new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new OmniError('OMNI_EXEC', `cannot start 'ip netns exec': ${cause.message}`, { cause })),
    );
    child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  }).finally(() => {
    process.off('SIGINT', interrupt);
    for (const signal of PASSED_ON) process.off(signal, passOn);
  });
}
