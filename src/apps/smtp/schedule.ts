/**
 * When mail can go and in which order: windows of the contact plan, the choice of the next message, and the prediction of when
 * each will have been delivered. Pure functions; the queue asks them again at every step, so nothing here can be stale.
 *
 * Order: priority first; inside a class the message with fewest octets left first, unless the class does not fit the rest of the
 * contact and a large one fills it exactly. A message that provably cannot end in this contact is not started, except toward a
 * peer with CHECKPOINT (RFC 1845), where it goes on in the next one.
 */
import type { WallTime } from '../../core/index.ts';
import type { Contact, ContactPlan } from './ports.ts';
import { secondsBetween, wallPlus } from './wall-time.ts';

export type Window =
  | { readonly kind: 'always' }
  | { readonly kind: 'contact'; readonly contact: Contact }
  /** The plan says when: wait. */
  | { readonly kind: 'closed'; readonly next: Contact }
  /** There is a plan in principle, but it names no contact with this peer: probe. */
  | { readonly kind: 'unknown' };

/** How many coming contacts a search looks at; a plan of days has some hundred. */
const LOOK_AHEAD = 400;

export function contactsWith(plan: ContactPlan, peers: readonly string[], from: WallTime, count: number): Contact[] {
  const found: Contact[] = [];
  for (const contact of plan.next(from, peers.length === 0 ? count : LOOK_AHEAD)) {
    if (peers.length > 0 && !peers.includes(contact.peer)) continue;
    if (contact.end <= from) continue;
    found.push(contact);
    if (found.length === count) break;
  }
  return found;
}

/** @param peers names in the plan behind which the next hop lies; none means any contact will do. */
export function windowAt(plan: ContactPlan, peers: readonly string[], now: WallTime): Window {
  if (plan.always) return { kind: 'always' };
  const [contact] = contactsWith(plan, peers, now, 1);
  if (contact === undefined) return { kind: 'unknown' };
  return contact.begin <= now ? { kind: 'contact', contact } : { kind: 'closed', next: contact };
}

/** What a transfer costs toward one next hop. Learned from deliveries, or from the plan, or from the settings. */
export interface LinkModel {
  /** Octets a second of message data; undefined while nothing is known. */
  readonly octetsPerSecond: number | undefined;
  /** A message's cost beside its octets: the round trip of its envelope and the receiver's fsync. */
  readonly secondsPerMessage: number;
  /** From AOS to the first envelope: connect, greeting, EHLO. */
  readonly setupSeconds: number;
}

/** The rate the plan gives for a contact, or the learned one. */
export function rateOf(contact: Contact | undefined, model: LinkModel): number | undefined {
  if (model.octetsPerSecond !== undefined) return model.octetsPerSecond;
  if (contact?.octetsOut === undefined) return undefined;
  const length = secondsBetween(contact.begin, contact.end);
  return length > 0 ? contact.octetsOut / length : undefined;
}

/** Octets of message data that still fit the contact; undefined when no rate is known. */
export function octetsLeft(contact: Contact, model: LinkModel, now: WallTime): number | undefined {
  const rate = rateOf(contact, model);
  if (rate === undefined) return undefined;
  return Math.max(0, Math.floor(rate * (secondsBetween(now, contact.end) - model.secondsPerMessage)));
}

export interface Candidate {
  readonly id: string;
  readonly priority: number;
  readonly octetsLeft: number;
  readonly arrived: WallTime;
  /** Being sent already: 0, or next on the same connection: 1. They keep their place whatever comes. */
  readonly rank?: number;
}

/** Fits "exactly": it leaves under a twentieth of the contact unused. */
const EXACT_FIT = 0.95;

/** The message to start now, or undefined when none may start. */
export function chooseNext<C extends Candidate>(
  candidates: Iterable<C>,
  room: { readonly octets: number | undefined; readonly checkpoint: boolean },
): C | undefined {
  const mayStart = (c: C) => room.checkpoint || room.octets === undefined || c.octetsLeft <= room.octets;
  let best: C | undefined;
  let exact: C | undefined;
  let classOctets = 0;
  for (const c of candidates) {
    if (!mayStart(c)) continue;
    if (best === undefined || c.priority > best.priority) {
      best = c;
      exact = undefined;
      classOctets = 0;
    } else if (c.priority < best.priority) continue;
    else if (compare(c, best) < 0) best = c;
    classOctets += c.octetsLeft;
    if (room.octets !== undefined && c.octetsLeft >= EXACT_FIT * room.octets && c.octetsLeft <= room.octets)
      if (exact === undefined || c.octetsLeft > exact.octetsLeft) exact = c;
  }
  if (!room.checkpoint && room.octets !== undefined && classOctets > room.octets && exact !== undefined) return exact;
  return best;
}

