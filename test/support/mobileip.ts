/**
 * A Mobile IP internetwork in virtual time: a correspondent, a home agent, ground stations with foreign agents behind ingress
 * filters, and a spacecraft with one link to each. Everything crosses as octets; nothing sleeps.
 */
import { createHmac } from 'node:crypto';
import {
  Counters,
  type Duration,
  type Instant,
  milliseconds,
  NEVER,
  ORIGIN,
  PacketPool,
  plus,
  Rng,
  seconds,
  type WallTime,
} from '../../src/core/index.ts';
import {
  emitIpv4Packet,
  ipv4Destination,
  ipv4Protocol,
  ipv4Source,
  PROTOCOL,
  parseIpv4,
  parsePrefix,
} from '../../src/ip/index.ts';
import {
  emitIcmpDatagram,
  emitUdpDatagram,
  FOREIGN_AGENT_DEFAULTS,
  ForeignAgent,
  type ForeignAgentEvent,
  type ForeignAgentOptions,
  ForeignAgentTunnel,
  type Hmac,
  HOLD_DEFAULTS,
  HOME_AGENT_DEFAULTS,
  HomeAgent,
  type HomeAgentEvent,
  type HomeAgentOptions,
  HomeAgentTunnel,
  MOBILE_IP_PORT,
  MOBILE_NODE_DEFAULTS,
  MobileNode,
  type MobileNodeAccount,
  type MobileNodeEvent,
  type MobileNodeLink,
  type MobileNodeOptions,
  MobileNodeTunnel,
  type NetworkPrefix,
  parseIcmpDatagram,
  parseUdpDatagram,
  registrationTime,
  type SecurityAssociation,
  SecurityAssociations,
  TunnelState,
} from '../../src/mobileip/index.ts';

export const hmac: Hmac = (algorithm, key, data) =>
  new Uint8Array(
    createHmac(algorithm === 'hmac-md5' ? 'md5' : 'sha256', key)
      .update(data)
      .digest(),
  );

export const ip = (text: string): number => {
  const address = parseIpv4(text);
  if (address === undefined) throw new RangeError(text);
  return address;
};
export const net = (text: string): NetworkPrefix => {
  const prefix = parsePrefix(text);
  if (prefix === undefined || typeof prefix.address !== 'number') throw new RangeError(text);
  return { address: prefix.address, length: prefix.length };
};

export const association = (spi: number, fields: Partial<SecurityAssociation> = {}): SecurityAssociation => ({
  spi,
  algorithm: 'hmac-md5',
  key: new Uint8Array(16).map((_, i) => (spi + i) & 255),
  replay: 'timestamp',
  ...fields,
});

/** The epoch of the simulations: 2003-01-16T15:39:00Z, STS-107's launch. */
export const EPOCH = 1042731540_000_000_000n;
export const trueTime = (now: Instant): WallTime => (EPOCH + BigInt(Math.round(now))) as WallTime;

export const HOME = ip('10.9.0.5');
export const HOME_AGENT = ip('10.9.0.1');
export const CORRESPONDENT = ip('192.0.2.10');
export const MOBILE_SPI = 256;

export const account = (fields: Partial<MobileNodeAccount> = {}): MobileNodeAccount => ({
  homeAddress: HOME,
  networks: [],
  implicitNetworks: false,
  mobileRouter: false,
  enabled: true,
  ...fields,
});

export function homeAgentOptions(rng: Rng, fields: Partial<HomeAgentOptions> = {}): HomeAgentOptions {
  return {
    ...HOME_AGENT_DEFAULTS,
    address: HOME_AGENT,
    homeNetwork: net('10.9.0.0/24'),
    mobileNodes: [account()],
    mobileAssociations: new SecurityAssociations().add(HOME, association(MOBILE_SPI)),
    foreignAssociations: new SecurityAssociations(),
    wallTime: trueTime,
    hmac,
    random: () => rng.uint32(),
    ...fields,
  };
}

export interface StationOptions {
  readonly name: string;
  /** The station's network: .1 is the foreign agent on the link, .2 the care-of address. */
  readonly network: string;
  readonly uplinkBitPerSec: number;
  readonly downlinkBitPerSec: number;
  readonly delay: Duration;
  readonly loss?: number;
  readonly foreignAgent?: Partial<ForeignAgentOptions>;
  readonly link?: Partial<MobileNodeLink>;
  readonly returnTo?: number;
}

