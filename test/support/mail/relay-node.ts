/** A relay process in virtual time that can be killed and started again over the same disk. */
import {
  type Connection,
  type ContactPlan,
  DEFAULT_LIMITS,
  DEFAULT_RETRY,
  type Dialed,
  type Envelope,
  Policy,
  type PolicySettings,
  Relay,
} from '../../../src/apps/smtp/index.ts';
import type { Rng, WallTime } from '../../../src/core/index.ts';
import { MemoryDisk, MemoryStore } from './memory-store.ts';
import { latin1, ServerSession } from './server-session.ts';
import type { Simulation } from './simulation.ts';
import type { Acceptor } from './space-link.ts';

export interface NodeOptions {
  readonly name: string;
  readonly address: string;
  readonly simulation: Simulation;
  readonly rng: Rng;
  readonly policy: PolicySettings;
  readonly contacts: ContactPlan;
  /** Seconds that a step of the store takes. */
  readonly stepSeconds: number;
  dial(dialed: Dialed, alive: () => boolean): Connection;
  onLog?(line: string, at: WallTime): void;
}

export interface Delivered {
  readonly id: string;
  readonly at: WallTime;
  readonly text: string;
}

export class RelayNode implements Acceptor {
  readonly disk = new MemoryDisk();
  /** The Maildir: file name → message. A second delivery under one name changes nothing, as on disk. */
  readonly mailbox = new Map<string, Delivered>();
  readonly #options: NodeOptions;
  relay!: Relay;
  store!: MemoryStore;
  #generation = 0;
  #up = false;
  #ids = 0;
  #wakeAt: WallTime | undefined;
  readonly log: string[] = [];

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  get alive(): boolean {
    return this.#up;
  }

  async start(): Promise<void> {
    const { simulation, policy, contacts, name, stepSeconds } = this.#options;
    const generation = ++this.#generation;
    const mine = () => this.#up && this.#generation === generation;
    this.store = new MemoryStore(this.disk, {
      now: () => simulation.now,
      ...(stepSeconds > 0 ? { pause: () => simulation.sleep(stepSeconds) } : {}),
    });
    this.#up = true;
    this.#wakeAt = undefined;
    let wakePending = false;
    const relay = new Relay(
      { name, limits: DEFAULT_LIMITS, ...DEFAULT_RETRY },
      {
        store: this.store,
        policy: new Policy(policy),
        contacts,
        now: () => simulation.now,
        newId: () => `${name.slice(0, 1)}${generation}-${++this.#ids}`,
        dial: (_route, _domain, dialed) => this.#options.dial(dialed, mine),
        deliverLocally: async (envelope, recipient, read) => {
          const octets = await read(0, envelope.octets + 10000);
          if (!mine()) return new Promise(() => {});
          const key = `${envelope.id} ${recipient.address}`;
          if (!this.mailbox.has(key))
            this.mailbox.set(key, {
              id: envelope.id,
              at: simulation.now,
              text: new TextDecoder('latin1').decode(octets),
            });
          return { ok: true, temporary: false, status: '2.0.0', diagnostic: 'stored' };
        },
        wakeUp: () => {
          if (wakePending) return;
          wakePending = true;
          simulation.after(0, () => {
            wakePending = false;
            if (mine()) this.#wake(generation);
          });
        },
        log: (line) => {
          if (!mine()) return;
          this.log.push(line);
          this.#options.onLog?.(line, simulation.now);
        },
      },
    );
    this.relay = relay;
    await relay.start();
    if (mine()) this.#wake(generation);
  }

  #wake(generation: number): void {
    const at = this.relay.wake();
    if (
      at === undefined ||
      (this.#wakeAt !== undefined && this.#wakeAt <= at && this.#wakeAt > this.#options.simulation.now)
    )
      return;
    this.#wakeAt = at;
    this.#options.simulation.at(at, () => {
      if (this.#generation !== generation || !this.#up || this.#wakeAt !== at) return;
      this.#wakeAt = undefined;
      this.#wake(generation);
    });
  }

  /** kill -9, at once; the disk keeps what was forced to it. */
  kill(): void {
    if (!this.#up) return;
    this.#up = false;
    this.store.kill();
    this.disk.crash(this.#options.rng);
  }

  accept(send: (octets: Uint8Array) => void): { received(octets: Uint8Array): void; closed(): void } {
    const session = new ServerSession(this.relay.receiver, this.#options.address, (text) => send(latin1(text)));
    return { received: (octets) => session.received(octets), closed: () => void session.closed() };
  }

  /** What is on the disk now. */
  envelope(id: string): Envelope | undefined {
    return this.relay.queue.get(id);
  }
}
