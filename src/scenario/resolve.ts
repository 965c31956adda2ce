/** A valid scenario file to a resolved scenario: defaults, addresses, routes, sysctls; and the checks that span keys. */
import type { ClockSettings } from '../apps/ntp/config.ts';
import { minutes } from '../core/index.ts';
import { formatAddress, PROTOCOL, type Prefix, parseAddress, parsePrefix, prefixContains } from '../ip/index.ts';
import { hostAddress, overlap } from './addresses.ts';
import type { Problem } from './problems.ts';
import { DEFAULT_HOLD_OCTETS, resolveLink } from './resolve-link.ts';
import type {
  ResolvedInterface,
  ResolvedNetwork,
  ResolvedNode,
  ResolvedScenario,
  ResolvedTrafficClass,
  ResolvedTun,
} from './resolved.ts';
import { computeRoutes } from './routes.ts';
import type { Scenario, ScenarioClasses, ScenarioNode } from './schema.ts';
import { SERVICE_NAMES } from './service-settings.ts';
import { kernelTcp } from './tcp.ts';

export const TUN_NAME = 'space0';
const DEFAULT_SEED = 1;

export type Resolution =
  | { readonly ok: true; readonly scenario: ResolvedScenario }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * @param directory what relative file names in the scenario are relative to
 * @param now UTC in milliseconds, the epoch of a scenario that has none
 */
export function resolveScenario(scenario: Scenario, directory: string, now: number): Resolution {
  const problems: Problem[] = [];
  const epochMilliseconds = scenario.epoch ?? now;
  const links = Object.entries(scenario.links ?? {}).map(([name, link]) =>
    resolveLink(name, link, { directory, epochMilliseconds, problems }),
  );
  const used = new AddressRegister(problems);
  const spaceAddresses = assignSpaceAddresses(scenario, new Set(links.flatMap((l) => [l.from, l.to])), used);
  const { networks, interfaces } = assignNetworks(scenario, used);
  for (const name of Object.keys(scenario.nodes))
    for (const network of networks)
      if (network.namespace === `${scenario.name}-${name}`)
        problems.push({
          path: ['networks', network.name],
          atKey: true,
          message: `its namespace would be that of the node '${name}'`,
        });

  const partial = Object.entries(scenario.nodes).map(([name, node]) => {
    const addresses = spaceAddresses.get(name);
    const mine = links.filter((l) => l.from === name || l.to === name);
    const tun: ResolvedTun | undefined =
      addresses === undefined
        ? undefined
        : {
            name: TUN_NAME,
            mtuOctets: Math.max(...mine.map((l) => l.mtuOctets)),
            addresses: addresses.map((a) => `${a}/${a.includes(':') ? 128 : 32}`),
          };
    const tcp = kernelTcp(scenario.tcp, node.tcp);
    return {
      name,
      node,
      ...(tun !== undefined && { tun }),
      sysctls: tcp.sysctls,
      interfaces: interfaces.get(name) ?? [],
      forwards: node.kind !== 'host',
      ...(node.mobileNode !== undefined && { roams: true as const }),
      routeAttributes: tcp.routeAttributes,
      explicitRoutes: (node.routes ?? []).map(({ to, via, preference = 0 }) => ({ to, via, preference })),
    };
  });
  const routes = computeRoutes(partial, links, networks);
  if (problems.length > 0) return { ok: false, problems };

  const intermittent = links.some(({ up, down }) => [up, down].some(({ contacts }) => contacts.kind !== 'always'));
  const nodes = partial.map(({ name, node, tun, sysctls, interfaces: mine, forwards, ...own }): ResolvedNode => {
    const classes = node.classes ?? scenario.classes;
    const ipv6 = [...(tun?.addresses ?? []), ...mine.flatMap((i) => i.addresses)].some((a) => a.includes(':'));
    return {
      name,
      kind: node.kind,
      namespace: `${scenario.name}-${name}`,
      addresses: spaceAddresses.get(name) ?? mine.slice(0, 1).flatMap((i) => i.addresses.map((a) => a.split('/')[0]!)),
      ...(tun !== undefined && { tun }),
      interfaces: mine,
      ...own,
      ...routes.get(name)!,
      ...(classes !== undefined && { classes: resolveClasses(classes) }),
      forwards,
      sysctls: { ...kernelSysctls(forwards, ipv6, intermittent), ...sysctls, ...texts(node.sysctl) },
      ...(node.clock !== undefined && { clock: resolveClock(node.clock) }),
      services: Object.fromEntries(SERVICE_NAMES.flatMap((s) => (node[s] === undefined ? [] : [[s, node[s]]]))),
    };
  });
  return {
    ok: true,
    scenario: {
      name: scenario.name,
      description: scenario.description ?? '',
      seed: scenario.seed ?? DEFAULT_SEED,
      epochMilliseconds,
      offloads: scenario.offloads ?? false,
      nodes,
      links,
      networks,
    },
  };
}

