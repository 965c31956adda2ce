/**
 * Traffic classes: what belongs to one and how its queue behaves. The defaults are OMNI's order: network control, then
 * commands, then telemetry, then mail and files.
 */
import { type Duration, seconds } from '../core/time.ts';
import { DSCP, PORT, PROTOCOL, type Prefix } from '../ip/index.ts';
import type { ClassQueueSettings, HoldSettings } from './class-queue.ts';
import { CODEL_INTERVAL, CODEL_TARGET } from './codel.ts';

export interface TrafficClassMatch {
  readonly protocols?: readonly number[];
  readonly ports?: readonly number[];
  readonly dscps?: readonly number[];
  readonly prefixes?: readonly Prefix[];
}

export interface TrafficClass {
  readonly name: string;
  /** A packet belongs to the first class of which any entry matches it; the last class takes the rest. */
  readonly matches: readonly TrafficClassMatch[];
  /** 0 is served first; classes of one priority share by weight. */
  readonly priority: number;
  readonly weight: number;
  /** Without one the interface's limit applies to the class. */
  readonly limitPackets?: number;
  readonly limitOctets?: number;
  readonly discipline: 'tail-drop' | 'codel';
  /** For CoDel; the target is raised to one full packet's time where the line is slow. */
  readonly codelTarget?: Duration;
  readonly codelInterval?: Duration;
  readonly ecn: boolean;
  readonly staleAfter?: Duration;
  /** `off`: not even when the link holds by default. */
  readonly hold?: HoldSettings | 'off';
}

/** Ports that the node's own command and telemetry services use unless the scenario says otherwise. */
export const COMMAND_PORTS: readonly number[] = [PORT.ssh, PORT.command];
export const TELEMETRY_PORTS: readonly number[] = [PORT.telemetry];
const MAIL_PORTS: readonly number[] = [PORT.smtp, PORT.submission];

const plain = { weight: 1, discipline: 'tail-drop', ecn: false } as const;

export const DEFAULT_TRAFFIC_CLASSES: readonly TrafficClass[] = [
  {
    name: 'network-control',
    matches: [
      { protocols: [PROTOCOL.icmp, PROTOCOL.igmp, PROTOCOL.icmpv6] },
      { protocols: [PROTOCOL.udp], ports: [PORT.ntp, PORT.mobileIp] },
      { dscps: [DSCP.cs6, DSCP.cs7] },
    ],
    ...plain,
    priority: 0,
    // A time stamp or a registration that old misleads; RFC 5944 section 3.6.3 sends a new one after 1 s already.
    staleAfter: seconds(4),
  },
  { name: 'commands', matches: [{ ports: COMMAND_PORTS }, { dscps: [DSCP.cs5, DSCP.ef] }], ...plain, priority: 1 },
  // Before the live telemetry, whose destination it has; behind it in rank, beside mail and files.
  {
    name: 'telemetry-dump',
    matches: [{ protocols: [PROTOCOL.udp], ports: [PORT.telemetryDump] }],
    ...plain,
    priority: 3,
  },
  { name: 'telemetry', matches: [{ ports: TELEMETRY_PORTS }, { dscps: [DSCP.cs4, DSCP.af41] }], ...plain, priority: 2 },
  { name: 'mail', matches: [{ ports: MAIL_PORTS }], ...plain, priority: 3 },
  { name: 'files', matches: [], ...plain, priority: 3 },
];

/** The classes of a link that holds packets for its next contact: every class that does not say and does not grow stale. */
export function withHold(classes: readonly TrafficClass[], hold: HoldSettings | undefined): readonly TrafficClass[] {
  if (hold === undefined) return classes;
  return classes.map((each) => (each.hold === undefined && each.staleAfter === undefined ? { ...each, hold } : each));
}

export interface QueueLimit {
  readonly packets: number;
  readonly octets: number;
}

/** A class's queue on one interface. `fullPacketTime` is how long the line takes for its largest packet, 0 when unknown. */
export function classQueueSettings(
  trafficClass: TrafficClass,
  mtuOctets: number,
  limit: QueueLimit,
  fullPacketTime: Duration,
): ClassQueueSettings {
  const { name, priority, hold, staleAfter } = trafficClass;
  const target = Math.max(trafficClass.codelTarget ?? CODEL_TARGET, fullPacketTime) as Duration;
  return {
    name,
    priority,
    quantumOctets: Math.max(1, Math.round(trafficClass.weight * mtuOctets)),
    limitPackets: trafficClass.limitPackets ?? limit.packets,
    limitOctets: trafficClass.limitOctets ?? limit.octets,
    ...(trafficClass.discipline === 'codel' && {
      codel: {
        target,
        interval: Math.max(trafficClass.codelInterval ?? CODEL_INTERVAL, 2 * target) as Duration,
        maxPacketOctets: mtuOctets,
        ecn: trafficClass.ecn,
      },
    }),
    ...(staleAfter !== undefined && { staleAfter }),
    ...(hold !== undefined && hold !== 'off' && { hold }),
  };
}
