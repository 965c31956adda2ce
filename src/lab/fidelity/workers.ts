/** Runs shards on worker threads, one a core, and adds their counts up by cell. This file is also what the workers run. */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { FrameErrorRate } from '../frame-error-rate.ts';
import { runShard, type Shard } from './cells.ts';

export interface Totals {
  frames: number;
  errors: number;
  undetected: number;
  fcsErrors: number;
  spurious: number;
  bitErrors: number;
  /** Mean probability of a frame error by theory, weighted by frames. */
  expected: number;
  meanBits: number;
}

/** @param onDone called after each shard with the part that is done. @param signal ends the workers and rejects. */
export async function measure(
  shards: readonly Shard[],
  cells: number,
  onDone: (done: number) => void = () => undefined,
  workers: number = availableParallelism(),
  signal?: AbortSignal,
): Promise<Totals[]> {
  const totals = Array.from({ length: cells }, (): Totals => ({ ...NOTHING }));
  let next = 0;
  let done = 0;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url));
      const give = () => {
        const shard = shards[next++];
        if (shard === undefined) void worker.terminate().then(() => resolve());
        else worker.postMessage(shard);
      };
      worker.on('message', ({ cell, result }: { cell: number; result: FrameErrorRate }) => {
        add(totals[cell]!, result);
        onDone(++done / shards.length);
        give();
      });
      worker.on('error', reject);
      signal?.addEventListener('abort', () => void worker.terminate().then(() => reject(signal.reason)), {
        once: true,
      });
      give();
    });
  await Promise.all(Array.from({ length: workers }, one));
  return totals;
}

/** As `measure`, in this thread. */
export function measureHere(shards: readonly Shard[], cells: number): Totals[] {
  const totals = Array.from({ length: cells }, (): Totals => ({ ...NOTHING }));
  for (const shard of shards) add(totals[shard.cell]!, runShard(shard));
  return totals;
}

const NOTHING: Totals = {
  frames: 0,
  errors: 0,
  undetected: 0,
  fcsErrors: 0,
  spurious: 0,
  bitErrors: 0,
  expected: 0,
  meanBits: 0,
};

function add(total: Totals, part: FrameErrorRate): void {
  const frames = total.frames + part.frames;
  total.expected += (part.expected - total.expected) * (part.frames / frames);
  total.meanBits += (part.meanBits - total.meanBits) * (part.frames / frames);
  total.frames = frames;
  total.errors += part.errors;
  total.undetected += part.undetected;
  total.fcsErrors += part.fcsErrors;
  total.spurious += part.spurious;
  total.bitErrors += part.bitErrors;
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  port.on('message', (shard: Shard) => port.postMessage({ cell: shard.cell, result: runShard(shard) }));
}
