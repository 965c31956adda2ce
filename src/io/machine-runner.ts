/** Runs one machine on real time: after every input it is drained, and one timer waits for its next deadline. */
import type { Instant, Machine } from '../core/index.ts';

export class MachineRunner<Input, Transmit, Event> {
  readonly machine: Machine<Input, Transmit, Event>;
  readonly #now: () => Instant;
  readonly #transmit: (transmit: Transmit) => void;
  readonly #event: (event: Event) => void;
  #timer: NodeJS.Timeout | undefined;

  /** Events are handed over before transmissions: what they ask for (a stored binding, a route) is in place when those leave. */
  constructor(
    machine: Machine<Input, Transmit, Event>,
    now: () => Instant,
    transmit: (transmit: Transmit) => void,
    event: (event: Event) => void,
  ) {
    this.machine = machine;
    this.#now = now;
    this.#transmit = transmit;
    this.#event = event;
  }

  input(input: Input): void {
    this.machine.handleInput(input, this.#now());
    this.drain();
  }

  /** After anything else that changed the machine. */
  drain(): void {
    for (let event = this.machine.pollEvent(); event !== undefined; event = this.machine.pollEvent())
      this.#event(event);
    for (let sent = this.machine.pollTransmit(); sent !== undefined; sent = this.machine.pollTransmit())
      this.#transmit(sent);
    clearTimeout(this.#timer);
    const deadline = this.machine.pollTimeout();
    if (deadline === undefined || !Number.isFinite(deadline.at)) return;
    const milliseconds = Math.max(0, Math.min(2 ** 31 - 1, Math.ceil((deadline.at - this.#now()) / 1e6)));
    this.#timer = setTimeout(() => {
      this.machine.handleTimeout(this.#now());
      this.drain();
    }, milliseconds);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
