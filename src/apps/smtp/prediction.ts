/**
 * When each queued message will have been delivered: the contacts of the plan walked in order, the mail in its order of
 * transmission, at the costs that were learned. A prediction holds for the moment it is made; it is made anew whenever somebody
 * asks, so it sharpens as the contact comes near.
 *
 * What comes later and goes first is foreseen from the mail of late. `expected` is neither mean nor median, but the time around which ±5 % of
 * the whole wait most probably hold the delivery: the measure by which predictions are judged (docs/mail.md).
 */
import type { WallTime } from '../../core/index.ts';
import { LONGEST_BACKLOG_SECONDS } from './hand-out.ts';
import type { Contact } from './ports.ts';
import { type Candidate, compare, type LinkModel, type Path, type PathCosts, rateOf } from './schedule.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

export interface Prediction {
  readonly expected: WallTime;
  readonly earliest: WallTime;
  readonly latest: WallTime;
}

/** What came in lately: the best guess of what will come before the next contact and go first. */
export interface Arrivals {
  readonly seconds: number;
  readonly messages: readonly { readonly priority: number; readonly octets: number }[];
}

export interface PredictionInput {
  readonly candidates: readonly Candidate[];
  readonly contacts: readonly Contact[] | 'always';
  readonly model: LinkModel;
  readonly checkpoint: boolean;
  /** A session is up already, so no set-up is due in the running contact. */
  readonly connected: boolean;
  /** When the line will have carried what was handed to it already. */
  readonly carriedAt: WallTime;
  /** The peer is sending to us now. */
  readonly path: Path;
  readonly arrivals: Arrivals;
  readonly now: WallTime;
}

/**
 * When each candidate will have been delivered. Missing from the map: not within the contacts that the plan names, or no rate is
 * known. `earliest` supposes a link 3 % faster and no further mail, `latest` one 10 % slower and twice the mail that came lately;
 * neither is nearer to `expected` than the usual error.
 */
export function predict(input: PredictionInput): Map<string, Prediction> {
  const { model, now } = input;
  const order = [...input.candidates].sort(compare);
  const always = [{ peer: '', begin: now, end: wallPlus(now, 1e9) }];
  const contacts = input.contacts === 'always' ? always : input.contacts;
  const expected = walk({ ...input, contacts }, order, model, 1, 'likely');
  const early = walk({ ...input, contacts }, order, scaled(model, 1 / 2), 1.03, 'none');
  const late = walk({ ...input, contacts }, order, scaled(model, 2), 0.9, 'much');
  const arrived = new Map(order.map((candidate) => [candidate.id, candidate.arrived]));
  const result = new Map<string, Prediction>();
  for (const [id, at] of expected) {
    const usual = USUAL_ERROR * secondsBetween(arrived.get(id)!, at);
    const first = max(now, min(early.get(id) ?? at, wallPlus(at, -usual)));
    const last = max(late.get(id) ?? contacts.at(-1)!.end, wallPlus(at, usual));
    result.set(id, { expected: at, earliest: first, latest: last });
  }
  return result;
}

/** Of the whole wait: what 95 of 100 predictions keep to, whatever the link and the queue suggest. */
const USUAL_ERROR = 0.05;
const min = (a: WallTime, b: WallTime): WallTime => (a < b ? a : b);
const max = (a: WallTime, b: WallTime): WallTime => (a > b ? a : b);

const scaled = (model: LinkModel, factor: number): LinkModel => {
  const times = ({ shareOfPlan, setupSeconds, firstSeconds, nextSeconds }: PathCosts): PathCosts => ({
    shareOfPlan,
    setupSeconds: setupSeconds * factor,
    firstSeconds: firstSeconds * factor,
    nextSeconds: nextSeconds * factor,
  });
  return { ...model, quiet: times(model.quiet), busy: times(model.busy) };
};

interface WalkInput extends PredictionInput {
  readonly contacts: readonly Contact[];
}

function walk(
  input: WalkInput,
  order: readonly Candidate[],
  model: LinkModel,
  speed: number,
  traffic: 'none' | 'likely' | 'much',
): Map<string, WallTime> {
  const { contacts, checkpoint, connected, arrivals, now } = input;
  const done = new Map<string, WallTime>();
  let waiting = order.map((candidate) => ({ candidate, left: candidate.octetsLeft }));
  for (const contact of contacts) {
    if (waiting.length === 0) break;
    const running = contact.begin <= now;
    // At AOS both ends have mail for one another.
    const path = running ? input.path : 'busy';
    const rate = (rateOf(contact, model, path) ?? 0) * speed;
    if (rate <= 0) break;
    const backlog = secondsBetween(now, input.carriedAt);
    let at = running ? wallPlus(now, backlog < LONGEST_BACKLOG_SECONDS ? Math.max(0, backlog) : 0) : contact.begin;
    const costs = model[path];
    if (!(running && connected)) at = wallPlus(at, costs.setupSeconds);
    const foreseen = traffic === 'none' ? undefined : new Foreseen(arrivals, costs.nextSeconds, rate);
    const later: typeof waiting = [];
    // What the line is not needed for: the final reply's way.
    const reply = Math.max(0, costs.firstSeconds - costs.nextSeconds);
    for (const entry of waiting) {
      const { candidate } = entry;
      const room = secondsBetween(at, contact.end);
      const { secondsSpent: spent = 0, envelopeSent = false } = running ? candidate : {};
      const line = (envelopeSent ? 0 : costs.nextSeconds) + entry.left / rate;
      const cost = Math.max(line + reply - spent, costs.firstSeconds / 4);
      const ahead =
        foreseen?.ahead(candidate, secondsBetween(now, at), {
          whole: secondsBetween(candidate.arrived, wallPlus(at, cost)),
          much: traffic === 'much',
        }) ?? NOTHING;
      if (room > 0 && ahead.median + cost <= room) {
        done.set(candidate.id, wallPlus(at, Math.min(ahead.best, room - cost) + cost));
        at = wallPlus(at, Math.max(0, line - spent));
      } else {
        if (checkpoint && room > 0 && later.length === 0)
          entry.left = Math.max(0, entry.left - Math.max(0, room - ahead.median) * rate);
        if (checkpoint) at = contact.end;
        later.push(entry);
      }
    }
    waiting = later;
  }
  return done;
}

