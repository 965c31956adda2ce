/**
 * A node's home agent. On a virtual home network the kernel routes the whole prefix to mip0; where the node has an interface on the
 * home network, only the addresses of mobile nodes that are away, for which it also answers ARP (mobileip-home-lan.ts).
 */
import { join } from 'node:path';

import { seconds } from '../../core/index.ts';
import { associationOf, associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import { BindingStore } from '../../io/mobileip-store.ts';
import { formatIpv4, formatPrefix } from '../../ip/index.ts';
import {
  type Binding,
  describeHomeAgentEvent,
  emitUdpDatagram,
  HOME_AGENT_DEFAULTS,
  HomeAgent,
  type HomeAgentEvent,
  HomeAgentTunnel,
  MESSAGE,
  SecurityAssociations,
  TUNNEL_HEADER_OCTETS,
  TunnelState,
  type UdpDatagram,
} from '../../mobileip/index.ts';
import { homeAgentSettings } from '../../mobileip/settings.ts';
import { AgentLife, remainingSeconds } from '../mobileip-agent.ts';
import { HomeLan, homeLanOf } from '../mobileip-home-lan.ts';
import { intercepted, networkAddress, placeOf } from '../mobileip-node.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

export const startHomeAgent: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = homeAgentSettings.parse(context.settings ?? {});
  const { node } = placeOf(context);
  const address = ipv4Of(networkAddress(node, settings.address));
  const homeNetwork = prefixOfText(settings.homeNetwork);
  const agent = new HomeAgent({
    ...HOME_AGENT_DEFAULTS,
    address,
    homeNetwork,
    mobileNodes: settings.mobileNodes.map(
      ({ homeAddress, networkAccessIdentifier, networks, implicitNetworks, enabled }) => ({
        homeAddress: ipv4Of(homeAddress),
        ...(networkAccessIdentifier === undefined ? {} : { networkAccessIdentifier }),
        networks: networks.map(prefixOfText),
        implicitNetworks,
        mobileRouter: networks.length > 0,
        enabled,
      }),
    ),
    mobileAssociations: mobileAssociationsOf(settings),
    foreignAssociations: associationsOf(
      settings.foreignAgents.map((each) => ({ peer: ipv4Of(each.address), ...each })),
    ),
    maximumLifetime: settings.maximumLifetimeSeconds,
    simultaneousBindings: settings.simultaneousBindings,
    maximumBindingsPerNode: settings.maximumBindingsPerNode,
    reverseTunnel: settings.reverseTunnel,
    udpTunnel: settings.udpTunnel,
    forcedUdpTunnel: settings.forcedUdpTunnel,
    keepaliveSeconds: settings.keepaliveSeconds,
    careOfNetworks: settings.careOfNetworks.map(prefixOfText),
    timestampTolerance: seconds(settings.timestampToleranceSeconds),
    departureGrace: seconds(settings.departureGraceSeconds),
    wallTime: () => context.clock.now(),
    hmac,
    random: random32,
  });
  const pathMtu = node.interfaces[0]?.mtuOctets ?? 1500;
  const state = new TunnelState(pathMtu);
  let store: BindingStore | undefined;
  let lan: HomeLan | undefined;
  let exceptionLoggedAt = Number.NEGATIVE_INFINITY;
  const save = ({ binding: { homeAddress }, replay }: Extract<HomeAgentEvent, { kind: 'bound' | 'unbound' }>): void => {
    try {
      store?.save({ homeAddress, replay, bindings: agent.bindings.of(homeAddress) }, life.device.now());
      agent.storageFailed = false;
    } catch (error) {
      agent.storageFailed = true;
      context.log(`event=store-failed reason=${JSON.stringify((error as Error).message)}`);
    }
  };
  const onEvent = (event: HomeAgentEvent): void => {
    if (event.kind !== 'bound' && event.kind !== 'unbound') return;
    save(event);
    const { homeAddress } = event.binding;
    const returned = event.kind === 'unbound' && event.why === 'deregistered';
    void lan?.set(homeAddress, agent.bindings.of(homeAddress).length > 0, returned);
  };
  const life = await AgentLife.open<UdpDatagram, UdpDatagram, HomeAgentEvent>(context, {
    machine: agent,
    sources: ['tunnel', 'icmp'],
    receive: (packet, from, now) => {
      if (from === 'device') tunnel.intercept(packet, now);
      else if (from === 'tunnel') tunnel.receive(packet, now);
      else {
        tunnel.handleIcmp(packet.view(), now);
        life.device.pool.release(packet);
      }
    },
    describe: describeHomeAgentEvent,
    remember: ({ kind }) => kind !== 'discarded',
    onEvent,
    // On a home LAN the reply to who has come home must not meet the route of who is away.
    transmit: (datagram) => {
      if (lan === undefined) life.ports?.send(datagram);
      else void life.routes.settled().then(() => life.ports?.send(datagram));
    },
    tunnelCounters: () => tunnel.counters.snapshot(),
  });
  const tunnel = new HomeAgentTunnel({
    address,
    pool: life.device.pool,
    state,
    bindings: agent.bindings,
    // The kernel drops what comes from outside with an address of ours as source; so the rest is our own.
    carriesOwnDatagrams: true,
    send: (packet) => life.device.send(packet),
    onException: (reason, careOfAddress, source) => {
      // A line a second; the counters have them all.
      const at = life.device.now();
      if (at < exceptionLoggedAt + seconds(1)) return;
      exceptionLoggedAt = at;
      context.log(`event=exception reason=${reason} care-of=${formatIpv4(careOfAddress)} source=${formatIpv4(source)}`);
    },
  });
  const onLan = homeLanOf(node, homeNetwork);
  await life.start({
    mtuOctets: pathMtu - TUNNEL_HEADER_OCTETS,
    before: async () => {
      store = new BindingStore(join(context.stateDirectory, 'bindings.jsonl'));
      agent.restore(store.load(life.device.now()), life.device.now());
      if (onLan === undefined) return;
      lan = new HomeLan(life.native, onLan.name, life.routes);
      const homes = agent.options.mobileNodes.map(({ homeAddress }) => homeAddress);
      await lan.clear(homes.filter((home) => agent.bindings.of(home).length === 0));
    },
    routes: () => [
      ...(lan === undefined ? intercepted(settings.homeNetwork, ` src ${formatIpv4(address)}`) : []),
      // With or without a binding: who asks for a network that is nowhere is told so by the tunnel.
      ...agent.options.mobileNodes.flatMap(({ networks }) => networks.flatMap((p) => intercepted(formatPrefix(p)))),
    ],
    addresses: [address],
    receive: (datagram) => {
      if (datagram.payload[0] !== MESSAGE.tunnelData) {
        life.runner.input(datagram);
        return;
      }
      const packet = life.device.pool.copyOf(emitUdpDatagram(datagram));
      if (packet !== undefined) tunnel.receiveUdp(packet, life.device.now());
    },
  });
  for (const { homeAddress } of agent.bindings.all()) void lan?.set(homeAddress, true, false);
  life.runner.drain();
  context.log(
    `event=started address=${formatIpv4(address)} network=${settings.homeNetwork} lan=${onLan?.name ?? 'none'} restored=${agent.bindings.size}`,
  );

  const service: Service & { handleRequest(method: string, params: unknown): unknown } = {
    name: 'homeAgent',
    status: () => ({
      address: formatIpv4(address),
      homeNetwork: settings.homeNetwork,
      ...(lan === undefined ? {} : { homeLan: { interface: onLan!.name, ...lan.counters() } }),
      bindings: [...agent.bindings.all()].map((binding) => ({
        homeAddress: formatIpv4(binding.homeAddress),
        careOfAddress: formatIpv4(binding.careOfAddress),
        lifetimeSeconds: binding.lifetime,
        remainingSeconds: remainingSeconds(binding.expiresAt, life.device.now()),
        reverseTunnel: binding.reverseTunnel,
        coLocated: binding.coLocated,
        ...(binding.udpTunnel === undefined ? {} : { udpTunnel: udpTunnelText(binding.udpTunnel) }),
        networks: binding.networks.map(formatPrefix),
        tunnel: state.snapshot(binding.careOfAddress, life.device.now()),
      })),
      ...life.status(),
    }),
    handleRequest: (method, params) => {
      if (method !== 'revoke') throw new RangeError(`the home agent knows no request '${method}'`);
      const home = ipv4Of(String((params as { homeAddress?: unknown }).homeAddress));
      const ended = agent.revoke(home, life.device.now());
      life.runner.drain();
      return ended;
    },
    close: async () => {
      await lan?.close();
      await life.close();
      store?.close();
    },
  };
  return service;
};

function mobileAssociationsOf({ mobileNodes }: ReturnType<typeof homeAgentSettings.parse>): SecurityAssociations {
  const associations = new SecurityAssociations();
  for (const { homeAddress, networkAccessIdentifier, security } of mobileNodes)
    for (const each of security) {
      associations.add(ipv4Of(homeAddress), associationOf(each));
      if (networkAccessIdentifier !== undefined) associations.add(networkAccessIdentifier, associationOf(each));
    }
  return associations;
}

const udpTunnelText = ({ address, port }: NonNullable<Binding['udpTunnel']>): string =>
  `${formatIpv4(address)}:${port}`;
