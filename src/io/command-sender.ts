/**
 * The ground's side: the counter of each key on disk, blind sending, and reliable sending, which follows the stages and begins again
 * with the same counter when the connection is lost: the spacecraft carries it out once and says again what became of it.
 */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { connect, isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  decodeTelemetry,
  PRIMARY_HEADER_OCTETS,
  parseSpacePacket,
  recordOf,
  SPACECRAFT,
} from '../apps/telemetry/index.ts';
import { OmniError } from '../core/index.ts';
import { DurableDocument } from './command-store.ts';

/** Counters of a new or lost file begin here, so that they are above any used before as long as fewer than 1024 a second were. */
const firstCounter = (): bigint => BigInt(Math.floor(Date.now() / 1000)) * 1024n;

/** The next `count` counters of a key, on disk before they are used. */
export async function takeCounters(file: string, keyId: number, count: number): Promise<bigint> {
  const document = new DurableDocument<Record<string, string>>(file);
  const counters = document.read() ?? {};
  const saved = counters[String(keyId)];
  const first = saved === undefined ? firstCounter() : BigInt(saved) + 1n;
  await document.write({ ...counters, [String(keyId)]: (first + BigInt(count) - 1n).toString() });
  return first;
}

export async function sendBlind(options: {
  host: string;
  port: number;
  octets: Uint8Array;
  copies: number;
  spacingMs: number;
}): Promise<void> {
  const { address } = await lookup(options.host);
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    for (let i = 0; i < options.copies; i++) {
      if (i > 0) await sleep(options.spacingMs);
      await new Promise<void>((resolve, reject) =>
        socket.send(options.octets, options.port, address, (error) => (error === null ? resolve() : reject(error))),
      );
    }
  } finally {
    socket.close();
  }
}

export interface StageSeen {
  readonly stage: string;
  readonly refusal: string;
  readonly detail: string;
}

/** Resolves with the last stage (completion or a failure); throws OmniError when none came in time. */
export async function sendReliable(options: {
  host: string;
  port: number;
  octets: Uint8Array;
  counter: bigint;
  /** A time-tagged command is done for us once it is accepted. */
  untilAccepted: boolean;
  timeoutMs: number;
  onStage: (stage: StageSeen) => void;
}): Promise<StageSeen> {
  const deadline = Date.now() + options.timeoutMs;
  let problem = 'no answer';
  while (Date.now() < deadline) {
    const outcome = await attempt(options, deadline - Date.now());
    if (typeof outcome !== 'string') return outcome;
    problem = outcome;
    await sleep(Math.min(1000, Math.max(0, deadline - Date.now())));
  }
  throw new OmniError('OMNI_COMMAND_UNANSWERED', `no final stage within ${options.timeoutMs / 1000} s: ${problem}`, {
    remedy: 'outside a contact wait longer (--timeout), send it blind (--blind), or time-tag it.',
  });
}

function attempt(options: Parameters<typeof sendReliable>[0], timeoutMs: number): Promise<StageSeen | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: options.host, port: options.port });
    let rest = Buffer.alloc(0);
    const finish = (outcome: StageSeen | string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish('timed out'), timeoutMs);
    socket.on('connect', () => socket.write(options.octets));
    socket.on('error', (error) => finish(error.message));
    socket.on('close', () => finish('the connection was closed'));
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (
        let length = packetLength(rest);
        length !== undefined && rest.length >= length;
        length = packetLength(rest)
      ) {
        const seen = stageOf(rest.subarray(0, length), options.counter);
        rest = rest.subarray(length);
        if (seen === undefined) continue;
        options.onStage(seen);
        const final = seen.stage === 'completion' || seen.stage.endsWith('Failure');
        if (final || (options.untilAccepted && seen.stage === 'acceptance')) finish(seen);
      }
    });
  });
}

const packetLength = (octets: Buffer): number | undefined =>
  octets.length < PRIMARY_HEADER_OCTETS ? undefined : PRIMARY_HEADER_OCTETS + octets.readUInt16BE(4) + 1;

function stageOf(octets: Uint8Array, counter: bigint): StageSeen | undefined {
  if (!parseSpacePacket(octets).ok) return undefined;
  const decoded = decodeTelemetry(SPACECRAFT, octets);
  if (!decoded.ok || decoded.value.definition.name !== 'verification') return undefined;
  const record = recordOf(decoded.value);
  if (BigInt(record.counter as number | string) !== counter) return undefined;
  return { stage: String(record.stage), refusal: String(record.refusal), detail: String(record.detail) };
}
