/** One interface of a router: its settings, its classes with their output queue, and its counters. */
import { Counters } from '../core/counters.ts';
import type { PacketPool } from '../core/packet.ts';
import { type Duration, seconds } from '../core/time.ts';
import type { IpAddress } from '../ip/index.ts';
import type { HoldSettings } from './class-queue.ts';
import { Classifier, type ClassRule } from './classifier.ts';
import type { DropReason } from './drop.ts';
import type { HoldStore } from './hold-store.ts';
import { OutputQueue, type OutputQueueObserver } from './output-queue.ts';
import type { InterfaceAvailability } from './route-table.ts';
import {
  classQueueSettings,
  DEFAULT_TRAFFIC_CLASSES,
  type QueueLimit,
  type TrafficClass,
  withHold,
} from './traffic-class.ts';

export type InterfaceKind = 'host' | 'link' | 'tunnel';

export interface InterfaceOptions {
  readonly name: string;
  /** `host` is the TUN to the node's own kernel, at most one; `link` an HDLC link; `tunnel` carries packets in packets. */
  readonly kind: InterfaceKind;
  /** The largest IP packet the interface sends, 68 … 65,535. Not applied to the host, which takes what it gets. */
  readonly mtuOctets: number;
  /** The node's addresses here. Those of the host interface are the kernel's; others are answered by the router itself. */
  readonly addresses?: readonly IpAddress[];
  /** Whether the link is in contact at the start; default true. */
  readonly up?: boolean;
  /** Classes of service of a link or tunnel, first tried first; the last takes what no other does. Default OMNI's five. */
  readonly classes?: readonly TrafficClass[];
  /** The limit of each class's queue that does not set its own; default 1000 packets and no octet limit. */
  readonly limit?: Partial<QueueLimit>;
  /** What classes that say nothing of it, and whose packets do not grow stale, hold while the link is down. */
  readonly hold?: HoldSettings;
  /** The line's rate, so that CoDel's target is not below one packet's time; without it the line counts as fast. */
  readonly rateBitPerSec?: number;
  /** Where a class that holds on disk keeps its packets. Without it they are held in memory. */
  readonly holdStore?: (className: string) => HoldStore | undefined;
}

const DEFAULT_LIMIT: QueueLimit = { packets: 1000, octets: Number.POSITIVE_INFINITY };
/** What a late wake-up delivers all at once is for the kernel to take or to drop; the pool bounds it. */
const HOST_LIMIT: QueueLimit = { packets: Number.POSITIVE_INFINITY, octets: Number.POSITIVE_INFINITY };

/** The kernel takes what it is given at once: one queue is enough, and classes are for lines. */
const HOST_CLASSES: readonly TrafficClass[] = [
  { name: 'all', matches: [], priority: 0, weight: 1, discipline: 'tail-drop', ecn: false },
];

export class RouterInterface {
  readonly index: number;
  readonly name: string;
  readonly kind: InterfaceKind;
  readonly mtuOctets: number;
  readonly addresses: readonly IpAddress[];
  readonly classes: readonly TrafficClass[];
  readonly classifier: Classifier | undefined;
  readonly queue: OutputQueue;
  receivedPackets = 0;
  receivedOctets = 0;
  offeredPackets = 0;
  offeredOctets = 0;
  /** Packets that left this queue for another interface's when the link went down. */
  reroutedPackets = 0;
  /** Packets that an earlier run of the process left in the store. */
  readonly restoredPackets: number;
  readonly inputDrops = new Counters<DropReason>();
  readonly outputDrops = new Counters<DropReason>();

  constructor(index: number, options: InterfaceOptions, pool: PacketPool, observer: OutputQueueObserver) {
    const { mtuOctets } = options;
    if (!(Number.isInteger(mtuOctets) && mtuOctets >= 68 && mtuOctets <= 65535))
      throw new RangeError(`interface ${options.name}: an MTU of ${mtuOctets} octets; 68 to 65535 are possible`);
    this.index = index;
    this.name = options.name;
    this.kind = options.kind;
    this.mtuOctets = mtuOctets;
    this.addresses = options.addresses ?? [];
    this.classes =
      options.kind === 'host' ? HOST_CLASSES : withHold(options.classes ?? DEFAULT_TRAFFIC_CLASSES, options.hold);
    this.classifier =
      options.kind === 'host' ? undefined : new Classifier(rulesOf(this.classes), this.classes.length - 1);
    const limit = options.kind === 'host' ? HOST_LIMIT : { ...DEFAULT_LIMIT, ...options.limit };
    const fullPacketTime: Duration = seconds((mtuOctets * 8) / (options.rateBitPerSec ?? Number.POSITIVE_INFINITY));
    const settings = this.classes.map((each) => classQueueSettings(each, mtuOctets, limit, fullPacketTime));
    this.queue = new OutputQueue(settings, options.up ?? true, pool, observer, options.holdStore);
    this.restoredPackets = this.queue.packets;
  }

  get availability(): InterfaceAvailability {
    if (this.queue.up) return 'up';
    return this.queue.holds ? 'holding' : 'down';
  }
}

const rulesOf = (classes: readonly TrafficClass[]): ClassRule[] =>
  classes.flatMap((entry, trafficClass) => entry.matches.map((match) => ({ trafficClass, ...match })));
