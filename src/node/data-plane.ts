/**
 * The data plane of a testbed: builds the routers, lines and channels that a scenario describes, joins them to the TUN devices
 * of the namespaces and runs them. One per daemon.
 *
 *   node's TUN ── router ── output queue ── line (up) ──▶ router ── TUN of the other node
 *                        ◀── line (down) ── output queue ──
 *
 * Header compression (RFC 2507, RFC 5225) has its place between a router's output queue and the line that drains it.
 */
import { join } from 'node:path';
import type { CorrectionMode } from '../apps/ntp/index.ts';
import { type Carrier, Line, type LineChange, type NoiseConfig } from '../channel/index.ts';
import {
  Counters,
  HEADROOM_OCTETS,
  type Instant,
  type LatenessSnapshot,
  type LinkDirection,
  type LinkTap,
  OmniError,
  type PacketBuffer,
  PacketPool,
  TAILROOM_OCTETS,
} from '../core/index.ts';
import { createSealingArena, type SealFrame, sealFrame } from '../hdlc/index.ts';
import { HoldFile } from '../io/hold-store.ts';
import { LinkDriver } from '../io/link-driver.ts';
import type { ReactorSource } from '../io/native.ts';
import { type IpAddress, isIpv4, type Prefix, parseAddress, parsePrefix } from '../ip/index.ts';
import { type DropReason, type RouteOptions, Router, type RouterSnapshot, type TrafficClass } from '../router/index.ts';
import type { ResolvedDirection, ResolvedLink, ResolvedNode, ResolvedScenario } from '../scenario/resolved.ts';
import { type ConservationAlarm, checkConservation } from './conservation.ts';
import { encapsulationOf, FASTEST_BIT_PER_SECOND, type LineSources, lineSettingsOf } from './line-settings.ts';
import { ntpRewriter } from './ntp-rewriter.ts';

export interface DataPlaneOptions {
  readonly scenario: ResolvedScenario;
  /** By node: the descriptor of its TUN, open and non-blocking. The data plane does not close it. */
  readonly tuns: ReadonlyMap<string, { readonly fd: number; readonly name: string }>;
  readonly native: ReactorSource;
  readonly sources: LineSources;
  /** The scenario's seed unless given. */
  readonly seed?: number | string;
  readonly tap?: LinkTap;
  /** Where classes that hold on disk keep their packets; without it they hold in memory. */
  readonly holdDirectory?: string;
  log(line: string): void;
}

export interface DirectionStatus {
  readonly from: string;
  readonly to: string;
  readonly up: boolean;
  readonly rateBitPerSecond: number;
  readonly delayMilliseconds: number;
  readonly jitterMilliseconds: number;
  readonly noise: NoiseConfig;
  /** The present contact, or the next; absent when the link is always up or no contact follows. */
  readonly contact?: { readonly aosSeconds: number; readonly losSeconds: number };
  /** Bits on the wire over bits that the rate allows, since the start and while in contact. */
  readonly queueLimit: { readonly packets?: number; readonly octets?: number; readonly derived?: string };
  readonly counters: Readonly<Record<string, number>>;
}

export interface LinkStatus {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly encapsulation: string;
  readonly fcs: number;
  readonly mtuOctets: number;
  /** What was done to NTP packets, by outcome (src/apps/ntp/correction.ts). */
  readonly ntpCorrection: { readonly mode: CorrectionMode; readonly counters: Readonly<Record<string, number>> };
  readonly up: DirectionStatus;
  readonly down: DirectionStatus;
}

export interface DataPlaneStatus {
  readonly scenario: string;
  readonly seed: number | string;
  readonly uptimeSeconds: number;
  readonly lateness: LatenessSnapshot;
  /** The packet slots of the pool that are in use, and all. */
  readonly pool: { readonly used: number; readonly capacity: number };
  readonly counters: Readonly<Record<string, number>>;
  readonly alarms: readonly ConservationAlarm[];
  readonly links: readonly LinkStatus[];
  readonly nodes: readonly { readonly name: string; readonly router?: RouterSnapshot }[];
}

