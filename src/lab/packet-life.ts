/**
 * One packet's life, told from a recorder's capture: over each link it met, when it entered, how long it queued behind what, when
 * its frame was sent, which bits were hit and in which field, what the receiver did, and, for a TCP segment that was lost, when its
 * octets were sent again. Everything is read off the capture, so a file tells it as well as a running testbed.
 */
import { fieldAt, locateWireBit, type WireBit } from './frame-bits.ts';
import { flowOf } from './packet-filter.ts';
import { ipOffset, ipPacket, type RecordedPacket } from './recorded-packets.ts';
import { parseSegment } from './trace/index.ts';

export interface PacketLife {
  readonly packetId: number;
  /** The packet as it entered; undefined when that was not recorded. */
  readonly entered: RecordedPacket | undefined;
  readonly hops: readonly Hop[];
  readonly sentAgain: { readonly packetId: number; readonly afterSeconds: number } | undefined;
}

export interface Hop {
  readonly link: string;
  readonly direction: string;
  readonly enteredAt: bigint | undefined;
  readonly trafficClass: string | undefined;
  readonly queue: Queueing | undefined;
  /**
   * Frames it left in: 1, or more when the kernel handed over a train of TCP segments. Of those the first that was lost is told
   * below, or else the first.
   */
  readonly frames: number;
  /** Which of `frames` is told, from 1; 0 when that cannot be said. */
  readonly frame: number;
  /** How many of its frames had which outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly sent:
    | {
        readonly at: bigint;
        readonly octets: number;
        readonly bits: number;
        readonly seconds: number;
        readonly frame: RecordedPacket;
      }
    | undefined;
  readonly received:
    | { readonly at: bigint; readonly outcome: string; readonly flips: number; readonly hit: readonly HitBit[] }
    | undefined;
  readonly leftAt: bigint | undefined;
  readonly dropped: { readonly at: bigint; readonly reason: string } | undefined;
}

export interface Queueing {
  /** From entering until the first bit left. */
  readonly seconds: number;
  /** The frames that the transmitter sent meanwhile, in their order, with the time each held it up. */
  readonly behind: readonly { readonly packetId: number; readonly octets: number; readonly seconds: number }[];
  /** The rest of the time: the line was free, so the link was down, the packet was held, or flags filled an octet. */
  readonly otherSeconds: number;
}

export interface HitBit extends WireBit {
  readonly position: number;
  readonly field: string;
}

/** The lives in one capture; index it once, ask often. */
export class PacketLives {
  readonly #byPacket = new Map<number, RecordedPacket[]>();
  /** Frames sent, by link and direction, in the order of the wire. */
  readonly #sent = new Map<string, RecordedPacket[]>();
  readonly #packets: readonly RecordedPacket[];

