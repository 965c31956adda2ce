/** An imported contact plan: what both formats have in common, and the contacts of one direction out of it. */
import type { ContactInterval, Step } from '../../channel/index.ts';
import type { Instant } from '../../core/index.ts';

export interface PlannedContact {
  readonly from: string;
  readonly to: string;
  /** Nanoseconds since the scenario's start; before it when negative. */
  readonly begin: number;
  readonly end: number;
  /** Infinity when the plan does not limit it. */
  readonly rateBitPerSecond: number;
  readonly line: number;
}

export interface PlannedRange {
  readonly from: string;
  readonly to: string;
  readonly begin: number;
  readonly end: number;
  readonly lightSeconds: number;
  /** Whether it holds for the way back too, unless another range says otherwise. */
  readonly bothWays: boolean;
  readonly line: number;
}

export interface PlanProblem {
  readonly line: number;
  readonly key: string;
  readonly message: string;
}

export interface ContactPlan {
  readonly contacts: readonly PlannedContact[];
  readonly ranges: readonly PlannedRange[];
  /** When there are any, the rest is what could be read all the same. */
  readonly problems: readonly PlanProblem[];
}

export const NANOSECONDS = 1e9;

/** Contacts of one pair of nodes may not overlap: no format gives that a meaning. */
export function overlaps(contacts: readonly PlannedContact[]): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const last = new Map<string, PlannedContact>();
  for (const contact of [...contacts].sort((a, b) => a.begin - b.begin)) {
    const pair = `${contact.from} to ${contact.to}`;
    const before = last.get(pair);
    if (before !== undefined && contact.begin < before.end) {
      const [first, second] = before.line < contact.line ? [before, contact] : [contact, before];
      problems.push({
        line: second.line,
        key: 'contact',
        message: `this contact from ${pair} overlaps the one on line ${first.line}`,
      });
    }
    if (before === undefined || contact.end > before.end) last.set(pair, contact);
  }
  return problems;
}

/** The contacts from one node to another that are not over at time zero, in order; those that touch are one. */
export function contactsBetween(plan: ContactPlan, from: string, to: string): ContactInterval[] {
  const found: { aos: Instant; los: Instant }[] = [];
  const own = plan.contacts.filter((contact) => contact.from === from && contact.to === to && contact.end > 0);
  for (const { begin, end } of own.sort((a, b) => a.begin - b.begin)) {
    const aos = Math.max(0, begin) as Instant;
    const before = found.at(-1);
    if (before !== undefined && aos <= before.los) before.los = Math.max(before.los, end) as Instant;
    else found.push({ aos, los: end as Instant });
  }
  return found;
}

/**
 * Nanoseconds from one node to another by the plan's ranges, as steps from time zero on; empty when it has none. A range of this
 * direction goes before one of the other that holds both ways. Between ranges the last one holds, before the first the first.
 */
export function delaysBetween(plan: ContactPlan, from: string, to: string): Step<number>[] {
  const own = plan.ranges.filter((range) => range.from === from && range.to === to);
  const ranges =
    own.length > 0 ? own : plan.ranges.filter((range) => range.bothWays && range.from === to && range.to === from);
  const steps: { at: Instant; value: number }[] = [];
  for (const { begin, lightSeconds } of [...ranges].sort((a, b) => a.begin - b.begin)) {
    const at = (steps.length === 0 ? 0 : Math.max(0, begin)) as Instant;
    const value = Math.round(lightSeconds * NANOSECONDS);
    if (steps.at(-1)?.at === at) steps.pop();
    if (steps.at(-1)?.value !== value) steps.push({ at, value });
  }
  return steps;
}

/** The pairs of nodes that the plan has contacts for: `1 → 2, 2 → 1`. */
export function pairsOf(plan: ContactPlan): string {
  const pairs = new Set(plan.contacts.map(({ from, to }) => `${from} → ${to}`));
  const list = [...pairs];
  return list.length > 8 ? `${list.slice(0, 8).join(', ')} and ${list.length - 8} more` : list.join(', ');
}