/** The order of transmission. */
export function compare(a: Candidate, b: Candidate): number {
  if (a.rank !== b.rank) return (a.rank ?? 2) - (b.rank ?? 2);
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.octetsLeft !== b.octetsLeft) return a.octetsLeft - b.octetsLeft;
  if (a.arrived !== b.arrived) return a.arrived < b.arrived ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

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
  readonly arrivals: Arrivals;
  readonly now: WallTime;
}

/**
 * When each candidate will have been delivered, walking the contacts in order. Missing from the map: not within the contacts that
 * the plan names, or no rate is known. `earliest` supposes a link 3 % faster and no further mail, `latest` one 10 % slower and
 * twice the mail that came lately.
 */
export function predict(input: PredictionInput): Map<string, Prediction> {
  const { model, now } = input;
  const order = [...input.candidates].sort(compare);
  const always = [{ peer: '', begin: now, end: wallPlus(now, 1e9) }];
  const contacts = input.contacts === 'always' ? always : input.contacts;
  const slower = { ...model, secondsPerMessage: model.secondsPerMessage * 1.5, setupSeconds: model.setupSeconds * 2 };
  const faster = { ...model, secondsPerMessage: model.secondsPerMessage / 1.5, setupSeconds: model.setupSeconds / 2 };
  const expected = walk({ ...input, contacts }, order, model, 1, 1);
  const early = walk({ ...input, contacts }, order, faster, 1.03, 0);
  const late = walk({ ...input, contacts }, order, slower, 0.9, 2);
  const result = new Map<string, Prediction>();
  for (const [id, at] of expected) {
    const first = early.get(id) ?? at;
    const last = late.get(id) ?? contacts.at(-1)!.end;
    result.set(id, { expected: at, earliest: first < at ? first : at, latest: last > at ? last : at });
  }
  return result;
}

interface WalkInput extends PredictionInput {
  readonly contacts: readonly Contact[];
}

function walk(
  { contacts, checkpoint, connected, arrivals, now }: WalkInput,
  order: readonly Candidate[],
  model: LinkModel,
  factor: number,
  traffic: number,
): Map<string, WallTime> {
  const done = new Map<string, WallTime>();
  let waiting = order.map((candidate) => ({ candidate, left: candidate.octetsLeft }));
  for (const contact of contacts) {
    if (waiting.length === 0) break;
    const rate = (rateOf(contact, model) ?? 0) * factor;
    if (rate <= 0) break;
    const running = contact.begin <= now;
    let at = running ? now : contact.begin;
    if (!(running && connected)) at = wallPlus(at, model.setupSeconds);
    // The mail that will come until the contact begins, and go before a given candidate.
    const share =
      running || arrivals.seconds <= 0 ? 0 : (traffic * secondsBetween(now, contact.begin)) / arrivals.seconds;
    const load = share === 0 ? () => 0 : loadAhead(arrivals, model.secondsPerMessage, rate);
    const later: typeof waiting = [];
    for (const entry of waiting) {
      const room = secondsBetween(at, contact.end);
      const ahead = share * load(entry.candidate);
      const cost = model.secondsPerMessage + entry.left / rate;
      if (room > 0 && ahead + cost <= room) {
        done.set(entry.candidate.id, wallPlus(at, ahead + cost));
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

/** Seconds that the lately arrived messages which would go before the candidate take together. */
function loadAhead(arrivals: Arrivals, secondsPerMessage: number, rate: number): (candidate: Candidate) => number {
  const sorted = [...arrivals.messages].sort((a, b) => b.priority - a.priority || a.octets - b.octets);
  const sums = [0];
  for (const { octets } of sorted) sums.push(sums.at(-1)! + secondsPerMessage + octets / rate);
  return (candidate) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = sorted[middle]!;
      const before =
        other.priority > candidate.priority ||
        (other.priority === candidate.priority && other.octets < candidate.octetsLeft);
      if (before) low = middle + 1;
      else high = middle;
    }
    return sums[low]!;
  };
}
