/**
 * Delivery status notifications: multipart/report (RFC 6522) with message/delivery-status (RFC 3464), or its UTF-8 form
 * message/global-delivery-status (RFC 6533) when an address is not ASCII. Who gets one is RFC 3461 section 5.2: never the null
 * reverse-path, never NOTIFY=NEVER, and failures unless NOTIFY left them out.
 */
import type { WallTime } from '../../core/index.ts';
import type { Envelope, Recipient } from './envelope.ts';
import type { Notice, NoticeKind } from './queue.ts';
import { formatMailDate } from './wall-time.ts';

export interface NoticeContext {
  readonly name: string;
  readonly now: WallTime;
  /** Unique to this notice; becomes boundary and Message-ID. */
  readonly id: string;
  /** The original's header section, or the whole message for RET=FULL; CRLF lines. */
  readonly original: string;
  readonly full: boolean;
  /** For delay notices: what comes next, in words. */
  readonly outlook?: string;
}

/** The recipients of a notice that want it; empty: send none. */
export function wantsNotice(envelope: Envelope, notice: Notice): readonly Recipient[] {
  if (envelope.reversePath === '') return [];
  const word = NOTIFY_WORD[notice.kind];
  return notice.recipients.filter((r) => (r.notify === undefined ? word !== 'SUCCESS' : r.notify.includes(word)));
}
const NOTIFY_WORD: Readonly<Record<NoticeKind, string>> = {
  failed: 'FAILURE',
  expired: 'FAILURE',
  delayed: 'DELAY',
  relayed: 'SUCCESS',
  delivered: 'SUCCESS',
};

const SUBJECT: Readonly<Record<NoticeKind, string>> = {
  failed: 'Your message could not be delivered',
  expired: 'Your message could not be delivered in time',
  delayed: 'Your message is still waiting',
  relayed: 'Your message was handed on',
  delivered: 'Your message was delivered',
};

/** The notice as a message, CRLF lines; 8-bit only when an address or the original is. */
export function composeNotice(
  envelope: Envelope,
  kind: NoticeKind,
  recipients: readonly Recipient[],
  context: NoticeContext,
): string {
  const { name, now, id, original, full } = context;
  const boundary = `=_${id}_${name.replace(/[^A-Za-z0-9.-]/g, '')}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const utf8 = [envelope.reversePath, ...recipients.map((r) => r.address)].some((a) => /[^\u0000-\u007f]/.test(a));
  const part = utf8 ? 'global-delivery-status' : 'delivery-status';
  const returned = full
    ? utf8
      ? 'message/global'
      : 'message/rfc822'
    : utf8
      ? 'message/global-headers'
      : 'text/rfc822-headers';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII
  const eightBit = utf8 || /[^\u0000-\u007f]/.test(original);
  const encoding = eightBit ? ['Content-Transfer-Encoding: 8bit'] : [];
  const lines = [
    `From: Mail delivery <postmaster@${name}>`,
    `To: <${envelope.reversePath}>`,
    `Subject: ${SUBJECT[kind]}`,
    `Date: ${formatMailDate(now)}`,
    `Message-ID: <${id}@${name}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${part};\r\n\tboundary="${boundary}"`,
    ...encoding,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    ...encoding,
    '',
    ...humanText(envelope, kind, recipients, context),
    '',
    `--${boundary}`,
    `Content-Type: message/${part}`,
    ...encoding,
    '',
    ...(envelope.envelopeId === undefined ? [] : [`Original-Envelope-Id: ${decodeXtext(envelope.envelopeId)}`]),
    `Reporting-MTA: dns; ${name}`,
    `Arrival-Date: ${formatMailDate(envelope.arrived)}`,
    ...recipients.flatMap((recipient) => ['', ...recipientFields(recipient, kind, utf8, now)]),
    '',
    `--${boundary}`,
    `Content-Type: ${returned}`,
    ...encoding,
    '',
  ];
  return `${lines.join('\r\n')}\r\n${original}${original.endsWith('\r\n') ? '' : '\r\n'}--${boundary}--\r\n`;
}

const ACTION: Readonly<Record<NoticeKind, string>> = {
  failed: 'failed',
  expired: 'failed',
  delayed: 'delayed',
  relayed: 'relayed',
  delivered: 'delivered',
};

/** RFC 3463 codes for a next hop that was never reached: there is no remote server to name (RFC 3464 section 2.3.5). */
const OF_NO_SERVER = new Set(['5.1.2', '5.1.10', '5.4.4']);

function recipientFields(recipient: Recipient, kind: NoticeKind, utf8: boolean, now: WallTime): string[] {
  const fallback = { failed: '5.0.0', expired: '4.4.7', delayed: '4.4.1', relayed: '2.0.0', delivered: '2.0.0' }[kind];
  // A delayed or expired recipient's status must not say success or permanent failure (RFC 3464 section 2.3.4).
  const wanted = { failed: '5', expired: '4', delayed: '4', relayed: '2', delivered: '2' }[kind];
  const status = recipient.status?.startsWith(wanted) ? recipient.status : fallback;
  const fields: string[] = [];
  if (recipient.originalRecipient !== undefined) {
    const [type, value] = split(recipient.originalRecipient);
    fields.push(`Original-Recipient: ${type}; ${decodeXtext(value)}`);
  }
  fields.push(
    `Final-Recipient: ${utf8 ? 'utf-8' : 'rfc822'}; ${recipient.address}`,
    `Action: ${ACTION[kind]}`,
    `Status: ${status}`,
  );
  if (recipient.diagnostic !== undefined && recipient.diagnostic !== '' && recipient.hop !== 'local') {
    if (recipient.hop !== '*' && !OF_NO_SERVER.has(status)) fields.push(`Remote-MTA: dns; ${recipient.hop}`);
    fields.push(`Diagnostic-Code: smtp; ${oneLine(recipient.diagnostic)}`);
  }
  fields.push(`Last-Attempt-Date: ${formatMailDate(now)}`);
  return fields;
}

function humanText(
  envelope: Envelope,
  kind: NoticeKind,
  recipients: readonly Recipient[],
  context: NoticeContext,
): string[] {
  const whom = recipients.map((r) => `   <${r.address}>${r.diagnostic ? `\r\n      ${oneLine(r.diagnostic)}` : ''}`);
  const about = envelope.subject === undefined ? 'Your message' : `Your message "${oneLine(envelope.subject)}"`;
  const intro: Readonly<Record<NoticeKind, string>> = {
    failed: `${about} could not be delivered to`,
    expired: `${about} was given up: no contact delivered it to`,
    delayed: `${about} still waits here for delivery to`,
    relayed: `${about} was handed to the next server, which sends no delivery reports, for`,
    delivered: `${about} was delivered to`,
  };
  const after =
    kind === 'delayed' ? ['', `You need not send it again.${context.outlook ? ` ${context.outlook}` : ''}`] : [];
  return [`This is the mail relay ${context.name}.`, '', `${intro[kind]}`, ...whom, ...after];
}

/** Text of a peer's, made harmless for a header field. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 400);

function split(value: string): [string, string] {
  const at = value.indexOf(';');
  return [value.slice(0, at), value.slice(at + 1)];
}

/** RFC 3461 section 4; what decodes to a control character is left as it is. */
export function decodeXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code >= 32 && code < 127 ? String.fromCharCode(code) : whole;
  });
}
