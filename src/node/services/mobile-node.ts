/**
 * The mobile node of a spacecraft. Its own packets leave by the kernel's default route on the space device; which station they
 * go to is the user-space router's default route, and that is what a handover changes. mip0 is used only where the node itself
 * encapsulates: with an address of its own, with encapsulating delivery, and for mobile networks.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OmniError, seconds } from '../../core/index.ts';
import { ArpBroadcast } from '../../io/mobileip-arp.ts';
import { associationOf, associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import { formatIpv4, ipv4Source } from '../../ip/index.ts';
import {
  describeMobileNodeEvent,
  emitUdpDatagram,
  ICMP_ROUTER_ADVERTISEMENT,
  keepaliveDatagram,
  MESSAGE,
  MOBILE_NODE_DEFAULTS,
  MobileNode,
  type MobileNodeEvent,
  type MobileNodeInput,
  type MobileNodeTransmit,
  MobileNodeTunnel,
  parseIcmpDatagram,
  type Registration,
  TUNNEL_HEADER_OCTETS,
  TunnelState,
  UDP_TUNNEL_HEADER_OCTETS,
  type UdpDatagram,
} from '../../mobileip/index.ts';
import { mobileNodeSettings } from '../../mobileip/settings.ts';
import { AgentLife, remainingSeconds } from '../mobileip-agent.ts';
import { MobileNodeRoutes } from '../mobileip-mobile-routes.ts';
import { LinkWatch, placeOf, ROUTE_TABLE, RouterRoutes, SPACE_TABLE, spaceAddress } from '../mobileip-node.ts';
import { addressesOf, CarrierWatch, homeLink, stationLinks } from '../mobileip-stations.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

/** Registrations that `omni mip` lists. */
const RECENT = 8;

