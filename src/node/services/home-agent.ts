/** A node's home agent: a virtual home network whose packets the kernel routes to mip0, UDP port 434, bindings on disk. */
import { join } from 'node:path';

import { seconds } from '../../core/index.ts';
import { MachineRunner } from '../../io/machine-runner.ts';
import { associationOf, associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import { DEVICE_NAME, MobileIpDevice } from '../../io/mobileip-device.ts';
import { BindingStore } from '../../io/mobileip-store.ts';
import { MobileIpPorts } from '../../io/mobileip-udp.ts';
import { loadNative } from '../../io/native.ts';
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
} from '../../mobileip/index.ts';
import { homeAgentSettings } from '../../mobileip/settings.ts';
import { History, KernelRoutes, networkAddress, placeOf, ROUTE_PROTOCOL } from '../mobileip-node.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

export const startHomeAgent: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = homeAgentSettings.parse(context.settings ?? {});
  const native = await loadNative();
  const { node } = placeOf(context);
  const address = ipv4Of(networkAddress(node, settings.address));
  const mobileAssociations = new SecurityAssociations();
  for (const { homeAddress, networkAccessIdentifier, security } of settings.mobileNodes)
    for (const each of security) {
      mobileAssociations.add(ipv4Of(homeAddress), associationOf(each));
      if (networkAccessIdentifier !== undefined) mobileAssociations.add(networkAccessIdentifier, associationOf(each));
    }
  const agent = new HomeAgent({
    ...HOME_AGENT_DEFAULTS,
    address,
    homeNetwork: prefixOfText(settings.homeNetwork),
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
    mobileAssociations,
    foreignAssociations: associationsOf(
      settings.foreignAgents.map((each) => ({ peer: ipv4Of(each.address), ...each })),
    ),
    maximumLifetime: settings.maximumLifetimeSeconds,
    simultaneousBindings: settings.simultaneousBindings,
    maximumBindingsPerNode: settings.maximumBindingsPerNode,
    reverseTunnel: settings.reverseTunnel,
    udpTunnel: settings.udpTunnel,
    careOfNetworks: settings.careOfNetworks.map(prefixOfText),
    timestampTolerance: seconds(settings.timestampToleranceSeconds),
    departureGrace: seconds(settings.departureGraceSeconds),
    wallTime: () => context.clock.now(),
    hmac,
    random: random32,
  });
  const pathMtu = node.interfaces[0]?.mtuOctets ?? 1500;
  const state = new TunnelState(pathMtu);
  const device = new MobileIpDevice({
    native,
    sources: ['tunnel', 'icmp'],
    receive: (packet, from, now) => {
      if (from === 'device') tunnel.intercept(packet, now);
      else if (from === 'tunnel') tunnel.receive(packet, now);
      else {
        tunnel.handleIcmp(packet.view(), now);
        device.pool.release(packet);
      }
    },
  });
  const tunnel = new HomeAgentTunnel({
    address,
    pool: device.pool,
    state,
    bindings: agent.bindings,
    // The kernel drops what comes from outside with an address of ours as source; so the rest is our own.
    carriesOwnDatagrams: true,
    send: (packet) => device.send(packet),
  });
  const store = new BindingStore(join(context.stateDirectory, 'bindings.jsonl'));
  const history = new History(() => context.clock.now());
  const routes = new KernelRoutes((line) => context.log(line));
  const routeOf = (prefix: Binding['networks'][number]) =>
    `${formatPrefix(prefix)} dev ${DEVICE_NAME} proto ${ROUTE_PROTOCOL}`;

  const onEvent = (event: HomeAgentEvent): void => {
    const text = describeHomeAgentEvent(event);
    context.log(text);
    if (event.kind !== 'discarded') history.add(text);
    if (event.kind !== 'bound' && event.kind !== 'unbound') return;
    const { homeAddress, networks } = event.binding;
    try {
      store.save({ homeAddress, replay: event.replay, bindings: agent.bindings.of(homeAddress) }, device.now());
      agent.storageFailed = false;
    } catch (error) {
      agent.storageFailed = true;
      context.log(`event=store-failed reason=${JSON.stringify((error as Error).message)}`);
    }
    const wanted = (prefix: Binding['networks'][number]) =>
      agent.bindings
        .of(homeAddress)
        .some((each) => each.networks.some((n) => n.address === prefix.address && n.length === prefix.length));
    const lines = networks.map((prefix) => `route ${wanted(prefix) ? 'replace' : 'del'} ${routeOf(prefix)}`);
    if (lines.length > 0) void routes.change(lines, true);
  };
  let ports: MobileIpPorts | undefined;
  const runner = new MachineRunner(
    agent,
    () => device.now(),
    (datagram) => ports?.send(datagram),
    onEvent,
  );
  try {
    await routes.clear();
    agent.restore(store.load(device.now()), device.now());
    await routes.change([
      `link set dev ${DEVICE_NAME} mtu ${pathMtu - TUNNEL_HEADER_OCTETS} up`,
      `route replace ${settings.homeNetwork} dev ${DEVICE_NAME} src ${formatIpv4(address)} proto ${ROUTE_PROTOCOL}`,
      ...[...agent.bindings.all()].flatMap(({ networks }) =>
        networks.map((prefix) => `route replace ${routeOf(prefix)}`),
      ),
    ]);
    ports = await MobileIpPorts.open([address], (datagram) => {
      if (datagram.payload[0] !== MESSAGE.tunnelData) {
        runner.input(datagram);
        return;
      }
      const packet = device.pool.copyOf(emitUdpDatagram(datagram));
      if (packet !== undefined) tunnel.receiveUdp(packet, device.now());
    });
  } catch (error) {
    device.close();
    store.close();
    throw error;
  }
  runner.drain();
  context.log(
    `event=started address=${formatIpv4(address)} network=${settings.homeNetwork} restored=${agent.bindings.size}`,
  );

  const service: Service & { handleRequest(method: string, params: unknown): unknown } = {
    name: 'homeAgent',
    status: () => ({
      address: formatIpv4(address),
      homeNetwork: settings.homeNetwork,
      bindings: [...agent.bindings.all()].map((binding) => ({
        homeAddress: formatIpv4(binding.homeAddress),
        careOfAddress: formatIpv4(binding.careOfAddress),
        lifetimeSeconds: binding.lifetime,
        remainingSeconds: Math.round((binding.expiresAt - device.now()) / 1e9),
        reverseTunnel: binding.reverseTunnel,
        coLocated: binding.coLocated,
        networks: binding.networks.map(formatPrefix),
        tunnel: state.snapshot(binding.careOfAddress, device.now()),
      })),
      messages: agent.counters.snapshot(),
      tunnel: tunnel.counters.snapshot(),
      packets: packetCounters(device),
      history: history.list(),
    }),
    handleRequest: (method, params) => {
      if (method !== 'revoke') throw new RangeError(`the home agent knows no request '${method}'`);
      const ended = agent.revoke(ipv4Of(String((params as { homeAddress?: unknown }).homeAddress)), device.now());
      runner.drain();
      return ended;
    },
    close: async () => {
      runner.close();
      ports?.close();
      await routes.settled();
      await routes.clear();
      device.close();
      store.close();
    },
  };
  return service;
};

export const packetCounters = (device: MobileIpDevice): Record<string, number> => ({
  read: device.packetsRead,
  written: device.packetsWritten,
  writeErrors: device.writeErrors,
  inUse: device.pool.capacity - device.pool.available,
});
