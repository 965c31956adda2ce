/**
 * Command loads by mail: who signed it, is it fresh, was it here before. The signature is an HMAC-SHA-256 (RFC 2104) over a
 * canonical text of the load's decoded octets and its orders, not over the MIME form, which relays may re-encode:
 *
 *   omni-command-load-1 LF  key id LF  counter LF  time signed LF  time to run, or `now` LF  file name LF  SHA-256 in hex LF
 *
 * An S/MIME signature (RFC 8551) does as well: its time of signing stands for the time signed, the digest of signer, time and content
 * for the counter, and a time to run counts only when it is a field of the entity that was signed.
 *
 * Header fields: Omni-Command-Key, -Counter, -Signed, -Run-At (optional), -Signature (hex). Replay is stopped twice: a key's counter is
 * taken once, and the time signed must lie inside a window, as far as the clock is set. Counters need not come in their order: the
 * queues on the way let a small load overtake a large one.
 */
import type { WallTime } from '../../core/index.ts';
import { fieldOf, type HeaderSection } from './message-scanner.ts';
import { formatIso, parseIso, secondsBetween } from './wall-time.ts';

export interface CommandOrders {
  readonly key: string;
  /** Different for each load of a key, and rising; a time in microseconds serves well. */
  readonly counter: number;
  readonly signed: WallTime;
  /** Undefined: at once. */
  readonly runAt: WallTime | undefined;
  readonly fileName: string;
  /** Of the decoded attachment, lower-case hex. */
  readonly sha256: string;
}

export function canonicalOrders(orders: CommandOrders): string {
  const runAt = orders.runAt === undefined ? 'now' : formatIso(orders.runAt);
  const lines = [orders.key, String(orders.counter), formatIso(orders.signed), runAt, orders.fileName, orders.sha256];
  return `omni-command-load-1\n${lines.join('\n')}\n`;
}

export function orderFields(orders: CommandOrders, signature: string): Record<string, string> {
  return {
    'Omni-Command-Key': orders.key,
    'Omni-Command-Counter': String(orders.counter),
    'Omni-Command-Signed': formatIso(orders.signed),
    ...(orders.runAt === undefined ? {} : { 'Omni-Command-Run-At': formatIso(orders.runAt) }),
    'Omni-Command-Signature': signature,
  };
}

export type CommandRefusal =
  | 'not-signed'
  | 'unknown-key'
  | 'sender-not-allowed'
  | 'wrong-signature'
  | 'replayed'
  | 'outside-time-window'
  | 'malformed'
  | 'unknown-signer'
  | 'weak-signature'
  | 'certificate-not-valid';

export interface CommandKey {
  readonly id: string;
  readonly senders: readonly string[] | undefined;
}

export interface CommandCheck {
  readonly header: HeaderSection;
  readonly reversePath: string;
  readonly fileName: string;
  readonly sha256: string;
  readonly now: WallTime;
  readonly windowSeconds: number;
  key(id: string): CommandKey | undefined;
  /** Compares in constant time. */
  verify(keyId: string, text: string, signature: string): boolean;
  /** Whether the key's counter was accepted before, or is too old to know. */
  used(keyId: string, counter: number): boolean;
}

