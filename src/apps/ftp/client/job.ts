/**
 * A file transfer that outlives the process that was asked for it: `omni fetch` and `omni put` keep one of these on the disk
 * per transfer. Here is what can be decided without a disk or a clock: order, patience, and when it will be done.
 */
import { z } from 'zod';
import type { ContactForecast } from '../contact-time.ts';

export const transferJob = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  direction: z.enum(['fetch', 'put']),
  host: z.string(),
  port: z.number().int().min(1).max(65_535),
  user: z.string(),
  password: z.string(),
  tls: z.enum(['off', 'required', 'unverified']),
  remotePath: z.string(),
  /** Absolute. */
  localPath: z.string(),
  /** Higher first. */
  priority: z.number().int(),
  /** Milliseconds since 1970, for people and for order among equals. */
  addedMs: z.number(),
  state: z.enum(['waiting', 'done', 'failed']),
  attempts: z.number().int(),
  /** Of the source, when the transfer began: another one means another file, and a fresh start. */
  source: z.strictObject({ size: z.number(), modifiedMs: z.number() }).optional(),
  /** Octets of ours have gone to the other end (put): what is there now can be gone on with. */
  begun: z.boolean().optional(),
  /** Octets known to be on the disk (fetch), and in which run of the machine. */
  safeOctets: z.number(),
  bootId: z.string(),
  /** Octets that went over the link in all attempts. */
  movedOctets: z.number(),
  verified: z.enum(['sha256', 'size']).optional(),
  problem: z.string().optional(),
});
export type TransferJob = z.infer<typeof transferJob>;

/** The order in which waiting jobs are done: priority, then age. */
export function nextJob(jobs: readonly TransferJob[]): TransferJob | undefined {
  return jobs
    .filter(({ state }) => state === 'waiting')
    .sort((a, b) => b.priority - a.priority || a.addedMs - b.addedMs || (a.id < b.id ? -1 : 1))[0];
}

/** Seconds until the next attempt: soon at first, then every half minute, because a pass is short. */
export const retrySeconds = (attempts: number): number => Math.min(30, 2 ** Math.min(attempts, 6) / 2);

export interface Estimate {
  /** Passes needed, the running one included; 0 when the link is always up. */
  readonly passes: number;
  /** Nanoseconds since 1970. */
  readonly doneAt: bigint;
}

/** What IP and TCP headers and their acknowledgements leave of a pass for the file. */
const PAYLOAD_SHARE = 0.9;

/**
 * When so many octets will have moved, by the plan where it knows how much fits, else by the rate seen so far (octets per
 * second). Undefined when neither tells.
 */
export function estimate(
  octets: number,
  direction: 'in' | 'out',
  now: bigint,
  rate: number | undefined,
  contacts: ContactForecast,
): Estimate | undefined {
  const known = rate !== undefined && rate > 0;
  if (contacts.always) return known ? { passes: 0, doneAt: now + secondsToNs(octets / rate) } : undefined;
  let left = octets;
  let passes = 0;
  for (const { begin, end, octetsIn, octetsOut } of contacts.next(now as never, 1000)) {
    const planned = direction === 'in' ? octetsIn : octetsOut;
    const length = Number(end - begin) / 1e9;
    const perSecond = planned === undefined ? rate : (planned * PAYLOAD_SHARE) / length;
    if (perSecond === undefined || perSecond <= 0) continue;
    passes++;
    const from = begin > now ? begin : now;
    const fits = (Number(end - from) / 1e9) * perSecond;
    if (fits >= left) return { passes, doneAt: from + secondsToNs(left / perSecond) };
    left -= fits;
  }
  return undefined;
}

const secondsToNs = (s: number): bigint => BigInt(Math.round(s * 1e9));