function resolveClock(clock: NonNullable<ScenarioNode['clock']>): ClockSettings {
  return {
    offsetSeconds: (clock.offset ?? 0) / 1e9,
    driftPpm: clock.driftPpm ?? 0,
    temperaturePpm: clock.temperaturePpm ?? 0,
    temperaturePeriodSeconds: (clock.temperaturePeriod ?? minutes(95)) / 1e9,
    randomWalkPpmPerSqrtHour: clock.randomWalkPpm ?? 0,
    tickMs: (clock.tick ?? 0) / 1e6,
  };
}

function kernelSysctls(forwards: boolean, ipv6: boolean, intermittent: boolean): Record<string, string> {
  return {
    'net.ipv4.ip_forward': forwards ? '1' : '0',
    // Paths may be asymmetric: a packet may come in where none goes out.
    'net.ipv4.conf.all.rp_filter': '0',
    'net.ipv4.conf.default.rp_filter': '0',
    // Kernel and router of a node share its address: the router's ICMP errors to the kernel come from that.
    'net.ipv4.conf.all.accept_local': '1',
    'net.ipv4.conf.all.send_redirects': '0',
    'net.ipv4.conf.default.send_redirects': '0',
    // Services bind ports below 1024 after they gave root up; the namespace is theirs.
    'net.ipv4.ip_unprivileged_port_start': '0',
    'net.ipv4.ping_group_range': '0 2147483647',
    // A kernel gives a connection up after 15 retransmissions, about 15 minutes; between passes lie hours. 255 make about 8.
    // Or after 8, when its program has written all, closed it and gone.
    ...(intermittent ? { 'net.ipv4.tcp_retries2': '255', 'net.ipv4.tcp_orphan_retries': '255' } : {}),
    // A kernel that solicits routers or reports groups would put frames of its own on the space link.
    ...(ipv6
      ? {
          'net.ipv6.conf.all.forwarding': forwards ? '1' : '0',
          'net.ipv6.conf.default.accept_ra': '0',
          'net.ipv6.conf.default.router_solicitations': '0',
          'net.ipv6.conf.default.accept_dad': '0',
          'net.ipv6.conf.default.dad_transmits': '0',
        }
      : { 'net.ipv6.conf.all.disable_ipv6': '1', 'net.ipv6.conf.default.disable_ipv6': '1' }),
  };
}

const texts = (values: Record<string, string | number> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [key.replaceAll('/', '.'), String(value)]));

/** Who has an address already; the same one twice is a problem at the later place. */
class AddressRegister {
  readonly #owners = new Map<string, string>();
  readonly #problems: Problem[];
  constructor(problems: Problem[]) {
    this.#problems = problems;
  }
  take(address: string, owner: string, path: Problem['path']): void {
    const other = this.#owners.get(address);
    if (other === undefined) this.#owners.set(address, owner);
    else this.#problems.push({ path, message: `${address} is taken by '${other}' already` });
  }
  has(address: string): boolean {
    return this.#owners.has(address);
  }
  problem(path: Problem['path'], message: string): void {
    this.#problems.push({ path, message });
  }
}

function assignSpaceAddresses(
  scenario: Scenario,
  linked: ReadonlySet<string>,
  used: AddressRegister,
): Map<string, string[]> {
  const addresses = new Map<string, string[]>();
  for (const [name, { address, address6 }] of Object.entries(scenario.nodes)) {
    const own = [address, address6].filter((a) => a !== undefined);
    if (own.length > 0 && !linked.has(name))
      used.problem(
        ['nodes', name, address === undefined ? 'address6' : 'address'],
        `'${name}' has no space link that could have the address`,
      );
    if (address !== undefined) used.take(address, name, ['nodes', name, 'address']);
    if (address6 !== undefined) used.take(address6, name, ['nodes', name, 'address6']);
    if (linked.has(name)) addresses.set(name, own);
  }
  // 10.0.0.1, 10.0.0.2, … for those that have none, past the ones that are taken.
  let next = 0;
  for (const [name, own] of addresses) {
    if (own.some((a) => !a.includes(':'))) continue;
    let address: string;
    do address = `10.0.${(next / 250) | 0}.${(next++ % 250) + 1}`;
    while (used.has(address));
    used.take(address, name, ['nodes', name]);
    own.unshift(address);
  }
  return addresses;
}

