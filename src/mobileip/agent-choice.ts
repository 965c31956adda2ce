/** Through whom a mobile node registers, of all that is in view: RFC 5944 section 2.4.2 leaves it to the node. */
import type { Instant } from '../core/index.ts';
import type { Ipv4Address } from '../ip/index.ts';
import type { HeardAgent, LinkState } from './agent-list.ts';

export interface AgentChoice {
  readonly state: LinkState;
  /** None with a co-located care-of address, and on the home network. */
  readonly agent: HeardAgent | undefined;
}

/** By the home agent's advertisement, or because the link is the home network. */
export const isHome = ({ state, agent }: AgentChoice): boolean =>
  agent?.isHomeAgent === true || state.link.discovery === 'home';

/**
 * Home before anything else; with `stay` the present agent while it is in view; else the link that came up last.
 * @param present link and agent of the present registration
 */
export function chooseAgent(
  links: ReadonlyMap<string, LinkState>,
  present: { readonly link: string; readonly agent: Ipv4Address } | undefined,
  homeAgent: Ipv4Address,
  handover: 'newest' | 'stay',
  now: Instant,
): AgentChoice | undefined {
  const usable: AgentChoice[] = [];
  for (const state of links.values()) {
    const { discovery, transmitVia } = state.link;
    const transmits = transmitVia === undefined || links.get(transmitVia)?.up === true;
    if (!state.up || !transmits || discovery === 'none') continue;
    if (discovery === 'co-located' || discovery === 'home') {
      if ((state.avoid.get(homeAgent) ?? 0) <= now) usable.push({ state, agent: undefined });
    } else for (const agent of state.usable(now, present?.agent)) usable.push({ state, agent });
  }
  const home = usable.find(isHome);
  if (home !== undefined) return home;
  const current = usable.find(
    ({ state, agent }) => state.link.name === present?.link && (agent?.address ?? homeAgent) === present?.agent,
  );
  if (current !== undefined && handover === 'stay') return current;
  usable.sort((a, b) => b.state.upSince - a.state.upSince);
  const [newest] = usable;
  return current !== undefined && newest !== undefined && newest.state.upSince <= current.state.upSince
    ? current
    : newest;
}
