/** The app processes of a testbed, as the daemon sees them: one per node that has services, inside its namespace. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OmniError } from '../core/index.ts';
import type { ResolvedNode } from '../scenario/resolved.ts';
import { type AskHandler, Child } from './child.ts';
import { nodeLog, type TestbedPaths } from './run-directory.ts';

export interface AppStatus {
  readonly node: string;
  readonly pid: number;
  readonly state: 'running' | 'ended' | 'not answering';
  /** Why it ended. */
  readonly reason?: string;
  /** By service, what the service says of itself. */
  readonly services: Readonly<Record<string, unknown>>;
}

/** A link's contacts as a node's services want them: true seconds since the data plane's start. */
export interface NodeContacts {
  /** CLOCK_MONOTONIC of the data plane's start, nanoseconds. */
  readonly origin: number;
  readonly links: readonly {
    readonly peer: string;
    readonly always: boolean;
    readonly bitPerSecondIn: number;
    readonly bitPerSecondOut: number;
    readonly contacts: readonly { readonly aosSeconds: number; readonly losSeconds: number }[];
  }[];
}

const START_MILLISECONDS = 30_000;

export class AppProcess {
  readonly node: ResolvedNode;
  readonly #child: Child;

  /** @param onAsk what the process may ask of the daemon. */
  constructor(node: ResolvedNode, paths: TestbedPaths, onAsk: AskHandler) {
    this.node = node;
    const log = openSync(nodeLog(paths, node.name), 'a', 0o644);
    const program = fileURLToPath(new URL('../node/app-main.js', import.meta.url));
    try {
      this.#child = new Child(
        // `ip` gives the namespace its own /etc/hosts and /sys as well, and becomes the program: one process, one pid.
        spawn('ip', ['netns', 'exec', node.namespace, process.execPath, program, paths.directory, node.name], {
          stdio: ['ignore', log, log, 'ipc'],
          cwd: '/',
          env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
        }),
        `app process of ${node.name}`,
        onAsk,
      );
    } finally {
      closeSync(log);
    }
  }

  /** Starts its services; rejects with the reason when one does not start, or is not through in half a minute. */
  async start(contacts: NodeContacts): Promise<readonly string[]> {
    const late = AbortSignal.timeout(START_MILLISECONDS);
    try {
      return (await this.#child.request('start', late, contacts)) as string[];
    } catch (error) {
      if (late.aborted)
        throw new OmniError('OMNI_SERVICE', `${this.node.name}: its services did not start within 30 s`);
      const { message, remedy } = error as OmniError;
      throw new OmniError('OMNI_SERVICE', `${this.node.name}: ${message}`, {
        cause: error,
        ...(remedy !== undefined && { remedy }),
      });
    }
  }

  tellContacts(contacts: NodeContacts): void {
    this.#child.request('contacts', undefined, contacts).catch(() => {}); // It ended; its status says so.
  }

  async status(): Promise<AppStatus> {
    const base = { node: this.node.name, pid: this.#child.pid };
    const ended = () => ({ ...base, state: 'ended' as const, reason: this.#child.ended ?? '', services: {} });
    if (this.#child.ended !== undefined) return ended();
    try {
      const services = await this.#child.request('status', AbortSignal.timeout(1000));
      return { ...base, state: 'running', services: services as Record<string, unknown> };
    } catch {
      return this.#child.ended !== undefined ? ended() : { ...base, state: 'not answering', services: {} };
    }
  }

  /** Asks a service of the node something; for verbs that concern one service. */
  request(service: string, method: string, params: unknown): Promise<unknown> {
    return this.#child.request('service', AbortSignal.timeout(10_000), { service, method, params });
  }

  onEnd(listener: (reason: string, exitCode: number | undefined, signal: NodeJS.Signals | undefined) => void): void {
    this.#child.onEnd((reason) => listener(reason, this.#child.exitCode, this.#child.signal));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