  constructor(packets: readonly RecordedPacket[]) {
    this.#packets = packets;
    for (const packet of packets) {
      if (packet.packetId !== 0) append(this.#byPacket, packet.packetId, packet);
      if (packet.tap === 'frame-sent') append(this.#sent, wire(packet), packet);
    }
    for (const frames of this.#sent.values()) frames.sort((a, b) => (a.at < b.at ? -1 : 1));
  }

  life(packetId: number): PacketLife | undefined {
    const events = this.#byPacket.get(packetId);
    if (events === undefined) return undefined;
    const wires = [...new Set(events.map(wire))];
    const hops = wires.map((name) => this.#hop(events.filter((event) => wire(event) === name)));
    const entered = events.find((event) => event.tap === 'ip-in');
    return { packetId, entered, hops, sentAgain: hops.at(-1)?.dropped && this.#sentAgain(entered) };
  }

  #hop(events: readonly RecordedPacket[]): Hop {
    const tap = (name: string): RecordedPacket | undefined => events.find((event) => event.tap === name);
    const [entered, left, dropped] = ['ip-in', 'ip-out', 'dropped'].map(tap);
    const frames = events.filter((event) => event.tap === 'frame-sent');
    const arrivals = events.filter((event) => event.tap === 'frame-received');
    const outcomes = arrivals.map((event) => event.facts.get('outcome') ?? 'unknown');
    const damaged = outcomes.findIndex((outcome) => outcome !== 'good');
    const told = Math.max(0, damaged);
    // Frames arrive in their order, so the nth arrival is the nth frame, unless frames in good order were not recorded.
    const sent = frames.length >= arrivals.length ? frames[told] : undefined;
    const received = arrivals[told];
    const { link, direction } = events[0]!;
    return {
      link,
      direction,
      enteredAt: entered?.at,
      trafficClass: entered?.facts.get('class'),
      queue: entered === undefined ? undefined : this.#queueing(entered, frames[0], dropped?.at),
      frames: frames.length,
      frame: sent === undefined ? 0 : told + 1,
      outcomes: countsOf(outcomes),
      sent: sent && {
        at: sent.at,
        octets: sent.originalOctets,
        bits: Number(sent.facts.get('bits')),
        seconds: Number(sent.facts.get('lasts')),
        frame: sent,
      },
      received: received && {
        at: received.at,
        outcome: received.facts.get('outcome') ?? 'unknown',
        flips: Number(received.facts.get('flips') ?? 0),
        hit: hitBits(received, sent),
      },
      leftAt: left?.at,
      dropped: dropped && { at: dropped.at, reason: dropped.facts.get('drop') ?? 'unknown' },
    };
  }

  #queueing(
    entered: RecordedPacket,
    sent: RecordedPacket | undefined,
    droppedAt: bigint | undefined,
  ): Queueing | undefined {
    const until = sent?.at ?? droppedAt;
    if (until === undefined) return undefined;
    const behind: { packetId: number; octets: number; seconds: number }[] = [];
    for (const frame of this.#sent.get(wire(entered)) ?? []) {
      const from = frame.at;
      const to = frame.at + BigInt(Math.round(Number(frame.facts.get('lasts') ?? 0) * 1e9));
      if (frame === sent || to <= entered.at || from >= until) continue;
      const held = seconds((to < until ? to : until) - (from > entered.at ? from : entered.at));
      behind.push({ packetId: frame.packetId, octets: frame.originalOctets, seconds: held });
    }
    const waited = seconds(until - entered.at);
    const held = behind.reduce((sum, frame) => sum + frame.seconds, 0);
    return { seconds: waited, behind, otherSeconds: Math.max(0, waited - held) };
  }

  #sentAgain(lost: RecordedPacket | undefined): PacketLife['sentAgain'] {
    const segment = lost && parseSegment(ipPacket(lost), 0);
    if (lost === undefined || segment === undefined || segment.payloadOctets === 0) return undefined;
    for (const packet of this.#packets) {
      if (packet.tap !== 'ip-in' || packet.link !== lost.link || packet.at <= lost.at) continue;
      const later = parseSegment(ipPacket(packet), 0);
      if (
        later !== undefined &&
        flowOf(later) === flowOf(segment) &&
        // The octets may be cut into other segments than before.
        ((segment.sequence - later.sequence) | 0) >= 0 &&
        ((segment.sequence - later.sequence) | 0) < later.payloadOctets
      )
        return { packetId: packet.packetId, afterSeconds: seconds(packet.at - lost.at) };
    }
    return undefined;
  }
}

function hitBits(received: RecordedPacket, sent: RecordedPacket | undefined): HitBit[] {
  const positions = (received.facts.get('flipped') ?? '')
    .split(',')
    .map(Number)
    .filter((n) => n >= 0 && Number.isFinite(n));
  const listed = received.facts.has('flipped') ? positions : [];
  if (sent === undefined || sent.octets.length < sent.originalOctets)
    return listed.map((position) => ({ position, octet: -1, bit: -1, kind: 'data', field: 'unknown' }));
  return listed.map((position) => {
    const where = locateWireBit(sent.octets, position);
    const inFrame = where.kind === 'data' || where.kind === 'inserted zero';
    const field = inFrame ? fieldAt(sent.octets, where.octet, ipOffset(sent), sent.fcsOctets) : where.kind;
    return { position, ...where, field };
  });
}

function countsOf(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

const wire = (packet: RecordedPacket): string => `${packet.link}.${packet.direction}`;
const seconds = (nanoseconds: bigint): number => Number(nanoseconds) / 1e9;

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
