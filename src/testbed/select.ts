/** Which testbeds there are, in what state, and which one a verb means. */

import { readFileSync } from 'node:fs';
import { OmniError } from '../core/index.ts';
import type { ResolvedNode, ResolvedScenario } from '../scenario/resolved.ts';
import { isLocked } from './lock.ts';
import { isAlive } from './processes.ts';
import { readRecord, type TestbedPaths, type TestbedRecord, testbedNames, testbedPaths } from './run-directory.ts';

export interface TestbedState {
  readonly name: string;
  readonly paths: TestbedPaths;
  readonly record: TestbedRecord | undefined;
  /** `busy`: a command builds or removes it now. `broken`: its daemon died, or a command died while building it. */
  readonly state: 'up' | 'busy' | 'broken';
}

export async function listTestbeds(): Promise<TestbedState[]> {
  return Promise.all(testbedNames().map((name) => inspectTestbed(name)));
}

async function inspectTestbed(name: string): Promise<TestbedState> {
  const paths = testbedPaths(name);
  const record = readRecord(paths);
  if (record?.phase === 'up' && record.daemon !== undefined && isAlive(record.daemon))
    return { name, paths, record, state: 'up' };
  return { name, paths, record, state: (await isLocked(paths)) ? 'busy' : 'broken' };
}

/** The one named, or the only one. Throws OmniError OMNI_NO_TESTBED or OMNI_WHICH_TESTBED. */
export async function selectTestbed(name: string | undefined): Promise<TestbedState> {
  const all = await listTestbeds();
  const names = all.map((t) => t.name).join(', ');
  if (name !== undefined) {
    const found = all.find((t) => t.name === name);
    if (found !== undefined) return found;
    throw new OmniError('OMNI_NO_TESTBED', `there is no testbed '${name}'`, {
      remedy: all.length === 0 ? "nothing is up; 'omni up' starts one" : `there is ${names}`,
    });
  }
  const [only, another] = all;
  if (only === undefined)
    throw new OmniError('OMNI_NO_TESTBED', 'no testbed is up', { remedy: "'omni up' brings one up" });
  if (another !== undefined)
    throw new OmniError('OMNI_WHICH_TESTBED', `there are several testbeds: ${names}`, {
      remedy: 'name one with --testbed',
    });
  return only;
}

/** As `selectTestbed`, and it must be up. */
export async function selectRunningTestbed(name: string | undefined): Promise<TestbedState> {
  const testbed = await selectTestbed(name);
  if (testbed.state === 'up') return testbed;
  throw new OmniError(
    'OMNI_NO_DAEMON',
    testbed.state === 'busy'
      ? `'${testbed.name}' is being built or removed`
      : `'${testbed.name}' is broken: its daemon is gone`,
    { remedy: testbed.state === 'busy' ? 'wait for it' : `'omni down ${testbed.name}' removes what is left` },
  );
}

export const readScenario = (paths: TestbedPaths): ResolvedScenario =>
  JSON.parse(readFileSync(paths.scenario, 'utf8')) as ResolvedScenario;

/** Throws OmniError OMNI_NO_NODE with the names that there are. */
export function findNode(scenario: ResolvedScenario, name: string): ResolvedNode {
  const node = scenario.nodes.find((n) => n.name === name);
  if (node !== undefined) return node;
  throw new OmniError('OMNI_NO_NODE', `there is no node '${name}' in '${scenario.name}'`, {
    remedy: `the nodes are ${scenario.nodes.map((n) => n.name).join(', ')}`,
  });
}