export interface InternetworkOptions {
  readonly seed?: number;
  readonly stations: readonly StationOptions[];
  readonly coreDelay?: Duration;
  readonly homeAgent?: Partial<HomeAgentOptions>;
  readonly mobileNode?: Partial<MobileNodeOptions>;
  /** Protect foreign agent to home agent too, which revocation needs. */
  readonly foreignHome?: boolean;
}

interface Scheduled {
  readonly at: Instant;
  readonly order: number;
  readonly run: () => void;
}

const before = (a: Scheduled, b: Scheduled): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

interface SpaceLink {
  up: boolean;
  readonly freeAt: [Instant, Instant];
}

export interface Station {
  readonly options: StationOptions;
  readonly address: number;
  readonly careOf: number;
  agent: ForeignAgent;
  tunnel: ForeignAgentTunnel;
  readonly link: SpaceLink;
  running: boolean;
}

/** Octets on the space link besides the IP datagram: Frame Relay header, FCS-16, one flag. */
const FRAME_OCTETS = 7;

export class Internetwork {
  now: Instant = ORIGIN;
  readonly rng: Rng;
  readonly pool = new PacketPool({ capacity: 4096, slotOctets: 2048 });
  readonly stations = new Map<string, Station>();
  readonly homeAgentEvents: HomeAgentEvent[] = [];
  readonly foreignAgentEvents: ForeignAgentEvent[] = [];
  readonly mobileNodeEvents: (MobileNodeEvent & { readonly at: Instant })[] = [];
  readonly counters = new Counters();
  /** Datagrams that reached the spacecraft's and the correspondent's own stacks. */
  readonly received: { node: 'spacecraft' | 'correspondent'; at: Instant; octets: Uint8Array }[] = [];
  /** Every datagram that crossed anything, for captures. */
  readonly wire: { at: Instant; octets: Uint8Array }[] = [];
  homeAgent: HomeAgent;
  homeTunnel: HomeAgentTunnel;
  homeAgentRunning = true;
  mobileNode: MobileNode;
  mobileTunnel: MobileNodeTunnel;
  mobileNodeRunning = true;
  readonly #options: InternetworkOptions;
  readonly #queue: Scheduled[] = [];
  #order = 0;

