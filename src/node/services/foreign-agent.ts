/**
 * A station's foreign agent. Requests are read from a raw socket, because their TTL must be seen (RFC 3024 section 4.2.1). Visitors
 * are one route and one rule each: towards them out of the space link, and from them, when they asked for a reverse tunnel, to mip0.
 */
import { writeFileSync } from 'node:fs';
import { OmniError, type PacketBuffer, seconds } from '../../core/index.ts';
import { associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import {
  formatIpv4,
  type Ipv4Address,
  ipv4Destination,
  ipv4Protocol,
  ipv4Source,
  PROTOCOL,
  uint16,
} from '../../ip/index.ts';
import {
  ALL_MOBILITY_AGENTS,
  DEPARTURE_GRACE,
  describeForeignAgentEvent,
  FOREIGN_AGENT_DEFAULTS,
  ForeignAgent,
  type ForeignAgentEvent,
  type ForeignAgentInput,
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
import { type ForeignAgentSettings, foreignAgentSettings, type MobileNodeSettings } from '../../mobileip/settings.ts';
import type { ResolvedNode, ResolvedScenario } from '../../scenario/resolved.ts';
import { AgentLife, remainingSeconds } from '../mobileip-agent.ts';
import {
  careOfAddressOf,
  LinkWatch,
  placeOf,
  ROUTE_TABLE,
  RouterRoutes,
  RULE_PRIORITY,
  spaceAddress,
} from '../mobileip-node.ts';
import { VisitorRoutes } from '../mobileip-visitor-routes.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

/** A reply that was sent is out of the kernel by then. */
const FORGET_AFTER_MILLISECONDS = 1000;

export const startForeignAgent: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = foreignAgentSettings.parse(context.settings ?? {});
  const place = placeOf(context);
  const { node } = place;
  const address = ipv4Of(spaceAddress(node));
  const careOfAddress = ipv4Of(careOfAddressOf(node));
  const space = node.tun!.name;
  const linkNames = place.links.map(({ link }) => link.name);
  const pathMtu = node.interfaces[0]?.mtuOctets ?? 1500;
  const own = new Set([
    address,
    ...node.interfaces.flatMap(({ addresses }) => addresses.filter((a) => !a.includes(':')).map(ipv4Of)),
  ]);
  const returnTo = settings.returnTo === undefined ? undefined : stationNamed(place.scenario, settings.returnTo);
  const returnStations = stationsThatReturnTo(place.scenario, node.name);
  const agent = new ForeignAgent(
    {
      ...FOREIGN_AGENT_DEFAULTS,
      address,
      careOfAddress,
      ownAddresses: [...own],
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
      returnStations,
      // A node without home address would have to be answered by broadcast; no link of a testbed needs it.
      zeroHomeAddress: false,
      wallTime: () => context.clock.now(),
      hmac,
      random: random32,
    },
    linkNames,
  );
  const life = await AgentLife.open<ForeignAgentInput, ForeignAgentTransmit, ForeignAgentEvent>(context, {
    machine: agent,
    sources: ['tunnel', 'icmp', 'udp'],
    // From the Internet nobody may ask for a route.
    udpInterface: space,
    receive: (packet, from, now) => {
      const { arena, start } = packet;
      if (from === 'device') tunnel.fromLink(packet, now);
      else if (from === 'tunnel') {
        // Encapsulating delivery is addressed to the agent itself.
        if (agent.visitors.find(ipv4Source(arena, start)) !== undefined) tunnel.fromLink(packet, now);
        else tunnel.receive(packet, now);
      } else {
        if (from === 'icmp') onIcmp(packet.view());
        else onUdp(packet.view());
        life.device.pool.release(packet);
      }
    },
    describe: describeForeignAgentEvent,
    remember: ({ kind }) => kind !== 'discarded' && kind !== 'advertised',
    onEvent: (event) => onEvent(event),
    transmit: (sent) => onTransmit(sent),
    tunnelCounters: () => tunnel.counters.snapshot(),
  });
  const { device } = life;
  const tunnel = new ForeignAgentTunnel({
    address: careOfAddress,
    agentAddress: address,
    pool: device.pool,
    state: new TunnelState(pathMtu),
    visitors: agent.visitors,
    returnStations,
    ...(returnTo === undefined ? {} : { returnTo }),
    fromReturnStation: (packet, station) => onHeardElsewhere(packet, station),
    holdOctets: settings.holdOctets,
    holdTime: seconds(settings.holdSeconds),
    send: (packet) => device.send(packet),
    deliver: (packet) => device.send(packet),
  });
  const router = new RouterRoutes(place, (line) => context.log(line));
  const visitors = new VisitorRoutes({
    native: life.native,
    router,
    space,
    own,
    log: (line) => context.log(line),
  });
  let watch: LinkWatch | undefined;

  /** The device does not tell by which link a packet came: by the one whose other end has this address, else by one that is up. */
  const linkOf = (source: Ipv4Address): string => {
    const known = place.links.filter(({ peer }) => homeAddressOf(peer) === source).map(({ link }) => link.name);
    const candidates = known.length > 0 ? known : linkNames;
    return candidates.find((name) => watch?.isUp(name)) ?? candidates[0] ?? '';
  };
  const forget = (home: Ipv4Address): void => {
    const expected = agent.visitors.pendingRequests.some(({ homeAddress }) => homeAddress === home);
    if (agent.visitors.find(home) === undefined && !expected) visitors.forget(home);
  };
  const onUdp = (octets: Uint8Array, returnStation?: Ipv4Address): void => {
    // Cheap first: everything else that this host receives in UDP passes here too.
    const at = (octets[0]! & 15) << 2;
    if (uint16(octets, at + 2) !== MOBILE_IP_PORT || octets[at + 8] !== MESSAGE.registrationRequest) return;
    const datagram = parseUdpDatagram(octets);
    if (datagram === undefined) return;
    const link = linkOf(datagram.source);
    life.runner.input({ kind: 'request', link, datagram, ...(returnStation === undefined ? {} : { returnStation }) });
  };
  /** What a mobile node of ours sent by another station's return link. */
  const onHeardElsewhere = (packet: PacketBuffer, station: Ipv4Address): void => {
    const { arena, start } = packet;
    const destination = ipv4Destination(arena, start);
    const ours = destination === address || destination === careOfAddress;
    if (!ours || ipv4Protocol(arena, start) !== PROTOCOL.udp) tunnel.fromLink(packet, device.now());
    else {
      onUdp(packet.view(), station);
      device.pool.release(packet);
    }
  };
  const onIcmp = (octets: Uint8Array): void => {
    const at = (octets[0]! & 15) << 2;
    if (octets[at] === ICMP_ROUTER_SOLICITATION) {
      const message = parseIcmpDatagram(octets);
      if (message !== undefined) life.runner.input({ kind: 'solicitation', link: linkOf(message.source), message });
    } else if (octets[at] === 3 && octets.length >= at + 36 && ipv4Protocol(octets, at + 8) === PROTOCOL.udp) {
      if (ipv4Source(octets, at + 8) === careOfAddress)
        life.runner.input({ kind: 'unreachable', homeAgent: ipv4Destination(octets, at + 8), code: octets[at + 1]! });
    } else tunnel.handleIcmp(octets, device.now());
  };
  const onTransmit = (sent: ForeignAgentTransmit): void => {
    if (sent.kind === 'icmp') device.sendMulticast(sent.message.destination, sent.message.payload);
    else if (sent.link === undefined) life.ports?.send(sent.datagram);
    else {
      const { link, datagram } = sent;
      // Towards a mobile node its route must be there first; who was denied and is no visitor loses it again.
      void visitors.reach(datagram.destination, link).then(() => {
        life.ports?.send(datagram);
        setTimeout(() => forget(datagram.destination), FORGET_AFTER_MILLISECONDS);
      });
    }
  };
  const onEvent = (event: ForeignAgentEvent): void => {
    // While the home agent is asked: the reply will find the route in place.
    if (event.kind === 'relayed') void visitors.reach(event.homeAddress, event.link);
    else if (event.kind === 'visitor') {
      const { homeAddress, link, reverseTunnel, delivery } = event.visitor;
      void visitors.reach(homeAddress, link);
      // With encapsulating delivery the mobile node chooses: what it does not encapsulate goes its way.
      visitors.setReverse(homeAddress, reverseTunnel && delivery === 'direct');
    } else if (event.kind === 'departed') {
      const { visitor, why } = event;
      const moved = why === 'moved';
      tunnel.departed(visitor, moved, device.now());
      // Its own traffic still comes by here until it knows that it has moved.
      if (moved) setTimeout(() => leave(visitor.homeAddress), DEPARTURE_GRACE / 1e6).unref();
      else leave(visitor.homeAddress);
    }
  };
  const leave = (home: Ipv4Address): void => {
    if (agent.visitors.find(home) !== undefined) return;
    visitors.setReverse(home, false);
    forget(home);
  };
  const ports = await life.start({
    mtuOctets: pathMtu - TUNNEL_HEADER_OCTETS,
    before: async () => void (await router.set([])),
    routes: () => [
      ...VisitorRoutes.startLines(space),
      // All that is heard goes to the station that transmits.
      ...(returnTo === undefined ? [] : [`rule add iif ${space} lookup ${ROUTE_TABLE} priority ${RULE_PRIORITY}`]),
    ],
    tables: [ROUTE_TABLE],
    addresses: [careOfAddress, address],
    receive: (datagram) => {
      if (datagram.payload[0] !== MESSAGE.registrationRequest) life.runner.input({ kind: 'datagram', datagram });
    },
  });
  silenceMembershipReports();
  ports.join(ALL_MOBILITY_AGENTS, address);
  watch = new LinkWatch(context, place, (link, up) => {
    context.log(`event=link link=${link} up=${up}`);
    if (up) tunnel.linkUp(link, device.now());
    else tunnel.linkDown(link);
    life.runner.input({ kind: 'link', link, up });
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
        remainingSeconds: remainingSeconds(visitor.expiresAt, device.now()),
        reverseTunnel: visitor.reverseTunnel,
        delivery: visitor.delivery,
      })),
      pending: agent.visitors.pendingRequests.length,
      held: tunnel.heldPackets,
      ...(settings.returnTo === undefined ? {} : { returnTo: settings.returnTo }),
      ...life.status(),
    }),
    close: async () => {
      clearInterval(held);
      watch?.close();
      await life.close(() => agent.drain(device.now()));
      visitors.close();
    },
  };
};

