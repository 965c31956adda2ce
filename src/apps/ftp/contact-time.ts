/**
 * Time-outs across passes: "300 s without a sign of life" means 300 s during which the peer could have given one. A deadline is
 * therefore counted in contact time; while the link is down by plan the count stands still.
 */
import { type Duration, type Instant, instant, type WallTime } from '../../core/index.ts';

/** The part of a node's contact plan that is needed here (see ContactPlan in src/node/service.ts). */
export interface ContactForecast {
  readonly always: boolean;
  next(
    from: WallTime,
    count: number,
  ): readonly {
    readonly peer: string;
    readonly begin: WallTime;
    readonly end: WallTime;
    readonly octetsIn?: number;
    readonly octetsOut?: number;
  }[];
}

export const ALWAYS_IN_CONTACT: ContactForecast = { always: true, next: () => [] };

/** Where the plan ends before the time-out does, the link counts as up again after the last contact plus this. */
const BEYOND_PLAN_NS = 24n * 3_600_000_000_000n;

/** When `timeout` of contact time will have passed after `now`, which is `wallNow` by the node's clock. */
export function deadlineInContact(
  now: Instant,
  wallNow: WallTime,
  timeout: Duration,
  contacts: ContactForecast,
): Instant {
  if (contacts.always) return instant(now + timeout);
  let left = BigInt(timeout);
  let at: bigint = wallNow;
  for (const contact of contacts.next(wallNow, 64)) {
    // Contacts may overlap (two stations): time counts once.
    const begin = contact.begin > at ? contact.begin : at;
    if (contact.end <= begin) continue;
    if (contact.end - begin >= left) return instant(now + Number(begin + left - wallNow));
    left -= contact.end - begin;
    at = contact.end;
  }
  return instant(now + Number(at + BEYOND_PLAN_NS - wallNow) + Number(left));
}