  constructor(options: InternetworkOptions) {
    this.#options = options;
    this.rng = new Rng(options.seed ?? 1, 'internetwork');
    for (const station of options.stations) {
      const network = net(station.network).address;
      const entry = {
        options: station,
        address: network + 1,
        careOf: network + 2,
        link: { up: false, freeAt: [ORIGIN, ORIGIN] as [Instant, Instant] },
        running: true,
      };
      this.stations.set(station.name, { ...entry, ...this.#makeForeignAgent(station) });
    }
    this.homeAgent = new HomeAgent(this.#homeAgentOptions());
    this.homeTunnel = this.#makeHomeTunnel();
    this.mobileNode = new MobileNode(this.#mobileNodeOptions(0n));
    this.mobileTunnel = this.#makeMobileTunnel();
  }

  #homeAgentOptions(): HomeAgentOptions {
    const foreignAssociations = new SecurityAssociations();
    if (this.#options.foreignHome === true)
      for (const { network } of this.#options.stations)
        foreignAssociations.add(net(network).address + 2, association(512));
    return homeAgentOptions(this.rng, { foreignAssociations, ...this.#options.homeAgent });
  }

  #makeForeignAgent(station: StationOptions): { agent: ForeignAgent; tunnel: ForeignAgentTunnel } {
    const network = net(station.network).address;
    const homeAssociations = new SecurityAssociations();
    if (this.#options.foreignHome === true) homeAssociations.add(HOME_AGENT, association(512));
    const agent = new ForeignAgent(
      {
        ...FOREIGN_AGENT_DEFAULTS,
        address: network + 1,
        careOfAddress: network + 2,
        ownAddresses: [network + 1, network + 2],
        mobileAssociations: new SecurityAssociations(),
        homeAssociations,
        wallTime: trueTime,
        hmac,
        random: () => this.rng.uint32(),
        ...station.foreignAgent,
      },
      [station.name],
    );
    const tunnel: ForeignAgentTunnel = new ForeignAgentTunnel({
      ...HOLD_DEFAULTS,
      address: network + 2,
      pool: this.pool,
      state: new TunnelState(1500),
      visitors: agent.visitors,
      returnStations: agent.options.returnStations,
      send: (packet) => this.#fromStation(this.stations.get(station.name)!, this.#take(packet)),
      deliver: (packet) => this.#uplink(this.stations.get(station.name)!, this.#take(packet)),
      fromReturnStation: (packet, from) => this.#heard(this.stations.get(station.name)!, this.#take(packet), from),
      ...(station.returnTo === undefined ? {} : { returnTo: station.returnTo }),
    });
    return { agent, tunnel };
  }

  #makeHomeTunnel(): HomeAgentTunnel {
    return new HomeAgentTunnel({
      address: HOME_AGENT,
      pool: this.pool,
      state: new TunnelState(1500),
      bindings: this.homeAgent.bindings,
      carriesOwnDatagrams: false,
      send: (packet) => this.#core(this.#take(packet), 'home'),
    });
  }

  #mobileNodeOptions(lastIdentification: bigint): MobileNodeOptions {
    return {
      ...MOBILE_NODE_DEFAULTS,
      homeAddress: HOME,
      homeAgent: HOME_AGENT,
      homeAssociation: association(MOBILE_SPI),
      foreignAssociations: new SecurityAssociations(),
      links: this.#options.stations.map((station) => ({
        name: station.name,
        discovery: 'advertisement' as const,
        agent: { address: net(station.network).address + 1, careOfAddress: net(station.network).address + 2 },
        registrationTime: registrationTime(
          station.uplinkBitPerSec,
          station.downlinkBitPerSec,
          (2 * (station.delay + (this.#options.coreDelay ?? 0))) as Duration,
        ),
        ...station.link,
      })),
      wallTime: trueTime,
      hmac,
      random: () => this.rng.uint32(),
      ...this.#options.mobileNode,
      ...(lastIdentification === 0n ? {} : { lastIdentification }),
    };
  }

  #makeMobileTunnel(): MobileNodeTunnel {
    const options = this.mobileNode.options;
    return new MobileNodeTunnel({
      address: HOME,
      homeAgent: options.homeAgent,
      networks: options.networks,
      pool: this.pool,
      state: new TunnelState(1500),
      send: (packet) => this.#fromSpacecraft(this.#take(packet)),
    });
  }

  station(name: string): Station {
    const station = this.stations.get(name);
    if (station === undefined) throw new RangeError(name);
    return station;
  }

  /** At this instant of the simulation. */
  at(time: Duration | Instant, run: () => void): void {
    const at = time as number as Instant;
    this.#queue.push({ at, order: this.#order++, run });
    // A binary heap: long runs schedule tens of thousands of packets in advance.
    for (let i = this.#queue.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!before(this.#queue[i]!, this.#queue[parent]!)) break;
      [this.#queue[i], this.#queue[parent]] = [this.#queue[parent]!, this.#queue[i]!];
      i = parent;
    }
  }
  after(delay: Duration, run: () => void): void {
    this.at(plus(this.now, delay), run);
  }

  contact(name: string, begin: Duration, end: Duration): void {
    this.at(begin, () => this.setLink(name, true));
    this.at(end, () => this.setLink(name, false));
  }

  setLink(name: string, up: boolean): void {
    const station = this.station(name);
    if (station.link.up === up) return;
    station.link.up = up;
    station.link.freeAt[0] = station.link.freeAt[1] = this.now;
    if (up) station.tunnel.linkUp(name, this.now);
    else station.tunnel.linkDown(name);
    if (station.running) station.agent.handleInput({ kind: 'link', link: name, up }, this.now);
    if (this.mobileNodeRunning) this.mobileNode.handleInput({ kind: 'link', link: name, up }, this.now);
    this.#drain();
  }

  /** kill -9 and a new process a moment later. */
  restartForeignAgent(name: string): void {
    const station = this.station(name);
    Object.assign(station, this.#makeForeignAgent(station.options));
    if (station.link.up) station.agent.handleInput({ kind: 'link', link: name, up: true }, this.now);
    this.#drain();
  }
  restartHomeAgent(): void {
    const stored = [...new Set([...this.homeAgent.bindings.all()].map(({ homeAddress }) => homeAddress))].map(
      (home) => {
        const events = this.homeAgentEvents.filter(
          (event) => event.kind === 'bound' && event.binding.homeAddress === home,
        );
        const last = events.at(-1);
        if (last?.kind !== 'bound') throw new Error('a binding without an event');
        return { homeAddress: home, bindings: this.homeAgent.bindings.of(home), replay: last.replay };
      },
    );
    this.homeAgent = new HomeAgent(this.#homeAgentOptions());
    this.homeAgent.restore(stored, this.now);
    this.homeTunnel = this.#makeHomeTunnel();
  }
  restartMobileNode(): void {
    const last = this.mobileNode.identification.lastAccepted;
    this.mobileNode = new MobileNode(this.#mobileNodeOptions(last));
    this.mobileTunnel = this.#makeMobileTunnel();
    for (const { options, link } of this.stations.values())
      if (link.up) this.mobileNode.handleInput({ kind: 'link', link: options.name, up: true }, this.now);
    this.#drain();
  }

  /** Runs until this instant: the next event or the next deadline of a machine, whichever is first. */
  runUntil(end: Duration | Instant): void {
    const until = end as number as Instant;
    for (let turns = 0; ; turns++) {
      if (turns > 5_000_000) throw new Error('the simulation does not come to an end');
      const next = Math.min(this.#nextScheduled(), this.#nextDeadline());
      if (next > until) break;
      this.now = Math.max(this.now, next) as Instant;
      if ((this.#queue[0]?.at ?? NEVER) <= this.now) this.#takeFirst().run();
      else this.#timeouts();
      this.#drain();
    }
    this.now = until;
  }

  #nextScheduled(): number {
    return this.#queue[0]?.at ?? NEVER;
  }
  #takeFirst(): Scheduled {
    const queue = this.#queue;
    const first = queue[0]!;
    const last = queue.pop()!;
    if (queue.length === 0) return first;
    queue[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < queue.length && before(queue[child]!, queue[least]!)) least = child;
      if (least === i) return first;
      [queue[i], queue[least]] = [queue[least]!, queue[i]!];
      i = least;
    }
  }
  #nextDeadline(): number {
    let next: number = NEVER;
    if (this.homeAgentRunning) next = Math.min(next, this.homeAgent.pollTimeout()?.at ?? NEVER);
    if (this.mobileNodeRunning) next = Math.min(next, this.mobileNode.pollTimeout()?.at ?? NEVER);
    for (const { agent, running } of this.stations.values())
      if (running) next = Math.min(next, agent.pollTimeout()?.at ?? NEVER);
    return next;
  }
  #timeouts(): void {
    if (this.homeAgentRunning) this.homeAgent.handleTimeout(this.now);
    if (this.mobileNodeRunning) this.mobileNode.handleTimeout(this.now);
    for (const { agent, tunnel, running } of this.stations.values()) {
      if (running) agent.handleTimeout(this.now);
      tunnel.handleTimeout(this.now);
    }
  }

  #drain(): void {
    for (;;) {
      const sent = this.homeAgent.pollTransmit();
      if (sent === undefined) break;
      this.#core(emitUdpDatagram(sent), 'home');
    }
    for (let event = this.homeAgent.pollEvent(); event !== undefined; event = this.homeAgent.pollEvent())
      this.homeAgentEvents.push(event);
    for (const station of this.stations.values()) this.#drainStation(station);
    this.#drainMobileNode();
  }

  #drainStation(station: Station): void {
    const { agent, tunnel } = station;
    for (let sent = agent.pollTransmit(); sent !== undefined; sent = agent.pollTransmit()) {
      if (sent.kind === 'icmp') this.#uplink(station, emitIcmpDatagram(sent.message));
      else if (sent.link !== undefined) this.#uplink(station, emitUdpDatagram(sent.datagram));
      else this.#fromStation(station, emitUdpDatagram(sent.datagram));
    }
    for (let event = agent.pollEvent(); event !== undefined; event = agent.pollEvent()) {
      this.foreignAgentEvents.push(event);
      if (event.kind === 'departed') tunnel.departed(event.visitor, event.why === 'moved', this.now);
    }
  }

  #drainMobileNode(): void {
    const node = this.mobileNode;
    for (let event = node.pollEvent(); event !== undefined; event = node.pollEvent()) {
      this.mobileNodeEvents.push({ ...event, at: this.now });
      if (event.kind === 'registered' || event.kind === 'resumed') this.mobileTunnel.attachment = event.registration;
      else if (event.kind === 'detached') this.mobileTunnel.attachment = undefined;
    }
    for (let sent = node.pollTransmit(); sent !== undefined; sent = node.pollTransmit()) {
      const octets = sent.kind === 'icmp' ? emitIcmpDatagram(sent.message) : emitUdpDatagram(sent.datagram);
      this.#downlink(this.station(sent.link), octets);
    }
  }

  /** A pool packet's octets; the packet goes back. */
  #take(packet: Parameters<HomeAgentTunnel['receive']>[0]): Uint8Array {
    const octets = packet.view().slice();
    this.pool.release(packet);
    return octets;
  }
  #packet(octets: Uint8Array): Parameters<HomeAgentTunnel['receive']>[0] {
    const packet = this.pool.copyOf(octets);
    if (packet === undefined) throw new Error('the pool is empty: packets leak');
    return packet;
  }

  /** The Internet core, with ingress filters at the stations (RFC 2827). */
  #fromStation(station: Station, octets: Uint8Array): void {
    const source = ipv4Source(octets, 0);
    const { address, length } = net(station.options.network);
    if ((source & -(2 ** (32 - length))) >>> 0 !== address) {
      this.counters.add('ingress-filtered');
      return;
    }
    this.#core(octets, station.options.name);
  }

