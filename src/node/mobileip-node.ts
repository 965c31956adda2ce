/** What the three Mobile IP services share: their place in the scenario, the kernel's and the router's routes, links that come and go, a history. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OmniError, type WallTime } from '../core/index.ts';
import { DEVICE_NAME } from '../io/mobileip-device.ts';
import type { ForeignAgentSettings } from '../mobileip/settings.ts';
import type { ResolvedLink, ResolvedNode, ResolvedScenario } from '../scenario/resolved.ts';
import { controlRequest } from '../testbed/control.ts';
import { ipBatch } from '../testbed/iproute.ts';
import type { ServiceContext } from './service.ts';

/** Of the routes, rules and tables that an agent makes: so that the next one removes what a killed one left. */
export const ROUTE_PROTOCOL = 144;
export const ROUTE_TABLE = 434;
/** Of a mobile node: out of the space link, whatever the main table says. */
export const SPACE_TABLE = 435;
export const RULE_PRIORITY = 434;
/** Behind every other route. */
export const BLACKHOLE_METRIC = 4096;

/**
 * Routes of a home agent for what it intercepts. The second stays when the process is killed and its device with it: until the next one
 * is there, packets vanish as on a long link, and no sender gives up because it is told that there is no route.
 */
export const intercepted = (prefix: string, words = ''): string[] => [
  `route replace ${prefix} dev ${DEVICE_NAME}${words} proto ${ROUTE_PROTOCOL}`,
  `route replace blackhole ${prefix} proto ${ROUTE_PROTOCOL} metric ${BLACKHOLE_METRIC}`,
];

export interface Place {
  readonly scenario: ResolvedScenario;
  readonly node: ResolvedNode;
  /** The node's links, and who is at their other end. */
  readonly links: readonly { readonly link: ResolvedLink; readonly peer: ResolvedNode; readonly always: boolean }[];
  readonly controlSocket: string;
}

/** The testbed's run directory holds the resolved scenario, two levels above a service's own. */
export function placeOf(context: ServiceContext): Place {
  const directory = dirname(dirname(context.runDirectory));
  const scenario = JSON.parse(readFileSync(join(directory, 'scenario.json'), 'utf8')) as ResolvedScenario;
  const nodeOf = (name: string) => scenario.nodes.find((each) => each.name === name)!;
  const node = nodeOf(context.node);
  const links = scenario.links
    .filter(({ from, to }) => from === node.name || to === node.name)
    .map((link) => ({
      link,
      peer: nodeOf(link.from === node.name ? link.to : link.from),
      always: link.up.contacts.kind === 'always' && link.down.contacts.kind === 'always',
    }));
  return { scenario, node, links, controlSocket: join(directory, 'control.sock') };
}

/** An address of a terrestrial network, where tunnels end. Throws OmniError OMNI_NO_ADDRESS. */
export function networkAddress(node: ResolvedNode, given: string | undefined): string {
  const address = given ?? node.interfaces.flatMap(({ addresses }) => addresses).find((each) => !each.includes(':'));
  if (address === undefined)
    throw new OmniError('OMNI_NO_ADDRESS', `${node.name} is on no network`, {
      remedy: 'an agent needs an address that the home agent and the foreign agents reach each other by',
    });
  return address.split('/')[0]!;
}

export const careOfAddressOf = (node: ResolvedNode): string =>
  networkAddress(node, (node.services.foreignAgent as ForeignAgentSettings | undefined)?.careOfAddress);

/** The node's address on its space links. */
export function spaceAddress(node: ResolvedNode): string {
  const address = node.tun?.addresses.find((each) => !each.includes(':'));
  if (address === undefined)
    throw new OmniError('OMNI_NO_ADDRESS', `${node.name} has no space link`, { remedy: 'give it a link in `links`' });
  return address.split('/')[0]!;
}

/** Changes of the kernel's routes, one `ip` at a time and in order. */
export class KernelRoutes {
  readonly #log: (line: string) => void;
  #last: Promise<void> = Promise.resolve();

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /**
   * Removes what an earlier process left, and makes `lines` in the same breath: between the two a sender would be told that there is
   * no route. The tables end in a blackhole from now on: what is for a tunnel goes nowhere else while its device is gone.
   */
  async start(lines: readonly string[], tables: readonly number[]): Promise<void> {
    await this.#clearRules();
    await this.change([
      ...tables.flatMap((table) => [
        `route replace blackhole default table ${table} proto ${ROUTE_PROTOCOL} metric ${BLACKHOLE_METRIC}`,
        `route flush table ${table} type unicast`,
      ]),
      `route flush proto ${ROUTE_PROTOCOL} type unicast`,
      ...lines,
    ]);
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    const tables = [ROUTE_TABLE, SPACE_TABLE].map((table) => `route flush table ${table}`);
    await this.change([...tables, `route flush proto ${ROUTE_PROTOCOL}`], true);
    await this.#clearRules();
  }