/** The mail that will probably come and go ahead of a given one, from the mail of late in its order of transmission. */
class Foreseen {
  readonly #seconds: number;
  readonly #order: readonly { readonly priority: number; readonly octets: number }[];
  readonly #costs: readonly number[];

  constructor(arrivals: Arrivals, secondsPerMessage: number, rate: number) {
    this.#seconds = arrivals.seconds;
    this.#order = [...arrivals.messages].sort((a, b) => b.priority - a.priority || a.octets - b.octets);
    this.#costs = this.#order.map(({ octets }) => secondsPerMessage + octets / rate);
  }

  /**
   * @param span seconds in which it may come.
   * @param whole the candidate's wait from its arrival to its delivery if none comes.
   */
  ahead(candidate: Candidate, span: number, { whole, much }: { whole: number; much: boolean }): Ahead {
    if (this.#seconds <= 0 || span <= 0 || candidate.rank !== undefined) return NOTHING;
    const share = span / this.#seconds;
    const ahead = this.#costs.slice(0, this.#countAhead(candidate));
    return much ? just(2 * share * sum(ahead)) : mostProbable(ahead, share, whole);
  }

  #countAhead(candidate: Candidate): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#order[middle]!;
      const before =
        other.priority > candidate.priority ||
        (other.priority === candidate.priority && other.octets < candidate.octetsLeft);
      if (before) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Seconds that further mail will add: as likely more as less, and those that are most probably right. */
interface Ahead {
  readonly median: number;
  readonly best: number;
}
const just = (seconds: number): Ahead => ({ median: seconds, best: seconds });
const NOTHING = just(0);

/** A prediction is right within this part of the whole wait; the last of it is left to what the link does. */
const SURELY_RIGHT = 0.044;
const RIGHT = 0.052;
/** Hundredths of the wait that further mail may add, at most. */
const CELLS = 60;
/** Another time than the median must be better by this probability. */
const WORTH = 0.01;

/**
 * The seconds that mail of the given costs, each expected `share` times, will add: not the mean, but the time around which ±5 % of the whole
 * wait most probably hold the delivery. Compound Poisson, by Panjer's recursion in hundredths of the wait.
 */
function mostProbable(costs: readonly number[], share: number, whole: number): Ahead {
  if (costs.length === 0 || !(whole > 0)) return NOTHING;
  const step = whole / 100;
  const usual = usualSum(costs, share);
  if (usual > (CELLS * step) / 2) return just(usual);
  const jumps = new Float64Array(CELLS + 1);
  for (const cost of costs) {
    const cell = Math.floor(cost / step);
    const upper = cost / step - cell;
    if (cell <= CELLS) jumps[cell]! += 1 - upper;
    if (cell < CELLS) jumps[cell + 1]! += upper;
  }
  const probable = new Float64Array(CELLS + 1);
  probable[0] = Math.exp(-share * (costs.length - jumps[0]!));
  for (let n = 1; n <= CELLS; n++) {
    let all = 0;
    for (let k = 1; k <= n; k++) all += k * jumps[k]! * probable[n - k]!;
    probable[n] = (share / n) * all;
  }
  const covered = Array.from(probable, (_, added) =>
    probable.reduce((all, p, k) => {
      const error = Math.abs(added - k) / (100 + k);
      return all + p * Math.min(1, Math.max(0, (RIGHT - error) / (RIGHT - SURELY_RIGHT)));
    }, 0),
  );
  const least = Math.max(...covered) - WORTH;
  let below = 0;
  const median = probable.findIndex((p) => {
    below += p;
    return below >= 1 / 2;
  });
  if (median < 0) return just(usual);
  let best = -1;
  covered.forEach((p, added) => {
    if (p >= least && (best < 0 || Math.abs(added - median) < Math.abs(best - median))) best = added;
  });
  return { median: median * step, best: best * step };
}

/** More likely than not, none of a kind of which fewer than this many are expected comes (Poisson: −ln 1/2). */
const RARE = Math.LN2;

/** The mean without the costliest few that will probably not come. */
function usualSum(costs: readonly number[], share: number): number {
  const rare = Math.min(costs.length, Math.floor(RARE / share));
  return share * sum([...costs].sort((a, b) => b - a).slice(rare));
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
