/**
 * What a run was worth, from the recorder's packets: TCP as the sending end saw it (src/lab/trace), the frames of the link with
 * the bits that the channel counted for them, and what was dropped and why. Nothing is estimated.
 *
 * A workload of one transfer is measured on the connection that carried most; of many exchanges, on all of them together.
 */
import { type Instant, OmniError } from '../../core/index.ts';
import { type CapturedPacket, type CaptureInterface, PcapngDecoder } from '../../io/pcapng.ts';
import { IPV4_HEADER_OCTETS, ipv4HeaderOctets, ipv4Protocol, ipv4TotalLength, PROTOCOL } from '../../ip/index.ts';
import { type RecordedPacket, recordedPacket } from '../recorded-packets.ts';
import { type FlowSummary, parseSegment, TcpTrace } from '../trace/index.ts';
import type { SweepMeasures } from './result.ts';

/** Bits that the line could carry from one instant to another, by its rate and its contacts. */
export type LineBits = (from: Instant, to: Instant) => number;

export interface MeasureOptions {
  readonly link: string;
  readonly direction: 'up' | 'down';
  /** Nanoseconds since 1970 at instant 0 of the data plane. */
  readonly epoch: bigint;
  readonly lineBits: LineBits;
  /** UDP: count datagrams, not a connection. */
  readonly udp?: boolean;
  /** All connections together, in place of the largest. */
  readonly all?: boolean;
  /** The transfer was ended after this time, seconds since its first data segment. */
  readonly window?: number | undefined;
}

export type LineCounters = Readonly<Record<string, number>>;
export interface BothCounters {
  readonly forward: LineCounters;
  readonly back: LineCounters;
}

interface Sent {
  readonly at: number;
  readonly bits: number;
}

export class Measurement {
  readonly #options: MeasureOptions;
  readonly #decoder = new PcapngDecoder();
  readonly #trace = new TcpTrace();
  /** Endpoints that send in the direction of the data. */
  readonly #senders = new Set<string>();
  readonly #frames: Sent[] = [];
  readonly #lost = { forward: {} as Record<string, number>, back: {} as Record<string, number> };
  readonly #sent = { forward: 0, back: 0 };
  readonly #hit = { forward: 0, back: 0 };
  readonly #datagrams = { sent: 0, octetsIn: 0, received: 0, first: Number.NaN, last: Number.NaN };
  #number = 0;

  constructor(options: MeasureOptions) {
    this.#options = options;
  }

