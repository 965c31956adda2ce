/**
 * A recorded error file: the positions of bit errors, one a line, counted from the link's first bit (0) and rising. Blank lines and
 * what follows a `#` are passed over.
 */
import type { PlanProblem } from './plan.ts';

const MOST_PROBLEMS = 20;

export function parseErrorPositions(text: string): { readonly positions: number[]; readonly problems: PlanProblem[] } {
  const positions: number[] = [];
  const problems: PlanProblem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const word = raw.replace(/#.*/, '').trim();
    if (word === '') continue;
    const problem = (message: string) => problems.push({ line: index + 1, key: 'position', message });
    const position = Number(word);
    if (!/^\d+$/.test(word)) problem(`'${word.slice(0, 40)}' is not a bit position: one whole number a line`);
    else if (!Number.isSafeInteger(position)) problem(`${word} is beyond 2^53`);
    else if (positions.length > 0 && position <= positions.at(-1)!)
      problem(`${position} does not come after ${positions.at(-1)}: positions rise, each once`);
    else positions.push(position);
    if (problems.length === MOST_PROBLEMS) break;
  }
  return { positions, problems };
}
