/** One run: the workload through a prepared testbed, then its packets to measures, and all of it to a result. */
import { mkdirSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { controlStream } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import type { Bed } from './bed.ts';
import { drive } from './drive.ts';
import { FollowedCapture } from './followed-capture.ts';
import { diskError } from './journal.ts';
import { lineBitsOf } from './line-bits.ts';
import { machine, versions } from './machine.ts';
import { Measurement } from './measure.ts';
import { latenessBound, loadOf } from './planner.ts';
import { RESULT_SCHEMA, type SweepResult } from './result.ts';
import type { Traffic } from './traffic.ts';
import { payloadOctets } from './workload.ts';

export interface RunContext {
  readonly sweep: string;
  readonly bed: Bed;
  readonly traffic: Traffic;
  readonly repetition: number;
  readonly attempt: number;
  readonly seed: string;
  readonly latenessBound: number | undefined;
  /** For files of clients; exists. */
  readonly directory: string;
  /** Captures are kept here. */
  readonly captures: string | undefined;
  readonly signal: AbortSignal;
}

/** Headers of IP and TCP with all their options, behind the frame's own. */
const SNAP_OCTETS = 136;
/** The recorder's ring, with a margin; what a packet of some octets takes of it at its four taps. */
const RING_OCTETS = 14e6;
const RING_RECORD_OCTETS = 96;
const SETTLE_SECONDS = 1;
const LIMIT_FACTOR = 20;
const LIMIT_SECONDS = 30;
/** Above this the ring keeps headers only, or nothing (src/io/recorder.ts). */
const HEADERS_ONLY_BIT_PER_SECOND = 10e6;
const NOTHING_KEPT_BIT_PER_SECOND = 100e6;

export async function runCell(context: RunContext): Promise<SweepResult> {
  const { bed, seed, signal } = context;
  const { cell } = bed;
  const started = new Date().toISOString();
  await bed.prepare(seed);
  const { seconds } = loadOf(cell);
  const limitSeconds =
    cell.workload.limit === undefined ? LIMIT_FACTOR * seconds + LIMIT_SECONDS : cell.workload.limit / 1e9;
  const capture = await startCapture(context);
  const driven = await drive({ ...context, limitSeconds });
  signal.throwIfAborted();
  const roundTrip = (cell.link.up.delay + cell.link.down.delay) / 1e9;
  // The last acknowledgements and the goodbyes cross the link; a minute is enough for the Moon.
  await bed.settle(1000 * Math.min(60, SETTLE_SECONDS + 3 * roundTrip));
  const status = await bed.status();
  const settled = Date.now();
  await bed.request('relax');
  const measurement = measurementOf(context, status, settled, driven.window);
  const { up, down } = status.dataPlane.links.find(({ name }) => name === cell.link.name)!;
  const [forward, back] = cell.settings.direction === 'up' ? [up, down] : [down, up];
  const counters = { forward: forward.counters, back: back.counters };
  const captures = await capture.read(
    (octets) => measurement.add(octets),
    () => measurement.isWhole(counters),
  );
  const measures =
    driven.outcome === 'failed'
      ? undefined
      : measurement.finish({
          finishSeconds: driven.finishSeconds,
          exchanges: driven.exchanges,
          counters,
          tcpInfo: bed.tcpInfo.largest(cell.settings.congestionControl),
        });
  const empty = measures === undefined && driven.outcome !== 'failed';
  return {
    schema: RESULT_SCHEMA,
    sweep: context.sweep,
    cell: cell.id,
    settings: cell.settings,
    repetition: context.repetition,
    seed,
    attempt: context.attempt,
    started,
    versions: versions(),
    machine: machine(),
    outcome: empty ? 'failed' : driven.outcome,
    problem: empty ? (driven.problem ?? 'no data was seen on the link') : driven.problem,
    measures: measures ?? null,
    lateness: latenessOf(status, context.latenessBound ?? latenessBound(cell)),
    captures,
  };
}

function latenessOf({ dataPlane: { lateness } }: DaemonStatus, boundNanoseconds: number): SweepResult['lateness'] {
  const maximumNanoseconds = lateness.maximumMicroseconds * 1000;
  const atMost = lateness.buckets.filter(({ atMostMicroseconds }) => atMostMicroseconds * 1000 <= boundNanoseconds);
  return {
    maximumNanoseconds,
    boundNanoseconds,
    // By the histogram, whose buckets are powers of two of a microsecond.
    overdue: maximumNanoseconds <= boundNanoseconds ? 0 : Math.max(1, lateness.count - (atMost.at(-1)?.count ?? 0)),
    events: lateness.count,
    late: maximumNanoseconds > boundNanoseconds,
  };
}

function measurementOf(
  { bed }: RunContext,
  status: DaemonStatus,
  now: number,
  window: number | undefined,
): Measurement {
  const { cell, scenario } = bed;
  const { kind } = cell.workload;
  return new Measurement({
    link: cell.link.name,
    direction: cell.settings.direction,
    epoch: BigInt(Math.round((now / 1000 - status.dataPlane.uptimeSeconds) * 1e6)) * 1000n,
    lineBits: lineBitsOf(scenario, cell.link, cell.settings.direction),
    udp: kind === 'telemetry',
    all: kind === 'mail',
    window,
  });
}

interface RunningCapture {
  /** Hands over what was recorded until `isWhole`, or until that takes too long; returns the files that were kept. */
  read(take: (octets: Uint8Array) => void, isWhole: () => boolean): Promise<string[]>;
}

/**
 * What the ring holds to the end of the run is read out then, when reading cannot delay a frame; what is larger, or is to be kept
 * whole, is read while it runs.
 */
async function startCapture({ bed, captures, repetition, seed }: RunContext): Promise<RunningCapture> {
  const { cell, paths } = bed;
  const rate = cell.link[cell.settings.direction].rateBitPerSecond;
  const segment = cell.settings.maximumSegmentOctets ?? cell.settings.mtuOctets - 40;
  const kept = rate >= HEADERS_ONLY_BIT_PER_SECOND ? 128 : segment + 50;
  const octets = payloadOctets(cell.workload) ?? (rate / 8) * loadOf(cell).seconds;
  const frames = (1.3 * octets) / segment;
  const ring = frames * 4 * (kept + RING_RECORD_OCTETS) + frames * 4 * (60 + RING_RECORD_OCTETS);
  const selection = { links: [cell.link.name], ...(captures === undefined && { snapOctets: SNAP_OCTETS }) };
  if (captures === undefined && ring < RING_OCTETS && rate < NOTHING_KEPT_BIT_PER_SECOND)
    return {
      read: async (take) => {
        const stream = controlStream(paths.controlSocket, 'capture', { ...selection, until: 'end-of-ring' });
        for await (const piece of stream) take(Buffer.from(String(piece), 'base64'));
        return [];
      },
    };
  const followed = new FollowedCapture((signal) =>
    controlStream(paths.controlSocket, 'capture', { ...selection, from: 'ring' }, signal),
  );
  // Nothing may pass before the recorder listens.
  await followed.begun;
  return {
    read: async (take, isWhole) => {
      await followed.finish(take, isWhole);
      if (captures === undefined) return [];
      const file = join(captures, `${cell.id}-${repetition}-${seed}.pcapng`);
      try {
        mkdirSync(captures, { recursive: true });
        await appendFile(file, Buffer.concat(followed.pieces), { flag: 'w' });
      } catch (cause) {
        throw diskError(cause, `the capture ${file}`);
      }
      return [join(basename(captures), basename(file))];
    },
  };
}
