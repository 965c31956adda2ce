/** The queue as people and programs see it (`omni mailq`): one line per message and next hop, with the reason why it waits. */
import type { WallTime } from '../../core/index.ts';
import { type Envelope, LOCAL_HOP, progressOf, wireOctets } from './envelope.ts';
import type { HopLink } from './hop-link.ts';
import type { Contact, ContactPlan } from './ports.ts';
import { type Prediction, predict } from './prediction.ts';
import type { MailQueue } from './queue.ts';
import { compare, contactsWith, rateOf } from './schedule.ts';
import { formatIso, secondsBetween } from './wall-time.ts';

export interface QueueLine {
  readonly id: string;
  readonly from: string;
  readonly recipients: readonly string[];
  readonly hop: string;
  readonly octets: number;
  /** Octets the next hop has already (RFC 1845), as far as is known. */
  readonly storedOctets: number;
  readonly priority: number;
  readonly subject: string | undefined;
  readonly arrived: string;
  readonly tries: number;
  readonly held: boolean;
  readonly nextContact: { readonly peer: string; readonly begin: string; readonly end: string } | undefined;
  readonly predicted: { readonly expected: string; readonly earliest: string; readonly latest: string } | undefined;
  readonly reason: string;
  readonly lastReply: string | undefined;
}

/** A part of the list: whole, it would not fit small memories. */
export interface Page {
  readonly skip: number;
  readonly count: number;
}
const WHOLE: Page = { skip: 0, count: Number.POSITIVE_INFINITY };

/** How many contacts a prediction looks ahead. */
const CONTACTS = 60;

export function list(
  queue: MailQueue,
  links: ReadonlyMap<string, HopLink>,
  plan: ContactPlan,
  now: WallTime,
  { skip, count }: Page = WHOLE,
): QueueLine[] {
  const lines: QueueLine[] = [];
  let at = 0;
  for (const hop of queue.hops) {
    const link = links.get(hop);
    const contacts = link?.scheduled ? contactsWith(plan, link.route.peers!, now, CONTACTS) : [];
    const predictions = link === undefined ? new Map<string, Prediction>() : predictHop(queue, link, contacts, now);
    for (const envelope of queue.all()) {
      const waiting = queue.queuedRecipients(envelope.id, hop);
      if (waiting.length === 0 || at++ < skip) continue;
      if (lines.length >= count) return lines;
      const progress = progressOf(envelope, hop);
      const [next] = contacts;
      const prediction = envelope.held ? undefined : predictions.get(envelope.id);
      lines.push({
        id: envelope.id,
        from: envelope.reversePath,
        recipients: waiting.map((r) => r.address),
        hop,
        octets: wireOctets(envelope),
        storedOctets: Math.floor(progress.storedOctets),
        priority: envelope.priority,
        subject: envelope.subject,
        arrived: formatIso(envelope.arrived),
        tries: progress.attempts,
        held: envelope.held,
        nextContact: next && { peer: next.peer, begin: formatIso(next.begin), end: formatIso(next.end) },
        predicted: prediction && {
          expected: formatIso(prediction.expected),
          earliest: formatIso(prediction.earliest),
          latest: formatIso(prediction.latest),
        },
        reason: reasonFor(queue, envelope, hop, link, contacts, now),
        lastReply: progress.lastReply,
      });
    }
  }
  return lines;
}

/** When each message toward the hop will have been delivered. */
export function predictHop(
  queue: MailQueue,
  link: HopLink,
  contacts: readonly Contact[],
  now: WallTime,
): Map<string, Prediction> {
  const waiting = [...queue.candidates(link.name, now, 'waiting')];
  const flying = new Map(link.inFlight(now).map((flight, rank) => [flight.id, { ...flight, rank }]));
  const [rival] = waiting.filter(({ id }) => !flying.has(id)).sort(compare);
  let connected = link.sessionState === 'open';
  const candidates = waiting.map((candidate) => {
    const flight = flying.get(candidate.id);
    if (flight === undefined) return candidate;
    if (rival === undefined || !link.givesWay(candidate.priority, flight, rival)) return { ...candidate, ...flight };
    connected = false;
    const { rank, ...state } = flight;
    return { ...candidate, ...state };
  });
  return predict({
    candidates,
    contacts: link.scheduled ? contacts : 'always',
    model: link.estimator.model,
    checkpoint: link.peerHasCheckpoint ?? true,
    connected,
    carriedAt: link.carriedAt,
    path: link.path,
    arrivals: link.estimator.arrivals(now),
    now,
  });
}

function reasonFor(
  queue: MailQueue,
  envelope: Envelope,
  hop: string,
  link: HopLink | undefined,
  contacts: readonly Contact[],
  now: WallTime,
): string {
  if (envelope.held) return 'held by the operator';
  if (hop === LOCAL_HOP) return 'being delivered here';
  if (link === undefined) return 'not looked at yet';
  if (queue.isFlying(hop, envelope.id))
    return link.sending === envelope.id ? 'being sent now' : 'sent, its reply is awaited';
  const window = link.window(now);
  if (window.kind === 'closed') {
    const wait = Math.round(secondsBetween(now, window.next.begin));
    return `no contact with ${window.next.peer} for ${wait} s`;
  }
  if (window.kind === 'unknown') return 'no contact is known: probing';
  const progress = progressOf(envelope, hop);
  const tooLarge =
    link.peerHasCheckpoint === false && contacts.length > 0 && contacts.every((c) => !fits(envelope, c, link));
  if (tooLarge) return 'larger than any contact in the plan';
  if (link.sessionState === 'open') return 'others go first';
  if (link.sessionState === 'connecting') return 'connecting';
  const { trouble } = link;
  if (trouble !== undefined && trouble.again > now)
    return `the next hop does not answer (${trouble.why}), again at ${formatIso(trouble.again).slice(11, 19)}`;
  return progress.lastReply === undefined ? 'waiting for its turn' : `waiting to try again: ${progress.lastReply}`;
}

function fits(envelope: Envelope, contact: Contact, link: HopLink): boolean {
  const rate = rateOf(contact, link.estimator.model, 'quiet');
  return rate === undefined || rate * secondsBetween(contact.begin, contact.end) >= wireOctets(envelope);
}
