/**
 * What a server offers in its reply to EHLO, and the commands that make use of it: SIZE (RFC 1870), 8BITMIME (6152), SMTPUTF8
 * (6531), DSN (3461), MT-PRIORITY (6710) and CHECKPOINT's TRANSID (1845). A message that the server cannot take is refused here,
 * without a round trip.
 */
import type { Envelope, Recipient } from './envelope.ts';
import { ownReply, type Reply } from './reply.ts';

export interface OutgoingMessage {
  readonly envelope: Envelope;
  readonly recipients: readonly Recipient[];
  /** Octets on the wire: trace fields and stored message, before dot-stuffing. */
  readonly octets: number;
  /** `<id@domain>` of RFC 1845; unique to this copy of the message toward this next hop. */
  readonly transaction: string;
  /** As far as is known, the next hop has nothing of it: no earlier try. */
  readonly fresh?: boolean;
}

export class ServerExtensions {
  readonly #offered = new Map<string, string>();

  /** @param lines of the reply to EHLO, without its first. */
  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [keyword, ...rest] = line.trim().split(/\s+/);
      if (keyword) this.#offered.set(keyword.toUpperCase(), rest.join(' '));
    }
  }

  has(keyword: string): boolean {
    return this.#offered.has(keyword);
  }

  /** Why the server cannot take the message, or undefined when it can. */
  refusalOf({ envelope, octets }: OutgoingMessage): Reply | undefined {
    const limit = Number(this.#offered.get('SIZE') ?? 0);
    if (limit > 0 && octets > limit)
      return ownReply(552, '5.3.4', `the message has ${octets} octets; the next hop takes ${limit}`);
    if (envelope.smtputf8 && !this.has('SMTPUTF8'))
      return ownReply(550, '5.6.7', 'the next hop does not take UTF-8 addresses (RFC 6531)');
    // RFC 6152 section 3: an 8-bit message must not go to a server without 8BITMIME.
    if (envelope.eightBit && !this.has('8BITMIME'))
      return ownReply(554, '5.6.3', 'the next hop does not take 8-bit messages (RFC 6152)');
    return undefined;
  }

  mail({ envelope, octets, transaction }: OutgoingMessage): string {
    let line = `MAIL FROM:<${envelope.reversePath}>`;
    if (this.has('SIZE')) line += ` SIZE=${octets}`;
    if (envelope.eightBit && this.has('8BITMIME')) line += ' BODY=8BITMIME';
    if (envelope.smtputf8) line += ' SMTPUTF8';
    if (this.has('DSN') && envelope.ret !== undefined) line += ` RET=${envelope.ret}`;
    if (this.has('DSN') && envelope.envelopeId !== undefined) line += ` ENVID=${envelope.envelopeId}`;
    if (this.has('MT-PRIORITY') && envelope.priority !== 0) line += ` MT-PRIORITY=${envelope.priority}`;
    if (this.has('CHECKPOINT')) line += ` TRANSID=${transaction}`;
    return line;
  }

  rcpt(recipient: Recipient): string {
    let line = `RCPT TO:<${recipient.address}>`;
    if (this.has('DSN')) {
      if (recipient.notify !== undefined) line += ` NOTIFY=${recipient.notify.join(',')}`;
      if (recipient.originalRecipient !== undefined) line += ` ORCPT=${recipient.originalRecipient}`;
    }
    return line;
  }
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
export function base64(octets: Uint8Array): string {
  let text = '';
  for (let i = 0; i < octets.length; i += 3) {
    const word = (octets[i]! << 16) | ((octets[i + 1] ?? 0) << 8) | (octets[i + 2] ?? 0);
    text += BASE64[word >> 18]! + BASE64[(word >> 12) & 63]!;
    text += i + 1 < octets.length ? BASE64[(word >> 6) & 63]! : '=';
    text += i + 2 < octets.length ? BASE64[word & 63]! : '=';
  }
  return text;
}
