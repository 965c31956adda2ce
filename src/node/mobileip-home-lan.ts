/**
 * A home network that is a real LAN: while a mobile node is away, the home agent answers ARP for it and routes its address to the
 * tunnel; RFC 5944 section 4.6. The kernel does the proxy ARP (`ip neigh add proxy`: it answers because the address's route leads
 * elsewhere); the gratuitous ARP of departure and return is ours.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { ArpBroadcast, hardwareAddressOf } from '../io/mobileip-arp.ts';
import { ipv4Of } from '../io/mobileip-crypto.ts';
import { DEVICE_NAME } from '../io/mobileip-device.ts';
import type { Native } from '../io/native.ts';
import { formatIpv4, type Ipv4Address } from '../ip/index.ts';
import { contains, type NetworkPrefix } from '../mobileip/index.ts';
import type { ResolvedInterface, ResolvedNode } from '../scenario/resolved.ts';
import { BLACKHOLE_METRIC, intercepted, type KernelRoutes, ROUTE_PROTOCOL } from './mobileip-node.ts';

/** The node's interface on the home network; none with a virtual home network. */
export const homeLanOf = (node: ResolvedNode, homeNetwork: NetworkPrefix): ResolvedInterface | undefined =>
  node.interfaces.find(({ addresses }) =>
    addresses.some((address) => !address.includes(':') && contains(homeNetwork, ipv4Of(address))),
  );

export class HomeLan {
  readonly #device: string;
  readonly #arp: ArpBroadcast;
  readonly #routes: KernelRoutes;
  readonly #away = new Set<Ipv4Address>();

  constructor(native: Native, device: string, routes: KernelRoutes) {
    this.#device = device;
    this.#routes = routes;
    this.#arp = new ArpBroadcast(native, device);
    // The kernel delays proxy answers by up to 0.8 s, in favour of a host that might answer for itself: nobody will.
    writeFileSync(`/proc/sys/net/ipv4/neigh/${device}/proxy_delay`, '0');
  }

  /** What a killed process may have left of these mobile nodes. */
  clear(homes: readonly Ipv4Address[]): Promise<void> {
    return this.#routes.change(homes.flatMap(this.#endLines), true);
  }

  readonly #endLines = (home: Ipv4Address): string[] => [
    `neigh del proxy ${formatIpv4(home)} dev ${this.#device}`,
    `route del ${formatIpv4(home)}/32 dev ${DEVICE_NAME} proto ${ROUTE_PROTOCOL}`,
    `route del blackhole ${formatIpv4(home)}/32 proto ${ROUTE_PROTOCOL} metric ${BLACKHOLE_METRIC}`,
  ];

  /** Whether the mobile node is away now. Resolves when the kernel does as it should. */
  set(home: Ipv4Address, away: boolean, returned: boolean): Promise<void> {
    if (this.#away.has(home) === away) return this.#routes.settled();
    return away ? this.#departed(home) : this.#ended(home, returned);
  }

  counters(): Record<string, number> {
    return { away: this.#away.size, gratuitousArp: this.#arp.sent };
  }

  async close(): Promise<void> {
    this.#arp.close();
    await this.clear([...this.#away]);
  }

  async #departed(home: Ipv4Address): Promise<void> {
    this.#away.add(home);
    const address = formatIpv4(home);
    await this.#routes.change([...intercepted(`${address}/32`), `neigh replace proxy ${address} dev ${this.#device}`]);
    this.#arp.announce(home);
  }

  /** Its binding ended; when it is back on the LAN the others are told of its own hardware address. */
  async #ended(home: Ipv4Address, returned: boolean): Promise<void> {
    this.#away.delete(home);
    this.#arp.silence(home);
    const address = formatIpv4(home);
    await this.#routes.change(this.#endLines(home), true);
    const hardware = returned ? this.#neighbour(address) : undefined;
    if (hardware !== undefined) this.#arp.announce(home, hardware);
  }

  /** The kernel has learnt it: the deregistration came over this LAN. */
  #neighbour(address: string): Uint8Array | undefined {
    const text = execFileSync('ip', ['-j', 'neigh', 'show', 'to', address, 'dev', this.#device], { encoding: 'utf8' });
    const [entry] = JSON.parse(text || '[]') as { lladdr?: string }[];
    return entry?.lladdr === undefined ? undefined : hardwareAddressOf(entry.lladdr);
  }
}