/** Of a node that can become a visitor. */
function homeAddressOf(node: ResolvedNode): Ipv4Address | undefined {
  const settings = node.services.mobileNode as Partial<MobileNodeSettings> | undefined;
  const given = settings?.homeAddress ?? node.tun?.addresses.find((each) => !each.includes(':'));
  return given === undefined ? undefined : ipv4Of(given.split('/')[0]!);
}

/**
 * No IGMP for groups of the link itself: nobody on a space link forwards by it, and a report takes 190 ms of a 2 kbit/s uplink, just when
 * the first reply is to be sent. On LANs switches pass those groups to everyone (RFC 4541 section 2.1.2).
 */
function silenceMembershipReports(): void {
  try {
    writeFileSync('/proc/sys/net/ipv4/igmp_link_local_mcast_reports', '0');
  } catch {
    // A kernel without the setting: the reports come.
  }
}

function stationNamed(scenario: ResolvedScenario, name: string): Ipv4Address {
  const station = scenario.nodes.find((node) => node.name === name);
  if (station?.services.foreignAgent === undefined)
    throw new OmniError('OMNI_NO_AGENT', `returnTo: there is no station '${name}' with a foreign agent`, {
      remedy: "name the node that transmits to the spacecraft, and give it 'foreignAgent: {}'",
    });
  return ipv4Of(careOfAddressOf(station));
}

const stationsThatReturnTo = (scenario: ResolvedScenario, name: string): Ipv4Address[] =>
  scenario.nodes
    .filter(({ services }) => (services.foreignAgent as Partial<ForeignAgentSettings> | undefined)?.returnTo === name)
    .map((node) => ipv4Of(careOfAddressOf(node)));
