/** Where a testbed comes into a transfer: the namespace that the client runs in, and the passes with the other node. */
import { readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ALWAYS_IN_CONTACT, type ContactForecast } from '../apps/ftp/index.ts';
import type { Instant, WallTime } from '../core/index.ts';
import { listPasses } from '../node/pass-list.ts';
import type { ResolvedScenario } from '../scenario/resolved.ts';
import { controlRequest } from '../testbed/control.ts';
import type { DaemonStatus } from '../testbed/daemon.ts';
import { executeInNamespace } from '../testbed/execute.ts';
import { NETNS_DIRECTORY } from '../testbed/run-directory.ts';
import { findNode, listTestbeds, readScenario, type TestbedState } from '../testbed/select.ts';
import { EXIT } from './exit-codes.ts';
import { VerbError } from './verb.ts';

export async function testbedWith(
  hosts: readonly string[],
  name: string | undefined,
): Promise<TestbedState | undefined> {
  const up = (await listTestbeds()).filter((t) => t.state === 'up' && (name === undefined || t.name === name));
  const found = up.filter(({ paths }) => readScenario(paths).nodes.some((node) => hosts.includes(node.name)));
  if (found.length > 1)
    throw new VerbError(
      EXIT.usage,
      `several testbeds have such a node: ${found.map((t) => t.name).join(', ')}`,
      'Name one with --testbed.',
    );
  return found[0];
}

/** Whether this process is on a node of the testbed already, or could not enter one anyway. */
export function insideNamespace({ paths }: TestbedState): boolean {
  if (process.getuid?.() !== 0) return true;
  const own = readlinkSync('/proc/self/ns/net');
  return readScenario(paths).nodes.some(({ namespace }) => {
    const inode = statSync(join(NETNS_DIRECTORY, namespace), { throwIfNoEntry: false })?.ino;
    return own === `net:[${inode}]`;
  });
}

/** The same command again, on a node. */
export function reenter({ paths }: TestbedState, at: string | undefined): Promise<number> {
  const scenario = readScenario(paths);
  const centre =
    scenario.nodes.find((node) => node.kind === 'control-centre') ??
    scenario.nodes.find((node) => node.kind === 'ground-station');
  const node = at === undefined ? (centre ?? scenario.nodes[0]!) : findNode(scenario, at);
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  return executeInNamespace(node.namespace, [process.execPath, main, ...process.argv.slice(2)]);
}

/** The passes of the links that end at this node, with what fits into them; always in contact when nothing is known. */
export async function contactsWith(testbed: TestbedState | undefined, host: string): Promise<ContactForecast> {
  if (testbed === undefined) return ALWAYS_IN_CONTACT;
  const { scenario, dataPlane } = (await controlRequest(testbed.paths.controlSocket, 'status')) as DaemonStatus;
  const startedNs = BigInt(Date.now()) * 1_000_000n - BigInt(Math.round(dataPlane.uptimeSeconds * 1e9));
  return passesOf(scenario, host, startedNs);
}

function passesOf(scenario: ResolvedScenario, host: string, startedNs: bigint): ContactForecast {
  const links = scenario.links.filter(({ from, to }) => from === host || to === host);
  const nothing = listPasses(scenario, links, 0 as Instant, 1);
  if (links.length === 0 || nothing.always.length > 0) return ALWAYS_IN_CONTACT;
  const wall = (s: number) => (startedNs + BigInt(Math.round(s * 1e9))) as WallTime;
  return {
    always: false,
    next(from, count) {
      const since = Math.max(0, Number(from - startedNs)) as Instant;
      return listPasses(scenario, links, since, Math.min(count, 200)).passes.map((pass) => {
        const [toHost, fromHost] =
          pass.to === host ? [pass.octetsUp, pass.octetsDown] : [pass.octetsDown, pass.octetsUp];
        return {
          peer: pass.to === host ? pass.from : pass.to,
          begin: wall(pass.aosSeconds),
          end: wall(pass.losSeconds),
          // As the client sees it: in is from the node to us.
          ...(fromHost === undefined ? {} : { octetsIn: fromHost }),
          ...(toHost === undefined ? {} : { octetsOut: toHost }),
        };
      });
    },
  };
}