interface Direction {
  readonly name: string;
  readonly line: Line;
  readonly carrier: Carrier;
  readonly settings: ResolvedDirection;
  readonly from: string;
  readonly to: string;
  readonly router: Router;
  readonly interfaceIndex: number;
}

interface Link {
  readonly resolved: ResolvedLink;
  readonly ntpCounters: Counters;
  readonly directions: readonly [Direction, Direction];
}

export interface DataPlane {
  start(): void;
  stop(): void;
  status(): DataPlaneStatus;
  /**
   * Live changes, `up.delay=20ms` parsed to { direction, change }; takes effect at once and touches nothing else. Throws
   * OmniError OMNI_NO_SUCH_LINK.
   */
  setLink(link: string, direction: 'up' | 'down', change: LineChange): void;
  /** Contacts that end after now, in seconds since the start; undefined when the direction is always up. */
  contacts(
    link: string,
    direction: 'up' | 'down',
    count: number,
  ): { aosSeconds: number; losSeconds: number }[] | undefined;
  /**
   * Replaces all routes that this owner has in the node's router, or with `keep` adds to them; they come before computed ones. Throws
   * OmniError OMNI_NO_SUCH_NODE, OMNI_NO_SUCH_LINK.
   */
  setRoutes(node: string, owner: string, routes: readonly { prefix: string; link?: string }[], keep?: boolean): void;
  /** Nanoseconds since the start. */
  now(): Instant;
  /** CLOCK_MONOTONIC of the start, nanoseconds. */
  readonly origin: number;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return new ScenarioDataPlane(options);
}

const CONSERVATION_INTERVAL = 1000;
/** Packets under way at most: all queues and lines full, as far as memory allows. */
const FEWEST_SLOTS = 4096;
const MOST_POOL_OCTETS = 2 ** 30;