function assignNetworks(
  scenario: Scenario,
  used: AddressRegister,
): { networks: ResolvedNetwork[]; interfaces: Map<string, ResolvedInterface[]> } {
  const interfaces = new Map<string, ResolvedInterface[]>();
  const networks: ResolvedNetwork[] = [];
  const prefixes: { name: string; prefix: Prefix }[] = [];
  for (const [number, [name, network]] of Object.entries(scenario.networks ?? {}).entries()) {
    const texts = [
      network.prefix ?? `192.168.${number + 1}.0/24`,
      ...(network.prefix6 === undefined ? [] : [network.prefix6]),
    ];
    const mtuOctets = network.mtu ?? 1500;
    for (const text of texts) {
      const prefix = parsePrefix(text)!;
      const other = prefixes.find((p) => overlap(p.prefix, prefix));
      if (other !== undefined)
        used.problem(['networks', name, 'prefix'], `${text} overlaps the prefix of network '${other.name}'`);
      prefixes.push({ name, prefix });
    }
    for (const [i, node] of network.nodes.entries()) {
      const addresses = texts.flatMap((text, family) => {
        const prefix = parsePrefix(text)!;
        const chosen = family === 0 ? network.addresses?.[node] : undefined;
        const path = chosen === undefined ? ['networks', name, 'nodes', i] : ['networks', name, 'addresses', node];
        const address = chosen ?? hostText(prefix, i + 1);
        if (address === undefined) used.problem(path, `${text} has no address left for '${node}'`);
        else if (!prefixContains(prefix, parseAddress(address)!)) used.problem(path, `${address} is not in ${text}`);
        else used.take(address, node, path);
        return address === undefined ? [] : [`${address}/${prefix.length}`];
      });
      interfaces.set(node, [...(interfaces.get(node) ?? []), { name, network: name, mtuOctets, addresses }]);
    }
    const kind = network.nodes.length === 2 ? 'veth' : 'bridge';
    networks.push({
      name,
      kind,
      nodes: network.nodes,
      prefixes: texts,
      mtuOctets,
      cost: network.cost ?? 1,
      ...(kind === 'bridge' && { namespace: `${scenario.name}-${name}` }),
    });
  }
  return { networks, interfaces };
}

function hostText(prefix: Prefix, n: number): string | undefined {
  const address = hostAddress(prefix, n);
  return address === undefined ? undefined : formatAddress(address);
}

function resolveClasses(classes: ScenarioClasses): ResolvedTrafficClass[] {
  return classes.map((c, place) => ({
    name: c.name,
    matches: (c.match ?? []).map((m) => ({
      ...(m.protocol !== undefined && {
        protocols: list(m.protocol).map((p) => (typeof p === 'number' ? p : PROTOCOL[p])),
      }),
      ...(m.port !== undefined && { ports: list(m.port) }),
      ...(m.dscp !== undefined && { dscps: list(m.dscp) }),
      ...(m.address !== undefined && {
        prefixes: list(m.address).map((a) => (a.includes('/') ? a : `${a}/${a.includes(':') ? 128 : 32}`)),
      }),
    })),
    priority: c.priority ?? place,
    weight: c.weight ?? 1,
    ...(c.queue?.packets !== undefined && { limitPackets: c.queue.packets }),
    ...(c.queue?.octets !== undefined && { limitOctets: c.queue.octets }),
    discipline: c.drop === 'codel' ? 'codel' : 'tail-drop',
    ...(c.codelTarget !== undefined && { codelTarget: c.codelTarget }),
    ...(c.codelInterval !== undefined && { codelInterval: c.codelInterval }),
    ecn: c.ecn ?? false,
    ...(c.staleAfter !== undefined && { staleAfter: c.staleAfter }),
    ...(c.hold !== undefined && {
      hold:
        c.hold === 'off'
          ? ('off' as const)
          : {
              octets: c.hold.octets ?? DEFAULT_HOLD_OCTETS,
              duration: c.hold.age ?? minutes(60),
              storage: c.hold.storage ?? 'memory',
            },
    }),
  }));
}

const list = <Item>(value: Item | readonly Item[]): readonly Item[] => (Array.isArray(value) ? value : [value as Item]);
