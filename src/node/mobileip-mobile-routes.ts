/**
 * A mobile node's routes. Its kernel has one default route: to the space link, to mip0 when the node encapsulates what it sends
 * itself, or to the LAN at home. Which station the space link means is the user-space router's default route, and that is all
 * that most handovers change.
 */
import { DEVICE_NAME } from '../io/mobileip-device.ts';
import { formatIpv4, formatPrefix, type Ipv4Address } from '../ip/index.ts';
import type { MobileNodeLink, NetworkPrefix } from '../mobileip/index.ts';
import {
  type KernelRoutes,
  ROUTE_PROTOCOL,
  ROUTE_TABLE,
  type RouterRoutes,
  RULE_PRIORITY,
  SPACE_TABLE,
} from './mobileip-node.ts';

export type DefaultRoute = 'space' | 'tunnel' | 'home';

export interface MobileNodeRoutesOptions {
  readonly kernel: KernelRoutes;
  readonly router: RouterRoutes;
  /** The TUN of the space links. */
  readonly space: string;
  readonly homeAddress: Ipv4Address;
  readonly homeAgent: Ipv4Address;
  readonly networks: readonly NetworkPrefix[];
  /** The LANs behind the node, of which `networks` are. */
  readonly lans: readonly string[];
  readonly links: readonly MobileNodeLink[];
  readonly home: { readonly device: string; readonly gateway: string | undefined } | undefined;
  /** Of the space links, to be added: the home address where it is another, and care-of addresses. */
  readonly addresses: readonly Ipv4Address[];
}

export class MobileNodeRoutes {
  readonly #options: MobileNodeRoutesOptions;
  #default: DefaultRoute = 'space';
  #registered = false;

  constructor(options: MobileNodeRoutesOptions) {
    this.#options = options;
  }

  startLines(): string[] {
    const { space, addresses, networks, lans, links } = this.#options;
    const own = links.flatMap(({ careOfAddress }) => (careOfAddress === undefined ? [] : [formatIpv4(careOfAddress)]));
    return [
      ...addresses.map((address) => `addr replace ${formatIpv4(address)}/32 dev ${space}`),
      this.#defaultLine(),
      `route replace 224.0.0.0/24 dev ${space} proto ${ROUTE_PROTOCOL}`,
      `route replace default dev ${DEVICE_NAME} table ${ROUTE_TABLE}`,
      `route replace default dev ${space} table ${SPACE_TABLE}`,
      ...own.map((address) => `rule add from ${address} lookup ${SPACE_TABLE} priority ${RULE_PRIORITY}`),
      // RFC 5177 section 7: a mobile network's datagrams always go in a tunnel of the node's own.
      ...lans.flatMap((lan) =>
        networks.map(
          (p) => `rule add iif ${lan} from ${formatPrefix(p)} lookup ${ROUTE_TABLE} priority ${RULE_PRIORITY}`,
        ),
      ),
    ];
  }

  endLines(): string[] {
    const { space, addresses } = this.#options;
    return addresses.map((address) => `addr del ${formatIpv4(address)}/32 dev ${space}`);
  }

  /** Where the kernel sends what is for elsewhere. */
  async setDefault(wanted: DefaultRoute): Promise<void> {
    if (wanted === this.#default) return this.#options.kernel.settled();
    this.#default = wanted;
    await this.#options.kernel.change([this.#defaultLine()], true);
  }

  /**
   * @param link that traffic goes by
   * @param registering by which a request with a care-of address of the node's own is on its way: the home agent is there, for now
   */
  setLinks(link: string | undefined, registering: string | undefined): Promise<unknown> {
    const { router, homeAddress, homeAgent, networks, links } = this.#options;
    const transmitter = (name: string) => links.find((each) => each.name === name)?.transmitVia ?? name;
    const routes = [
      { prefix: `${formatIpv4(homeAddress)}/32` },
      ...networks.map((prefix) => ({ prefix: formatPrefix(prefix) })),
      ...links.flatMap(({ careOfAddress }) =>
        careOfAddress === undefined ? [] : [{ prefix: `${formatIpv4(careOfAddress)}/32` }],
      ),
      // A station that only transmits is reached through the one that listens for it.
      ...links.flatMap(({ agent, transmitVia }) =>
        agent === undefined || transmitVia === undefined
          ? []
          : [{ prefix: `${formatIpv4(agent.address)}/32`, link: transmitVia }],
      ),
      ...(registering === undefined ? [] : [{ prefix: `${formatIpv4(homeAgent)}/32`, link: transmitter(registering) }]),
      ...(link === undefined ? [] : [{ prefix: '0.0.0.0/0', link: transmitter(link) }]),
    ];
    // What a process that was killed left stays until the next is registered: without a default route the router would say that there is
    // none, and TCP forgets a half-open connection when it hears that.
    this.#registered ||= link !== undefined;
    return router.set(routes, !this.#registered);
  }

  #defaultLine(): string {
    const { space, home, homeAddress } = this.#options;
    const way =
      this.#default === 'home' && home !== undefined
        ? `${home.gateway === undefined ? '' : `via ${home.gateway} `}dev ${home.device}`
        : `dev ${this.#default === 'tunnel' ? DEVICE_NAME : space}`;
    return `route replace default ${way} src ${formatIpv4(homeAddress)} proto ${ROUTE_PROTOCOL}`;
  }
}
