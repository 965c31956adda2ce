/** Contact plans and recorded errors from files: what is wrong in one is told with file, line and key. */
import { readFileSync } from 'node:fs';
import { OmniError } from '../core/index.ts';
import {
  type ContactPlan,
  type PlanProblem,
  parseErrorPositions,
  parseHdtnPlan,
  parseIonPlan,
} from '../scenario/contact-plan/index.ts';

/** An HDTN plan when the text begins with `{`, otherwise ION commands. Throws OmniError OMNI_BAD_FILE or OMNI_READ. */
export function readContactPlanFile(file: string, epochMilliseconds: number): ContactPlan {
  const text = read(file, 'the contact plan');
  const parse = text.trimStart().startsWith('{') ? parseHdtnPlan : parseIonPlan;
  const plan = parse(text, epochMilliseconds);
  refuse(file, plan.problems);
  if (plan.contacts.length === 0)
    throw new OmniError('OMNI_BAD_FILE', `${file}: there is no contact in this plan`, {
      remedy: 'it takes an HDTN JSON contact plan, or `a contact` lines of ION',
    });
  return plan;
}

/** Rising bit positions. Throws OmniError OMNI_BAD_FILE or OMNI_READ. */
export function readErrorFile(file: string): readonly number[] {
  const { positions, problems } = parseErrorPositions(read(file, 'the recorded errors'));
  refuse(file, problems);
  return positions;
}

function refuse(file: string, problems: readonly PlanProblem[]): void {
  if (problems.length === 0) return;
  throw new OmniError(
    'OMNI_BAD_FILE',
    problems.map(({ line, key, message }) => `${file}:${line}: ${key}: ${message}`).join('\n'),
  );
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    const reason =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new OmniError('OMNI_READ', `reading ${what} ${file}: ${reason}`, { cause });
  }
}
