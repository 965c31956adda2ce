/**
 * Mobile IP as the console shows it: what the three services say of themselves, their lines in `omni top`, their metrics. Pure; `omni mip`
 * has the details. docs/metrics.md is the interface of the metrics.
 */
import type { DaemonStatus } from '../testbed/daemon.ts';
import { short } from './top.ts';

interface Common {
  readonly tunnel: Readonly<Record<string, number>>;
  readonly messages: Readonly<Record<string, number>>;
  readonly history: readonly { readonly at: string; readonly event: string }[];
}
export interface HomeAgentStatus extends Common {
  readonly address: string;
  readonly homeNetwork: string;
  readonly homeLan?: { readonly interface: string; readonly away: number; readonly gratuitousArp: number };
  readonly bindings: readonly {
    readonly homeAddress: string;
    readonly careOfAddress: string;
    readonly remainingSeconds: number | null;
    readonly reverseTunnel: boolean;
    readonly coLocated: boolean;
    readonly udpTunnel?: string;
    readonly networks: readonly string[];
    readonly tunnel: { readonly mtu: number; readonly unreachable: boolean };
  }[];
}
export interface ForeignAgentStatus extends Common {
  readonly careOfAddress: string;
  readonly held: number;
  readonly returnTo?: string;
  readonly visitors: readonly {
    readonly homeAddress: string;
    readonly homeAgent: string;
    readonly link: string;
    readonly remainingSeconds: number | null;
  }[];
}
export interface MobileNodeStatus extends Common {
  readonly homeAddress: string;
  readonly state: string;
  readonly registration?: {
    readonly link: string;
    readonly careOfAddress: string;
    readonly coLocated: boolean;
    readonly udpTunnel: boolean;
    readonly remainingSeconds: number | null;
  };
  readonly registrations: number;
  readonly registrationLatencyMs?: { readonly minimum: number; readonly median: number; readonly maximum: number };
  /** The latest last. */
  readonly recent: readonly {
    readonly at: string;
    readonly change: string;
    readonly link: string;
    readonly careOfAddress: string;
    readonly latencyMs: number;
    readonly attempts: number;
  }[];
}

export interface MobileIpNode {
  readonly node: string;
  readonly homeAgent?: HomeAgentStatus;
  readonly foreignAgent?: ForeignAgentStatus;
  readonly mobileNode?: MobileNodeStatus;
}

/** The nodes that run a part of Mobile IP and answer. */
export function mobileIpNodes({ apps }: Pick<DaemonStatus, 'apps'>): MobileIpNode[] {
  return apps.flatMap(({ node, services }): MobileIpNode[] => {
    const { homeAgent, foreignAgent, mobileNode } = services as Omit<MobileIpNode, 'node'>;
    const own = {
      ...(homeAgent && { homeAgent }),
      ...(foreignAgent && { foreignAgent }),
      ...(mobileNode && { mobileNode }),
    };
    return Object.keys(own).length === 0 ? [] : [{ node, ...own }];
  });
}

/** For `omni top`: a line a part, those of stations without a visitor left out. */
export function mobileIpLines(status: Pick<DaemonStatus, 'apps'>): string[] {
  const lines = mobileIpNodes(status).flatMap(({ node, homeAgent, foreignAgent, mobileNode }) => [
    ...(mobileNode === undefined ? [] : [[node, mobileNodeText(mobileNode)]]),
    ...(homeAgent === undefined
      ? []
      : [[node, `${plural(homeAgent.bindings.length, 'binding')}; ${traffic(homeAgent)}`]]),
    ...(foreignAgent === undefined || foreignAgent.visitors.length + foreignAgent.held === 0
      ? []
      : [
          [
            node,
            `${plural(foreignAgent.visitors.length, 'visitor')}, holds ${foreignAgent.held}; ${traffic(foreignAgent)}`,
          ],
        ]),
  ]);
  if (lines.length === 0) return [];
  return ['MOBILE IP', ...lines.map(([node, text]) => `${node!.slice(0, 11).padEnd(12)}${text}`), ''];
}

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

