/** The main thread's side of traffic-worker.ts: one thread for all runs of a sweep. */
import { Worker } from 'node:worker_threads';
import type { TrafficAnswer, TrafficRequest } from './traffic-worker.ts';

export class Traffic {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answer: TrafficAnswer) => void>();
  readonly #expired = new Map<number, () => Promise<void>>();
  #nextId = 1;
  /** Why the thread is no more. */
  #ended: string | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./traffic-worker.js', import.meta.url));
    this.#worker.on('message', ({ id, answer }: { id: number; answer?: TrafficAnswer; expired?: true }) => {
      if (answer === undefined) {
        const end = () => this.#worker.postMessage({ id, abort: true });
        void Promise.resolve(this.#expired.get(id)?.()).then(end, end);
        return;
      }
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
      this.#expired.delete(id);
    });
    this.#worker.on('error', (error) => this.#end(error.message));
    this.#worker.on('exit', (code) => this.#end(`the traffic's thread ended (exit ${code})`));
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    for (const resolve of this.#waiting.values()) resolve(failed(reason));
    this.#waiting.clear();
  }

  /**
   * Resolves when the traffic has ended; with the signal, to what was done until then. `onExpired` is awaited when a request's own
   * time is over, before its connection goes.
   */
  run(request: TrafficRequest, signal: AbortSignal, onExpired?: () => Promise<void>): Promise<TrafficAnswer> {
    const id = this.#nextId++;
    if (onExpired !== undefined) this.#expired.set(id, onExpired);
    const abort = () => this.#worker.postMessage({ id, abort: true });
    if (signal.aborted) return Promise.resolve(failed('given up'));
    if (this.#ended !== undefined) return Promise.resolve(failed(this.#ended));
    signal.addEventListener('abort', abort, { once: true });
    return new Promise<TrafficAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ id, request });
    }).finally(() => signal.removeEventListener('abort', abort));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

const failed = (error: string): TrafficAnswer => ({ done: 0, seconds: [], timed: false, error });