class ScenarioDataPlane implements DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #driver: LinkDriver;
  readonly #pool: PacketPool;
  readonly #seal: SealFrame;
  readonly #routers = new Map<string, Router>();
  readonly #links: Link[] = [];
  readonly #ownedRoutes = new Map<string, readonly RouteOptions[]>();
  #conservationTimer: NodeJS.Timeout | undefined;
  #alarms: readonly ConservationAlarm[] = [];

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    const { scenario, native, tap } = options;
    const { pool, seal } = poolFor(scenario);
    this.#pool = pool;
    this.#seal = seal;
    this.#driver = new LinkDriver({
      native,
      pool: this.#pool,
      tap,
      offloads: scenario.offloads,
    });
    const indices = new Map<string, number>();
    for (const node of scenario.nodes) {
      if (node.tun === undefined) continue;
      const router = this.#makeRouter(node);
      this.#routers.set(node.name, router);
      const tunFd = options.tuns.get(node.name)?.fd ?? -1;
      indices.set(node.name, this.#driver.addNode({ name: node.name, router, host: 0, tunFd }));
    }
    for (const [index, link] of scenario.links.entries()) this.#addLink(link, index, indices);
  }

  start(): void {
    this.#driver.start();
    this.#conservationTimer = setInterval(() => this.#checkConservation(), CONSERVATION_INTERVAL);
    this.#conservationTimer.unref();
  }

  stop(): void {
    clearInterval(this.#conservationTimer);
    this.#driver.stop();
  }

  now(): Instant {
    return this.#driver.now();
  }

  get origin(): number {
    return this.#driver.origin;
  }

  setLink(link: string, direction: 'up' | 'down', change: LineChange): void {
    this.#direction(link, direction).line.set(change, this.now());
    this.#driver.reschedule();
  }

  setRoutes(node: string, owner: string, routes: readonly { prefix: string; link?: string }[], keep = false): void {
    const router = this.#routers.get(node);
    if (router === undefined) throw new OmniError('OMNI_NO_SUCH_NODE', `there is no node '${node}' with a router`);
    const named = routes.map((route): RouteOptions => {
      const index = route.link === undefined ? 0 : router.interfaces.findIndex(({ name }) => name === route.link);
      if (index < 0) throw new OmniError('OMNI_NO_SUCH_LINK', `${node} has no link '${route.link}'`);
      return { prefix: prefix(route.prefix), interface: index, preference: 0 };
    });
    const key = `${node}/${owner}`;
    const former = this.#ownedRoutes.get(key) ?? [];
    const text = (route: RouteOptions) => `${String(route.prefix.address)}/${route.prefix.length}/${route.interface}`;
    const without = (routes: readonly RouteOptions[], others: readonly RouteOptions[]) =>
      routes.filter((route) => !others.some((other) => text(other) === text(route)));
    const wanted = keep ? [...named, ...without(former, named)] : named;
    router.changeRoutes(without(wanted, former), without(former, wanted), this.now());
    this.#ownedRoutes.set(key, wanted);
    this.#driver.reschedule();
  }

  contacts(link: string, direction: 'up' | 'down', count: number) {
    const { carrier, settings } = this.#direction(link, direction);
    if (settings.contacts.kind === 'always') return undefined;
    return carrier.upcoming(this.now(), count).map(inSeconds);
  }

  status(): DataPlaneStatus {
    const { scenario } = this.#options;
    const now = this.now();
    this.#checkConservation();
    return {
      scenario: scenario.name,
      seed: this.#seed,
      uptimeSeconds: now / 1e9,
      lateness: this.#driver.lateness.snapshot(),
      pool: { used: this.#pool.capacity - this.#pool.available, capacity: this.#pool.capacity },
      counters: this.#driver.counters.snapshot(),
      alarms: this.#alarms,
      links: this.#links.map(({ resolved, directions, ntpCounters }) => ({
        name: resolved.name,
        from: resolved.from,
        to: resolved.to,
        encapsulation: resolved.encapsulation.kind,
        fcs: resolved.fcs,
        mtuOctets: resolved.mtuOctets,
        ntpCorrection: { mode: resolved.ntpCorrection, counters: ntpCounters.snapshot() },
        up: directionStatus(directions[0], now),
        down: directionStatus(directions[1], now),
      })),
      nodes: scenario.nodes.map(({ name }) => {
        const router = this.#routers.get(name);
        return router === undefined ? { name } : { name, router: router.snapshot(now) };
      }),
    };
  }

  get #seed(): number | string {
    return this.#options.seed ?? this.#options.scenario.seed;
  }

  #makeRouter(node: ResolvedNode): Router {
    const { scenario, tap, holdDirectory } = this.#options;
    const tun = node.tun!;
    const own = scenario.links.filter((link) => link.from === node.name || link.to === node.name);
    const routes = node.routes.map((route): RouteOptions => {
      const index = route.link === undefined ? 0 : 1 + own.findIndex((link) => link.name === route.link);
      return { prefix: prefix(route.prefix), interface: index, preference: route.preference };
    });
    return new Router({
      pool: this.#pool,
      interfaces: [
        { name: tun.name, kind: 'host', mtuOctets: tun.mtuOctets, addresses: tun.addresses.map(hostAddress) },
        ...own.map((link) => {
          const direction = link.from === node.name ? link.up : link.down;
          const { packets, octets } = direction.queueLimit;
          return {
            name: link.name,
            kind: 'link' as const,
            mtuOctets: link.mtuOctets,
            limit: {
              packets: packets ?? Number.POSITIVE_INFINITY,
              octets: octets ?? Number.POSITIVE_INFINITY,
            },
            rateBitPerSec: Math.min(direction.rateBitPerSecond, FASTEST_BIT_PER_SECOND),
            ...(node.classes !== undefined && { classes: node.classes.map(trafficClass) }),
            ...(link.los.queue === 'hold' && { hold: { octets: link.los.holdOctets, duration: link.los.holdAge } }),
            ...(holdDirectory !== undefined && {
              holdStore: (className: string) => {
                const path = join(holdDirectory, `${node.name}.${link.name}.${className}.hold`);
                return new HoldFile({ path, now: 0 as Instant });
              },
            }),
          };
        }),
      ],
      routes,
      ...(tap !== undefined && tapOf(tap, scenario, node.name, own)),
    });
  }

  #addLink(resolved: ResolvedLink, index: number, indices: ReadonlyMap<string, number>): void {
    const { scenario, sources, tap } = this.#options;
    const ends = [resolved.from, resolved.to] as const;
    const interfaceOf = (node: string) =>
      1 + scenario.links.filter((link) => link.from === node || link.to === node).indexOf(resolved);
    const ntpCounters = new Counters();
    const rewrite = ntpRewriter(resolved.ntpCorrection, ntpCounters);
    const directions = ([0, 1] as const).map((direction): Direction => {
      const from = ends[direction];
      const to = ends[1 - direction]!;
      const settings = direction === 0 ? resolved.up : resolved.down;
      const name = `${resolved.name}.${direction === 0 ? 'up' : 'down'}`;
      const router = this.#routers.get(from)!;
      const interfaceIndex = interfaceOf(from);
      const made = lineSettingsOf(settings, sources);
      const encapsulation = encapsulationOf(resolved);
      const line = new Line({
        name,
        link: index,
        direction: direction as LinkDirection,
        seed: this.#seed,
        settings: made.settings,
        carrier: made.carrier,
        inFlightAtLos: resolved.los.inFlight,
        encapsulation,
        fcs: resolved.fcs,
        lineCoding: resolved.lineCoding,
        flagsBetweenFrames: resolved.flags === 'shared' ? 1 : 2,
        maximumFrameOctets: resolved.mtuOctets + FRAME_OVERHEAD_OCTETS,
        pool: this.#pool,
        source: router.output(interfaceIndex),
        seal: this.#seal,
        tap,
      });
      if (!line.isUp) router.setInterfaceState(interfaceIndex, false, 0 as Instant);
      this.#driver.addSpan({
        line,
        from: indices.get(from)!,
        fromInterface: interfaceIndex,
        to: indices.get(to)!,
        toInterface: interfaceOf(to),
        link: index,
        direction: direction as LinkDirection,
        rewrite,
      });
      return { name, line, carrier: made.carrier, settings, from, to, router, interfaceIndex };
    });
    this.#links.push({ resolved, ntpCounters, directions: directions as [Direction, Direction] });
  }

  #direction(link: string, direction: 'up' | 'down'): Direction {
    const found = this.#links.find(({ resolved }) => resolved.name === link);
    if (found === undefined)
      throw new OmniError('OMNI_NO_SUCH_LINK', `there is no link '${link}'`, {
        remedy: `the links are ${this.#links.map(({ resolved }) => resolved.name).join(', ')}`,
      });
    return found.directions[direction === 'up' ? 0 : 1];
  }

  #checkConservation(): void {
    const now = this.now();
    const alarms = checkConservation(
      now,
      this.#links.flatMap(({ directions }) => directions),
      this.#routers,
    );
    for (const alarm of alarms)
      if (!this.#alarms.some((known) => known.where === alarm.where))
        this.#options.log(`alarm=conservation where=${alarm.where} missing=${alarm.missing}`);
    this.#alarms = alarms;
  }
}

