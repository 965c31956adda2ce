/** A contact plan from a file, as the mail relay asks for it. Times are the host's. */
import type { Contact, ContactPlan } from '../apps/smtp/index.ts';
import type { WallTime } from '../core/index.ts';
import { readContactPlanFile } from './contact-plan-file.ts';

/**
 * @param epochMilliseconds when the plan's relative times begin, in Unix time.
 * @param node this relay's name in the plan; undefined: every contact in the plan is one of ours.
 */
export function mailContactsFromFile(file: string, epochMilliseconds: number, node?: string): ContactPlan {
  const wall = (nanoseconds: number) =>
    (BigInt(Math.round(epochMilliseconds)) * 1_000_000n + BigInt(Math.round(nanoseconds))) as WallTime;
  const plan = readContactPlanFile(file, epochMilliseconds);
  const contacts = plan.contacts
    .filter(({ from }) => node === undefined || from === node)
    .map(({ to, begin, end, rateBitPerSecond }): Contact => {
      const octets = Math.floor((rateBitPerSecond / 8) * ((end - begin) / 1e9));
      return {
        peer: to,
        begin: wall(begin),
        end: wall(end),
        ...(Number.isFinite(octets) ? { octetsOut: octets } : {}),
      };
    })
    .sort((a, b) => (a.begin < b.begin ? -1 : 1));
  return {
    always: false,
    next: (from, count) => contacts.filter(({ end }) => end > from).slice(0, count),
  };
}
