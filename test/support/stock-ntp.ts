/**
 * Stock NTP programs in a network and user namespace of their own:
 *
 *   lo: 127.0.0.1, 10.99.0.1 (stock daemon), 10.99.0.2 (ours)       user namespace: CAP_SYS_TIME does not reach the host
 *
 * so that port 123 is free and nothing that runs there can set this host's clock, root or not.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const stock = `${root}build/stock`;
const python = ['/usr/bin/python3', '/usr/bin/python3.11', '/usr/bin/python3.12', '/usr/bin/python3.13'].find(
  existsSync,
);

/** What the unpacked programs need to find their libraries. */
export const STOCK_ENVIRONMENT = {
  LD_LIBRARY_PATH: `${stock}/usr/lib/x86_64-linux-gnu/ntp`,
  PYTHONPATH: `${stock}/usr/lib/python3/dist-packages`,
};
const environment = { ...process.env, ...STOCK_ENVIRONMENT };

export const CHRONYD = `${stock}/usr/sbin/chronyd`;
export const NTPD = `${stock}/usr/sbin/ntpd`;
export const NTPDIG = [python ?? 'python3', `${stock}/usr/bin/ntpdig`] as const;
/** Debian's is ntpdig by another name. */
export const SNTP = [python ?? 'python3', `${stock}/usr/bin/sntp`] as const;
export const OMNI = [process.execPath, `${root}bin/omni`] as const;
export const DAEMON_ADDRESS = '10.99.0.1';
export const OUR_ADDRESS = '10.99.0.2';

/** Why these tests cannot run here; undefined when they can. */
export function whyNot(): string | undefined {
  if (!existsSync(`${root}dist/cli/main.js`)) return 'dist is not built: npm run setup';
  for (const [command, ...args] of [
    [CHRONYD, '--version'],
    [NTPD, '--version'],
    [...NTPDIG, '--version'],
    [...SNTP, '--version'],
  ] as string[][]) {
    const result = spawnSync(command!, args, { env: environment, encoding: 'utf8' });
    if (result.status !== 0) return `${command} does not run (scripts/setup.mjs --for=test unpacks it)`;
  }
  const unshare = spawnSync('unshare', ['--map-root-user', '--net', 'ip', 'link', 'set', 'lo', 'up']);
  return unshare.status === 0 ? undefined : 'no user namespaces here';
}

export class Island {
  readonly #holder: ChildProcess;
  readonly #children: ChildProcess[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(): Promise<Island> {
    const script = `ip link set lo up && ip addr add ${DAEMON_ADDRESS}/32 dev lo && ip addr add ${OUR_ADDRESS}/32 dev lo && echo ready && exec cat`;
    const holder = spawn('unshare', ['--map-root-user', '--net', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout!, 'data');
    return new Island(holder);
  }

  #inside(command: readonly string[]): [string, string[]] {
    return ['nsenter', ['-t', String(this.#holder.pid), '-U', '-n', '--preserve-credentials', ...command]];
  }

  /** Runs to its end. */
  run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
    const [program, args] = this.#inside(command);
    return spawnSync(program, args, { env: environment, encoding: 'utf8', timeout: 120_000 });
  }

  /** Runs until `close()`; resolves when `ready` succeeds. */
  async start(command: readonly string[], ready: () => boolean): Promise<void> {
    const [program, args] = this.#inside(command);
    const child = spawn(program, args, { env: environment, stdio: ['ignore', 'ignore', 'ignore'] });
    this.#children.push(child);
    while (!ready()) {
      if (child.exitCode !== null) throw new Error(`${command[0]} ended with ${child.exitCode}`);
      // The readiness check itself waits (it asks the server with a time limit).
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async close(): Promise<void> {
    for (const child of [...this.#children, this.#holder]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
}
