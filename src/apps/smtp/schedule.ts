/**
 * When mail can go and in which order: windows of the contact plan and the choice of the next message. Pure functions; the queue
 * asks them again at every step, so nothing here can be stale.
 *
 * Order: priority first; inside a class the message with fewest octets left first, unless the class does not fit the rest of the
 * contact and a large one fills it exactly. A message that provably cannot end in this contact is not started, except toward a
 * peer with CHECKPOINT (RFC 1845), where it goes on in the next one.
 */
import type { WallTime } from '../../core/index.ts';
import type { Contact, ContactPlan } from './ports.ts';
import { secondsBetween } from './wall-time.ts';

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

/** What a transfer costs toward one next hop, learned from deliveries (link-estimator.ts). */
export interface LinkModel {
  /** Octets a second of message data, for contacts whose rate the plan does not say; undefined while nothing is known. */
  readonly octetsPerSecond: number | undefined;
  /** While the peer sends nothing itself, and while it does. */
  readonly quiet: PathCosts;
  readonly busy: PathCosts;
}

/** Whether the peer is sending to us, so that its replies wait in one queue with its mail, and ours with our mail. */
export type Path = 'quiet' | 'busy';

export interface PathCosts extends FixedCosts {
  /** The part of the plan's rate that message data gets; headers, frames, replies, retransmissions and other traffic have the rest. */
  readonly shareOfPlan: number;
}

/** What does not depend on a message's octets: round trips, the receiver's fsync, and the waits of replies in queues. */
export interface FixedCosts {
  /** Connect, greeting, EHLO. */
  readonly setupSeconds: number;
  /** A message whose envelope travels alone, and one whose envelope travelled behind the message before it. */
  readonly firstSeconds: number;
  readonly nextSeconds: number;
}

/** The rate the plan gives for a contact, in octets of IP a second; undefined when it gives none. */
export function planRateOf(contact: Contact | undefined): number | undefined {
  if (contact?.octetsOut === undefined) return undefined;
  const length = secondsBetween(contact.begin, contact.end);
  return length > 0 ? contact.octetsOut / length : undefined;
}

/** Octets of message data a second: the plan's rate as far as experience confirms it, or else the learned one. */
export function rateOf(contact: Contact | undefined, model: LinkModel, path: Path): number | undefined {
  const planned = planRateOf(contact);
  return planned === undefined ? model.octetsPerSecond : planned * model[path].shareOfPlan;
}

/** How message data is handed to the kernel. */
export interface Pace {
  readonly octetsPerSecond: number;
  readonly chunkOctets: number;
}

/** What a packet of 1,500 octets has room for, after the headers of IP and TCP with timestamps. */
const WHOLE_PACKET_OCTETS = 1448;
/** Those headers, and what a frame adds before bit stuffing. */
const HEADER_OCTETS = 60;
const LEAST_PACKET_OCTETS = 512;
const MOST_CHUNK_OCTETS = 32768;
const CHUNKS_PER_SECOND = 20;
/** While both send, a packet holds up the replies to the other's mail for this long at most, unless it were smaller than the least. */
const BUSY_PACKET_SECONDS = 0.25;
/** Of what the headers leave of the plan's rate, the pace uses this much at least. */
const LEAST_OF_ROOM = 0.885;

/**
 * A little faster than gets through, or undefined without a planned rate. Faster still would only fill the queues on the way, where a contact's
 * end would leave it in front of the next one's first packet, and where replies and messages of higher priority would have to wait behind it.
 */
export function paceOf(contact: Contact | undefined, model: LinkModel, path: Path): Pace | undefined {
  const planned = planRateOf(contact);
  if (planned === undefined) return undefined;
  const short = Math.max(LEAST_PACKET_OCTETS, Math.floor(planned * BUSY_PACKET_SECONDS) - HEADER_OCTETS);
  const packet = path === 'busy' ? Math.min(WHOLE_PACKET_OCTETS, short) : WHOLE_PACKET_OCTETS;
  const room = packet / (packet + HEADER_OCTETS);
  const octetsPerSecond = planned * Math.min(room, Math.max(LEAST_OF_ROOM * room, 1.02 * model[path].shareOfPlan));
  const chunk = Math.max(packet, Math.min(MOST_CHUNK_OCTETS, Math.round(octetsPerSecond / CHUNKS_PER_SECOND)));
  return { octetsPerSecond, chunkOctets: chunk };
}

/** Octets of message data that still fit the contact; undefined when no rate is known. */
export function octetsLeft(contact: Contact, model: LinkModel, now: WallTime): number | undefined {
  const rate = rateOf(contact, model, 'busy');
  if (rate === undefined) return undefined;
  return Math.max(0, Math.floor(rate * (secondsBetween(now, contact.end) - model.busy.nextSeconds)));
}

export interface Candidate {
  readonly id: string;
  readonly priority: number;
  readonly octetsLeft: number;
  readonly arrived: WallTime;
  /** Being sent already, in this order. They keep their place whatever comes. */
  readonly rank?: number;
  /** Of its transmission that runs. */
  readonly secondsSpent?: number;
  /** Only its octets, if any, and the final reply are still to come. */
  readonly envelopeSent?: boolean;
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

/** Behind every message that is being sent. */
const UNRANKED = 1000;

/** The order of transmission. */
export function compare(a: Candidate, b: Candidate): number {
  if (a.rank !== b.rank) return (a.rank ?? UNRANKED) - (b.rank ?? UNRANKED);
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.octetsLeft !== b.octetsLeft) return a.octetsLeft - b.octetsLeft;
  if (a.arrived !== b.arrived) return a.arrived < b.arrived ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