function mobileNodeText({ state, registration, registrations, registrationLatencyMs }: MobileNodeStatus): string {
  const last = state === 'registered' ? '' : ', last';
  const where = registration === undefined ? '' : `${last} by ${registration.link} at ${registration.careOfAddress}`;
  const latency = registrationLatencyMs === undefined ? '' : ` in ${registrationLatencyMs.median} ms`;
  return `${state}${where}; ${registrations} registered${latency}`;
}

function traffic({ tunnel }: Common): string {
  return `in ${short(tunnel['tunnelled.packets'] ?? 0)}, out ${short(takenOut(tunnel))}, dropped ${short(dropped(tunnel))}`;
}

/** Packets that came out of a tunnel here, whoever the agent is. */
export const takenOut = (tunnel: Common['tunnel']): number =>
  (tunnel['reverse.packets'] ?? 0) + (tunnel['delivered.packets'] ?? 0) + (tunnel['received.packets'] ?? 0);
const dropped = (tunnel: Common['tunnel']): number =>
  Object.entries(tunnel).reduce((sum, [name, n]) => sum + (name.startsWith('drop.') ? n : 0), 0);

type Add = (
  name: string,
  kind: 'counter' | 'gauge',
  help: string,
  labels: Readonly<Record<string, string | number>>,
  value: number,
) => void;

export function mobileIpMetrics(add: Add, status: Pick<DaemonStatus, 'apps'>): void {
  for (const { node, homeAgent, foreignAgent, mobileNode } of mobileIpNodes(status)) {
    if (mobileNode !== undefined) mobileNodeMetrics(add, node, mobileNode);
    if (homeAgent !== undefined) {
      add(
        'omni_mobileip_bindings',
        'gauge',
        'Mobility bindings of the home agent.',
        { node },
        homeAgent.bindings.length,
      );
      commonMetrics(add, { node, agent: 'home' }, homeAgent);
    }
    if (foreignAgent === undefined) continue;
    add('omni_mobileip_visitors', 'gauge', 'Visitors of the foreign agent.', { node }, foreignAgent.visitors.length);
    add(
      'omni_mobileip_held_packets',
      'gauge',
      'IP packets held for visitors out of view.',
      { node },
      foreignAgent.held,
    );
    commonMetrics(add, { node, agent: 'foreign' }, foreignAgent);
  }
}

function mobileNodeMetrics(add: Add, node: string, mobile: MobileNodeStatus): void {
  const { state, registrationLatencyMs: latency } = mobile;
  const reachable = Number(state === 'registered' || state === 'home');
  add(
    'omni_mobileip_registered',
    'gauge',
    '1 while the mobile node is registered in contact, or at home.',
    { node },
    reachable,
  );
  for (const [quantile, value] of latency === undefined
    ? []
    : ([
        ['0', latency.minimum],
        ['0.5', latency.median],
        ['1', latency.maximum],
      ] as const))
    add(
      'omni_mobileip_registration_seconds',
      'gauge',
      'From a request to its accepting reply, of the last 1000.',
      { node, quantile },
      value / 1000,
    );
  commonMetrics(add, { node, agent: 'mobile' }, mobile);
}

function commonMetrics(add: Add, labels: { node: string; agent: string }, { messages, tunnel }: Common): void {
  for (const [event, value] of Object.entries(messages))
    add(
      'omni_mobileip_messages_total',
      'counter',
      'Messages of the agent, by what became of them.',
      { ...labels, event },
      value,
    );
  for (const [name, value] of Object.entries(tunnel)) {
    const [what, unit] = name.split('.') as [string, string];
    if (what === 'drop')
      add(
        'omni_mobileip_tunnel_dropped_packets_total',
        'counter',
        'IP packets dropped at a tunnel, by reason.',
        { ...labels, reason: unit },
        value,
      );
    else if (unit === 'packets')
      add('omni_mobileip_tunnel_packets_total', 'counter', 'IP packets by way.', { ...labels, way: what }, value);
    else if (unit === 'octets')
      add('omni_mobileip_tunnel_octets_total', 'counter', 'Octets of IP by way.', { ...labels, way: what }, value);
  }
}
