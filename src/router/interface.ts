/** One interface of a router: its settings, its output queue and its counters. */
import { Counters } from '../core/counters.ts';
import { type Duration, seconds } from '../core/time.ts';
import type { IpAddress } from '../ip/index.ts';
import type { DropReason } from './drop.ts';
import { OutputQueue, type OutputQueueObserver } from './output-queue.ts';
import type { InterfaceAvailability } from './route-table.ts';
import { classQueueSettings, type QueueLimit, type TrafficClass } from './traffic-class.ts';

export type InterfaceKind = 'host' | 'link' | 'tunnel';

export interface InterfaceOptions {
  readonly name: string;
  /** `host` is the TUN to the node's own kernel, at most one; `link` an HDLC link; `tunnel` carries packets in packets. */
  readonly kind: InterfaceKind;
  /** The largest IP packet the interface sends, 68 … 65,535. */
  readonly mtuOctets: number;
  /** The node's addresses here. Those of the host interface are the kernel's; others are answered by the router itself. */
  readonly addresses?: readonly IpAddress[];
  /** Whether the link is in contact at the start; default true. */
  readonly up?: boolean;
  /** The limit of each class's queue that does not set its own; default 1000 packets and no octet limit. */
  readonly limit?: Partial<QueueLimit>;
  /** The line's rate, so that CoDel's target is not below one packet's time; without it the line counts as fast. */
  readonly rateBitPerSec?: number;
}

const DEFAULT_LIMIT: QueueLimit = { packets: 1000, octets: Number.POSITIVE_INFINITY };

export class RouterInterface {
  readonly index: number;
  readonly name: string;
  readonly kind: InterfaceKind;
  readonly mtuOctets: number;
  readonly addresses: readonly IpAddress[];
  readonly queue: OutputQueue;
  receivedPackets = 0;
  receivedOctets = 0;
  offeredPackets = 0;
  offeredOctets = 0;
  /** Packets that left this queue for another interface's when the link went down. */
  reroutedPackets = 0;
  readonly inputDrops = new Counters<DropReason>();
  readonly outputDrops = new Counters<DropReason>();

  constructor(
    index: number,
    options: InterfaceOptions,
    classes: readonly TrafficClass[],
    observer: OutputQueueObserver,
  ) {
    this.index = index;
    this.name = options.name;
    this.kind = options.kind;
    this.mtuOctets = options.mtuOctets;
    this.addresses = options.addresses ?? [];
    const limit = { ...DEFAULT_LIMIT, ...options.limit };
    const rate = options.rateBitPerSec ?? Number.POSITIVE_INFINITY;
    const fullPacketTime: Duration = seconds((options.mtuOctets * 8) / rate);
    // The kernel takes what it is given at once: one queue is enough, and the classes are for lines.
    const own = options.kind === 'host' ? [{ ...HOST_CLASS }] : classes;
    const settings = own.map((each) => classQueueSettings(each, this.mtuOctets, limit, fullPacketTime));
    this.queue = new OutputQueue(settings, options.up ?? true, observer);
  }

  get availability(): InterfaceAvailability {
    if (this.queue.up) return 'up';
    return this.queue.holds ? 'holding' : 'down';
  }
}

const HOST_CLASS: TrafficClass = {
  name: 'all',
  matches: [],
  priority: 0,
  weight: 1,
  discipline: 'tail-drop',
  ecn: false,
};
