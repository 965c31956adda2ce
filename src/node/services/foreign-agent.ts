/**
 * A station's foreign agent. Requests are read from a raw socket, because their TTL must be seen (RFC 3024 section 4.2.1). Visitors
 * are one route and one rule each: towards them out of the space link, and from them, when they asked for a reverse tunnel, to mip0.
 */
import { seconds } from '../../core/index.ts';
import { MachineRunner } from '../../io/machine-runner.ts';
import { associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import { DEVICE_NAME, MobileIpDevice } from '../../io/mobileip-device.ts';
import { MobileIpPorts } from '../../io/mobileip-udp.ts';
import { loadNative } from '../../io/native.ts';
import { formatIpv4, ipv4Destination, ipv4Protocol, ipv4Source, PROTOCOL, uint16, uint32 } from '../../ip/index.ts';
import {
  ALL_MOBILITY_AGENTS,
  describeForeignAgentEvent,
  FOREIGN_AGENT_DEFAULTS,
  ForeignAgent,
  type ForeignAgentEvent,
  type ForeignAgentTransmit,
  ForeignAgentTunnel,
  ICMP_ROUTER_SOLICITATION,
  MESSAGE,
  MOBILE_IP_PORT,
  parseIcmpDatagram,
  parseUdpDatagram,
  TUNNEL_HEADER_OCTETS,
  TunnelState,
} from '../../mobileip/index.ts';
import { foreignAgentSettings } from '../../mobileip/settings.ts';
import {
  careOfAddressOf,
  History,
  KernelRoutes,
  LinkWatch,
  placeOf,
  ROUTE_PROTOCOL,
  ROUTE_TABLE,
  RouterRoutes,
  RULE_PRIORITY,
  spaceAddress,
} from '../mobileip-node.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';
import { packetCounters } from './home-agent.ts';

export const startForeignAgent: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = foreignAgentSettings.parse(context.settings ?? {});
  const native = await loadNative();
  const place = placeOf(context);
  const { node } = place;
  const address = ipv4Of(spaceAddress(node));
  const careOfAddress = ipv4Of(careOfAddressOf(node));
  const space = node.tun!.name;
  const linkNames = place.links.map(({ link }) => link.name);
  const pathMtu = node.interfaces[0]?.mtuOctets ?? 1500;
  const agent = new ForeignAgent(
    {
      ...FOREIGN_AGENT_DEFAULTS,
      address,
      careOfAddress,
      ownAddresses: [
        address,
        ...node.interfaces.flatMap(({ addresses }) => addresses.filter((a) => !a.includes(':')).map(ipv4Of)),
      ],
      advertisement: settings.advertisement,
      advertisementInterval: settings.advertisementIntervalSeconds,
      advertisementLifetime: settings.advertisementLifetimeSeconds,
      maximumLifetime: settings.maximumLifetimeSeconds,
      maximumVisitors: settings.maximumVisitors,
      reverseTunnel: settings.reverseTunnel,
      encapsulatingDelivery: settings.encapsulatingDelivery,
      challenge: settings.challenge,
      homeAgentNetworks: settings.homeAgentNetworks.map(prefixOfText),
      mobileAssociations: associationsOf(
        settings.mobileNodes.map((each) => ({ peer: ipv4Of(each.homeAddress), ...each })),
      ),
      homeAssociations: associationsOf(settings.homeAgents.map((each) => ({ peer: ipv4Of(each.address), ...each }))),
      // A node without home address would have to be answered by broadcast; no link of a testbed needs it.
      zeroHomeAddress: false,
      wallTime: () => context.clock.now(),
      hmac,
      random: random32,
    },
    linkNames,
  );
  const device = new MobileIpDevice({
    native,
    sources: ['tunnel', 'icmp', 'udp'],
    receive: (packet, from, now) => {
      const { arena, start } = packet;
      if (from === 'device') tunnel.fromLink(packet, now);
      else if (from === 'tunnel') {
        // Encapsulating delivery is addressed to the agent itself.
        if (agent.visitors.find(ipv4Source(arena, start)) !== undefined) tunnel.fromLink(packet, now);
        else tunnel.receive(packet, now);
      } else {
        if (from === 'icmp') onIcmp(packet.view(), now);
        else onUdp(packet.view());
        device.pool.release(packet);
      }
    },
  });
  const tunnel = new ForeignAgentTunnel({
    address: careOfAddress,
    agentAddress: address,
    pool: device.pool,
    state: new TunnelState(pathMtu),
    visitors: agent.visitors,
    returnStations: [],
    holdOctets: settings.holdOctets,
    holdTime: seconds(settings.holdSeconds),
    send: (packet) => device.send(packet),
    deliver: (packet) => device.send(packet),
  });
  const history = new History(() => context.clock.now());
  const routes = new KernelRoutes((line) => context.log(line));
  const router = new RouterRoutes(place, (line) => context.log(line));
  /** Home addresses that have a route to their link: visitors, and who has asked to become one. */
  const reachable = new Map<number, string>();
  const ruled = new Set<number>();
  let ports: MobileIpPorts | undefined;
  let watch: LinkWatch | undefined;

  const linkOf = (): string => linkNames.find((name) => watch?.isUp(name)) ?? linkNames[0] ?? '';
  const setRouter = () =>
    router.set([...reachable].map(([home, link]) => ({ prefix: `${formatIpv4(home)}/32`, link })));
  const reach = (home: number, link: string): void => {
    if (reachable.get(home) === link) return;
    reachable.set(home, link);
    void routes.change([`route replace ${formatIpv4(home)}/32 dev ${space} proto ${ROUTE_PROTOCOL}`]);
    void setRouter();
  };
  const onUdp = (octets: Uint8Array): void => {
    // Cheap first: everything else that this host receives in UDP passes here too.
    const at = (octets[0]! & 15) << 2;
    if (uint16(octets, at + 2) !== MOBILE_IP_PORT || octets[at + 8] !== MESSAGE.registrationRequest) return;
    const datagram = parseUdpDatagram(octets);
    if (datagram === undefined) return;
    const home = uint32(datagram.payload, 4);
    const link = linkOf();
    // The reply needs a way back; someone without a home address, or with one of ours, gets none.
    if (home !== 0 && home !== address && home !== careOfAddress) reach(home, link);
    runner.input({ kind: 'request', link, datagram });
  };
  const onIcmp = (octets: Uint8Array, now: ReturnType<MobileIpDevice['now']>): void => {
    const at = (octets[0]! & 15) << 2;
    if (octets[at] === ICMP_ROUTER_SOLICITATION) {
      const message = parseIcmpDatagram(octets);
      if (message !== undefined) runner.input({ kind: 'solicitation', link: linkOf(), message });
    } else if (octets[at] === 3 && octets.length >= at + 36 && ipv4Protocol(octets, at + 8) === PROTOCOL.udp) {
      if (ipv4Source(octets, at + 8) === careOfAddress)
        runner.input({ kind: 'unreachable', homeAgent: ipv4Destination(octets, at + 8), code: octets[at + 1]! });
    } else tunnel.handleIcmp(octets, now);
  };
  const onTransmit = (sent: ForeignAgentTransmit): void => {
    if (sent.kind === 'icmp') device.sendMulticast(sent.message.destination, sent.message.payload);
    else if (sent.link === undefined) ports?.send(sent.datagram);
    // Towards a mobile node its route must be there first.
    else void Promise.all([routes.settled(), setRouter()]).then(() => ports?.send(sent.datagram));
  };
  const onEvent = (event: ForeignAgentEvent): void => {
    const text = describeForeignAgentEvent(event);
    context.log(text);
    if (event.kind !== 'discarded' && event.kind !== 'advertised') history.add(text);
    if (event.kind === 'visitor') {
      const { homeAddress, link, reverseTunnel, delivery } = event.visitor;
      reach(homeAddress, link);
      // With encapsulating delivery the mobile node chooses: what it does not encapsulate goes its way.
      const rule = reverseTunnel && delivery === 'direct';
      if (rule !== ruled.has(homeAddress)) {
        if (rule) ruled.add(homeAddress);
        else ruled.delete(homeAddress);
        void routes.change([ruleOf(rule ? 'add' : 'del', homeAddress, space)], true);
      }
    } else if (event.kind === 'departed') {
      const { visitor, why } = event;
      reachable.delete(visitor.homeAddress);
      const lines = [`route del ${formatIpv4(visitor.homeAddress)}/32 dev ${space} proto ${ROUTE_PROTOCOL}`];
      if (ruled.delete(visitor.homeAddress)) lines.push(ruleOf('del', visitor.homeAddress, space));
      void routes.change(lines, true);
      void setRouter();
      tunnel.departed(visitor, why === 'revoked', device.now());
    }
  };
  const runner = new MachineRunner(agent, () => device.now(), onTransmit, onEvent);
  try {
    await routes.clear();
    await router.set([]);
    await routes.change([
      `link set dev ${DEVICE_NAME} mtu ${pathMtu - TUNNEL_HEADER_OCTETS} up`,
      `route replace default dev ${DEVICE_NAME} table ${ROUTE_TABLE}`,
      `route replace 224.0.0.0/24 dev ${space} proto ${ROUTE_PROTOCOL}`,
    ]);
    ports = await MobileIpPorts.open([careOfAddress, address], (datagram) => {
      if (datagram.payload[0] !== MESSAGE.registrationRequest) runner.input({ kind: 'datagram', datagram });
    });
    ports.join(ALL_MOBILITY_AGENTS, address);
  } catch (error) {
    device.close();
    throw error;
  }
  watch = new LinkWatch(context, place, (link, up) => {
    context.log(`event=link link=${link} up=${up}`);
    if (up) tunnel.linkUp(link, device.now());
    else tunnel.linkDown(link);
    runner.input({ kind: 'link', link, up });
  });
  watch.start();
  const held = setInterval(() => tunnel.handleTimeout(device.now()), 1000);
  context.log(
    `event=started address=${formatIpv4(address)} care-of=${formatIpv4(careOfAddress)} links=${linkNames.join(',')}`,
  );

  return {
    name: 'foreignAgent',
    status: () => ({
      address: formatIpv4(address),
      careOfAddress: formatIpv4(careOfAddress),
      visitors: [...agent.visitors.all()].map((visitor) => ({
        homeAddress: formatIpv4(visitor.homeAddress),
        homeAgent: formatIpv4(visitor.homeAgent),
        link: visitor.link,
        remainingSeconds: Math.round((visitor.expiresAt - device.now()) / 1e9),
        reverseTunnel: visitor.reverseTunnel,
        delivery: visitor.delivery,
      })),
      pending: agent.visitors.pendingRequests.length,
      held: tunnel.heldPackets,
      messages: agent.counters.snapshot(),
      tunnel: tunnel.counters.snapshot(),
      packets: packetCounters(device),
      history: history.list(),
    }),
    close: async () => {
      clearInterval(held);
      watch?.close();
      agent.drain(device.now());
      runner.drain();
      // One chance for the revocations and the last advertisement to leave.
      await new Promise((resolve) => setTimeout(resolve, 50));
      runner.close();
      ports?.close();
      await routes.settled();
      await routes.clear();
      device.close();
    },
  };
};

const ruleOf = (verb: 'add' | 'del', home: number, device: string): string =>
  `rule ${verb} iif ${device} from ${formatIpv4(home)} lookup ${ROUTE_TABLE} priority ${RULE_PRIORITY}`;
