/**
 * What a link to one next hop costs, learned from what was delivered over it. A transfer takes a fixed time and a time in
 * proportion to its octets; the line through the transfers of late (least squares, old ones forgotten) gives the latter. Measured
 * against the plan's rate where the plan has one, so that contacts of different rates teach one another.
 *
 * The fixed time is mostly replies, and they queue behind the mail that comes the other way: at 9,600 bit/s each waits up to a
 * second for the packet before it. So it is learned apart for a quiet and a busy return path.
 */
import type { WallTime } from '../../core/index.ts';
import type { Arrivals } from './prediction.ts';
import type { FixedCosts, LinkModel, Path, PathCosts } from './schedule.ts';
import { secondsBetween } from './wall-time.ts';

/** A transfer's weight in the estimate falls by this with each later one. */
const MEMORY = 0.99;
/** Of 1,500 octets in a frame, and the flags, header and stuffing around them, this much is message data. */
const SHARE_OF_PLAN = 0.94;
/** The plan's share counts like a transfer of this many seconds, until there are better ones. */
const PRIOR_SECONDS = 5;
const SETUP_SECONDS = 0.5;
const MESSAGE_SECONDS = 0.1;
/** A transfer of more than this tells nothing of the fixed time. */
const LONG_SECONDS = 10;
/** Fixed times remembered of each kind. */
const REMEMBERED = 60;
/** Arrivals remembered, to foresee what comes before the next contact. */
const ARRIVALS = 200;
/** Fewer tell nothing yet. */
const ARRIVALS_ENOUGH = 5;

export class LinkEstimator {
  /** Over seconds at the plan's rate, and over octets. */
  readonly #planned: Readonly<Record<Path, CostLine>> = { quiet: plannedLine(), busy: plannedLine() };
  readonly #measured = new CostLine(undefined);
  readonly #fixed: Readonly<Record<Path, Record<keyof FixedCosts, number[]>>> = {
    quiet: { setupSeconds: [], firstSeconds: [], nextSeconds: [] },
    busy: { setupSeconds: [], firstSeconds: [], nextSeconds: [] },
  };
  readonly #arrivals: { readonly at: WallTime; readonly priority: number; readonly octets: number }[] = [];

  get model(): LinkModel {
    const measured = this.#measured.line;
    const costs = (path: Path): PathCosts => {
      const known = this.usual(path);
      const planned = this.#planned[path].line ?? this.#planned[other(path)].line;
      const nextSeconds = known.nextSeconds ?? (planned ?? measured)?.fixed ?? MESSAGE_SECONDS;
      const { firstSeconds = nextSeconds, setupSeconds = SETUP_SECONDS } = known;
      const shareOfPlan = planned === undefined ? SHARE_OF_PLAN : 1 / planned.slope;
      return { shareOfPlan, setupSeconds, firstSeconds, nextSeconds };
    };
    return {
      octetsPerSecond: measured && 1 / measured.slope,
      quiet: costs('quiet'),
      busy: costs('busy'),
    };
  }

  /** The fixed times as far as they are known. */
  usual(path: Path): Partial<FixedCosts> {
    // On a quiet path the times are nearly one; on a busy one they scatter, and add up to their mean.
    const typical = (values: readonly number[]) => trimmedMean(values, path === 'quiet' ? 0.45 : 0.15);
    const known = (kind: keyof FixedCosts) =>
      typical(this.#fixed[path][kind]) ?? typical(this.#fixed[other(path)][kind]);
    const [setupSeconds, firstSeconds, nextSeconds] = [
      known('setupSeconds'),
      known('firstSeconds'),
      known('nextSeconds'),
    ];
    return {
      ...(setupSeconds === undefined ? {} : { setupSeconds: Math.max(0, setupSeconds) }),
      ...(firstSeconds === undefined ? {} : { firstSeconds: Math.max(0, firstSeconds) }),
      ...(nextSeconds === undefined ? {} : { nextSeconds: Math.max(0, nextSeconds) }),
    };
  }

  arrived(at: WallTime, priority: number, octets: number): void {
    this.#arrivals.push({ at, priority, octets });
    if (this.#arrivals.length > ARRIVALS) this.#arrivals.shift();
  }

  arrivals(now: WallTime): Arrivals {
    const [first] = this.#arrivals;
    const seconds = first === undefined ? 0 : secondsBetween(first.at, now);
    if (this.#arrivals.length < ARRIVALS_ENOUGH || seconds <= 0) return { seconds: 0, messages: [] };
    return { seconds, messages: this.#arrivals };
  }

  setup({ seconds, path }: Setup): void {
    if (seconds >= 0) this.#remember(path, 'setupSeconds', seconds);
  }

  transfer({ octets, seconds, planRate, path, first }: Transfer): void {
    if (!(seconds >= 0)) return;
    this.#measured.add(octets, seconds, planRate === undefined ? seconds : octets / planRate, first);
    if (planRate !== undefined) this.#planned[path].add(octets / planRate, seconds, octets / planRate, first);
    const model = this.model;
    const rate = planRate === undefined ? model.octetsPerSecond : planRate * model[path].shareOfPlan;
    const sending = rate === undefined ? 0 : octets / rate;
    // What is left of a long transfer is the error of the rate.
    if (sending < LONG_SECONDS) this.#remember(path, first ? 'firstSeconds' : 'nextSeconds', seconds - sending);
  }

  #remember(path: Path, kind: keyof FixedCosts, seconds: number): void {
    const known = this.#fixed[path][kind];
    known.push(seconds);
    if (known.length > REMEMBERED) known.shift();
  }
}

/** A delivery as far as it teaches what the link costs; it is kept with the envelope, so that a restarted relay knows it. */
export interface Transfer {
  /** Sent over the connection that brought the reply. */
  readonly octets: number;
  /** From the previous reply, or the envelope's departure, to the final reply. */
  readonly seconds: number;
  /** The contact's rate by the plan, in octets a second; absent without one. */
  readonly planRate?: number | undefined;
  readonly path: Path;
  /** Its envelope did not travel behind the message before it. */
  readonly first: boolean;
  /** Of the session, with its first delivery. */
  readonly setup?: Setup | undefined;
}

/** From the dial to the reply to EHLO. */
export interface Setup {
  readonly seconds: number;
  readonly path: Path;
}

/** From a file. */
export function parseTransfer(value: unknown): Transfer | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { octets, seconds, planRate, path, first, setup } = value as Record<string, unknown>;
  const known = parseSetup({ seconds, path });
  if (!isAmount(octets) || known === undefined || typeof first !== 'boolean') return undefined;
  return {
    ...known,
    octets,
    first,
    ...(isAmount(planRate) && planRate > 0 ? { planRate } : {}),
    ...(setup === undefined ? {} : { setup: parseSetup(setup) }),
  };
}

function parseSetup(value: unknown): Setup | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { seconds, path } = value as Record<string, unknown>;
  return isAmount(seconds) && (path === 'quiet' || path === 'busy') ? { seconds, path } : undefined;
}

