/** `omni mip`: who is registered where, by what tunnels, and how it came to that. */
import type { Command } from 'commander';
import {
  type ForeignAgentStatus,
  type HomeAgentStatus,
  type MobileIpNode,
  type MobileNodeStatus,
  mobileIpNodes,
  takenOut,
} from '../../console/mobile-ip.ts';
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

async function run(options: Options): Promise<void> {
  const testbed = await selectRunningTestbed(options.testbed);
  const request = (method: string, params: object = {}) => controlRequest(testbed.paths.controlSocket, method, params);
  const status = (await request('status')) as DaemonStatus;
  const agents = mobileIpNodes(status);
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

function describe({ node, homeAgent, foreignAgent, mobileNode }: MobileIpNode, history: boolean): string {
  const lines = [
    ...(mobileNode === undefined ? [] : mobileNodeLines(node, mobileNode)),
    ...(homeAgent === undefined ? [] : homeAgentLines(node, homeAgent)),
    ...(foreignAgent === undefined ? [] : foreignAgentLines(node, foreignAgent)),
  ];
  const own = homeAgent ?? foreignAgent ?? mobileNode;
  if (history) for (const { at, event } of own?.history ?? []) lines.push(`    ${at} ${event}`);
  return lines.join('\n');
}

const lasting = (seconds: number | null): string => (seconds === null ? 'without end' : `for ${seconds}s`);

function homeAgentLines(node: string, agent: HomeAgentStatus): string[] {
  const { homeLan } = agent;
  const lan = homeLan === undefined ? '' : ` on the LAN ${homeLan.interface}, answers ARP for ${homeLan.away}`;
  const lines = [`${node}: home agent ${agent.address} of ${agent.homeNetwork}${lan}`, tunnelLine(agent)];
  for (const each of agent.bindings) {
    const details = [
      ...(each.coLocated ? ['an address of its own'] : []),
      ...(each.udpTunnel === undefined ? [] : [`in UDP to ${each.udpTunnel}`]),
      ...(each.reverseTunnel ? ['reverse tunnel'] : []),
      ...(each.networks.length === 0 ? [] : [`with ${each.networks.join(' ')}`]),
    ];
    const tunnel = `tunnel MTU ${each.tunnel.mtu}${each.tunnel.unreachable ? ', unreachable' : ''}`;
    const where = `${each.homeAddress} is at ${each.careOfAddress} ${lasting(each.remainingSeconds)}`;
    lines.push(`  ${[where, ...details].join(', ')}; ${tunnel}`);
  }
  return agent.bindings.length === 0 ? [...lines, '  nobody is registered'] : lines;
}

function foreignAgentLines(node: string, agent: ForeignAgentStatus): string[] {
  const returns = agent.returnTo === undefined ? '' : `, passes what it hears to ${agent.returnTo}`;
  return [
    `${node}: foreign agent, care-of address ${agent.careOfAddress}${returns}`,
    tunnelLine(agent),
    ...agent.visitors.map(
      (each) => `  visitor ${each.homeAddress} of ${each.homeAgent} by ${each.link} ${lasting(each.remainingSeconds)}`,
    ),
    ...(agent.held > 0 ? [`  ${agent.held} packets held for visitors out of view`] : []),
  ];
}

/** With how it came to be there: the last registrations and how long each took. */
function mobileNodeLines(node: string, mobile: MobileNodeStatus): string[] {
  const { registration, registrationLatencyMs: latency } = mobile;
  const where =
    registration === undefined
      ? ''
      : `${mobile.state === 'registered' ? '' : ', last'} by ${registration.link} at ${registration.careOfAddress} ${lasting(registration.remainingSeconds)}`;
  const lines = [`${node}: mobile node ${mobile.homeAddress}, ${mobile.state}${where}`];
  if (latency !== undefined)
    lines.push(
      `  ${mobile.registrations} registrations, each in ${latency.minimum} to ${latency.maximum} ms, median ${latency.median}`,
    );
  for (const each of mobile.recent) {
    const tries = each.attempts === 1 ? '' : `, ${each.attempts} requests`;
    lines.push(
      `    ${each.at.slice(11, 23)} ${each.change} ${each.link} ${each.careOfAddress} in ${each.latencyMs} ms${tries}`,
    );
  }
  return lines;
}

function tunnelLine({ tunnel }: { readonly tunnel: Readonly<Record<string, number>> }): string {
  const count = (name: string): number => tunnel[name] ?? 0;
  const drops = Object.entries(tunnel).filter(([name]) => name.startsWith('drop.'));
  const lost = drops.length === 0 ? '' : `; dropped ${drops.map(([name, n]) => `${n} ${name.slice(5)}`).join(', ')}`;
  return `  tunnelled ${count('tunnelled.packets')}, taken out ${takenOut(tunnel)}, returned ${count('returned.packets')}${lost}`;
}
