/**
 * An open-loop workload over a scenario's data plane in virtual time: UDP datagrams at set instants, each way over every link, and the
 * transcript of what becomes of each frame. The routers, queues, framers, lines and noise are the ones that a testbed runs; only
 * the clock and the TUN devices are not there. Same scenario, seed and workload: same transcript, on every machine.
 */
import { instant, OmniError, Rng } from '../core/index.ts';
import { type ScheduledPacket, VirtualReactor } from '../io/virtual-reactor.ts';
import {
  emitIpv4Packet,
  emitIpv6Packet,
  IPV4_HEADER_OCTETS,
  IPV6_HEADER_OCTETS,
  type IpAddress,
  isIpv4,
  PROTOCOL,
  parseAddress,
  UDP_HEADER_OCTETS,
  writeUdp4,
  writeUdp6,
} from '../ip/index.ts';
import { createDataPlane, type LinkStatus } from '../node/data-plane.ts';
import { FASTEST_BIT_PER_SECOND } from '../node/line-settings.ts';
import { lineSources } from '../node/line-sources.ts';
import type { ResolvedLink, ResolvedScenario } from '../scenario/resolved.ts';
import { Transcript } from './transcript.ts';

export interface LinkReplayOptions {
  readonly scenario: ResolvedScenario;
  /** Of the bit errors, the jitter and the datagrams' contents. */
  readonly seed: number | string;
  /** Only these; all unless given. */
  readonly links?: readonly string[];
  readonly directions?: readonly ('up' | 'down')[];
  /** Datagrams a direction. */
  readonly count: number;
  /** IP octets of a datagram; at most the link's MTU. */
  readonly octets?: number;
  /** IP bits a second, each direction. Default 80 % of the line's rate at the start. */
  readonly rateBitPerSecond?: number;
  /** Gets the transcript line by line. */
  readonly write?: (line: string) => void;
  /** Virtual nanoseconds; a run that has packets under way then is cut off. Default a day after the last datagram. */
  readonly limit?: number;
  /** Called now and then with the virtual seconds that are done. */
  readonly progress?: (virtualSeconds: number) => void;
}

export interface LinkReplay {
  readonly sha256: string;
  readonly lines: number;
  readonly datagrams: number;
  /** Packets that were neither delivered nor dropped when the run was cut off. */
  readonly packetsUnderWay: number;
  readonly virtualSeconds: number;
  readonly links: readonly LinkStatus[];
}

export const DEFAULT_DATAGRAM_OCTETS = 552;
const DEFAULT_LOAD = 0.8;
const DAY = 86_400e9;
const STEPS_PER_REPORT = 20_000;
/** RFC 863: nobody answers. */
const DISCARD_PORT = 9;
const SOURCE_PORT = 49_152;

export function replayLinks(options: LinkReplayOptions): LinkReplay {
  // Segmentation offloads are between a kernel and its TUN, and there is no kernel here.
  const scenario = { ...options.scenario, offloads: false };
  const flows = flowsOf(scenario, options);
  const transcript = new Transcript(
    scenario.links.map((link) => link.name),
    options.write,
  );
  const reactor = new VirtualReactor(schedule(flows, options.count));
  const dataPlane = createDataPlane({
    scenario,
    tuns: new Map(),
    native: reactor,
    sources: lineSources(scenario),
    seed: options.seed,
    tap: transcript,
    log: (line) => {
      throw new OmniError('OMNI_REPLAY', line);
    },
  });
  const last = Math.max(...flows.map((flow) => (options.count - 1) * flow.interval));
  const limit = options.limit ?? last + DAY;
  dataPlane.start();
  try {
    for (let steps = 1; !(reactor.exhausted && transcript.packetsUnderWay === 0) && reactor.nextAt <= limit; steps++) {
      reactor.step();
      if (steps % STEPS_PER_REPORT === 0) options.progress?.(reactor.monotonicNanoseconds() / 1e9);
    }
    const { links } = dataPlane.status();
    return {
      links,
      lines: transcript.lines,
      sha256: transcript.sha256(),
      datagrams: flows.length * options.count,
      packetsUnderWay: transcript.packetsUnderWay,
      virtualSeconds: reactor.monotonicNanoseconds() / 1e9,
    };
  } finally {
    dataPlane.stop();
  }
}

interface Flow {
  readonly tun: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly octets: number;
  /** Nanoseconds from one datagram to the next. */
  readonly interval: number;
  readonly rng: Rng;
}