/** A router's packets for the tap: what it offers to a link, and what it drops there or before it has chosen one. */
function tapOf(tap: LinkTap, scenario: ResolvedScenario, node: string, own: readonly ResolvedLink[]) {
  // Interface 0 is the host.
  const links = [-1, ...own.map((link) => scenario.links.indexOf(link))];
  const directions = [0, ...own.map((link) => (link.from === node ? 0 : 1))] as readonly LinkDirection[];
  return {
    onOffer: (packet: PacketBuffer, output: number, now: Instant): void => {
      if (output > 0) tap.packetIn(links[output]!, directions[output]!, packet, now);
    },
    onDrop: (packet: PacketBuffer, reason: DropReason, now: Instant, output: number): void =>
      tap.packetDropped(links[output] ?? -1, directions[output] ?? 0, packet, reason, now),
  };
}

/** Header, FCS and a little, so that a frame made longer by noise is judged by its FCS and not by its length. */
const FRAME_OVERHEAD_OCTETS = 32;

/** The pool for all that may be under way, and the fastest seal for frames in it. */
function poolFor(scenario: ResolvedScenario): { pool: PacketPool; seal: SealFrame } {
  const mtu = scenario.offloads ? 65_535 : Math.max(1500, ...scenario.links.map((link) => link.mtuOctets));
  const slotOctets = mtu + HEADROOM_OCTETS + TAILROOM_OCTETS;
  let packets = FEWEST_SLOTS;
  for (const { up, down, mtuOctets, los } of scenario.links)
    for (const direction of [up, down]) {
      const { packets: limit, octets } = direction.queueLimit;
      const rate = Math.min(direction.rateBitPerSecond, FASTEST_BIT_PER_SECOND);
      // Queues of every class, what is under way at the smallest usual packet size, and what waits for a contact.
      packets +=
        4 * (limit ?? Math.ceil((octets ?? 0) / 64)) +
        Math.ceil((rate * direction.delay) / 8e9 / Math.min(576, mtuOctets));
      if (direction.contacts.kind !== 'always' && los.queue === 'hold') packets += Math.ceil(los.holdOctets / 256);
    }
  const capacity = Math.min(packets, Math.floor(MOST_POOL_OCTETS / slotOctets));
  let seal: SealFrame = sealFrame;
  const makeArena = (octets: number): Uint8Array => {
    const made = createSealingArena(octets);
    seal = made.seal;
    return made.arena;
  };
  return { pool: new PacketPool({ capacity, slotOctets, makeArena }), seal };
}

