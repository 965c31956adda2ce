/** What lines need from outside the channel: recorded error files, imported contact plans, orbits. */
import { readFileSync } from 'node:fs';
import { OmniError } from '../core/index.ts';
import type { LineSources } from '../node/line-settings.ts';
import type { ResolvedScenario } from '../scenario/resolved.ts';

export function lineSources(_scenario: ResolvedScenario): LineSources {
  const missing = (what: string) => (): never => {
    throw new OmniError('OMNI_UNAVAILABLE', `${what} cannot be used yet`);
  };
  return {
    readErrorFile,
    readContactPlan: missing('imported contact plans'),
    computeOrbit: missing('contacts from two-line elements'),
    noiseByElevation: missing('errors by elevation'),
  };
}

/** One bit position a line, rising; `#` begins a comment. Throws OmniError OMNI_ERROR_FILE naming file and line. */
function readErrorFile(file: string): readonly number[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new OmniError('OMNI_ERROR_FILE', `cannot read the error file ${file}: ${(cause as Error).message}`, {
      cause,
    });
  }
  const positions: number[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const content = line.replace(/#.*/, '').trim();
    if (content === '') continue;
    const position = Number(content);
    if (!Number.isSafeInteger(position) || position < 0 || position <= (positions.at(-1) ?? -1))
      throw new OmniError(
        'OMNI_ERROR_FILE',
        `${file}:${i + 1}: expected a bit position higher than the one before, found '${content}'`,
      );
    positions.push(position);
  }
  return positions;
}
