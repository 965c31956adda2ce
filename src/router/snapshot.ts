/** A router's state and counters as plain data: what `omni status --json`, `omni top` and the metrics are made from. */
import { type Instant, toMilliseconds } from '../core/time.ts';
import { formatAddress } from '../ip/index.ts';
import type { ClassQueue } from './class-queue.ts';
import type { HistogramSnapshot } from './histogram.ts';
import type { InterfaceKind, RouterInterface } from './interface.ts';
import type { Router } from './router.ts';

export interface ClassSnapshot {
  readonly name: string;
  readonly queuedPackets: number;
  readonly queuedOctets: number;
  readonly peakOctets: number;
  readonly sentPackets: number;
  readonly sentOctets: number;
  readonly droppedPackets: number;
  readonly markedPackets: number;
  /** Queueing time while the link was up, and of packets that waited for a contact. */
  readonly wait: HistogramSnapshot;
  readonly held: HistogramSnapshot;
}

export interface InterfaceSnapshot {
  readonly name: string;
  readonly kind: InterfaceKind;
  readonly up: boolean;
  readonly mtuOctets: number;
  readonly addresses: readonly string[];
  readonly input: {
    readonly packets: number;
    readonly octets: number;
    readonly dropped: Readonly<Record<string, number>>;
  };
  /** packets + restoredPackets = sentPackets + queuedPackets + reroutedPackets + the sum of dropped. */
  readonly output: {
    readonly packets: number;
    readonly octets: number;
    readonly sentPackets: number;
    readonly sentOctets: number;
    readonly queuedPackets: number;
    readonly queuedOctets: number;
    readonly reroutedPackets: number;
    readonly restoredPackets: number;
    readonly oldestWaitMs: number;
    readonly dropped: Readonly<Record<string, number>>;
    readonly classes: readonly ClassSnapshot[];
  };
}

export interface RouterSnapshot {
  readonly interfaces: readonly InterfaceSnapshot[];
  readonly routes: number;
  readonly originatedPackets: number;
  readonly consumedPackets: number;
  readonly reassemblingPackets: number;
  readonly droppedOwnPackets: number;
  readonly icmpErrorsSent: number;
  readonly icmpErrorsSuppressed: number;
  /** Packets unaccounted for: 0, or an alarm. */
  readonly imbalance: number;
}

export function snapshotRouter(router: Router, now: Instant): RouterSnapshot {
  return {
    interfaces: router.interfaces.map((each) => snapshotInterface(each, now)),
    routes: router.routes.size,
    originatedPackets: router.originatedPackets,
    consumedPackets: router.consumedPackets,
    reassemblingPackets: router.reassembler.fragments,
    droppedOwnPackets: router.droppedOwnPackets,
    icmpErrorsSent: router.icmp.sent,
    icmpErrorsSuppressed: router.icmp.suppressed,
    imbalance: router.imbalance(),
  };
}

function snapshotInterface(each: RouterInterface, now: Instant): InterfaceSnapshot {
  const { queue } = each;
  return {
    name: each.name,
    kind: each.kind,
    up: queue.up,
    mtuOctets: each.mtuOctets,
    addresses: each.addresses.map(formatAddress),
    input: { packets: each.receivedPackets, octets: each.receivedOctets, dropped: each.inputDrops.snapshot() },
    output: {
      packets: each.offeredPackets,
      octets: each.offeredOctets,
      sentPackets: queue.sentPackets,
      sentOctets: queue.sentOctets,
      queuedPackets: queue.packets,
      queuedOctets: queue.octets,
      reroutedPackets: each.reroutedPackets,
      restoredPackets: each.restoredPackets,
      oldestWaitMs: toMilliseconds(queue.oldestWait(now)),
      dropped: each.outputDrops.snapshot(),
      classes: queue.classes.map(snapshotClass),
    },
  };
}

function snapshotClass(queue: ClassQueue): ClassSnapshot {
  return {
    name: queue.settings.name,
    queuedPackets: queue.packets,
    queuedOctets: queue.octets,
    peakOctets: queue.peakOctets,
    sentPackets: queue.sentPackets,
    sentOctets: queue.sentOctets,
    droppedPackets: queue.droppedPackets,
    markedPackets: queue.markedPackets,
    wait: queue.wait.snapshot(),
    held: queue.held.snapshot(),
  };
}
