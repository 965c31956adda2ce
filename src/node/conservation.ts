/**
 * Nothing disappears unexplained: for each direction of each link, and for each router, packets in = delivered + queued + in
 * flight + dropped by reason. The numbers are counted in different places, so a mismatch is our bug, and an alarm.
 */
import type { Line } from '../channel/index.ts';
import type { Instant } from '../core/index.ts';
import type { Router } from '../router/index.ts';

export interface ConservationAlarm {
  readonly where: string;
  /** Packets that went in and are nowhere; negative when more came out than went in. */
  readonly missing: number;
}

export interface ConservedDirection {
  readonly name: string;
  readonly line: Line;
  readonly router: Router;
  readonly interfaceIndex: number;
}

export function checkConservation(
  now: Instant,
  directions: readonly ConservedDirection[],
  routers: ReadonlyMap<string, Router>,
): ConservationAlarm[] {
  const alarms: ConservationAlarm[] = [];
  const check = (where: string, missing: number) => {
    if (missing !== 0) alarms.push({ where, missing });
  };
  for (const { name, line, router, interfaceIndex } of directions) {
    const counters = line.snapshot(now);
    const { queue } = router.interfaces[interfaceIndex]!;
    check(`${name}: queue to line`, queue.sentPackets - counters.packetsIn!);
    const entered = counters.packetsIn! + (counters.packetsSpurious ?? 0) + (counters.packetsSplit ?? 0);
    check(`${name}: line`, entered - counters.packetsOut! - counters.packetsLost! - counters.packetsInFlight!);
  }
  for (const [name, router] of routers) check(`${name}: router`, router.imbalance());
  return alarms;
}
