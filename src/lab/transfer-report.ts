/**
 * What a bulk transfer over one link looked like, read from a recorder's capture of the link: TCP as the sending node saw it and
 * the link's frames. All counted from packets and frames, nothing estimated.
 */
import { readCaptureFile } from '../io/capture-file.ts';
import { recordedPacket } from './recorded-packets.ts';
import { type FlowSummary, parseSegment, TcpTrace } from './trace/index.ts';

export interface TransferReport {
  readonly octets: number;
  /** From the first data segment sent to the acknowledgment of the last. */
  readonly seconds: number;
  readonly goodputBitPerSecond: number;
  /** Of the link's serial rate. */
  readonly utilisation: number;
  /** Data segments, each counted once, and their size. */
  readonly segments: number;
  readonly segmentOctets: number;
  /** By cause; `dataSegments` are those with data, the rest SYN and FIN. */
  readonly retransmissions: FlowSummary['retransmissions'] & { readonly dataSegments: number };
  readonly medianRoundTripSeconds: number | undefined;
  /** In the direction of the data, over the whole capture. */
  readonly frames: {
    readonly sent: number;
    readonly hit: number;
    /** By what became of the packet: `noise-fcs`, `noise-abort`, `queue-full`, … */
    readonly lost: Readonly<Record<string, number>>;
  };
  readonly flow: FlowSummary;
}

export interface TransferOf {
  readonly link: string;
  /** Direction of the data. */
  readonly direction: 'up' | 'down';
  readonly linkBitPerSecond: number;
}

/** The largest transfer in the capture; undefined when no TCP data was sent. */
export async function reportTransfer(file: string, of: TransferOf): Promise<TransferReport | undefined> {
  const trace = new TcpTrace();
  const lost: Record<string, number> = {};
  let sent = 0;
  let hit = 0;
  let origin: bigint | undefined;
  let number = 0;
  for await (const { packet, interface: from } of readCaptureFile(file)) {
    const recorded = recordedPacket(packet, from, ++number);
    if (recorded === undefined || recorded.link !== of.link) continue;
    const forward = recorded.direction === of.direction;
    if (recorded.tap === (forward ? 'ip-in' : 'ip-out')) {
      origin ??= recorded.at;
      const segment = parseSegment(recorded.octets, Number(recorded.at - origin) / 1e9, number);
      if (segment !== undefined) trace.add(segment);
    }
    if (!forward) continue;
    if (recorded.tap === 'frame-sent') sent++;
    if (recorded.tap === 'frame-received' && recorded.facts.has('flips')) hit++;
    if (recorded.tap === 'dropped') {
      const reason = recorded.facts.get('drop') ?? 'unknown';
      lost[reason] = (lost[reason] ?? 0) + 1;
    }
  }
  const flows = trace.connections().flatMap((connection) => [connection.toClient, connection.toServer]);
  const flow = flows.reduce<FlowSummary | undefined>((a, b) => (b.octets > (a?.octets ?? 0) ? b : a), undefined);
  if (flow === undefined) return undefined;
  const again = flow.timeSequence.filter((segment) => segment.cause !== undefined && segment.payloadOctets > 0).length;
  return {
    octets: flow.octets,
    seconds: flow.seconds,
    goodputBitPerSecond: flow.goodputBitPerSecond,
    utilisation: flow.goodputBitPerSecond / of.linkBitPerSecond,
    segments: flow.dataSegments - again,
    segmentOctets: flow.largestSegmentOctets,
    retransmissions: { ...flow.retransmissions, dataSegments: again },
    medianRoundTripSeconds: flow.roundTrip?.median,
    frames: { sent, hit, lost },
    flow,
  };
}