function flowsOf(scenario: ResolvedScenario, options: LinkReplayOptions): Flow[] {
  const chosen = scenario.links.filter((link) => options.links?.includes(link.name) ?? true);
  const tuns = scenario.nodes.filter((node) => node.tun !== undefined).map((node) => node.name);
  const flows = chosen.flatMap((link) =>
    (options.directions ?? (['up', 'down'] as const)).map((direction): Flow => {
      const [from, to] = direction === 'up' ? [link.from, link.to] : [link.to, link.from];
      const octets = datagramOctets(link, options.octets);
      const rate =
        options.rateBitPerSecond ?? DEFAULT_LOAD * Math.min(FASTEST_BIT_PER_SECOND, link[direction].rateBitPerSecond);
      const [source, destination] = addressesOf(scenario, from, to);
      return {
        tun: tuns.indexOf(from),
        source,
        destination,
        octets,
        interval: Math.ceil((8e9 * octets) / rate),
        rng: new Rng(options.seed, `replay/${link.name}.${direction}`),
      };
    }),
  );
  if (flows.length > 0) return flows;
  throw new OmniError('OMNI_NO_SUCH_LINK', 'there is no such link to replay', {
    remedy: `the links are ${scenario.links.map((link) => link.name).join(', ')}`,
  });
}

const SMALLEST_DATAGRAM_OCTETS = IPV6_HEADER_OCTETS + UDP_HEADER_OCTETS;

function datagramOctets(link: ResolvedLink, wanted: number | undefined): number {
  const octets = wanted ?? Math.min(DEFAULT_DATAGRAM_OCTETS, link.mtuOctets);
  if (octets >= SMALLEST_DATAGRAM_OCTETS && octets <= link.mtuOctets) return octets;
  throw new OmniError(
    'OMNI_BAD_CHANGE',
    `datagrams of ${octets} octets on '${link.name}': ${SMALLEST_DATAGRAM_OCTETS} to ${link.mtuOctets} are possible`,
  );
}

/** Of one family: IPv4 when both have it. */
function addressesOf(scenario: ResolvedScenario, from: string, to: string): [IpAddress, IpAddress] {
  const [sources, destinations] = [from, to].map((name) =>
    (scenario.nodes.find((node) => node.name === name)?.tun?.addresses ?? []).map(
      (text) => parseAddress(text.split('/')[0]!)!,
    ),
  ) as [IpAddress[], IpAddress[]];
  for (const v4 of [true, false]) {
    const pair = [sources, destinations].map((list) => list.find((address) => isIpv4(address) === v4));
    if (pair[0] !== undefined && pair[1] !== undefined) return pair as [IpAddress, IpAddress];
  }
  throw new OmniError('OMNI_BAD_ADDRESS', `${from} and ${to} have no address of one family`);
}

/** The datagrams of all flows in order of time; at one instant in order of the flows. */
function* schedule(flows: readonly Flow[], count: number): Generator<ScheduledPacket> {
  const sent = flows.map(() => 0);
  for (;;) {
    let next = -1;
    for (const [i, flow] of flows.entries())
      if (sent[i]! < count && (next < 0 || sent[i]! * flow.interval < sent[next]! * flows[next]!.interval)) next = i;
    if (next < 0) return;
    const flow = flows[next]!;
    const number = sent[next]!++;
    yield { atNanoseconds: instant(number * flow.interval), tun: flow.tun, octets: datagram(flow, number) };
  }
}

function datagram({ source, destination, octets, rng }: Flow, number: number): Uint8Array {
  const ports = { sourcePort: SOURCE_PORT, destinationPort: DISCARD_PORT };
  if (isIpv4(source) && isIpv4(destination)) {
    const payload = new Uint8Array(octets - IPV4_HEADER_OCTETS);
    rng.fill(payload.subarray(UDP_HEADER_OCTETS));
    writeUdp4(payload, 0, payload.length - UDP_HEADER_OCTETS, { ...ports, source, destination });
    return emitIpv4Packet({
      protocol: PROTOCOL.udp,
      identification: number & 0xffff,
      dontFragment: true,
      source,
      destination,
      payload,
    });
  }
  const payload = new Uint8Array(octets - IPV6_HEADER_OCTETS);
  rng.fill(payload.subarray(UDP_HEADER_OCTETS));
  const packet = emitIpv6Packet({
    nextHeader: PROTOCOL.udp,
    source: source as Uint8Array,
    destination: destination as Uint8Array,
    payload,
  });
  writeUdp6(packet, IPV6_HEADER_OCTETS, payload.length - UDP_HEADER_OCTETS, { ...ports, addressesAt: 8 });
  return packet;
}
