/**
 * The TCP connections of a trace taken at one end, and what each direction did: segments, retransmissions by cause, goodput,
 * round trips, the time-sequence points for a plot. The trace must be of one point (all packets that one node sent and received,
 * each once): seen in the middle, or at two taps at once, every packet would look like a retransmission of itself.
 */
import { TCP_FLAG } from '../../ip/index.ts';
import type { TcpSegment } from './segment.ts';
import { type RetransmissionCause, type SentSegment, TcpFlow } from './tcp-flow.ts';

export interface FlowSummary {
  readonly source: string;
  readonly destination: string;
  /** Payload octets acknowledged, each counted once. */
  readonly octets: number;
  /** Segments with payload, every transmission counted. */
  readonly dataSegments: number;
  /** Of these and of SYN and FIN: sent again. `spurious` of them were proved needless. */
  readonly retransmissions: Readonly<Record<RetransmissionCause, number>> & {
    readonly total: number;
    readonly spurious: number;
  };
  readonly largestSegmentOctets: number;
  /** From the first payload sent to its last octet acknowledged; 0 without payload. */
  readonly seconds: number;
  /** Payload bits acknowledged per second of that time. */
  readonly goodputBitPerSecond: number;
  readonly duplicateAcknowledgments: number;
  readonly zeroWindows: number;
  /** Seconds; undefined without a sample. */
  readonly roundTrip:
    | {
        readonly samples: number;
        readonly least: number;
        readonly median: number;
        readonly mean: number;
        readonly p95: number;
        readonly greatest: number;
      }
    | undefined;
  readonly timeSequence: readonly SentSegment[];
  readonly acknowledged: readonly { readonly at: number; readonly octets: number }[];
}

export interface ConnectionSummary {
  /** The end that sent the SYN, as far as it was seen. */
  readonly client: string;
  readonly server: string;
  readonly beganAt: number;
  readonly endedAt: number;
  readonly closed: 'fin' | 'reset' | 'open';
  readonly toServer: FlowSummary;
  readonly toClient: FlowSummary;
}

interface Connection {
  readonly client: string;
  readonly server: string;
  readonly beganAt: number;
  endedAt: number;
  fins: number;
  reset: boolean;
  readonly toServer: TcpFlow;
  readonly toClient: TcpFlow;
}

/** Bounded, because a trace may hold anything; further connections are counted only. */
const MOST_CONNECTIONS = 100_000;

export class TcpTrace {
  /** Newest connection of each pair of endpoints. */
  readonly #open = new Map<string, Connection>();
  readonly #all: Connection[] = [];
  ignoredConnections = 0;

  add(segment: TcpSegment): void {
    const connection = this.#connectionOf(segment);
    if (connection === undefined) return;
    connection.endedAt = segment.at;
    if ((segment.flags & TCP_FLAG.fin) !== 0) connection.fins++;
    if ((segment.flags & TCP_FLAG.rst) !== 0) connection.reset = true;
    const fromClient = segment.source === connection.client;
    const [own, other] = fromClient
      ? [connection.toServer, connection.toClient]
      : [connection.toClient, connection.toServer];
    own.send(segment);
    if ((segment.flags & TCP_FLAG.ack) !== 0) other.acknowledge(segment);
  }

  connections(): ConnectionSummary[] {
    return this.#all.map((connection) => ({
      client: connection.client,
      server: connection.server,
      beganAt: connection.beganAt,
      endedAt: connection.endedAt,
      closed: connection.reset ? 'reset' : connection.fins >= 2 ? 'fin' : 'open',
      toServer: summarise(connection.toServer, connection.client, connection.server),
      toClient: summarise(connection.toClient, connection.server, connection.client),
    }));
  }

  #connectionOf(segment: TcpSegment): Connection | undefined {
    const { source, destination } = segment;
    const key = source < destination ? `${source} ${destination}` : `${destination} ${source}`;
    const known = this.#open.get(key);
    const opens = (segment.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn;
    // The same ports again: a SYN with another first sequence number than the one before.
    if (known !== undefined && !(opens && isAnother(known, segment))) return known;
    if (this.#all.length >= MOST_CONNECTIONS) {
      this.ignoredConnections++;
      return undefined;
    }
    const fromServer = (segment.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === (TCP_FLAG.syn | TCP_FLAG.ack);
    const connection: Connection = {
      client: fromServer ? destination : source,
      server: fromServer ? source : destination,
      beganAt: segment.at,
      endedAt: segment.at,
      fins: 0,
      reset: false,
      toServer: new TcpFlow(),
      toClient: new TcpFlow(),
    };
    this.#open.set(key, connection);
    this.#all.push(connection);
    return connection;
  }
}

function isAnother(known: Connection, segment: TcpSegment): boolean {
  const flow = segment.source === known.client ? known.toServer : known.toClient;
  return flow.firstSequence !== undefined && flow.firstSequence !== segment.sequence;
}

function summarise(flow: TcpFlow, source: string, destination: string): FlowSummary {
  const data = flow.sent.filter((sent) => sent.payloadOctets > 0);
  const lastPayload = data.reduce((end, sent) => Math.max(end, sent.sequence + sent.payloadOctets), 0);
  const firstPayload = data.reduce((first, sent) => Math.min(first, sent.sequence), Number.POSITIVE_INFINITY);
  const octets = data.length === 0 ? 0 : Math.max(0, Math.min(flow.octetsAcknowledged, lastPayload) - firstPayload);
  const complete = flow.acknowledged.find(({ octets: reached }) => reached >= lastPayload) ?? flow.acknowledged.at(-1);
  const seconds = octets === 0 ? 0 : Math.max(0, (complete?.at ?? 0) - data[0]!.at);
  const count = (cause: RetransmissionCause): number => flow.sent.filter((sent) => sent.cause === cause).length;
  const causes = { fast: count('fast'), timeout: count('timeout'), probe: count('probe') };
  const samples = flow.roundTrips.map((sample) => sample.seconds).sort((a, b) => a - b);
  return {
    source,
    destination,
    octets,
    dataSegments: data.length,
    retransmissions: {
      ...causes,
      total: causes.fast + causes.timeout + causes.probe,
      spurious: flow.sent.filter((sent) => sent.spurious).length,
    },
    largestSegmentOctets: data.reduce((largest, sent) => Math.max(largest, sent.payloadOctets), 0),
    seconds,
    goodputBitPerSecond: seconds === 0 ? 0 : (octets * 8) / seconds,
    duplicateAcknowledgments: flow.duplicateAcknowledgments,
    zeroWindows: flow.zeroWindows,
    roundTrip:
      samples.length === 0
        ? undefined
        : {
            samples: samples.length,
            least: samples[0]!,
            median: samples[samples.length >> 1]!,
            mean: samples.reduce((sum, sample) => sum + sample, 0) / samples.length,
            p95: samples[Math.floor(0.95 * (samples.length - 1))]!,
            greatest: samples.at(-1)!,
          },
    timeSequence: flow.sent,
    acknowledged: flow.acknowledged,
  };
}