export const startMobileNode: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = mobileNodeSettings.parse(context.settings ?? {});
  const place = placeOf(context);
  const { node } = place;
  const homeAddress = ipv4Of(settings.homeAddress ?? spaceAddress(node));
  const homeAgent = ipv4Of(settings.homeAgent);
  const networks = settings.networks.map(prefixOfText);
  const links = stationLinks(place, settings);
  const home = homeLink(place, homeAddress);
  if (links.every(({ discovery }) => discovery === 'none') && home === undefined)
    throw new OmniError('OMNI_NO_AGENT', `no link of ${node.name} leads to a foreign agent`, {
      remedy: 'give the ground stations `foreignAgent: {}`, or the mobile node `careOfAddresses`',
    });
  const ownAddresses = links.flatMap(({ careOfAddress }) => (careOfAddress === undefined ? [] : [careOfAddress]));
  const linkOfAgent = new Map(links.flatMap(({ name, agent }) => (agent === undefined ? [] : [[agent.address, name]])));
  const stateFile = join(context.stateDirectory, 'identification.json');
  const machine = new MobileNode({
    ...MOBILE_NODE_DEFAULTS,
    homeAddress,
    homeAgent,
    homeAssociation: associationOf(settings.security),
    foreignAssociations: associationsOf(
      settings.foreignAgents.map((each) => ({ peer: ipv4Of(each.address), ...each })),
    ),
    links: home === undefined ? links : [...links, homeStation(home.device)],
    lifetime: settings.lifetimeSeconds,
    reverseTunnel: settings.reverseTunnel,
    delivery: settings.delivery,
    simultaneousBindings: settings.simultaneousBindings,
    udpTunnel: settings.udpTunnel,
    networks,
    handover: settings.handover,
    lastIdentification: readIdentification(stateFile),
    wallTime: () => context.clock.now(),
    hmac,
    random: random32,
  });
  const latencies: number[] = [];
  const recent: {
    at: string;
    change: string;
    link: string;
    careOfAddress: string;
    latencyMs: number;
    attempts: number;
  }[] = [];
  let arp: ArpBroadcast | undefined;
  /** By which link the latest request went: replies from the home agent itself came by it. */
  let registering: string | undefined;
  let keepalives = 0;

  const onEvent = (event: MobileNodeEvent): void => {
    if (event.kind === 'requested') {
      registering = event.link;
      if (ownAddresses.length > 0) void setLinks();
    } else if (event.kind === 'registered' || event.kind === 'resumed') attach(event.registration);
    else if (event.kind === 'at-home') void routes.setDefault('home');
    else if (event.kind === 'detached') tunnel.attachment = undefined;
    else if (event.kind === 'keepalive') sendKeepalive();
    if (event.kind === 'registered') {
      latencies.push(event.latency / 1e6);
      if (latencies.length > 1000) latencies.shift();
      remember(event);
    }
    if (event.kind === 'registered' || event.kind === 'at-home')
      writeIdentification(stateFile, machine.identification.lastAccepted);
  };
  const remember = ({ change, registration, latency, attempts }: Extract<MobileNodeEvent, { kind: 'registered' }>) => {
    recent.push({
      at: new Date(Number(context.clock.now() / 1_000_000n)).toISOString(),
      change,
      link: registration.link,
      careOfAddress: formatIpv4(registration.careOfAddress),
      latencyMs: Number((latency / 1e6).toFixed(1)),
      attempts,
    });
    if (recent.length > RECENT) recent.shift();
  };
  const attach = (registration: Registration): void => {
    tunnel.attachment = registration;
    registering = registration.link;
    const encapsulates = registration.coLocated || registration.delivery === 'encapsulating';
    void routes.setDefault(registration.reverseTunnel && encapsulates ? 'tunnel' : 'space');
    void setLinks();
  };
  const setLinks = () =>
    routes.setLinks(
      machine.registration?.link,
      links.some(({ name, careOfAddress }) => name === registering && careOfAddress !== undefined)
        ? registering
        : undefined,
    );
  const sendKeepalive = (): void => {
    const packet = life.device.pool.copyOf(keepaliveDatagram(homeAddress, homeAgent, ++keepalives));
    if (packet !== undefined) tunnel.output(packet, life.device.now());
  };
  const onIcmp = (octets: Uint8Array): void => {
    const at = (octets[0]! & 15) << 2;
    if (octets[at] !== ICMP_ROUTER_ADVERTISEMENT) return;
    const link = linkOfAgent.get(ipv4Source(octets, 0));
    const message = parseIcmpDatagram(octets);
    if (link !== undefined && message !== undefined) life.runner.input({ kind: 'advertisement', link, message });
  };
  const onDatagram = (datagram: UdpDatagram): void => {
    if (datagram.payload[0] === MESSAGE.tunnelData) {
      const packet = life.device.pool.copyOf(emitUdpDatagram(datagram));
      if (packet !== undefined) tunnel.receiveUdp(packet, life.device.now());
      return;
    }
    const link = linkOfAgent.get(datagram.source) ?? (datagram.source === homeAgent ? registering : undefined);
    if (link !== undefined) life.runner.input({ kind: 'datagram', link, datagram });
  };
  const transmit = (sent: MobileNodeTransmit): void => {
    if (sent.kind === 'icmp') life.device.sendMulticast(sent.message.destination, sent.message.payload);
    else if (sent.datagram.destination !== homeAgent) life.ports?.send(sent.datagram);
    // The way to the home agent depends on the link.
    else void Promise.all([life.routes.settled(), router.settled()]).then(() => life.ports?.send(sent.datagram));
  };
  const life = await AgentLife.open<MobileNodeInput, MobileNodeTransmit, MobileNodeEvent>(context, {
    machine,
    sources: ['icmp', 'tunnel'],
    receive: (packet, from, now) => {
      if (from === 'device') tunnel.output(packet, now);
      else if (from === 'tunnel') tunnel.receive(packet, now);
      else {
        onIcmp(packet.view());
        tunnel.handleIcmp(packet.view(), now);
        life.device.pool.release(packet);
      }
    },
    describe: describeMobileNodeEvent,
    remember: ({ kind }) => kind !== 'discarded',
    onEvent,
    transmit,
    tunnelCounters: () => tunnel.counters.snapshot(),
  });
  const mtu = node.tun?.mtuOctets ?? 1500;
  const tunnel = new MobileNodeTunnel({
    address: homeAddress,
    homeAgent,
    networks,
    pool: life.device.pool,
    state: new TunnelState(mtu),
    send: (packet) => life.device.send(packet),
  });
  const router = new RouterRoutes(place, (line) => context.log(line));
  const assigned = new Set(addressesOf(node).map(ipv4Of));
  const routes = new MobileNodeRoutes({
    kernel: life.routes,
    router,
    space: node.tun?.name ?? '',
    homeAddress,
    homeAgent,
    networks,
    lans: node.interfaces.map(({ name }) => name).filter((name) => name !== home?.device),
    links,
    home,
    addresses: [homeAddress, ...ownAddresses].filter((address) => !assigned.has(address)),
  });
  await life.start({
    // The dearest of the tunnels that it may need.
    mtuOctets: mtu - Math.max(UDP_TUNNEL_HEADER_OCTETS, 2 * TUNNEL_HEADER_OCTETS),
    before: async () => {
      await setLinks();
      if (home === undefined) return;
      arp = new ArpBroadcast(life.native, home.device);
      // Away from home the LAN's own route must not hide the one to the space link.
      writeFileSync(`/proc/sys/net/ipv4/conf/${home.device}/ignore_routes_with_linkdown`, '1');
    },
    routes: () => routes.startLines(),
    tables: [ROUTE_TABLE, SPACE_TABLE],
    addresses: [homeAddress, ...ownAddresses],
    receive: onDatagram,
  });
  // At home before anywhere else.
  const carrier =
    home === undefined
      ? undefined
      : new CarrierWatch(home.device, (up) => {
          context.log(`event=link link=${home.device} up=${up}`);
          void routes.setDefault(up ? 'home' : 'space');
          // RFC 5944 section 4.6: the LAN first, then the home agent.
          if (up) arp?.announce(homeAddress);
          else arp?.silence(homeAddress);
          life.runner.input({ kind: 'link', link: home.device, up });
        });
  const known = new Set(links.map(({ name }) => name));
  const watch = new LinkWatch(context, place, (link, up) => {
    context.log(`event=link link=${link} up=${up}`);
    if (known.has(link)) life.runner.input({ kind: 'link', link, up });
  });
  watch.start();
  context.log(
    `event=started home=${formatIpv4(homeAddress)} home-agent=${settings.homeAgent} links=${[...known].join(',')} lan=${home?.device ?? 'none'}`,
  );

  return {
    name: 'mobileNode',
    status: () => ({
      homeAddress: formatIpv4(homeAddress),
      homeAgent: settings.homeAgent,
      state: machine.state,
      ...(machine.registration === undefined
        ? {}
        : { registration: describe(machine.registration, life.device.now()) }),
      registrations: latencies.length,
      registrationLatencyMs: summary(latencies),
      recent,
      ...life.status(),
    }),
    close: async () => {
      watch.close();
      carrier?.close();
      arp?.close();
      await life.close(() => machine.deregister(life.device.now()), routes.endLines());
    },
  };
};

const homeStation = (device: string) => ({
  name: device,
  discovery: 'home' as const,
  registrationTime: seconds(1),
});

const describe = (registration: Registration, now: Parameters<typeof remainingSeconds>[1]) => ({
  link: registration.link,
  agent: formatIpv4(registration.agent),
  careOfAddress: formatIpv4(registration.careOfAddress),
  coLocated: registration.coLocated,
  udpTunnel: registration.udpTunnel,
  networks: registration.networks,
  lifetimeSeconds: registration.lifetime,
  remainingSeconds: remainingSeconds(registration.expiresAt, now),
});

function summary(values: readonly number[]): Record<string, number> | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1));
  return { minimum: at(0), median: at(0.5), maximum: at(1) };
}

function readIdentification(file: string): bigint {
  try {
    return BigInt((JSON.parse(readFileSync(file, 'utf8')) as { lastAccepted: string }).lastAccepted);
  } catch {
    // None yet, or cut short by a crash: the home agent's first denial then tells the time.
    return 0n;
  }
}

function writeIdentification(file: string, lastAccepted: bigint): void {
  writeFileSync(`${file}.new`, `${JSON.stringify({ lastAccepted: String(lastAccepted) })}\n`);
  renameSync(`${file}.new`, file);
}