  /** Pieces of the capture, in order. */
  add(octets: Uint8Array): void {
    for (const packet of this.#decoder.push(octets))
      this.#packet(packet, this.#decoder.interfaces[packet.interfaceId]!);
  }

  #packet(packet: CapturedPacket, from: CaptureInterface): void {
    const recorded = recordedPacket(packet, from, ++this.#number);
    if (recorded === undefined || recorded.link !== this.#options.link) return;
    const forward = recorded.direction === this.#options.direction;
    const way = forward ? 'forward' : 'back';
    const at = Number(recorded.at - this.#options.epoch) / 1e9;
    if (recorded.tap === (forward ? 'ip-in' : 'ip-out')) {
      const segment = parseSegment(recorded.octets, at, this.#number);
      if (segment !== undefined) {
        if (forward) this.#senders.add(segment.source);
        this.#trace.add(segment);
      }
    }
    if (forward && this.#options.udp === true) this.#countDatagram(recorded, at);
    if (recorded.tap === 'frame-sent') {
      this.#sent[way]++;
      if (forward) this.#frames.push({ at, bits: Number(recorded.facts.get('bits')) + FLAG_BITS });
    }
    if (recorded.tap === 'frame-received' && recorded.facts.has('flips')) this.#hit[way]++;
    if (recorded.tap === 'dropped') {
      const reason = recorded.facts.get('drop') ?? 'unknown';
      this.#lost[way][reason] = (this.#lost[way][reason] ?? 0) + 1;
    }
  }

  #countDatagram({ tap, octets }: RecordedPacket, at: number): void {
    if (octets.length < IPV4_HEADER_OCTETS || ipv4Protocol(octets, 0) !== PROTOCOL.udp) return;
    const datagrams = this.#datagrams;
    if (tap === 'ip-in') {
      datagrams.sent++;
      if (Number.isNaN(datagrams.first)) datagrams.first = at;
    }
    if (tap === 'ip-out') {
      datagrams.received++;
      datagrams.octetsIn += ipv4TotalLength(octets, 0) - ipv4HeaderOctets(octets, 0) - UDP_HEADER_OCTETS;
      datagrams.last = at;
    }
  }

  /** Whether every frame that the line had sent has been added. */
  isWhole(counters: BothCounters): boolean {
    return (['forward', 'back'] as const).every((way) => this.#sent[way] >= (counters[way].packetsIn ?? 0));
  }

  /** Undefined when no data was sent. */
  finish(run: {
    readonly finishSeconds: number;
    readonly counters: BothCounters;
    readonly tcpInfo: SweepMeasures['tcpInfo'];
    readonly exchanges: SweepMeasures['exchanges'];
  }): SweepMeasures | undefined {
    this.#decoder.end();
    const transfer = this.#options.udp === true ? this.#udp() : this.#tcp();
    if (transfer === undefined) return undefined;
    // The recorder's ring is finite: a measurement with a part of the packets is none.
    if (!this.isWhole(run.counters)) {
      const kept = this.#sent.forward + this.#sent.back;
      const all = (run.counters.forward.packetsIn ?? 0) + (run.counters.back.packetsIn ?? 0);
      throw new OmniError('OMNI_MEASURE', `the recorder kept ${kept} of ${all} frames`, {
        remedy: 'run it with --keep-captures, which reads them as they come, or with a shorter transfer',
      });
    }
    const { first, last, ...counted } = transfer;
    const seconds = last - first;
    const lineBits = this.#options.lineBits(instantOf(first), instantOf(last));
    const frameBits = this.#frames.reduce((sum, { at, bits }) => sum + (at >= first && at < last ? bits : 0), 0);
    const payloadBits = 8 * counted.octets;
    const side = (way: 'forward' | 'back') => ({
      sent: this.#sent[way],
      hit: this.#hit[way],
      lost: this.#lost[way],
      undetected: run.counters[way].packetsAltered ?? 0,
      bitErrors: run.counters[way].bitErrors ?? 0,
    });
    return {
      ...counted,
      seconds,
      finishSeconds: run.finishSeconds,
      goodputBitPerSecond: seconds > 0 ? payloadBits / seconds : 0,
      utilisation: lineBits > 0 ? payloadBits / lineBits : 0,
      efficiency: frameBits > 0 ? payloadBits / frameBits : 0,
      lineBits,
      frameBits,
      frames: side('forward'),
      reverseFrames: side('back'),
      tcpInfo: run.tcpInfo,
      exchanges:
        this.#options.udp === true
          ? { wanted: this.#datagrams.sent, done: this.#datagrams.received, seconds: null }
          : run.exchanges,
    };
  }

  #udp(): Transfer | undefined {
    const { sent, octetsIn, first, last } = this.#datagrams;
    if (sent === 0 || Number.isNaN(last)) return undefined;
    const none = { total: 0, fast: 0, timeout: 0, probe: 0, spurious: 0, dataSegments: 0 };
    return {
      octets: octetsIn,
      first,
      last,
      segments: 0,
      segmentsSent: 0,
      segmentOctets: 0,
      retransmissions: none,
      duplicateAcknowledgments: 0,
      roundTrip: null,
    };
  }

  #tcp(): Transfer | undefined {
    const all = this.#trace.connections().flatMap((connection) => [connection.toClient, connection.toServer]);
    // Only what flows in the direction of the data was seen at its sender's end.
    const flows = all.filter((flow) => flow.octets > 0 && this.#senders.has(flow.source));
    const largest = flows.reduce<FlowSummary | undefined>((a, b) => (b.octets > (a?.octets ?? 0) ? b : a), undefined);
    if (largest === undefined) return undefined;
    if (this.#options.all === true) return joined(flows.map((flow) => transferOf(flow, undefined)));
    return transferOf(largest, this.#options.window);
  }
}

const FLAG_BITS = 8;
const UDP_HEADER_OCTETS = 8;

type Counted = Pick<
  SweepMeasures,
  | 'octets'
  | 'segments'
  | 'segmentsSent'
  | 'segmentOctets'
  | 'retransmissions'
  | 'duplicateAcknowledgments'
  | 'roundTrip'
>;
type Transfer = Counted & { readonly first: number; readonly last: number };

function transferOf(flow: FlowSummary, window: number | undefined): Transfer {
  const data = flow.timeSequence.filter((sent) => sent.payloadOctets > 0);
  const first = data[0]!.at;
  const firstOctet = data[0]!.sequence;
  const until = window === undefined ? Number.POSITIVE_INFINITY : first + window;
  const end = data.reduce((far, sent) => Math.max(far, sent.sequence + sent.payloadOctets), 0);
  const acknowledged = flow.acknowledged.filter(({ at }) => at <= until);
  const complete = acknowledged.find(({ octets }) => octets >= end) ?? acknowledged.at(-1);
  const inWindow = flow.timeSequence.filter(({ at }) => at <= until);
  const again = inWindow.filter((sent) => sent.cause !== undefined);
  const count = (cause: string) => again.filter((sent) => sent.cause === cause).length;
  const dataSent = inWindow.filter((sent) => sent.payloadOctets > 0);
  const dataAgain = again.filter((sent) => sent.payloadOctets > 0).length;
  const { roundTrip } = flow;
  return {
    octets: Math.max(0, Math.min(complete?.octets ?? 0, end) - firstOctet),
    first,
    last: window === undefined ? Math.max(first, complete?.at ?? first) : until,
    segments: dataSent.length - dataAgain,
    segmentsSent: dataSent.length,
    segmentOctets: flow.largestSegmentOctets,
    retransmissions: {
      total: again.length,
      fast: count('fast'),
      timeout: count('timeout'),
      probe: count('probe'),
      spurious: again.filter((sent) => sent.spurious).length,
      dataSegments: dataAgain,
    },
    duplicateAcknowledgments: flow.duplicateAcknowledgments,
    roundTrip:
      roundTrip === undefined
        ? null
        : {
            samples: roundTrip.samples,
            minimum: roundTrip.least,
            median: roundTrip.median,
            mean: roundTrip.mean,
            p95: roundTrip.p95,
            maximum: roundTrip.greatest,
          },
  };
}

/** Many connections, or none: sums, from the first to the last; the round trips of the one with the most samples. */
function joined(transfers: readonly Transfer[]): Transfer {
  const sum = (of: (transfer: Transfer) => number) => transfers.reduce((total, transfer) => total + of(transfer), 0);
  const causes = ['total', 'fast', 'timeout', 'probe', 'spurious', 'dataSegments'] as const;
  return {
    octets: sum((t) => t.octets),
    first: Math.min(...transfers.map((t) => t.first)),
    last: Math.max(...transfers.map((t) => t.last)),
    segments: sum((t) => t.segments),
    segmentsSent: sum((t) => t.segmentsSent),
    segmentOctets: Math.max(...transfers.map((t) => t.segmentOctets)),
    retransmissions: Object.fromEntries(
      causes.map((cause) => [cause, sum((t) => t.retransmissions[cause])]),
    ) as Counted['retransmissions'],
    duplicateAcknowledgments: sum((t) => t.duplicateAcknowledgments),
    roundTrip: transfers.reduce<Counted['roundTrip']>(
      (most, { roundTrip }) => ((roundTrip?.samples ?? 0) > (most?.samples ?? 0) ? roundTrip : most),
      null,
    ),
  };
}

const instantOf = (seconds: number): Instant => Math.round(seconds * 1e9) as Instant;
