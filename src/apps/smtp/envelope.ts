/**
 * The envelope of a queued message: all that the relay knows of it beside its octets (RFC 5321 section 2.3.1, RFC 3461,
 * RFC 6710). It is a plain value; the queue replaces it, the store writes it. The file form is JSON with ISO times.
 *
 * The message's octets are kept as they came, without the trace field this relay adds; that is `trace`, and goes out in front
 * of them. So an offset of RFC 1845 on the way in is an offset in the file.
 */
import type { WallTime } from '../../core/index.ts';
import { parseTransfer, type Transfer } from './link-estimator.ts';
import { formatIso, parseIso } from './wall-time.ts';

export type RecipientState = 'queued' | 'delivered' | 'relayed' | 'failed' | 'expired' | 'cancelled';

export interface Recipient {
  readonly address: string;
  /** NOTIFY of RFC 3461 section 4.1, upper case; absent means FAILURE and DELAY. */
  readonly notify?: readonly string[];
  /** ORCPT as received, `addr-type;xtext`. */
  readonly originalRecipient?: string;
  readonly state: RecipientState;
  /** The next hop's name; `local` for delivery here. */
  readonly hop: string;
  /** RFC 3463 status of the last try, and the reply that said so. */
  readonly status?: string;
  readonly diagnostic?: string;
}

/** What was tried toward one next hop. */
export interface HopProgress {
  readonly attempts: number;
  /** Contacts (or, without a plan, tries) that ended without delivery. */
  readonly contactsUsed: number;
  /** Begin of the contact counted last, so that one contact counts once. */
  readonly lastContact?: WallTime;
  readonly lastAttempt?: WallTime;
  readonly lastReply?: string;
  /** Increases when a transaction completed for some recipients only: the rest is a new transaction (RFC 1845). */
  readonly generation: number;
  /** Octets that the next hop is known to have stored. */
  readonly storedOctets: number;
  readonly delayReported: boolean;
  /** What the delivery cost, once there was one. */
  readonly transfer?: Transfer;
}

export interface Envelope {
  readonly id: string;
  /** The client's name and TRANSID by which it came in (RFC 1845), or the key of a local source; makes a second try harmless. */
  readonly transaction?: string;
  /** Empty for the null reverse-path. */
  readonly reversePath: string;
  readonly recipients: readonly Recipient[];
  /** Octets of the message as stored, without `trace`. */
  readonly octets: number;
  /** The trace fields this relay puts in front (RFC 5321 section 4.4), CRLF included. */
  readonly trace: string;
  /** −9 … 9, 9 first (RFC 6710 section 3). */
  readonly priority: number;
  readonly eightBit: boolean;
  readonly smtputf8: boolean;
  /** RET and ENVID of RFC 3461 sections 4.3 and 4.4. */
  readonly ret?: 'FULL' | 'HDRS';
  readonly envelopeId?: string;
  readonly arrived: WallTime;
  /** Who handed it over: host name and address, for people. */
  readonly from: string;
  readonly subject?: string;
  readonly messageId?: string;
  readonly held: boolean;
  /** A part of a larger message (message/partial) that is joined here before it goes on. */
  readonly joinHere?: true;
  readonly hops: Readonly<Record<string, HopProgress>>;
}

export const NO_PROGRESS: HopProgress = {
  attempts: 0,
  contactsUsed: 0,
  generation: 0,
  storedOctets: 0,
  delayReported: false,
};

export const LOCAL_HOP = 'local';

/** Octets as the next hop will count them: the trace fields and the message. */
export const wireOctets = (envelope: Envelope): number => envelope.octets + utf8Length(envelope.trace);

export const progressOf = (envelope: Envelope, hop: string): HopProgress => envelope.hops[hop] ?? NO_PROGRESS;

export const isFinished = (envelope: Envelope): boolean => envelope.recipients.every((r) => r.state !== 'queued');

export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}
const encoder = new TextEncoder();

/** The file form. BigInt times become ISO text, to the millisecond. */
export function encodeEnvelope(envelope: Envelope): string {
  return `${JSON.stringify(envelope, (_, value) => (typeof value === 'bigint' ? formatIso(value as WallTime) : value), 1)}\n`;
}

/** Undefined when the text is not an envelope: the store then puts the file aside and says so. */
export function decodeEnvelope(text: string): Envelope | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof raw !== 'object' || raw === null) return undefined;
  const value = raw as Record<string, unknown>;
  const arrived = typeof value.arrived === 'string' ? parseIso(value.arrived) : undefined;
  const texts = ['id', 'reversePath', 'trace', 'from'].every((key) => typeof value[key] === 'string');
  const whole = Number.isInteger(value.octets) && Number.isInteger(value.priority);
  const lists = Array.isArray(value.recipients) && typeof value.hops === 'object' && value.hops !== null;
  if (arrived === undefined || !texts || !whole || !lists) return undefined;
  const recipients = value.recipients as Recipient[];
  if (!recipients.every((r) => typeof r?.address === 'string' && typeof r.hop === 'string')) return undefined;
  const hops: Record<string, HopProgress> = {};
  for (const [name, entry] of Object.entries(value.hops as Record<string, Record<string, unknown>>)) {
    const { lastContact, lastAttempt, transfer, ...rest } = entry;
    const cost = parseTransfer(transfer);
    const contact = typeof lastContact === 'string' ? parseIso(lastContact) : undefined;
    const attempt = typeof lastAttempt === 'string' ? parseIso(lastAttempt) : undefined;
    hops[name] = {
      ...NO_PROGRESS,
      ...rest,
      ...(contact === undefined ? {} : { lastContact: contact }),
      ...(attempt === undefined ? {} : { lastAttempt: attempt }),
      ...(cost === undefined ? {} : { transfer: cost }),
    };
  }
  return { ...(value as unknown as Envelope), arrived, hops };
}