const isAmount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

const other = (path: Path): Path => (path === 'quiet' ? 'busy' : 'quiet');

const plannedLine = (): CostLine => new CostLine({ slope: 1 / SHARE_OF_PLAN, weight: PRIOR_SECONDS ** 2 });

/** A transfer that took far more or less than usual (by this, and this part of it) weighs so much, once enough are known. */
const STRANGE_SECONDS = 0.5;
const STRANGE_PART = 0.1;
const STRANGE_WEIGHT = 0.1;
const ENOUGH_TRANSFERS = 10;

interface Sums {
  w: number;
  x: number;
  y: number;
  xx: number;
  xy: number;
}

/**
 * seconds = fixed + slope × size, by weighted least squares; the fixed part is another for a message that travels alone and for one
 * behind another, the slope is the same.
 */
class CostLine {
  readonly #prior: { readonly slope: number; readonly weight: number } | undefined;
  readonly #groups: [Sums, Sums] = [
    { w: 0, x: 0, y: 0, xx: 0, xy: 0 },
    { w: 0, x: 0, y: 0, xx: 0, xy: 0 },
  ];
  #count = 0;

  /** @param prior a slope to suppose, and its weight in squared sizes. */
  constructor(prior: { readonly slope: number; readonly weight: number } | undefined) {
    this.#prior = prior;
  }

  /** @param usual the seconds that so large a message takes by the plan: those it took tell of the noise, and weigh it only without a plan. */
  add(size: number, seconds: number, usual: number, first: boolean): void {
    // A long transfer is uncertain in proportion; a short one by what else is on the line.
    const weight = (this.#isStrange(size, seconds, usual) ? STRANGE_WEIGHT : 1) / (0.5 + 0.05 * usual) ** 2;
    for (const sums of this.#groups) for (const key of ['w', 'x', 'y', 'xx', 'xy'] as const) sums[key] *= MEMORY;
    const sums = this.#groups[first ? 0 : 1];
    sums.w += weight;
    sums.x += weight * size;
    sums.y += weight * seconds;
    sums.xx += weight * size * size;
    sums.xy += weight * size * seconds;
  }

  #isStrange(size: number, seconds: number, usual: number): boolean {
    const known = this.#count++ < ENOUGH_TRANSFERS ? undefined : this.line;
    if (known === undefined) return false;
    return Math.abs(seconds - known.slope * size - known.fixed) > STRANGE_SECONDS + STRANGE_PART * usual;
  }

  /** Undefined before the first transfer. The fixed part is never negative. */
  get line(): { readonly fixed: number; readonly slope: number } | undefined {
    const groups = this.#groups.filter(({ w }) => w > 0);
    const total = (of: (sums: Sums) => number) => groups.reduce((sum, group) => sum + of(group), 0);
    const w = total((g) => g.w);
    const x = total((g) => g.x);
    const y = total((g) => g.y);
    if (w === 0 || x === 0) return undefined;
    const prior = this.#prior ?? {
      slope: Math.max(0, y - w * MESSAGE_SECONDS) / x || y / x,
      weight: (x / w / 10) ** 2,
    };
    const slopeThrough = (squares: number, products: number) =>
      (products + prior.weight * prior.slope) / (squares + prior.weight);
    const slope = slopeThrough(
      total((g) => g.xx - (g.x * g.x) / g.w),
      total((g) => g.xy - (g.x * g.y) / g.w),
    );
    const last = groups.at(-1)!;
    const fixed = (last.y - slope * last.x) / last.w;
    const line =
      fixed >= 0
        ? { fixed, slope }
        : {
            fixed: 0,
            slope: slopeThrough(
              total((g) => g.xx),
              total((g) => g.xy),
            ),
          };
    // Noise among messages of one size can say anything.
    return line.slope > 0 ? line : { fixed: 0, slope: y / x };
  }
}

/** The mean without the highest and lowest of the values. */
function trimmedMean(values: readonly number[], trim: number): number | undefined {
  const edge = Math.floor(values.length * trim);
  const kept = [...values].sort((a, b) => a - b).slice(edge, values.length - edge);
  return kept.length === 0 ? undefined : kept.reduce((a, b) => a + b, 0) / kept.length;
}
