/**
 * What a command load leaves behind: its receipt and its result, as they lie on disk (JSON) and as they are mailed. The receipt is a
 * multipart/report with message/disposition-notification (RFC 3798) and the SHA-256 of what was stored; the result is plain text,
 * one line a telecommand, in reply to the load.
 */
import { formatMailDate } from '../apps/smtp/index.ts';
import type { WallTime } from '../core/index.ts';

export interface Receipt {
  readonly accepted: boolean;
  readonly reason?: string;
  readonly key?: string;
  readonly counter?: number;
  /** S/MIME: of signer, time and content. */
  readonly digest?: string;
  readonly sha256: string;
  readonly fileName: string;
  readonly octets: number;
  readonly signed?: string;
  /** Null: at once. */
  readonly runAt?: string | null;
  /** Who is told what became of it, and of which message. */
  readonly sender?: string;
  readonly messageId?: string;
}

/** What became of a load, one entry a telecommand. */
export interface LoadResult {
  /** Why nothing of it was submitted. */
  readonly refusal?: string;
  readonly commands: readonly LoadCommand[];
  /** The mail that tells it is queued. */
  readonly reported?: boolean;
}
export interface LoadCommand {
  readonly name: string;
  readonly keyId: number;
  readonly counter: string;
  readonly outcome: 'pending' | 'accepted' | 'started' | 'completed' | 'failed' | 'refused' | 'unknown';
  readonly detail: string;
  /** It names a time of its own, by which the schedule carries it out. */
  readonly ownTime?: true;
}

/** Of what, from whom, to whom. */
interface Letter {
  /** The load's. */
  readonly id: string;
  /** Of the relay, and of its mailbox for loads. */
  readonly name: string;
  readonly address: string;
  readonly readers: readonly string[];
  readonly date: WallTime;
  readonly receipt: Receipt;
}

/** @param messageId of the load. @param processor whether this node carries loads out. */
export function composeReceipt(letter: Letter, messageId: string | undefined, processor: boolean): string {
  const { id, name, address, readers, date, receipt } = letter;
  const runs = processor ? (receipt.runAt ?? 'at once') : 'not here: this node has no command processor';
  const boundary = `=_${id}_receipt`;
  const subject = receipt.accepted
    ? `Command load stored: ${clean(receipt.fileName)}`
    : `Command load refused: ${receipt.reason}`;
  const human = receipt.accepted
    ? [
        `The command load ${clean(receipt.fileName)} is stored.`,
        '',
        `Octets:  ${receipt.octets}`,
        `SHA-256: ${receipt.sha256}`,
        `Runs:    ${runs}`,
      ]
    : [
        `The command load ${clean(receipt.fileName)} was refused: ${receipt.reason}.`,
        'Nothing of it was stored or run.',
      ];
  return [
    `From: Command mailbox <${address}>`,
    `To: ${readers.map((r) => `<${r}>`).join(', ')}`,
    `Subject: ${subject}`,
    `Date: ${formatMailDate(date)}`,
    `Message-ID: <${id}-receipt@${name}>`,
    ...(messageId === undefined ? [] : [`In-Reply-To: ${clean(messageId)}`]),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=disposition-notification;\r\n\tboundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    ...human,
    '',
    `--${boundary}`,
    'Content-Type: message/disposition-notification',
    '',
    `Reporting-UA: ${name}; omni`,
    `Final-Recipient: rfc822; ${address}`,
    ...(messageId === undefined ? [] : [`Original-Message-ID: ${clean(messageId)}`]),
    `Disposition: automatic-action/MDN-sent-automatically; ${receipt.accepted ? 'processed' : 'processed/error'}`,
    ...(receipt.accepted ? [] : [`Error: ${receipt.reason}`]),
    `X-Omni-SHA-256: ${receipt.sha256}`,
    '',
    `--${boundary}--`,
    '',
  ].join('\r\n');
}

/** The schedule carries it out by its own time. */
export const isTagged = ({ outcome, ownTime }: LoadCommand): boolean => outcome === 'accepted' && ownTime === true;

export function composeResult({ id, name, address, readers, date, receipt }: Letter, result: LoadResult): string {
  const { fileName, messageId, sha256 } = receipt;
  const { refusal, commands } = result;
  const completed = commands.filter((c) => c.outcome === 'completed').length;
  const tagged = commands.filter(isTagged).length;
  const tally = `${completed} of ${commands.length} completed${tagged > 0 ? `, ${tagged} scheduled by their own time` : ''}`;
  const lines = commands.map((command, i) => {
    const { name: what, keyId, counter, outcome, detail } = command;
    const which = counter === '' ? '' : ` (key ${keyId}, counter ${counter})`;
    return `${String(i + 1).padStart(4)}  ${what}${which}: ${isTagged(command) ? 'scheduled' : outcome}${detail === '' ? '' : `: ${clean(detail)}`}`;
  });
  return [
    `From: Command mailbox <${address}>`,
    `To: ${readers.map((r) => `<${r}>`).join(', ')}`,
    `Subject: Command load ${refusal === undefined ? `run: ${clean(fileName)}: ${tally}` : `not run: ${clean(fileName)}`}`,
    `Date: ${formatMailDate(date)}`,
    `Message-ID: <${id}-result@${name}>`,
    ...(messageId === undefined ? [] : [`In-Reply-To: ${clean(messageId)}`, `References: ${clean(messageId)}`]),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
    `X-Omni-SHA-256: ${sha256}`,
    '',
    refusal === undefined
      ? `The command load ${clean(fileName)} was run: ${tally}.`
      : `The command load ${clean(fileName)} was not run: ${clean(refusal)}.`,
    `SHA-256: ${sha256}`,
    '',
    ...lines,
    '',
  ].join('\r\n');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
const clean = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\uffff]+/g, '?').slice(0, 200);
