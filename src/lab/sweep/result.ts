/**
 * The result of one run of a sweep: one line of JSON in the results file. This schema is what `omni sweep --show`, the figures
 * and every program that reads such a file may rely on (docs/sweep.md lists the fields with their units).
 *
 * Numbers are in base units: bit/s, seconds, octets; a field ends in its unit where the name alone would not say it. `null`
 * means that there is nothing to measure (round trips of a UDP workload), never that measuring failed: a run that failed has
 * `measures: null` and says why in `problem`.
 */
import { z } from 'zod';

export const RESULT_SCHEMA = 'omni-sweep/1';

const count = z.int().min(0);
const measure = z.number().min(0);
const counts = z.record(z.string(), count);

const direction = z.strictObject({
  /** At the start; what changes over time is in `settings.overrides`. */
  rateBitPerSecond: z.number().positive(),
  delaySeconds: measure,
  /** null: not independent errors at one rate (bursts, a file, elevation). */
  bitErrorRate: z.number().min(0).max(0.5).nullable(),
  queuePackets: count.nullable(),
  queueOctets: count.nullable(),
});

const workload = z.looseObject({
  kind: z.enum(['bulk', 'ftp-get', 'ftp-put', 'mail', 'telemetry', 'request-response']),
});

/** What a run was made with; all runs of one cell have the same. */
const settings = z.strictObject({
  /** Name of the scenario, and the SHA-256 of its text. */
  scenario: z.string(),
  scenarioSha256: z.string(),
  /** The keys that vary in this sweep, by the names that the job gives them: `{ 'down.ber': 1e-6, stack: '2000' }`. */
  varied: z.record(z.string(), z.json()),
  /** Every scenario key that the sweep set, by its full path: `{ 'links.space.down.ber': 1e-6 }`. */
  overrides: z.record(z.string(), z.json()),
  /** `tcp.stack`: 2000, rfc2488, today, bbr. */
  stack: z.string(),
  /** The algorithm that the sending node's kernel used. */
  congestionControl: z.string(),
  workload,
  /** The link that is measured, and the direction of the data. */
  link: z.string(),
  direction: z.enum(['up', 'down']),
  mtuOctets: count,
  /** As announced (RFC 9293 3.7.1: without options); null: MTU − 40. */
  maximumSegmentOctets: count.nullable(),
  framing: z.enum(['frame-relay', 'cisco-hdlc', 'ppp']),
  fcs: z.union([z.literal(16), z.literal(32)]),
  lineCoding: z.array(z.string()),
  up: direction,
  down: direction,
});

const roundTrip = z.strictObject({
  samples: count,
  minimum: measure,
  median: measure,
  mean: measure,
  p95: measure,
  maximum: measure,
});

const frames = z.strictObject({
  /** Frames whose transmission began, and those that noise touched. */
  sent: count,
  hit: count,
  /** Packets that ended here, by reason: `noise-fcs`, `noise-abort`, `queue-full`, `los`, … */
  lost: counts,
  /** Octets passed on that were not what was sent (the FCS did not see it). */
  undetected: count,
  /** Bits that the channel flipped during the run, in frames and in the fill. */
  bitErrors: count,
});

const measures = z.strictObject({
  /** Payload octets that the far end acknowledged (TCP) or received (UDP), each counted once. */
  octets: count,
  /** From the first data segment sent to the acknowledgement of the last octet, both at the sender. */
  seconds: measure,
  /** From the client's start to its end: connecting, logging in, the transfer. */
  finishSeconds: measure,
  /** 8 × octets ÷ seconds. */
  goodputBitPerSecond: measure,
  /** Payload bits over the bits that the line could carry in `seconds` (its rate, while in contact): what a pass is worth. */
  utilisation: measure,
  /** Payload bits over the bits of the frames sent in `seconds`, counted by the channel: stuffing, headers, flags, repeats. */
  efficiency: measure,
  lineBits: measure,
  frameBits: measure,
  /** Data segments, each counted once; `segmentsSent` counts every transmission. 0 without TCP. */
  segments: count,
  segmentsSent: count,
  segmentOctets: count,
  /** Of data segments, SYN and FIN. `spurious` of `total` were proved needless (D-SACK, too early an answer). */
  retransmissions: z.strictObject({
    total: count,
    fast: count,
    timeout: count,
    probe: count,
    spurious: count,
    dataSegments: count,
  }),
  duplicateAcknowledgments: count,
  /** Seconds; of segments sent once (Karn). */
  roundTrip: roundTrip.nullable(),
  /** In the direction of the data, and against it. */
  frames,
  reverseFrames: frames,
  /** The sending kernel's own TCP_INFO when the connection closed; null when it could not be read. */
  tcpInfo: z
    .strictObject({
      congestionControl: z.string(),
      minimumRoundTripSeconds: measure,
      roundTripSeconds: measure,
      retransmitted: count,
      octetsAcknowledged: count,
      octetsRetransmitted: count,
      duplicatesReported: count,
      reordering: count,
    })
    .nullable(),
  /** request-response, mail, telemetry: exchanges, messages or packets asked for and done, and the seconds that one took. */
  exchanges: z
    .strictObject({
      wanted: count,
      done: count,
      seconds: z.strictObject({ minimum: measure, median: measure, p95: measure, maximum: measure }).nullable(),
    })
    .nullable(),
});

export const sweepResultSchema = z.strictObject({
  schema: z.literal(RESULT_SCHEMA),
  /** Name of the sweep. */
  sweep: z.string(),
  /** First 16 hexadecimal digits of the SHA-256 of the settings: equal settings, equal cell, on every machine. */
  cell: z.string().regex(/^[0-9a-f]{16}$/),
  settings,
  /** From 0; each repetition has a seed of its own, derived from the sweep's seed, the cell and this number. */
  repetition: count,
  seed: z.string(),
  /** From 1; above it when earlier attempts were late or failed. */
  attempt: z.int().min(1),
  started: z.iso.datetime(),
  versions: z.record(z.string(), z.string()),
  machine: z.strictObject({ cpu: z.string(), cores: count, memoryOctets: count }),
  /** `incomplete`: the time limit came first. Only `complete` runs count in tables and figures. */
  outcome: z.enum(['complete', 'incomplete', 'failed']),
  problem: z.string().nullable(),
  measures: measures.nullable(),
  /** How late the emulator did what was due. Late runs are kept as evidence and repeated; they never count. */
  lateness: z.strictObject({
    maximumNanoseconds: measure,
    boundNanoseconds: measure,
    /** Events later than the bound, and all. */
    overdue: count,
    events: count,
    late: z.boolean(),
  }),
  /** Files of `--keep-captures`, relative to the results file. */
  captures: z.array(z.string()),
});

export type SweepResult = z.output<typeof sweepResultSchema>;
export type SweepSettings = SweepResult['settings'];
export type SweepMeasures = NonNullable<SweepResult['measures']>;

/** Whether the run counts: it finished, was measured, and the emulator was never late. */
export const isSound = (result: SweepResult): result is SweepResult & { readonly measures: SweepMeasures } =>
  result.outcome === 'complete' && !result.lateness.late && result.measures !== null;
