/** What `ip` is told to make the namespaces and networks of a scenario: pure text, in the order that it must be done. */

import type { ResolvedNetwork, ResolvedNode, ResolvedScenario } from '../scenario/resolved.ts';
import { routeLine } from './route-changes.ts';

const INTERFACE_NAME_LENGTH = 15;
const BRIDGE = 'bridge';

/** Every namespace of the testbed: one a node, one a bridge. */
export const namespacesOf = (scenario: ResolvedScenario): string[] => [
  ...scenario.nodes.map((n) => n.namespace),
  ...scenario.networks.flatMap((n) => n.namespace ?? []),
];

/** `ip netns add` for all. */
export const namespaceLines = (scenario: ResolvedScenario): string[] =>
  namespacesOf(scenario).map((name) => `netns add ${name}`);

/** Veth pairs, made with both ends where they belong: nothing of a testbed is ever in the root namespace. */
export function networkLines(scenario: ResolvedScenario): string[] {
  const namespaceOf = new Map(scenario.nodes.map((n) => [n.name, n.namespace]));
  return scenario.networks.flatMap((network) => {
    const { name, namespace: bridge, nodes, mtuOctets: mtu } = network;
    if (bridge === undefined) {
      const [a, b] = nodes.map((node) => namespaceOf.get(node)!);
      return [`link add name ${name} netns ${a} mtu ${mtu} type veth peer name ${name} mtu ${mtu} netns ${b}`];
    }
    const ports = portNames(network);
    return nodes.map(
      (node, i) =>
        `link add name ${name} netns ${namespaceOf.get(node)} mtu ${mtu} type veth peer name ${ports[i]} mtu ${mtu} netns ${bridge}`,
    );
  });
}

/** For `ip -n <the bridge's namespace>`. */
export function bridgeLines(network: ResolvedNetwork): string[] {
  return [
    `link add name ${BRIDGE} mtu ${network.mtuOctets} type bridge mcast_snooping 0`,
    ...portNames(network).map((port) => `link set dev ${port} master ${BRIDGE} up`),
    `link set dev ${BRIDGE} up`,
  ];
}

/** For `ip -n <the node's namespace>`, once its TUN is open: addresses, links up, routes. */
export function nodeLines(node: ResolvedNode): string[] {
  const { tun } = node;
  return [
    'link set dev lo up',
    ...(tun === undefined
      ? []
      : [
          ...tun.addresses.map(
            (address) => `addr add ${address} dev ${tun.name}${address.includes(':') ? ' nodad' : ''}`,
          ),
          // Without a link-local address the kernel sends nothing of its own accord onto the space link.
          ...(tun.addresses.some((a) => a.includes(':')) ? [`link set dev ${tun.name} addrgenmode none`] : []),
          `link set dev ${tun.name} mtu ${tun.mtuOctets} txqueuelen 1000 up`,
        ]),
    ...node.interfaces.flatMap(({ name, addresses }) => [
      ...addresses.map((address) => `addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`),
      `link set dev ${name} up`,
    ]),
    ...node.kernelRoutes.map(routeLine),
  ];
}

/** /etc/netns/<namespace>/hosts, which `ip netns exec` lays over /etc/hosts. */
export function hostsFile(scenario: ResolvedScenario, node: ResolvedNode): string {
  const lines = scenario.nodes.flatMap(({ name, addresses }) => addresses.map((address) => `${address}\t${name}`));
  return [
    `# Names of the testbed '${scenario.name}', made by omni; gone with it.`,
    `127.0.0.1\tlocalhost`,
    `::1\tlocalhost ip6-localhost ip6-loopback`,
    `# This is ${node.name}.`,
    ...lines,
    '',
  ].join('\n');
}

/** A bridge's port is called by its node when every node's name fits an interface. */
function portNames(network: ResolvedNetwork): string[] {
  const fit = network.nodes.every((node) => node.length <= INTERFACE_NAME_LENGTH && node !== BRIDGE && node !== 'lo');
  return fit ? [...network.nodes] : network.nodes.map((_, i) => `port${i}`);
}
