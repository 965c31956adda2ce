/**
 * The bit errors of one direction over its whole life: a noise process that settings may replace at a bit, with its own random
 * stream per replacement. Errors drawn before a change and not yet consumed wait in a short queue.
 */
import { Rng } from '../core/index.ts';
import { type BitErrors, bitErrors, IndependentErrors, type NoiseConfig } from './noise.ts';

export class ErrorSource implements BitErrors {
  readonly #seed: number | string;
  readonly #label: string;
  readonly #queue: number[] = [];
  #config: NoiseConfig;
  #process: BitErrors;
  #generation = 0;

  /** @param label names the link and the direction, so that each has its own errors under one seed. */
  constructor(config: NoiseConfig, seed: number | string, label: string) {
    this.#seed = seed;
    this.#label = label;
    this.#config = config;
    this.#process = this.#start(0);
  }

  get config(): NoiseConfig {
    return this.#config;
  }

  next(limit: number): number {
    const queued = this.#queue[0];
    if (queued !== undefined) return queued < limit ? queued : -1;
    return this.#process.next(limit);
  }

  consume(): void {
    if (this.#queue.length > 0) this.#queue.shift();
    else this.#process.consume();
  }

  skipTo(bit: number): void {
    while (this.#queue.length > 0 && this.#queue[0]! < bit) this.#queue.shift();
    this.#process.skipTo(bit);
  }

  change(config: NoiseConfig, bit: number): void {
    for (;;) {
      const error = this.#process.next(bit);
      if (error < 0) break;
      this.#queue.push(error);
      this.#process.consume();
    }
    this.#config = config;
    if (config.kind === 'independent' && this.#process instanceof IndependentErrors) {
      this.#process.change(config.ber, bit);
      return;
    }
    this.#generation++;
    this.#process = this.#start(bit);
  }

  #start(bit: number): BitErrors {
    return bitErrors(this.#config, bit, new Rng(this.#seed, `${this.#label}/noise/${this.#generation}`));
  }
}
