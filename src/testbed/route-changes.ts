/**
 * Kernel routes that follow the contacts: a control centre reaches a spacecraft through the ground station that sees it now.
 *
 * The routers on the space links have alternates of their own; kernels behind terrestrial networks know nothing of contacts,
 * so the testbed tells them, as a schedule-driven routing controller would. A link counts when both directions are up. Where
 * no way is up, the scenario's own route stays, and the packets are held or dropped at the link as the scenario says.
 */
import type { KernelRoute, ResolvedScenario } from '../scenario/resolved.ts';
import { computeRoutes } from '../scenario/routes.ts';

/** Contacts of a direction in seconds since the start, in order; undefined for a direction that is always up. */
export type DirectionContacts = readonly { readonly aosSeconds: number; readonly losSeconds: number }[] | undefined;

export interface LinkContacts {
  readonly link: string;
  readonly directions: readonly [DirectionContacts, DirectionContacts];
}

export interface RouteState {
  readonly usable: ReadonlySet<string>;
  /** When a link comes or goes next; Infinity when none does. */
  readonly nextChangeSeconds: number;
}

export function linkState(links: readonly LinkContacts[], nowSeconds: number): RouteState {
  const usable = new Set<string>();
  let nextChangeSeconds = Number.POSITIVE_INFINITY;
  for (const { link, directions } of links) {
    let up = true;
    for (const contacts of directions) {
      if (contacts === undefined) continue;
      const next = contacts.find(({ losSeconds }) => losSeconds > nowSeconds);
      const directionUp = next !== undefined && next.aosSeconds <= nowSeconds;
      up &&= directionUp;
      if (next !== undefined)
        nextChangeSeconds = Math.min(nextChangeSeconds, directionUp ? next.losSeconds : next.aosSeconds);
    }
    if (up) usable.add(link);
  }
  return { usable, nextChangeSeconds };
}

/** By namespace, the routes of its kernel while just these links are up. */
export function kernelRoutesNow(
  scenario: ResolvedScenario,
  usable: ReadonlySet<string>,
): Map<string, readonly KernelRoute[]> {
  const links = scenario.links.filter(({ name }) => usable.has(name));
  const now = computeRoutes(scenario.nodes, links, scenario.networks);
  return new Map(
    scenario.nodes.map(({ name, namespace, kernelRoutes }) => {
      const reachable = new Map(now.get(name)!.kernelRoutes.map((route) => [route.prefix, route]));
      return [namespace, kernelRoutes.map((route) => reachable.get(route.prefix) ?? route)];
    }),
  );
}

/** `ip -n NAMESPACE` lines that lead from one set of routes to the other; only what differs. */
export function routeChanges(
  before: ReadonlyMap<string, readonly KernelRoute[]>,
  after: ReadonlyMap<string, readonly KernelRoute[]>,
): { readonly namespace: string; readonly lines: readonly string[] }[] {
  const changes = [];
  for (const [namespace, routes] of after) {
    const old = new Set((before.get(namespace) ?? []).map(routeLine));
    const lines = routes.map(routeLine).filter((line) => !old.has(line));
    if (lines.length > 0) changes.push({ namespace, lines });
  }
  return changes;
}

export const routeLine = ({ prefix, device, via, attributes }: KernelRoute): string =>
  ['route', 'replace', prefix, ...(via === undefined ? [] : ['via', via]), 'dev', device, ...attributes].join(' ');
