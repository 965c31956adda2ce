/**
 * Static shortest-path routes for every kernel and every user-space router, so that any node reaches any other.
 *
 * Costs are per link and network; nodes of kind `host` carry nothing for others. For each destination a node takes the
 * neighbour with the least cost. Other links that lead there without a loop (RFC 5286 section 2, inequality 1: the
 * neighbour's own way does not come back through us) stand behind as routes of a higher preference number: the router uses
 * them while the better link is down. Only the node at the link sees that it is down; other nodes keep their routes.
 */
import type { KernelRoute, ResolvedLink, ResolvedNetwork, ResolvedNode, RouterRoute } from './resolved.ts';

/** Explicit routes have 0 unless they say otherwise; computed ones begin here. */
const FIRST_COMPUTED_PREFERENCE = 100;

/** What a node's routes depend on. */
export type RoutingNode = Pick<
  ResolvedNode,
  'name' | 'forwards' | 'roams' | 'tun' | 'interfaces' | 'explicitRoutes' | 'routeAttributes'
>;
export type RoutingLink = Pick<ResolvedLink, 'name' | 'from' | 'to' | 'cost'>;
export type RoutingNetwork = Pick<ResolvedNetwork, 'name' | 'nodes' | 'prefixes' | 'cost'>;

interface Edge {
  readonly to: string;
  readonly cost: number;
  readonly link?: string;
  readonly network?: string;
}

export interface NodeRoutes {
  readonly kernelRoutes: readonly KernelRoute[];
  readonly routes: readonly RouterRoute[];
}

interface Destination {
  readonly prefix: string;
  /** Who is there. */
  readonly nodes: readonly string[];
  /** Who lets others in. */
  readonly entries: readonly string[];
  readonly roams?: boolean;
}

export function computeRoutes(
  nodes: readonly RoutingNode[],
  links: readonly RoutingLink[],
  networks: readonly RoutingNetwork[],
): Map<string, NodeRoutes> {
  const edges = new Map<string, Edge[]>(nodes.map((n) => [n.name, []]));
  for (const { name: link, from, to, cost } of links) {
    edges.get(from)!.push({ to, cost, link });
    edges.get(to)!.push({ to: from, cost, link });
  }
  for (const { name: network, nodes: on, cost } of networks)
    for (const a of on) for (const b of on) if (a !== b) edges.get(a)!.push({ to: b, cost, network });

  const byName = new Map(nodes.map((n) => [n.name, n]));
  const distances = new Map(nodes.map((n) => [n.name, shortestPaths(n.name, edges, byName)]));
  const destinations: Destination[] = [
    ...nodes.flatMap(({ name, roams = false, tun }) =>
      (tun?.addresses ?? []).map((prefix) => ({ prefix, nodes: [name], entries: [name], roams })),
    ),
    ...networks.flatMap(({ prefixes, nodes: on }) => {
      const forwarding = on.filter((name) => byName.get(name)!.forwards);
      // A network that only mobile nodes lead to moves with them (RFC 5177); one that they visit is entered by the others.
      const fixed = forwarding.filter((name) => byName.get(name)!.roams !== true);
      const roams = fixed.length === 0 && forwarding.length > 0;
      return prefixes.map((prefix) => ({ prefix, nodes: on, entries: roams ? forwarding : fixed, roams }));
    }),
  ];
  return new Map(nodes.map((n) => [n.name, routesOf(n, edges, byName, distances, destinations)]));
}