  async #clearRules(): Promise<void> {
    const none = () => true;
    while (!(await ipBatch([`rule del priority ${RULE_PRIORITY}`]).then(() => false, none)));
  }

  change(lines: readonly string[], force = false): Promise<void> {
    this.#last = this.#last.then(() =>
      ipBatch(lines, { force }).catch((error: Error) =>
        this.#log(`event=route-failed reason=${JSON.stringify(error.message)}`),
      ),
    );
    return this.#last;
  }

  /** When everything asked for so far is in place. */
  settled(): Promise<void> {
    return this.#last;
  }
}

export interface RouterRouteRequest {
  readonly prefix: string;
  /** Out of this link; without it, to the node's own kernel. */
  readonly link?: string;
}

/** The routes of the node's user-space router, all that Mobile IP wants there at a time; the daemon replaces the former ones. */
export class RouterRoutes {
  readonly #place: Place;
  readonly #log: (line: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  #sent = '';

  /** When everything asked for so far is in place. */
  settled(): Promise<unknown> {
    return this.#last;
  }

  constructor(place: Place, log: (line: string) => void) {
    this.#place = place;
    this.#log = log;
  }

  /** @param keep those there were, too */
  set(routes: readonly RouterRouteRequest[], keep = false): Promise<unknown> {
    const text = JSON.stringify([routes, keep]);
    if (text === this.#sent) return this.#last;
    this.#sent = text;
    const params = { node: this.#place.node.name, owner: 'mobile-ip', routes, keep };
    this.#last = this.#last
      .then(() => controlRequest(this.#place.controlSocket, 'set-routes', params))
      .catch((error: Error) => this.#log(`event=router-route-failed reason=${JSON.stringify(error.message)}`));
    return this.#last;
  }
}

/** Later than the plan says by so much, so that the first message does not meet a link that is not up yet. */
const AOS_GUARD_MILLISECONDS = 2;
const LONGEST_WAIT_MILLISECONDS = 1000;

/** Tells when links come up and go down, by the contact plan; links without contacts are up at once. */
export class LinkWatch {
  readonly #context: ServiceContext;
  readonly #links: readonly { readonly name: string; readonly peer: string; readonly always: boolean }[];
  readonly #changed: (link: string, up: boolean) => void;
  readonly #up = new Map<string, boolean>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ServiceContext, place: Place, changed: (link: string, up: boolean) => void) {
    this.#context = context;
    this.#links = place.links.map(({ link, peer, always }) => ({ name: link.name, peer: peer.name, always }));
    this.#changed = changed;
  }

  start(): void {
    const now = this.#context.clock.now();
    const contacts = this.#context.contacts.next(now, 256);
    let wait = LONGEST_WAIT_MILLISECONDS;
    for (const { name, peer, always } of this.#links) {
      const contact = contacts.find((each) => each.peer === peer);
      const up = always || (contact !== undefined && contact.begin <= now);
      if (contact !== undefined) {
        const change = (up ? contact.end : contact.begin) - now;
        wait = Math.min(wait, Number(change / 1_000_000n) + (up ? 0 : AOS_GUARD_MILLISECONDS));
      }
      if (this.#up.get(name) === up) continue;
      this.#up.set(name, up);
      this.#changed(name, up);
    }
    this.#timer = setTimeout(() => this.start(), Math.max(1, wait));
  }

  isUp(link: string): boolean {
    return this.#up.get(link) === true;
  }
  close(): void {
    clearTimeout(this.#timer);
  }
}

/** The last events, for `omni mip`. */
export class History {
  readonly #entries: { at: string; event: string }[] = [];
  readonly #now: () => WallTime;

  constructor(now: () => WallTime) {
    this.#now = now;
  }
  add(event: string): void {
    this.#entries.push({ at: new Date(Number(this.#now() / 1_000_000n)).toISOString(), event });
    if (this.#entries.length > 200) this.#entries.shift();
  }
  list(): readonly { at: string; event: string }[] {
    return this.#entries;
  }
}
