/**
 * What a mobile node's links are to it, as the scenario says: stations with a foreign agent, stations where it has an address of its
 * own, one-way links that pair up, and the home network.
 */
import { readFileSync } from 'node:fs';
import type { Duration } from '../core/index.ts';
import { ipv4Of } from '../io/mobileip-crypto.ts';
import type { Ipv4Address } from '../ip/index.ts';
import { type MobileNodeLink, registrationTime } from '../mobileip/index.ts';
import type { ForeignAgentSettings, MobileNodeSettings } from '../mobileip/settings.ts';
import type { ResolvedContacts, ResolvedInterface, ResolvedLink, ResolvedNode } from '../scenario/resolved.ts';
import { careOfAddressOf, type Place, spaceAddress } from './mobileip-node.ts';

/** From a station to the home agent and back, for the first wait; the machine doubles it as needed. */
const GROUND_ROUND_TRIP_NANOSECONDS = 200e6;
const CARRIER_POLL_MILLISECONDS = 200;

/** Links by which the node can register; those of other nodes, without an agent or an address of ours, are left out. */
export function stationLinks(place: Place, settings: MobileNodeSettings): MobileNodeLink[] {
  return place.links.flatMap(({ link, peer }): MobileNodeLink[] => {
    const agent = peer.services.foreignAgent as Partial<ForeignAgentSettings> | undefined;
    const base = { name: link.name, registrationTime: registrationTimeOf(link, place.node.name) };
    const own = settings.careOfAddresses[peer.name];
    if (own !== undefined) return [{ ...base, discovery: 'co-located', careOfAddress: ipv4Of(own) }];
    if (agent === undefined) return [];
    // It only receives: the station that it returns to is the one to register with.
    if (agent.returnTo !== undefined) return [{ ...base, discovery: 'none' }];
    const transmitVia = isNever(directions(link, place.node.name).away.contacts)
      ? place.links.find((other) => (other.peer.services.foreignAgent as typeof agent)?.returnTo === peer.name)?.link
          .name
      : undefined;
    return [
      {
        ...base,
        discovery: settings.discovery,
        agent: { address: ipv4Of(spaceAddress(peer)), careOfAddress: ipv4Of(careOfAddressOf(peer)) },
        ...(transmitVia === undefined ? {} : { transmitVia }),
      },
    ];
  });
}

/** The node's interface on its home network, when that is a LAN; and the home agent's address there. */
export function homeLink(
  place: Place,
  homeAddress: Ipv4Address,
): { readonly device: string; readonly gateway: string | undefined } | undefined {
  const onLan = place.node.interfaces.find((each) => ipv4Addresses(each).some((a) => ipv4Of(a) === homeAddress));
  if (onLan === undefined) return undefined;
  const agent = place.scenario.nodes.find(
    (node) => node.services.homeAgent !== undefined && node.interfaces.some(({ network }) => network === onLan.network),
  );
  const there = agent?.interfaces.find(({ network }) => network === onLan.network);
  return { device: onLan.name, gateway: there && ipv4Addresses(there)[0]?.split('/')[0] };
}

const ipv4Addresses = ({ addresses }: ResolvedInterface): string[] => addresses.filter((a) => !a.includes(':'));
export const addressesOf = ({ tun }: ResolvedNode): string[] => (tun?.addresses ?? []).filter((a) => !a.includes(':'));

/** Tells when an interface's cable is plugged in and pulled out. */
export class CarrierWatch {
  readonly #timer: NodeJS.Timeout;
  #up = false;

  constructor(device: string, changed: (up: boolean) => void) {
    const look = () => {
      const up = isOperational(device);
      if (up === this.#up) return;
      this.#up = up;
      changed(up);
    };
    this.#timer = setInterval(look, CARRIER_POLL_MILLISECONDS);
    look();
  }
  close(): void {
    clearInterval(this.#timer);
  }
}

function isOperational(device: string): boolean {
  try {
    return readFileSync(`/sys/class/net/${device}/operstate`, 'latin1').trim() === 'up';
  } catch {
    return false;
  }
}

const isNever = (contacts: ResolvedContacts): boolean => contacts.kind === 'list' && contacts.contacts.length === 0;

const directions = (link: ResolvedLink, node: string) =>
  link.from === node ? { towards: link.down, away: link.up } : { towards: link.up, away: link.down };

function registrationTimeOf(link: ResolvedLink, node: string): Duration {
  const { towards, away } = directions(link, node);
  const roundTrip = (link.up.delay + link.down.delay + GROUND_ROUND_TRIP_NANOSECONDS) as Duration;
  return registrationTime(away.rateBitPerSecond, towards.rateBitPerSecond, roundTrip);
}