function routesOf(
  node: RoutingNode,
  edges: ReadonlyMap<string, readonly Edge[]>,
  byName: ReadonlyMap<string, RoutingNode>,
  distances: ReadonlyMap<string, ReadonlyMap<string, number>>,
  destinations: readonly Destination[],
): NodeRoutes {
  const kernelRoutes: KernelRoute[] = [];
  const routes: RouterRoute[] = [];
  const own = edges.get(node.name)!;
  const distance = (from: string, to: string) => distances.get(from)?.get(to) ?? Number.POSITIVE_INFINITY;

  const add = (prefix: string, edge: Edge, preference: number) => {
    const family = prefix.includes(':') ? 6 : 4;
    if (edge.link !== undefined) {
      if (node.tun === undefined || !node.tun.addresses.some((a) => a.includes(':') === (family === 6))) return;
      routes.push({ prefix, link: edge.link, preference });
      addKernelRoute({ prefix, device: node.tun.name, attributes: node.routeAttributes });
      return;
    }
    const via = byName
      .get(edge.to)!
      .interfaces.find((i) => i.network === edge.network)
      ?.addresses.find((a) => a.includes(':') === (family === 6))
      ?.split('/')[0];
    const device = node.interfaces.find((i) => i.network === edge.network)?.name;
    if (via === undefined || device === undefined) return;
    if (node.tun !== undefined) routes.push({ prefix, preference });
    addKernelRoute({ prefix, device, via, attributes: node.routeAttributes });
  };
  // The first route to a prefix is the best one; the kernel takes just that.
  const addKernelRoute = (route: KernelRoute) => {
    if (!kernelRoutes.some((r) => r.prefix === route.prefix)) kernelRoutes.push(route);
  };

  // Its home LAN is not the way to the rest of the world when it is not there; its onboard LANs are.
  const leadsOut = ({ to, network }: Edge, from: string) =>
    network !== undefined && edges.get(to)!.some((next) => next.to !== from && byName.get(next.to)!.forwards);
  for (const { to, via, preference = 0 } of node.explicitRoutes) {
    const prefixes = explicitPrefixes(to, byName);
    for (const edge of own)
      if (edge.link === via || edge.to === via) for (const prefix of prefixes) add(prefix, edge, preference);
  }
  for (const { prefix, nodes, entries, roams } of destinations) {
    if (nodes.includes(node.name)) {
      // A mobile node's home LAN is behind its links when it is away.
      const mayLeave = node.roams === true && entries.length > 0 && !entries.includes(node.name);
      if (node.tun !== undefined && !mayLeave) routes.push({ prefix, preference: 0 });
      continue;
    }
    if (entries.length === 0 || roams === true) continue;
    const candidates = own
      .flatMap((edge) => {
        // Along one network or link only the member nearest to the destination matters.
        const target = entries.reduce((a, b) => (distance(edge.to, b) < distance(edge.to, a) ? b : a));
        const onward = distance(edge.to, target);
        // Where a mobile node's other packets go, its registration decides.
        if (node.roams === true && (!nodes.includes(edge.to) || leadsOut(edge, node.name))) return [];
        const mayCarry = entries.includes(edge.to) || byName.get(edge.to)!.forwards;
        const loopFree = onward < distance(edge.to, node.name) + distance(node.name, target);
        return mayCarry && loopFree && Number.isFinite(onward) ? [{ edge, cost: edge.cost + onward }] : [];
      })
      .sort((a, b) => a.cost - b.cost);
    // Behind a network as the best way there are no alternates: the kernel does not follow the state of space links.
    const usable =
      candidates[0]?.edge.link === undefined
        ? candidates.slice(0, 1)
        : candidates.filter((c) => c.edge.link !== undefined);
    for (const [rank, { edge }] of usable.entries()) add(prefix, edge, FIRST_COMPUTED_PREFERENCE + rank);
  }
  return { kernelRoutes, routes };
}

function explicitPrefixes(to: string, byName: ReadonlyMap<string, RoutingNode>): readonly string[] {
  if (to === 'default') return ['0.0.0.0/0'];
  const node = byName.get(to);
  if (node === undefined) return [to];
  return (
    node.tun?.addresses ??
    node.interfaces.flatMap((i) => i.addresses.map((a) => `${a.split('/')[0]}/${a.includes(':') ? 128 : 32}`))
  );
}

/** Dijkstra; nodes that are no transit are entered but not left. */
function shortestPaths(
  from: string,
  edges: ReadonlyMap<string, readonly Edge[]>,
  byName: ReadonlyMap<string, RoutingNode>,
) {
  const distance = new Map<string, number>([[from, 0]]);
  const open = new Set([from]);
  while (open.size > 0) {
    const here = [...open].reduce((a, b) => (distance.get(b)! < distance.get(a)! ? b : a));
    open.delete(here);
    if (here !== from && !byName.get(here)!.forwards) continue;
    for (const { to, cost } of edges.get(here)!) {
      const candidate = distance.get(here)! + cost;
      if (candidate < (distance.get(to) ?? Number.POSITIVE_INFINITY)) {
        distance.set(to, candidate);
        open.add(to);
      }
    }
  }
  return distance;
}
