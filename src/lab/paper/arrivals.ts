/**
 * The receiving end of a transfer in a recorder's capture: which segments came out of order (tcptrace's `O`: behind one with a
 * higher sequence number, seen for the first time) and which came twice; and which were lost on the way.
 */
import { readCaptureFile } from '../../io/capture-file.ts';
import { recordedPacket } from '../recorded-packets.ts';
import { parseSegment } from '../trace/index.ts';

export interface Arrivals {
  /** Data segments of the flow that entered the link in this direction; none when the flow runs the other way. */
  readonly sent: number;
  /** Seconds since the capture's first IP packet, as in a TransferReport; sequence from the flow's first. */
  readonly outOfOrder: readonly { readonly at: number; readonly sequence: number }[];
  readonly duplicates: number;
  /** Data segments that did not arrive, at the time when they were sent: noise took the frame, or a queue was full. */
  readonly lostToNoise: readonly { readonly at: number; readonly sequence: number }[];
  readonly lostInQueue: readonly { readonly at: number; readonly sequence: number }[];
}

export interface FlowOf {
  readonly link: string;
  readonly direction: 'up' | 'down';
  /** `10.12.0.1:20`, as in a FlowSummary. */
  readonly source: string;
  readonly destination: string;
}

export async function readArrivals(file: string, of: FlowOf): Promise<Arrivals> {
  const outOfOrder: { at: number; sequence: number }[] = [];
  const inFlight = new Map<number, { at: number; sequence: number }>();
  const [lostToNoise, lostInQueue]: { at: number; sequence: number }[][] = [[], []];
  const seen = new Set<number>();
  let origin: bigint | undefined;
  let first: number | undefined;
  let highest = -1;
  let duplicates = 0;
  let sent = 0;
  let number = 0;
  for await (const { packet, interface: from } of readCaptureFile(file)) {
    const recorded = recordedPacket(packet, from, ++number);
    if (recorded === undefined || recorded.link !== of.link) continue;
    const forward = recorded.direction === of.direction;
    if (forward && recorded.tap === 'dropped') {
      const lost = inFlight.get(recorded.packetId);
      if (lost !== undefined) (recorded.facts.get('drop')?.startsWith('noise') ? lostToNoise : lostInQueue)!.push(lost);
      continue;
    }
    const isSent = forward && recorded.tap === 'ip-in';
    if (isSent || (!forward && recorded.tap === 'ip-out')) origin ??= recorded.at;
    if (!isSent && !(forward && recorded.tap === 'ip-out')) continue;
    const at = Number(recorded.at - (origin ?? recorded.at)) / 1e9;
    const segment = parseSegment(recorded.octets, at, number);
    if (segment === undefined || segment.source !== of.source || segment.destination !== of.destination) continue;
    first ??= segment.sequence;
    const sequence = (segment.sequence - first) >>> 0;
    if (isSent) {
      if (segment.payloadOctets === 0) continue;
      sent++;
      inFlight.set(recorded.packetId, { at, sequence });
      continue;
    }
    if (segment.payloadOctets === 0) continue;
    if (seen.has(sequence)) duplicates++;
    else if (sequence < highest) outOfOrder.push({ at, sequence });
    seen.add(sequence);
    highest = Math.max(highest, sequence);
  }
  return { sent, outOfOrder, duplicates, lostToNoise: lostToNoise!, lostInQueue: lostInQueue! };
}
