/**
 * Messages of the relay's own: what it submits, and the delivery status notification (dsn.ts) that is due for a message. The key of a
 * notice follows from message and state, so that a crash before the envelope was stored makes no second one.
 */
import type { WallTime } from '../../core/index.ts';
import { composeNotice, wantsNotice } from './dsn.ts';
import type { Envelope } from './envelope.ts';
import type { Notice } from './queue.ts';

export interface Submission {
  /** Makes a second submission of the same thing harmless. */
  readonly key: string;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly priority: number;
  readonly octets: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  readonly notify?: readonly string[];
}

/** RET=FULL returns no more than this; beyond it, the header section (RFC 3461 section 4.3 leaves it to us). */
const MOST_RETURNED_OCTETS = 65_536;
const MOST_HEADER_OCTETS = 16_384;

export interface NoticeSource {
  readonly name: string;
  readonly now: WallTime;
  /** The first octets of the message as stored. */
  read(length: number): Promise<Uint8Array>;
  /** For delay notices: what comes next toward the hop, in words. */
  outlook(hop: string): string | undefined;
}

/** Undefined when nobody wants it. */
export async function noticeOf(
  envelope: Envelope,
  notice: Notice,
  { name, now, read, outlook }: NoticeSource,
): Promise<Submission | undefined> {
  const recipients = wantsNotice(envelope, notice);
  if (recipients.length === 0) return undefined;
  const open = envelope.recipients.filter((r) => r.state === 'queued').length;
  const id = `${envelope.id}-${notice.kind}-${open}`;
  const full = envelope.ret === 'FULL' && envelope.octets <= MOST_RETURNED_OCTETS && notice.kind === 'failed';
  const text =
    envelope.trace +
    new TextDecoder().decode(await read(full ? envelope.octets : Math.min(envelope.octets, MOST_HEADER_OCTETS)));
  const end = text.indexOf('\r\n\r\n');
  const original = full || end < 0 ? text : text.slice(0, end + 2);
  const next = outlook(recipients[0]!.hop);
  const message = composeNotice(envelope, notice.kind, recipients, {
    name,
    now,
    id,
    original,
    full,
    ...(next === undefined ? {} : { outlook: next }),
  });
  return {
    key: `${id}@notice`,
    reversePath: '',
    recipients: [envelope.reversePath],
    priority: envelope.priority,
    octets: [new TextEncoder().encode(message)],
  };
}
