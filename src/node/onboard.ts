/**
 * What the services of one node offer each other inside their process: actions that commands can ask for, and readings that
 * telemetry can take. A service publishes at its start and withdraws at its end; who asks for what is not there is told so.
 */
import type { ServiceContext } from './service.ts';

export type Reading = Readonly<Record<string, number | bigint | string | boolean | undefined>>;

/** Carries out a command; resolves with a short text of what was done, rejects with why not. */
export type Action = (args: Readonly<Record<string, unknown>>) => Promise<string> | string;

export class Onboard {
  readonly #actions = new Map<string, Action>();
  readonly #readings = new Map<string, () => Reading>();

  /** @param name as commands name it, e.g. `ntp.enable`. */
  offer(name: string, action: Action): void {
    this.#actions.set(name, action);
  }
  withdraw(name: string): void {
    this.#actions.delete(name);
  }
  action(name: string): Action | undefined {
    return this.#actions.get(name);
  }

  /** @param subsystem as the telemetry dictionary names it, e.g. `clock`. */
  publish(subsystem: string, read: () => Reading): void {
    this.#readings.set(subsystem, read);
  }
  silence(subsystem: string): void {
    this.#readings.delete(subsystem);
  }
  read(subsystem: string): Reading | undefined {
    return this.#readings.get(subsystem)?.();
  }
}

const nodes = new Map<string, Onboard>();

/** The one of this node in this process. */
export function onboard(context: Pick<ServiceContext, 'scenario' | 'node'>): Onboard {
  const key = `${context.scenario}/${context.node}`;
  let found = nodes.get(key);
  if (found === undefined) {
    found = new Onboard();
    nodes.set(key, found);
  }
  return found;
}
