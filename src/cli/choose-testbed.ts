/** Which testbed a verb means: the one named, or the only one that is up. */
import { readRecord, type TestbedPaths, testbedNames, testbedPaths } from '../testbed/run-directory.ts';
import { EXIT } from './exit-codes.ts';
import { VerbError } from './verb.ts';

export function chooseTestbed(name: string | undefined): { name: string; paths: TestbedPaths } {
  const up = testbedNames().filter((each) => readRecord(testbedPaths(each))?.phase === 'up');
  if (name !== undefined && !up.includes(name))
    throw new VerbError(EXIT.temporary, `the testbed '${name}' is not up`, `Up: ${up.join(', ') || 'none'}.`);
  if (up.length === 0) throw new VerbError(EXIT.temporary, 'no testbed is up', "'omni up' brings one up.");
  if (name === undefined && up.length > 1)
    throw new VerbError(EXIT.usage, `${up.length} testbeds are up: ${up.join(', ')}`, 'Say which with --testbed NAME.');
  const chosen = name ?? up[0]!;
  return { name: chosen, paths: testbedPaths(chosen) };
}