  #core(octets: Uint8Array, _from: string): void {
    this.wire.push({ at: this.now, octets });
    this.after(this.#options.coreDelay ?? milliseconds(20), () => this.#arrive(octets));
  }

  #arrive(octets: Uint8Array): void {
    const destination = ipv4Destination(octets, 0);
    if (destination === CORRESPONDENT) this.received.push({ node: 'correspondent', at: this.now, octets });
    else if (destination === HOME_AGENT) this.#atHomeAgent(octets);
    else if (destination >>> 8 === HOME_AGENT >>> 8 || destination >>> 16 === ip('10.40.0.0') >>> 16) {
      if (this.homeAgentRunning) this.homeTunnel.intercept(this.#packet(octets), this.now);
    } else {
      for (const station of this.stations.values())
        if (destination === station.careOf || destination === station.address) this.#atStation(station, octets);
        else if (destination >>> 8 === station.careOf >>> 8) this.#uplink(station, octets);
    }
  }

  #atHomeAgent(octets: Uint8Array): void {
    if (!this.homeAgentRunning) return;
    if (ipv4Protocol(octets, 0) === PROTOCOL.ipInIp) this.homeTunnel.receive(this.#packet(octets), this.now);
    else if (ipv4Protocol(octets, 0) === PROTOCOL.icmp) this.homeTunnel.handleIcmp(octets, this.now);
    else {
      const datagram = parseUdpDatagram(octets);
      if (datagram === undefined) this.counters.add('home.not-udp');
      else if (datagram.payload[0] === 4) this.homeTunnel.receiveUdp(this.#packet(octets), this.now);
      else this.homeAgent.handleInput(datagram, this.now);
    }
  }

  #atStation(station: Station, octets: Uint8Array): void {
    if (!station.running) return;
    if (ipv4Protocol(octets, 0) === PROTOCOL.ipInIp) station.tunnel.receive(this.#packet(octets), this.now);
    else if (ipv4Protocol(octets, 0) === PROTOCOL.udp) {
      const datagram = parseUdpDatagram(octets);
      if (datagram !== undefined) station.agent.handleInput({ kind: 'datagram', datagram }, this.now);
    }
  }

  #uplink(station: Station, octets: Uint8Array): void {
    this.#cross(station, 0, station.options.uplinkBitPerSec, octets, () => this.#atSpacecraft(station, octets));
  }
  #downlink(station: Station, octets: Uint8Array): void {
    this.#cross(station, 1, station.options.downlinkBitPerSec, octets, () => this.#heard(station, octets, undefined));
  }

  #cross(station: Station, direction: 0 | 1, rate: number, octets: Uint8Array, arrive: () => void): void {
    const { link, options } = station;
    if (!link.up || rate === 0) {
      this.counters.add('link-down');
      return;
    }
    this.wire.push({ at: this.now, octets });
    const begins = Math.max(this.now, link.freeAt[direction]);
    const ends = (begins + ((octets.length + FRAME_OCTETS) * 8e9) / rate) as Instant;
    link.freeAt[direction] = ends;
    const lost = (options.loss ?? 0) > 0 && this.rng.uniform() < (options.loss ?? 0);
    this.at(Math.round(ends + options.delay) as Instant, () => {
      if (lost || !link.up) this.counters.add(lost ? 'lost' : 'cut');
      else arrive();
      this.#drain();
    });
  }

  /** What a station hears on its return link, or is passed by another station that heard it. */
  #heard(station: Station, octets: Uint8Array, from: number | undefined): void {
    if (!station.running) return;
    const destination = ipv4Destination(octets, 0);
    const link = station.options.name;
    const own = destination === station.address || destination === station.careOf || destination === ip('224.0.0.11');
    const icmp = ipv4Protocol(octets, 0) === PROTOCOL.icmp && octets[20] === 10 ? parseIcmpDatagram(octets) : undefined;
    if (own && icmp !== undefined) station.agent.handleInput({ kind: 'solicitation', link, message: icmp }, this.now);
    else if (own && ipv4Protocol(octets, 0) === PROTOCOL.udp) {
      const datagram = parseUdpDatagram(octets);
      if (datagram === undefined) return;
      const input = { kind: 'request' as const, link, datagram };
      station.agent.handleInput(from === undefined ? input : { ...input, returnStation: from }, this.now);
    } else if (ipv4Source(octets, 0) >>> 8 === station.careOf >>> 8) this.#fromStation(station, octets);
    else station.tunnel.fromLink(this.#packet(octets), this.now);
  }

  #atSpacecraft(station: Station, octets: Uint8Array): void {
    if (!this.mobileNodeRunning) return;
    const link = station.options.name;
    const protocol = ipv4Protocol(octets, 0);
    const icmp = protocol === PROTOCOL.icmp && octets[20] === 9 ? parseIcmpDatagram(octets) : undefined;
    const udp = protocol === PROTOCOL.udp ? parseUdpDatagram(octets) : undefined;
    if (icmp !== undefined) this.mobileNode.handleInput({ kind: 'advertisement', link, message: icmp }, this.now);
    else if (udp?.destinationPort === MOBILE_IP_PORT) {
      if (udp.payload[0] === 4) this.mobileTunnel.receiveUdp(this.#packet(octets), this.now);
      else this.mobileNode.handleInput({ kind: 'datagram', link, datagram: udp }, this.now);
    } else if (protocol === PROTOCOL.ipInIp) this.mobileTunnel.receive(this.#packet(octets), this.now);
    else this.received.push({ node: 'spacecraft', at: this.now, octets });
  }

  /** A whole datagram that the spacecraft's data path lets go: inwards when it is for itself, else by the current link. */
  #fromSpacecraft(octets: Uint8Array): void {
    const destination = ipv4Destination(octets, 0);
    const own =
      destination === HOME || this.mobileNode.options.networks.some((p) => destination >>> 8 === p.address >>> 8);
    if (own) {
      this.received.push({ node: 'spacecraft', at: this.now, octets });
      return;
    }
    const link = this.mobileNode.registration?.link;
    if (link === undefined) this.counters.add('spacecraft.no-route');
    else this.#downlink(this.station(link), octets);
  }

  /** The spacecraft sends user data. */
  sendFromSpacecraft(destination: number, payload: Uint8Array, source = HOME): void {
    const octets = emitIpv4Packet({ source, destination, protocol: 253, dontFragment: true, payload });
    this.mobileTunnel.output(this.#packet(octets), this.now);
    this.#drain();
  }
  /** The correspondent sends user data. */
  sendFromCorrespondent(destination: number, payload: Uint8Array, fields: { dontFragment?: boolean } = {}): void {
    const octets = emitIpv4Packet({
      source: CORRESPONDENT,
      destination,
      protocol: 253,
      dontFragment: true,
      identification: this.rng.below(65536),
      payload,
      ...fields,
    });
    this.#core(octets, 'correspondent');
  }
  /** Anything into the core, as an attacker would. */
  inject(octets: Uint8Array): void {
    this.#arrive(octets);
    this.#drain();
  }

  dataReceived(node: 'spacecraft' | 'correspondent'): { at: Instant; octets: Uint8Array }[] {
    return this.received.filter((each) => each.node === node && ipv4Protocol(each.octets, 0) === 253);
  }

  /** Packets that are neither free nor held by a foreign agent: a leak of ours. */
  leakedPackets(): number {
    let held = 0;
    for (const { tunnel } of this.stations.values()) held += tunnel.heldPackets;
    return this.pool.capacity - this.pool.available - held;
  }

  registrations(): Extract<MobileNodeEvent & { at: Instant }, { kind: 'registered' }>[] {
    return this.mobileNodeEvents.filter(
      (event): event is Extract<MobileNodeEvent & { at: Instant }, { kind: 'registered' }> =>
        event.kind === 'registered',
    );
  }
}

/** CANDOS's ground station rates: 2 kbit/s up, 128 kbit/s down, low Earth orbit. */
export const candosStation = (name: string, number: number, fields: Partial<StationOptions> = {}): StationOptions => ({
  name,
  network: `10.${number}.0.0/24`,
  uplinkBitPerSec: 2000,
  downlinkBitPerSec: 128_000,
  delay: milliseconds(5),
  ...fields,
});

export const at = (s: number): Duration => seconds(s);
