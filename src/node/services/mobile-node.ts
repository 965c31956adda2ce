/**
 * The mobile node of a spacecraft. Its own packets leave by the kernel's default route on the space device; which station they
 * go to is the user-space router's default route, and that is what a handover changes. mip0 is used only where the node itself
 * encapsulates: with encapsulating delivery and for mobile networks.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Duration, OmniError } from '../../core/index.ts';
import { MachineRunner } from '../../io/machine-runner.ts';
import { associationOf, associationsOf, hmac, ipv4Of, prefixOfText, random32 } from '../../io/mobileip-crypto.ts';
import { DEVICE_NAME, MobileIpDevice } from '../../io/mobileip-device.ts';
import { MobileIpPorts } from '../../io/mobileip-udp.ts';
import { loadNative } from '../../io/native.ts';
import { formatIpv4, formatPrefix, ipv4Source } from '../../ip/index.ts';
import {
  describeMobileNodeEvent,
  ICMP_ROUTER_ADVERTISEMENT,
  MOBILE_NODE_DEFAULTS,
  MobileNode,
  type MobileNodeEvent,
  type MobileNodeTransmit,
  MobileNodeTunnel,
  parseIcmpDatagram,
  registrationTime,
  TUNNEL_HEADER_OCTETS,
  TunnelState,
} from '../../mobileip/index.ts';
import { mobileNodeSettings } from '../../mobileip/settings.ts';
import type { ResolvedLink } from '../../scenario/resolved.ts';
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

/** From a station to the home agent and back, for the first wait; the machine doubles it as needed. */
const GROUND_ROUND_TRIP_NANOSECONDS = 200e6;

