/** A child process that is asked things over Node's IPC channel: the daemon by `omni up`, an app process by the daemon. */
import type { ChildProcess } from 'node:child_process';
import { OmniError } from '../core/index.ts';

export interface ChildRequest {
  readonly id: number;
  readonly request: string;
  readonly params?: unknown;
}
export type ChildAnswer =
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly error: { readonly message: string; readonly code?: string; readonly remedy?: string };
    };

/** What a child asks of its parent. */
interface ParentRequest {
  readonly ask: number;
  readonly request: string;
  readonly params?: unknown;
}
type ParentAnswer = { readonly answer: number } & (
  | { readonly result: unknown }
  | { readonly error: { readonly message: string; readonly code?: string } }
);

/** Answers a child's request; what it throws goes back to the child. */
export type AskHandler = (request: string, params: unknown) => unknown;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Child {
  readonly pid: number;
  /** Why it ended; undefined while it runs. */
  ended: string | undefined;
  exitCode: number | undefined;
  /** That ended it. */
  signal: NodeJS.Signals | undefined;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor(process: ChildProcess, what: string, onAsk?: AskHandler) {
    this.#process = process;
    this.pid = process.pid ?? -1;
    process.on('message', (message) => {
      if ('ask' in (message as object)) void this.#serve(message as ParentRequest, onAsk);
      else this.#answer(message as ChildAnswer);
    });
    process.once('error', (error) => this.#end(`the ${what} could not be started: ${error.message}`));
    process.once('exit', (code, signal) => {
      this.exitCode = code ?? undefined;
      this.signal = signal ?? undefined;
      this.#end(`the ${what} ended (${signal ?? `exit ${code}`})`);
    });
  }

  /** Rejects with OmniError OMNI_DAEMON_ENDED when it ends first, OMNI_INTERRUPTED when the signal comes first. */
  request(name: string, signal?: AbortSignal, params?: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(new OmniError('OMNI_DAEMON_ENDED', this.ended));
        return;
      }
      const id = this.#nextId++;
      const interrupted = () => this.#waiting.get(id)?.reject(new OmniError('OMNI_INTERRUPTED', 'interrupted'));
      const settle = () => {
        this.#waiting.delete(id);
        signal?.removeEventListener('abort', interrupted);
      };
      this.#waiting.set(id, {
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      signal?.addEventListener('abort', interrupted);
      this.#process.send({ id, request: name, params } satisfies ChildRequest, (error) => {
        if (error !== null) this.#waiting.get(id)?.reject(new OmniError('OMNI_DAEMON_ENDED', error.message));
      });
    });
  }

  /** Called when it ends, with the reason. */
  onEnd(listener: (reason: string) => void): void {
    if (this.ended !== undefined) listener(this.ended);
    else this.#process.once('exit', () => listener(this.ended ?? ''));
  }

  kill(signal: NodeJS.Signals): void {
    if (this.ended === undefined) this.#process.kill(signal);
  }

  /** Lets this process end without the child. */
  release(): void {
    if (this.#process.connected) this.#process.disconnect();
    this.#process.unref();
  }

  async #serve({ ask, request, params }: ParentRequest, onAsk: AskHandler | undefined): Promise<void> {
    let answer: ParentAnswer;
    try {
      if (onAsk === undefined) throw new OmniError('OMNI_REQUEST', `nobody answers '${request}'`);
      answer = { answer: ask, result: (await onAsk(request, params)) ?? null };
    } catch (error) {
      const { message, code } = error as Error & { code?: string };
      answer = { answer: ask, error: { message, ...(code !== undefined && { code }) } };
    }
    if (this.#process.connected) this.#process.send(answer, () => {});
  }

  /** It goes on with this process, without keeping its event loop alive. */
  unref(): void {
    this.#process.channel?.unref();
    this.#process.unref();
  }

  #answer(answer: ChildAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    if ('error' in answer) {
      const { message, code, remedy } = answer.error;
      const stable = code?.startsWith('OMNI_') ? (code as `OMNI_${string}`) : 'OMNI_CHILD';
      waiting.reject(
        new OmniError(stable, message, {
          ...(remedy !== undefined && { remedy }),
          ...(code !== undefined && { cause: { code } }),
        }),
      );
    } else waiting.resolve(answer.result);
  }

  #end(reason: string): void {
    this.ended ??= reason;
    for (const waiting of [...this.#waiting.values()]) waiting.reject(new OmniError('OMNI_DAEMON_ENDED', this.ended));
  }
}

let asked = 0;

/** The child's side: asks its parent for what only that may do. Rejects with what the parent said, or when it is gone. */
export function askParent(request: string, params: unknown): Promise<unknown> {
  const ask = ++asked;
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => {
      process.off('message', listen);
      process.off('disconnect', gone);
      done();
    };
    const gone = () => settle(() => reject(new OmniError('OMNI_DAEMON_ENDED', 'the daemon ended')));
    const listen = (message: unknown) => {
      const answer = message as ParentAnswer;
      if (answer.answer !== ask) return;
      settle(() => {
        if ('error' in answer) reject(new OmniError('OMNI_REQUEST', answer.error.message));
        else resolve(answer.result);
      });
    };
    process.on('message', listen);
    process.once('disconnect', gone);
    process.send?.({ ask, request, params } satisfies ParentRequest, undefined, undefined, (error) => {
      if (error !== null) gone();
    });
  });
}

/** The child's side: answers what its parent asks. */
export function answerParent(handle: (request: string, params: unknown) => unknown): void {
  process.on('message', async (message) => {
    if ('answer' in (message as object)) return;
    const { id, request, params } = message as ChildRequest;
    let answer: ChildAnswer;
    try {
      answer = { id, result: (await handle(request, params)) ?? null };
    } catch (error) {
      const { message: text, code, remedy } = error as Error & { code?: string; remedy?: string };
      answer = {
        id,
        error: { message: text, ...(code !== undefined && { code }), ...(remedy !== undefined && { remedy }) },
      };
    }
    if (process.connected) process.send?.(answer, undefined, undefined, () => {});
  });
}
