/**
 * Runs the compiled `omni` for tests that need real namespaces, each test file with its own run directory and names, and looks
 * at what is left on the machine. Skips, with the reason, where testbeds cannot be made.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const OMNI = fileURLToPath(new URL('../../bin/omni', import.meta.url));

/** Why testbeds cannot be made here; undefined when they can. */
export function noTestbeds(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  if (spawnSync('ip', ['-V']).error !== undefined) return 'needs iproute2';
  if (!existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)))) return "needs 'npm run setup'";
  const name = `omni-probe-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return 'needs the right to make network namespaces';
  spawnSync('ip', ['netns', 'del', name]);
  return undefined;
}

export interface OmniResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestbedSandbox {
  readonly prefix: string;
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;

  /** @param prefix begins the name of every testbed of the test file. */
  constructor(prefix: string) {
    this.prefix = `${prefix}${process.pid}`;
    this.directory = mkdtempSync(join(tmpdir(), 'omni-netns-'));
    // App processes give root up, and still must reach their state.
    spawnSync('chmod', ['755', this.directory]);
    this.environment = {
      ...process.env,
      OMNI_RUN_DIRECTORY: join(this.directory, 'run'),
      OMNI_STATE_DIRECTORY: join(this.directory, 'state'),
    };
  }

  start(args: readonly string[], options: { stdin?: 'pipe' | 'ignore' } = {}): ChildProcess {
    return spawn(process.execPath, [OMNI, ...args], {
      env: this.environment,
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    });
  }

  async run(...args: string[]): Promise<OmniResult> {
    return outcome(this.start(args));
  }

  /** Namespaces, /etc/netns folders and run directories whose names begin with our prefix. */
  remains(): string[] {
    const list = (directory: string) => (existsSync(directory) ? readdirSync(directory) : []);
    return [
      ...list('/run/netns')
        .filter((n) => n.startsWith(this.prefix))
        .map((n) => `namespace ${n}`),
      ...list('/etc/netns')
        .filter((n) => n.startsWith(this.prefix))
        .map((n) => `/etc/netns/${n}`),
      ...list(join(this.directory, 'run')).map((n) => `run/${n}`),
      ...this.processes().map((pid) => `process ${pid}: ${commandLine(pid)}`),
    ];
  }

  /** Processes that testbeds of this sandbox started: they have its run directory and a mark in their environment. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
          return (
            environment.includes(`OMNI_RUN_DIRECTORY=${this.environment.OMNI_RUN_DIRECTORY}`) &&
            environment.some((e) => e.startsWith('OMNI_INSTANCE=')) &&
            readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0] !== 'Z'
          );
        } catch {
          return false;
        }
      });
  }

  async close(): Promise<void> {
    await this.run('down', '--all');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function outcome(child: ChildProcess): Promise<OmniResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve) =>
    child.once('close', (code, signal) =>
      resolve({ code: code ?? 128 + (signal === 'SIGKILL' ? 9 : 0), stdout, stderr }),
    ),
  );
}

export function onPath(program: string): boolean {
  return [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  } catch {
    return 'gone';
  }
}