/** The orders of an authentic, fresh load; or why not. */
export function checkCommandLoad(
  check: CommandCheck,
): { readonly ok: true; readonly orders: CommandOrders } | { readonly ok: false; readonly reason: CommandRefusal } {
  const refuse = (reason: CommandRefusal) => ({ ok: false, reason }) as const;
  const keyId = fieldOf(check.header, 'omni-command-key');
  const signature = fieldOf(check.header, 'omni-command-signature');
  if (keyId === undefined || signature === undefined) return refuse('not-signed');
  const key = check.key(keyId);
  if (key === undefined) return refuse('unknown-key');
  const counter = Number(fieldOf(check.header, 'omni-command-counter') ?? Number.NaN);
  const signed = parseIso(fieldOf(check.header, 'omni-command-signed') ?? '');
  const runText = fieldOf(check.header, 'omni-command-run-at');
  const runAt = runText === undefined ? undefined : parseIso(runText);
  if (!Number.isSafeInteger(counter) || counter < 0 || signed === undefined) return refuse('malformed');
  if (runText !== undefined && runAt === undefined) return refuse('malformed');
  const { fileName, sha256 } = check;
  const orders: CommandOrders = { key: keyId, counter, signed, runAt, fileName, sha256 };
  // The signature first: what follows tells an attacker nothing that he could not know.
  if (!/^[0-9a-f]{64}$/i.test(signature) || !check.verify(keyId, canonicalOrders(orders), signature.toLowerCase()))
    return refuse('wrong-signature');
  if (key.senders !== undefined && !key.senders.includes(check.reversePath)) return refuse('sender-not-allowed');
  if (check.used(keyId, counter)) return refuse('replayed');
  if (Math.abs(secondsBetween(signed, check.now)) > check.windowSeconds) return refuse('outside-time-window');
  return { ok: true, orders };
}

/** An S/MIME signature that is right, by a certificate that is allowed; is it fresh, and was it here before? */
export interface SignedLoadCheck {
  /** Of the message, and of the entity that was signed. */
  readonly header: HeaderSection;
  readonly signedHeader: HeaderSection;
  readonly reversePath: string;
  readonly key: CommandKey;
  readonly signed: WallTime;
  readonly validFrom: WallTime;
  readonly validTo: WallTime;
  readonly fileName: string;
  readonly sha256: string;
  readonly now: WallTime;
  readonly windowSeconds: number;
  /** Accepted inside the window before. */
  readonly repeated: boolean;
}

export function checkSignedLoad(
  check: SignedLoadCheck,
): { readonly ok: true; readonly orders: CommandOrders } | { readonly ok: false; readonly reason: CommandRefusal } {
  const refuse = (reason: CommandRefusal) => ({ ok: false, reason }) as const;
  const { key, signed, fileName, sha256 } = check;
  const runText = fieldOf(check.signedHeader, 'omni-command-run-at');
  const runAt = runText === undefined ? undefined : parseIso(runText);
  // A time to run that nobody signed is nobody's order.
  if (runText === undefined && fieldOf(check.header, 'omni-command-run-at') !== undefined) return refuse('malformed');
  if (runText !== undefined && runAt === undefined) return refuse('malformed');
  if (key.senders !== undefined && !key.senders.includes(check.reversePath)) return refuse('sender-not-allowed');
  if (check.repeated) return refuse('replayed');
  if (Math.abs(secondsBetween(signed, check.now)) > check.windowSeconds) return refuse('outside-time-window');
  if (signed < check.validFrom || signed > check.validTo) return refuse('certificate-not-valid');
  return { ok: true, orders: { key: key.id, counter: Number(signed / 1_000_000n), signed, runAt, fileName, sha256 } };
}

/** Counters of one key that were accepted: all up to `floor`, and those above it that are listed. */
export interface UsedCounters {
  readonly floor: number;
  readonly above: readonly number[];
}
/** More loads than this are not on their way at once. */
const LISTED = 1000;

export const NO_COUNTERS: UsedCounters = { floor: -1, above: [] };

export const isUsed = ({ floor, above }: UsedCounters, counter: number): boolean =>
  counter <= floor || above.includes(counter);

/** With one more; the oldest beyond a thousand raise the floor, so that what is forgotten is refused. */
export function withUsed({ floor, above }: UsedCounters, counter: number): UsedCounters {
  const sorted = [...above, counter].sort((a, b) => a - b);
  const dropped = sorted.splice(0, Math.max(0, sorted.length - LISTED));
  return { floor: dropped.at(-1) ?? floor, above: sorted };
}
