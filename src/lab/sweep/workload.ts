/**
 * What traffic a run carries, as a job writes it. Data goes between the spacecraft and the other end of the path, across the link
 * that is measured; `down` is from the spacecraft.
 */
import { z } from 'zod';
import { duration, octets } from '../../scenario/quantities.ts';

/** The image of 5 July 2000 (flight.ts). */
export const DEFAULT_OCTETS = 227_840;

const size = () => octets().refine((v) => v >= 1, 'at least 1 octet');
const seconds = () => duration().refine((v) => v > 0, 'longer than 0s');
const direction = z.enum(['down', 'up']);
const count = z.int().min(1).max(1_000_000);
/** A transfer that takes longer is given up, and its run is `incomplete`. Default: 20 times what the line needs, and 30 s. */
const limit = seconds().optional();

export const workloadSchema = z.discriminatedUnion('kind', [
  /** One TCP connection: so many octets, or as many as fit into `seconds`. */
  z.strictObject({
    kind: z.literal('bulk'),
    octets: size().optional(),
    seconds: seconds().optional(),
    direction: direction.default('down'),
    limit,
  }),
  /** curl fetches a file from the spacecraft's FTP server. */
  z.strictObject({ kind: z.literal('ftp-get'), octets: size().default(DEFAULT_OCTETS), limit }),
  /** curl stores a file on it. */
  z.strictObject({ kind: z.literal('ftp-put'), octets: size().default(DEFAULT_OCTETS), limit }),
  /** curl hands messages to the spacecraft's SMTP server, one connection each. */
  z.strictObject({ kind: z.literal('mail'), messages: count.default(5), octets: size().default(10_000), limit }),
  /** The spacecraft's telemetry in UDP, one packet every `interval`. */
  z.strictObject({
    kind: z.literal('telemetry'),
    seconds: seconds().default(30e9 as never),
    interval: seconds().default(500e6 as never),
    limit,
  }),
  /** Questions and answers over one TCP connection, one after the other. */
  z.strictObject({
    kind: z.literal('request-response'),
    requests: count.default(50),
    requestOctets: size().default(64),
    responseOctets: size().default(512),
    limit,
  }),
]);

export type Workload = z.output<typeof workloadSchema>;
export type WorkloadKind = Workload['kind'];
export const WORKLOAD_KINDS = workloadSchema.options.map((option) => option.shape.kind.value) as WorkloadKind[];

/** Nanoseconds to seconds, for people and records. */
export function workloadForRecord(workload: Workload): { kind: WorkloadKind } & Record<string, unknown> {
  const plain: { kind: WorkloadKind } & Record<string, unknown> = { ...workload };
  for (const key of ['seconds', 'interval', 'limit'])
    if (typeof plain[key] === 'number') plain[key] = (plain[key] as number) / 1e9;
  return plain;
}

/** Which way most octets go. */
export function dataDirection(workload: Workload): 'up' | 'down' {
  switch (workload.kind) {
    case 'bulk':
      return workload.direction;
    case 'ftp-put':
    case 'mail':
      return 'up';
    default:
      return 'down';
  }
}

/** Octets of payload that the line has to carry in the direction of the data; of a timed workload, what fits is not known. */
export function payloadOctets(workload: Workload): number | undefined {
  switch (workload.kind) {
    case 'bulk':
      return workload.octets ?? (workload.seconds === undefined ? DEFAULT_OCTETS : undefined);
    case 'ftp-get':
    case 'ftp-put':
      return workload.octets;
    case 'mail':
      return workload.messages * workload.octets;
    case 'request-response':
      return workload.requests * workload.responseOctets;
    case 'telemetry':
      return undefined;
  }
}
