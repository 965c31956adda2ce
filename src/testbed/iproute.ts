/** `ip -batch`: many changes in one process, a few milliseconds each time. */
import { spawn } from 'node:child_process';
import { OmniError } from '../core/index.ts';
import { INSTANCE_VARIABLE } from './processes.ts';

export interface BatchOptions {
  /** Run inside this namespace. */
  readonly namespace?: string;
  /** Go on after a line that fails. */
  readonly force?: boolean;
  /** The testbed's mark, so that a crash of ours does not leave the child behind unseen. */
  readonly instance?: string;
}

/**
 * Throws OmniError OMNI_IP with the line that failed and what `ip` said. The child has its own session: a Ctrl-C at the
 * terminal reaches us, not it, and so never leaves a batch half done.
 */
export function ipBatch(lines: readonly string[], options: BatchOptions = {}): Promise<void> {
  if (lines.length === 0) return Promise.resolve();
  const args = [
    ...(options.namespace === undefined ? [] : ['-n', options.namespace]),
    ...(options.force ? ['-force'] : []),
    '-batch',
    '-',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('ip', args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      env: {
        ...process.env,
        PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`,
        ...(options.instance !== undefined && { [INSTANCE_VARIABLE]: options.instance }),
      },
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (said.length < 65_536) said += chunk.toString();
    });
    child.stdin.on('error', () => {}); // It ended early; its exit code tells.
    child.once('error', (cause) =>
      reject(
        (cause as NodeJS.ErrnoException).code === 'ENOENT'
          ? new OmniError('OMNI_UNAVAILABLE', "the program 'ip' is not installed", {
              remedy: 'apt-get install iproute2',
            })
          : new OmniError('OMNI_IP', "cannot start 'ip'", { cause }),
      ),
    );
    child.once('close', (code, signal) => {
      if (code === 0 || options.force) resolve();
      else reject(new OmniError('OMNI_IP', explain(lines, said, code ?? signal, options.namespace)));
    });
    child.stdin.end(`${lines.join('\n')}\n`);
  });
}

function explain(lines: readonly string[], said: string, code: number | string | null, namespace: string | undefined) {
  const number = /Command failed -:(\d+)/.exec(said)?.[1];
  const line = number === undefined ? undefined : lines[Number(number) - 1];
  const message = said
    .split('\n')
    .filter((l) => l !== '' && !l.startsWith('Command failed'))
    .join('; ');
  const command = `ip ${namespace === undefined ? '' : `-n ${namespace} `}${line ?? '-batch'}`;
  return `'${command}' failed: ${message === '' ? `exit ${code}` : message}`;
}