function directionStatus(direction: Direction, now: Instant): DirectionStatus {
  const current = direction.line.current(now);
  const contact = direction.carrier.upcoming(now, 1)[0];
  return {
    from: direction.from,
    to: direction.to,
    up: current.up,
    rateBitPerSecond: current.rateBitPerSecond,
    delayMilliseconds: current.delay / 1e6,
    jitterMilliseconds: current.jitter / 1e6,
    noise: current.noise,
    ...(contact !== undefined && { contact: inSeconds(contact) }),
    queueLimit: direction.settings.queueLimit,
    counters: direction.line.snapshot(now),
  };
}

const inSeconds = ({ aos, los }: { aos: Instant; los: Instant }) => ({ aosSeconds: aos / 1e9, losSeconds: los / 1e9 });

function trafficClass(resolved: NonNullable<ResolvedNode['classes']>[number]): TrafficClass {
  const { hold, matches, ...rest } = resolved;
  return {
    ...rest,
    matches: matches.map(({ prefixes, ...match }) => ({
      ...match,
      ...(prefixes !== undefined && { prefixes: prefixes.map(prefix) }),
    })),
    ...(hold !== undefined && { hold }),
  };
}

function hostAddress(text: string): IpAddress {
  const address = parseAddress(text.split('/')[0]!);
  if (address === undefined) throw new OmniError('OMNI_BAD_ADDRESS', `'${text}' is not an address`);
  return address;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text.includes('/') ? text : `${text}/${isIpv4(hostAddress(text)) ? 32 : 128}`);
  if (parsed === undefined) throw new OmniError('OMNI_BAD_ADDRESS', `'${text}' is not a prefix`);
  return parsed;
}
