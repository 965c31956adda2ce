/** Drives a cell's workload through its testbed once: what was asked for, what was done, how long the client took. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeStateDirectory } from '../../testbed/run-directory.ts';
import { quantile } from '../statistics.ts';
import type { Bed } from './bed.ts';
import { FTP_USER } from './cell.ts';
import { digestOf, messageText, runCurl, writePayload } from './client.ts';
import type { SweepMeasures } from './result.ts';
import type { Traffic } from './traffic.ts';
import { payloadOctets, type Workload } from './workload.ts';

export interface Driven {
  readonly outcome: 'complete' | 'incomplete' | 'failed';
  readonly problem: string | null;
  readonly finishSeconds: number;
  readonly exchanges: SweepMeasures['exchanges'];
  /** The transfer was cut after this time, as the workload asks. */
  readonly window?: number;
}

export interface DriveContext {
  readonly bed: Bed;
  readonly traffic: Traffic;
  readonly seed: string;
  readonly limitSeconds: number;
  /** For files of the client; exists. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

export async function drive(context: DriveContext): Promise<Driven> {
  const started = performance.now();
  const limit = AbortSignal.timeout(Math.ceil(context.limitSeconds * 1000));
  const signal = AbortSignal.any([context.signal, limit]);
  const driven = await DRIVERS[context.bed.cell.workload.kind]({ ...context, signal });
  const problem =
    limit.aborted && driven.problem === null ? `given up after ${context.limitSeconds} s` : driven.problem;
  return {
    ...driven,
    outcome: limit.aborted && driven.outcome !== 'complete' ? 'incomplete' : driven.outcome,
    problem,
    finishSeconds: (performance.now() - started) / 1000,
  };
}

type Part = Omit<Driven, 'finishSeconds'>;
type Of<Kind> = Extract<Workload, { kind: Kind }>;

const DRIVERS: Record<Workload['kind'], (context: DriveContext) => Promise<Part>> = {
  bulk: async ({ bed, traffic, seed, signal }) => {
    const workload = bed.cell.workload as Of<'bulk'>;
    const { spacecraft, client } = bed.cell;
    const [from, to] = workload.direction === 'down' ? [spacecraft, client] : [client, spacecraft];
    const octets = payloadOctets(workload) ?? null;
    const seconds = workload.seconds === undefined ? null : workload.seconds / 1e9;
    const answer = await traffic.run(
      {
        kind: 'bulk',
        sender: bed.namespacePath(from),
        receiver: bed.namespacePath(to),
        receiverAddress: bed.address(to),
        octets,
        seconds,
        seed,
      },
      signal,
      () => bed.tcpInfo.sample(),
    );
    const whole = answer.timed || (octets !== null && answer.done === octets);
    return {
      outcome: answer.error !== undefined ? 'failed' : whole ? 'complete' : 'incomplete',
      problem: answer.error ?? null,
      exchanges: null,
      ...(answer.timed && seconds !== null && { window: seconds }),
    };
  },

  'ftp-get': async ({ bed, seed, limitSeconds, directory, signal }) => {
    const { octets } = bed.cell.workload as Of<'ftp-get'>;
    const { spacecraft, client } = bed.cell;
    const original = ftpFile(bed, spacecraft, 'image.bin');
    const copy = join(directory, 'image.bin');
    writePayload(original, octets, seed);
    const args = ['--output', copy, `ftp://${spacecraft}/image.bin`];
    const end = await runCurl(bed.node(client).namespace, args, limitSeconds, signal);
    const same = end.problem === undefined && (await digestOf(copy)) === (await digestOf(original));
    rmSync(copy, { force: true });
    return ftpEnd(end, same);
  },

  'ftp-put': async ({ bed, seed, limitSeconds, directory, signal }) => {
    const { octets } = bed.cell.workload as Of<'ftp-put'>;
    const { spacecraft, client } = bed.cell;
    const original = join(directory, 'load.bin');
    writePayload(original, octets, seed);
    const stored = ftpFile(bed, spacecraft, 'load.bin');
    const { name, password } = FTP_USER;
    const args = ['--user', `${name}:${password}`, '--upload-file', original, `ftp://${spacecraft}/load.bin`];
    const end = await runCurl(bed.node(client).namespace, args, limitSeconds, signal);
    const same = end.problem === undefined && (await digestOf(stored)) === (await digestOf(original));
    rmSync(original, { force: true });
    rmSync(stored, { force: true });
    return ftpEnd(end, same);
  },

  mail: async ({ bed, seed, limitSeconds, directory, signal }) => {
    const { messages, octets } = bed.cell.workload as Of<'mail'>;
    const { spacecraft, client } = bed.cell;
    const file = join(directory, 'message.eml');
    const seconds: number[] = [];
    let problem: string | null = null;
    for (let i = 0; i < messages && problem === null && !signal.aborted; i++) {
      writeFileSync(file, messageText(octets, `${seed}/${i}`, client, spacecraft));
      const args = ['--mail-from', `sweep@${client}`, '--mail-rcpt', `box@${spacecraft}`, '--upload-file', file];
      const started = performance.now();
      const url = `smtp://${spacecraft}/${client}`;
      const end = await runCurl(bed.node(client).namespace, ['--url', url, ...args], limitSeconds, signal);
      if (end.problem === undefined) seconds.push((performance.now() - started) / 1000);
      else problem = end.problem;
    }
    rmSync(file, { force: true });
    return exchangeEnd(messages, seconds, problem);
  },

  telemetry: async ({ bed, signal }) => {
    const workload = bed.cell.workload as Of<'telemetry'>;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, workload.seconds / 1e6);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    return { outcome: signal.aborted ? 'incomplete' : 'complete', problem: null, exchanges: null };
  },

  'request-response': async ({ bed, traffic, seed, signal }) => {
    const { requests, requestOctets, responseOctets } = bed.cell.workload as Of<'request-response'>;
    const { spacecraft, client } = bed.cell;
    const answer = await traffic.run(
      {
        kind: 'request-response',
        client: bed.namespacePath(client),
        server: bed.namespacePath(spacecraft),
        serverAddress: bed.address(spacecraft),
        requests,
        requestOctets,
        responseOctets,
        seed,
      },
      signal,
    );
    return exchangeEnd(requests, answer.seconds, answer.error ?? null);
  },
};

function ftpEnd({ problem, timedOut }: { problem: string | undefined; timedOut: boolean }, same: boolean): Part {
  if (problem === undefined && same) return { outcome: 'complete', problem: null, exchanges: null };
  const said = problem ?? 'the file arrived altered: its SHA-256 is another';
  return { outcome: timedOut ? 'incomplete' : 'failed', problem: said, exchanges: null };
}

function exchangeEnd(wanted: number, seconds: readonly number[], problem: string | null): Part {
  const done = seconds.length;
  return {
    outcome: done === wanted ? 'complete' : problem === null ? 'incomplete' : 'failed',
    problem,
    exchanges: {
      wanted,
      done,
      seconds:
        done === 0
          ? null
          : {
              minimum: Math.min(...seconds),
              median: quantile(seconds, 0.5),
              p95: quantile(seconds, 0.95),
              maximum: Math.max(...seconds),
            },
    },
  };
}

function ftpFile(bed: Bed, node: string, name: string): string {
  const directory = join(nodeStateDirectory(bed.paths, node), 'files');
  mkdirSync(directory, { recursive: true });
  return join(directory, name);
}
