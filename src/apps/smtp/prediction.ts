/**
 * When each queued message will have been delivered: the contacts of the plan walked in order, the mail in its order of
 * transmission, at the costs that were learned. A prediction holds for the moment it is made; it is made anew whenever somebody
 * asks, so it sharpens as the contact comes near.
 *
 * What comes later and goes first is foreseen from the mail of late. `expected` is the likely case, not the mean: a rare large
 * message that will probably not come in time is left out of it, and counted in `latest`.
 */
import type { WallTime } from '../../core/index.ts';
import type { Contact } from './ports.ts';
import { type Candidate, compare, type FixedCosts, type LinkModel, rateOf } from './schedule.ts';
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
  /** The peer is sending to us now. */
  readonly path: 'quiet' | 'busy';
  readonly arrivals: Arrivals;
  readonly now: WallTime;
}

/**
 * When each candidate will have been delivered. Missing from the map: not within the contacts that the plan names, or no rate is
 * known. `earliest` supposes a link 3 % faster and no further mail, `latest` one 10 % slower and twice the mail that came lately.
 */
export function predict(input: PredictionInput): Map<string, Prediction> {
  const { model, now } = input;
  const order = [...input.candidates].sort(compare);
  const always = [{ peer: '', begin: now, end: wallPlus(now, 1e9) }];
  const contacts = input.contacts === 'always' ? always : input.contacts;
  const expected = walk({ ...input, contacts }, order, model, 1, 'likely');
  const early = walk({ ...input, contacts }, order, scaled(model, 1 / 2), 1.03, 'none');
  const late = walk({ ...input, contacts }, order, scaled(model, 2), 0.9, 'much');
  const result = new Map<string, Prediction>();
  for (const [id, at] of expected) {
    const first = early.get(id) ?? at;
    const last = late.get(id) ?? contacts.at(-1)!.end;
    result.set(id, { expected: at, earliest: first < at ? first : at, latest: last > at ? last : at });
  }
  return result;
}

const scaled = (model: LinkModel, factor: number): LinkModel => {
  const times = ({ setupSeconds, firstSeconds, nextSeconds }: FixedCosts): FixedCosts => ({
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
  { contacts, checkpoint, connected, path, arrivals, now }: WalkInput,
  order: readonly Candidate[],
  model: LinkModel,
  speed: number,
  traffic: 'none' | 'likely' | 'much',
): Map<string, WallTime> {
  const done = new Map<string, WallTime>();
  let waiting = order.map((candidate) => ({ candidate, left: candidate.octetsLeft }));
  for (const contact of contacts) {
    if (waiting.length === 0) break;
    const rate = (rateOf(contact, model) ?? 0) * speed;
    if (rate <= 0) break;
    const running = contact.begin <= now;
    let at = running ? now : contact.begin;
    // At AOS both ends have mail for one another.
    const costs = running && path === 'quiet' ? model.quiet : model.busy;
    if (!(running && connected)) at = wallPlus(at, costs.setupSeconds);
    const foreseen = traffic === 'none' ? undefined : new Foreseen(arrivals, costs.nextSeconds, rate);
    const later: typeof waiting = [];
    let fixed = costs.firstSeconds;
    for (const entry of waiting) {
      const { candidate } = entry;
      const room = secondsBetween(at, contact.end);
      const ahead = foreseen?.secondsAhead(candidate, secondsBetween(now, at), traffic === 'much') ?? 0;
      const cost = Math.max(fixed + entry.left / rate - (running ? (candidate.secondsSpent ?? 0) : 0), fixed / 4);
      fixed = costs.nextSeconds;
      if (room > 0 && ahead + cost <= room) {
        done.set(candidate.id, wallPlus(at, ahead + cost));
        at = wallPlus(at, cost);
      } else {
        if (checkpoint && room > 0 && later.length === 0)
          entry.left = Math.max(0, entry.left - Math.max(0, room - ahead) * rate);
        if (checkpoint) at = contact.end;
        later.push(entry);
      }
    }
    waiting = later;
  }
  return done;
}

/** More likely than not, none of a kind of which fewer than this many are expected comes (Poisson: −ln 1/2). */
const RARE = Math.LN2;

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

  /** @param span seconds in which it may come. */
  secondsAhead(candidate: Candidate, span: number, much: boolean): number {
    if (this.#seconds <= 0 || span <= 0 || candidate.rank !== undefined) return 0;
    const share = span / this.#seconds;
    const ahead = this.#costs.slice(0, this.#countAhead(candidate));
    if (much) return 2 * share * sum(ahead);
    // Of the costliest few, fewer than one half are expected: they will probably not come.
    const rare = Math.min(ahead.length, Math.floor(RARE / share));
    ahead.sort((a, b) => b - a);
    return share * sum(ahead.slice(rare));
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

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