export const startMobileNode: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = mobileNodeSettings.parse(context.settings ?? {});
  const native = await loadNative();
  const place = placeOf(context);
  const { node } = place;
  const space = node.tun?.name ?? '';
  const homeAddress = ipv4Of(settings.homeAddress ?? spaceAddress(node));
  const homeAgent = ipv4Of(settings.homeAgent);
  const networks = settings.networks.map(prefixOfText);
  const stations = place.links.filter(({ peer }) => peer.services.foreignAgent !== undefined);
  if (stations.length === 0)
    throw new OmniError('OMNI_NO_AGENT', `no link of ${node.name} leads to a foreign agent`, {
      remedy: 'give the ground stations `foreignAgent: {}`',
    });
  const linkOfAgent = new Map(stations.map(({ link, peer }) => [ipv4Of(spaceAddress(peer)), link.name]));
  const stateFile = join(context.stateDirectory, 'identification.json');
  const machine = new MobileNode({
    ...MOBILE_NODE_DEFAULTS,
    homeAddress,
    homeAgent,
    homeAssociation: associationOf(settings.security),
    foreignAssociations: associationsOf(
      settings.foreignAgents.map((each) => ({ peer: ipv4Of(each.address), ...each })),
    ),
    links: stations.map(({ link, peer }) => ({
      name: link.name,
      discovery: settings.discovery,
      agent: { address: ipv4Of(spaceAddress(peer)), careOfAddress: ipv4Of(careOfAddressOf(peer)) },
      registrationTime: registrationTimeOf(link, node.name),
    })),
    lifetime: settings.lifetimeSeconds,
    reverseTunnel: settings.reverseTunnel,
    delivery: settings.delivery,
    simultaneousBindings: settings.simultaneousBindings,
    networks,
    handover: settings.handover,
    lastIdentification: readIdentification(stateFile),
    wallTime: () => context.clock.now(),
    hmac,
    random: random32,
  });
  const encapsulates = settings.delivery === 'encapsulating' || networks.length > 0;
  const device = new MobileIpDevice({
    native,
    sources: encapsulates ? ['icmp', 'tunnel'] : ['icmp'],
    receive: (packet, from, now) => {
      if (from === 'device') tunnel.output(packet, now);
      else if (from === 'tunnel') tunnel.receive(packet, now);
      else {
        onIcmp(packet.view());
        tunnel.handleIcmp(packet.view(), now);
        device.pool.release(packet);
      }
    },
  });
  const mtu = node.tun?.mtuOctets ?? 1500;
  const tunnel = new MobileNodeTunnel({
    address: homeAddress,
    homeAgent,
    networks,
    pool: device.pool,
    state: new TunnelState(mtu),
    send: (packet) => device.send(packet),
  });
  const history = new History(() => context.clock.now());
  const routes = new KernelRoutes((line) => context.log(line));
  const router = new RouterRoutes(place, (line) => context.log(line));
  const latencies: number[] = [];
  let ports: MobileIpPorts | undefined;

  const routeBy = (link: string | undefined) =>
    router.set([
      { prefix: `${formatIpv4(homeAddress)}/32` },
      ...networks.map((prefix) => ({ prefix: formatPrefix(prefix) })),
      ...(link === undefined ? [] : [{ prefix: '0.0.0.0/0', link }]),
    ]);
  const onIcmp = (octets: Uint8Array): void => {
    const at = (octets[0]! & 15) << 2;
    if (octets[at] !== ICMP_ROUTER_ADVERTISEMENT) return;
    const link = linkOfAgent.get(ipv4Source(octets, 0));
    const message = parseIcmpDatagram(octets);
    if (link !== undefined && message !== undefined) runner.input({ kind: 'advertisement', link, message });
  };
  const onTransmit = (sent: MobileNodeTransmit): void => {
    if (sent.kind === 'icmp') device.sendMulticast(sent.message.destination, sent.message.payload);
    else ports?.send(sent.datagram);
  };
  const onEvent = (event: MobileNodeEvent): void => {
    const text = describeMobileNodeEvent(event);
    context.log(text);
    if (event.kind !== 'discarded') history.add(text);
    if (event.kind === 'registered' || event.kind === 'resumed') {
      tunnel.attachment = event.registration;
      void routeBy(event.registration.link);
    } else if (event.kind === 'detached') tunnel.attachment = undefined;
    if (event.kind === 'registered') {
      latencies.push(event.latency / 1e6);
      if (latencies.length > 1000) latencies.shift();
      writeIdentification(stateFile, machine.identification.lastAccepted);
    }
  };
  const runner = new MachineRunner(machine, () => device.now(), onTransmit, onEvent);
  try {
    await routes.clear();
    await routeBy(undefined);
    await routes.change([
      `link set dev ${DEVICE_NAME} mtu ${mtu - 2 * TUNNEL_HEADER_OCTETS} up`,
      `route replace default dev ${space} src ${formatIpv4(homeAddress)} proto ${ROUTE_PROTOCOL}`,
      `route replace 224.0.0.0/24 dev ${space} proto ${ROUTE_PROTOCOL}`,
      ...(encapsulates
        ? [
            `route replace default dev ${DEVICE_NAME} table ${ROUTE_TABLE}`,
            ...stations.map(({ peer }) => `route replace ${spaceAddress(peer)}/32 dev ${space} table ${ROUTE_TABLE}`),
          ]
        : []),
      ...(settings.delivery === 'encapsulating'
        ? [`rule add iif lo from ${formatIpv4(homeAddress)} lookup ${ROUTE_TABLE} priority ${RULE_PRIORITY}`]
        : []),
      ...node.interfaces.flatMap(({ name }) =>
        networks.map(
          (prefix) =>
            `rule add iif ${name} from ${formatPrefix(prefix)} lookup ${ROUTE_TABLE} priority ${RULE_PRIORITY}`,
        ),
      ),
    ]);
    ports = await MobileIpPorts.open([homeAddress], (datagram) => {
      const link = linkOfAgent.get(datagram.source);
      if (link !== undefined) runner.input({ kind: 'datagram', link, datagram });
    });
  } catch (error) {
    device.close();
    throw error;
  }
  const watch = new LinkWatch(context, place, (link, up) => {
    context.log(`event=link link=${link} up=${up}`);
    if (linkNames.has(link)) runner.input({ kind: 'link', link, up });
  });
  const linkNames = new Set(stations.map(({ link }) => link.name));
  watch.start();
  context.log(
    `event=started home=${formatIpv4(homeAddress)} home-agent=${settings.homeAgent} links=${[...linkNames].join(',')}`,
  );

  return {
    name: 'mobileNode',
    status: () => ({
      homeAddress: formatIpv4(homeAddress),
      homeAgent: settings.homeAgent,
      state: machine.state,
      ...(machine.registration === undefined
        ? {}
        : {
            registration: {
              link: machine.registration.link,
              agent: formatIpv4(machine.registration.agent),
              careOfAddress: formatIpv4(machine.registration.careOfAddress),
              lifetimeSeconds: machine.registration.lifetime,
              remainingSeconds: Math.round((machine.registration.expiresAt - device.now()) / 1e9),
            },
          }),
      registrations: latencies.length,
      registrationLatencyMs: summary(latencies),
      messages: machine.counters.snapshot(),
      tunnel: tunnel.counters.snapshot(),
      packets: packetCounters(device),
      history: history.list(),
    }),
    close: async () => {
      watch.close();
      machine.deregister(device.now());
      runner.drain();
      await new Promise((resolve) => setTimeout(resolve, 50));
      runner.close();
      ports?.close();
      await routes.settled();
      await routes.clear();
      device.close();
    },
  };
};

function registrationTimeOf(link: ResolvedLink, node: string): Duration {
  const [towards, away] = link.from === node ? [link.down, link.up] : [link.up, link.down];
  const roundTrip = (link.up.delay + link.down.delay + GROUND_ROUND_TRIP_NANOSECONDS) as Duration;
  return registrationTime(away.rateBitPerSecond, towards.rateBitPerSecond, roundTrip);
}

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
