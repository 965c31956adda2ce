/** `omni mip`: who is registered where, by what tunnels, and how it came to that. */
import type { Command } from 'commander';
import { controlRequest } from '../../testbed/control.ts';
import type { DaemonStatus } from '../../testbed/daemon.ts';
import { selectRunningTestbed } from '../../testbed/select.ts';
import { EXIT } from '../exit-codes.ts';
import { printJson, VerbError, verb } from '../verb.ts';

interface Options {
  readonly testbed?: string;
  readonly history?: boolean;
  readonly revoke?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb('mip', 'Show Mobile IP: bindings, visitors, registrations with their latency, tunnels.', [
    'omni mip                        of the running testbed',
    'omni mip --history              and what happened lately, node by node',
    'omni mip --revoke 10.9.0.5      end the bindings of a mobile node (RFC 3543)',
    "omni mip --json | jq '.[].mobileNode.registration.link'",
  ])
    .option('--testbed <name>', 'which running testbed; default: the only one')
    .option('--history', 'the last events of every agent')
    .option('--revoke <address>', 'tell the home agent to end the bindings of this home address')
    .option('--json', 'print JSON')
    .action(run);
}

interface Agents {
  readonly node: string;
  readonly homeAgent?: HomeAgentStatus;
  readonly foreignAgent?: ForeignAgentStatus;
  readonly mobileNode?: MobileNodeStatus;
}
interface Common {
  readonly tunnel: Readonly<Record<string, number>>;
  readonly messages: Readonly<Record<string, number>>;
  readonly history: readonly { readonly at: string; readonly event: string }[];
}
interface HomeAgentStatus extends Common {
  readonly address: string;
  readonly homeNetwork: string;
  readonly bindings: readonly {
    readonly homeAddress: string;
    readonly careOfAddress: string;
    readonly remainingSeconds: number;
    readonly reverseTunnel: boolean;
    readonly networks: readonly string[];
    readonly tunnel: { readonly mtu: number; readonly unreachable: boolean };
  }[];
}
interface ForeignAgentStatus extends Common {
  readonly careOfAddress: string;
  readonly held: number;
  readonly visitors: readonly {
    readonly homeAddress: string;
    readonly homeAgent: string;
    readonly remainingSeconds: number;
  }[];
}
interface MobileNodeStatus extends Common {
  readonly homeAddress: string;
  readonly state: string;
  readonly registration?: { readonly link: string; readonly careOfAddress: string; readonly remainingSeconds: number };
  readonly registrations: number;
  readonly registrationLatencyMs?: { readonly minimum: number; readonly median: number; readonly maximum: number };
}

async function run(options: Options): Promise<void> {
  const testbed = await selectRunningTestbed(options.testbed);
  const request = (method: string, params: object = {}) => controlRequest(testbed.paths.controlSocket, method, params);
  const status = (await request('status')) as DaemonStatus;
  const agents = status.apps.flatMap(({ node, services }): Agents[] => {
    const { homeAgent, foreignAgent, mobileNode } = services as Omit<Agents, 'node'>;
    const own = {
      ...(homeAgent && { homeAgent }),
      ...(foreignAgent && { foreignAgent }),
      ...(mobileNode && { mobileNode }),
    };
    return Object.keys(own).length === 0 ? [] : [{ node, ...own }];
  });
  if (agents.length === 0)
    throw new VerbError(
      EXIT.unavailable,
      `${testbed.name} has no Mobile IP agents`,
      "'omni up candos' brings a testbed up that has",
    );
  if (options.revoke !== undefined) {
    const home = agents.find(({ homeAgent }) =>
      homeAgent?.bindings.some((each) => each.homeAddress === options.revoke),
    );
    if (home === undefined) throw new VerbError(EXIT.failure, `no home agent has a binding of ${options.revoke}`);
    const params = { homeAddress: options.revoke };
    const ended = await request('service', { node: home.node, service: 'homeAgent', method: 'revoke', params });
    if (options.json) printJson({ node: home.node, ended });
    else process.stdout.write(`${ended} binding${ended === 1 ? '' : 's'} of ${options.revoke} ended at ${home.node}\n`);
    return;
  }
  if (options.json) printJson(agents);
  else process.stdout.write(`${agents.map((each) => describe(each, options.history === true)).join('\n')}\n`);
}

function describe({ node, homeAgent, foreignAgent, mobileNode }: Agents, history: boolean): string {
  const lines: string[] = [];
  if (homeAgent !== undefined) {
    lines.push(`${node}: home agent ${homeAgent.address} of ${homeAgent.homeNetwork}`, ...tunnelLine(homeAgent));
    for (const each of homeAgent.bindings) {
      const networks = each.networks.length === 0 ? '' : `, with ${each.networks.join(' ')}`;
      const reverse = each.reverseTunnel ? ', reverse tunnel' : '';
      lines.push(
        `  ${each.homeAddress} is at ${each.careOfAddress} for ${each.remainingSeconds}s${reverse}${networks}; tunnel MTU ${each.tunnel.mtu}${each.tunnel.unreachable ? ', unreachable' : ''}`,
      );
    }
    if (homeAgent.bindings.length === 0) lines.push('  nobody is registered');
  }
  if (foreignAgent !== undefined) {
    lines.push(`${node}: foreign agent, care-of address ${foreignAgent.careOfAddress}`, ...tunnelLine(foreignAgent));
    for (const each of foreignAgent.visitors)
      lines.push(`  visitor ${each.homeAddress} of ${each.homeAgent} for ${each.remainingSeconds}s`);
    if (foreignAgent.held > 0) lines.push(`  ${foreignAgent.held} packets held for visitors out of view`);
  }
  if (mobileNode !== undefined) {
    const { registration, registrationLatencyMs: latency } = mobileNode;
    const where =
      registration === undefined
        ? ''
        : ` by ${registration.link} at ${registration.careOfAddress} for ${registration.remainingSeconds}s`;
    lines.push(`${node}: mobile node ${mobileNode.homeAddress}, ${mobileNode.state}${where}`);
    if (latency !== undefined)
      lines.push(
        `  ${mobileNode.registrations} registrations, each in ${latency.minimum} to ${latency.maximum} ms, median ${latency.median}`,
      );
  }
  const own = homeAgent ?? foreignAgent ?? mobileNode;
  if (history) for (const { at, event } of own?.history ?? []) lines.push(`    ${at} ${event}`);
  return lines.join('\n');
}

function tunnelLine({ tunnel }: Common): string[] {
  const count = (name: string): number => tunnel[name] ?? 0;
  const drops = Object.entries(tunnel).filter(([name]) => name.startsWith('drop.'));
  const lost = drops.length === 0 ? '' : `; dropped ${drops.map(([name, n]) => `${n} ${name.slice(5)}`).join(', ')}`;
  return [
    `  tunnelled ${count('tunnelled.packets')}, taken out ${count('reverse.packets') + count('delivered.packets')}, returned ${count('returned.packets')}${lost}`,
  ];
}
