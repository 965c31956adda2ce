/**
 * Keeps a node's app process running: one that ended (a crash, `kill -9`, a command's reboot) is started again, at first almost at
 * once and then less and less often while it keeps ending by itself. Counted and shown in status. Services begin anew from what they have on
 * disk; the node's namespace, addresses and routes were never touched.
 */
import { OmniError } from '../core/index.ts';
import type { ResolvedNode } from '../scenario/resolved.ts';
import type { AppStatus, NodeContacts } from './apps.ts';

/** An app process ends with this code when it wants to begin anew: a reboot that was commanded, not a failure. */
export const REBOOT_EXIT_CODE = 80;

/** What the supervisor needs of an app process (src/testbed/apps.ts). */
export interface SupervisedProcess {
  start(contacts: NodeContacts): Promise<readonly string[]>;
  tellContacts(contacts: NodeContacts): void;
  status(): Promise<AppStatus>;
  request(service: string, method: string, params: unknown): Promise<unknown>;
  onEnd(listener: (reason: string, exitCode: number | undefined, signal: NodeJS.Signals | undefined) => void): void;
  kill(signal: NodeJS.Signals): void;
}

export interface SupervisorOptions {
  readonly node: ResolvedNode;
  readonly launch: () => SupervisedProcess;
  readonly contacts: () => NodeContacts;
  readonly log: (line: string) => void;
}

export interface SupervisedStatus extends Omit<AppStatus, 'state'> {
  readonly state: AppStatus['state'] | 'restarting';
  /** How often it was started again. */
  readonly restarts: number;
  readonly lastEnd?: { readonly reason: string; readonly at: string };
}

export const FIRST_BACK_OFF_MILLISECONDS = 250;
export const LONGEST_BACK_OFF_MILLISECONDS = 30_000;
/** A process that ran this long did not fail at its start: the next end counts as the first. */
export const STEADY_MILLISECONDS = 5000;
/** What ends a process that has done nothing wrong: somebody's kill, or the kernel's when memory is short. */
const FROM_OUTSIDE: readonly (NodeJS.Signals | undefined)[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'];

export class AppSupervisor {
  readonly node: ResolvedNode;
  readonly #options: SupervisorOptions;
  #process: SupervisedProcess;
  #startedAt = performance.now();
  #backOff = FIRST_BACK_OFF_MILLISECONDS;
  #timer: NodeJS.Timeout | undefined;
  #restarting = false;
  #established = false;
  #stopped = false;
  #restarts = 0;
  #lastEnd: { reason: string; at: string } | undefined;

  constructor(options: SupervisorOptions) {
    this.node = options.node;
    this.#options = options;
    this.#process = this.#launch();
  }

  /** The first start; rejects with the reason when a service does not start, and then nothing is started again. */
  async start(): Promise<readonly string[]> {
    const services = await this.#process.start(this.#options.contacts());
    this.#established = true;
    return services;
  }

  tellContacts(): void {
    if (!this.#restarting) this.#process.tellContacts(this.#options.contacts());
  }

  async status(): Promise<SupervisedStatus> {
    const supervision = { restarts: this.#restarts, ...(this.#lastEnd && { lastEnd: this.#lastEnd }) };
    const status = await this.#process.status();
    if (!this.#restarting) return { ...status, ...supervision };
    return { ...status, state: 'restarting', services: {}, reason: this.#lastEnd?.reason ?? '', ...supervision };
  }

  /** Asks a service of the node something; for verbs that concern one service. */
  request(service: string, method: string, params: unknown): Promise<unknown> {
    if (this.#restarting)
      throw new OmniError('OMNI_NO_SERVICE', `the services of ${this.node.name} are restarting`, {
        remedy: 'try again in a moment; omni status says why they ended',
      });
    return this.#process.request(service, method, params);
  }

  /** Ends it for good; resolves when it has ended. */
  async stop(graceMilliseconds: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const process = this.#process;
    const ended = new Promise<void>((resolve) => process.onEnd(() => resolve()));
    process.kill('SIGTERM');
    const timer = setTimeout(() => process.kill('SIGKILL'), graceMilliseconds);
    await ended;
    clearTimeout(timer);
  }

  #launch(): SupervisedProcess {
    const process = this.#options.launch();
    this.#startedAt = performance.now();
    process.onEnd((reason, exitCode, signal) => {
      if (process !== this.#process) return;
      this.#ended(reason, exitCode === REBOOT_EXIT_CODE, !this.#restarting && FROM_OUTSIDE.includes(signal));
    });
    return process;
  }

  /** @param blameless it had come up, and was ended from outside. */
  #ended(reason: string, asked: boolean, blameless: boolean): void {
    if (this.#stopped) return;
    const what = asked ? 'it was commanded to reboot' : reason;
    this.#lastEnd = { reason: what, at: new Date().toISOString() };
    this.#options.log(`event=app-ended node=${this.node.name} reason=${JSON.stringify(what)}`);
    // One that never came up ends `omni up` itself.
    if (!this.#established) return;
    this.#restarting = true;
    const steady = performance.now() - this.#startedAt >= STEADY_MILLISECONDS;
    if (steady || blameless) this.#backOff = FIRST_BACK_OFF_MILLISECONDS;
    const wait = asked ? 0 : this.#backOff;
    if (!asked && !blameless) this.#backOff = Math.min(2 * this.#backOff, LONGEST_BACK_OFF_MILLISECONDS);
    this.#timer = setTimeout(() => void this.#restart(), wait);
  }

  async #restart(): Promise<void> {
    this.#restarts++;
    const process = this.#launch();
    this.#process = process;
    try {
      const services = await process.start(this.#options.contacts());
      if (process !== this.#process || this.#stopped) return;
      this.#restarting = false;
      this.#options.log(
        `event=app-restarted node=${this.node.name} restarts=${this.#restarts} services=${services.join(',')}`,
      );
    } catch (error) {
      // When it has not ended by itself; its end brings the next try.
      this.#options.log(
        `event=app-not-restarted node=${this.node.name} reason=${JSON.stringify((error as Error).message)}`,
      );
      process.kill('SIGKILL');
    }
  }
}
