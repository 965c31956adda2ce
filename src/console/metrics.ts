/**
 * A testbed's numbers in the Prometheus text format 0.0.4: a pure function from the daemon's status. docs/metrics.md is the
 * interface; a test holds the two together. Base units throughout: seconds, octets, bit/s.
 */
import type { HistogramSnapshot, RouterSnapshot } from '../router/index.ts';
import type { DaemonStatus } from '../testbed/daemon.ts';
import { mobileIpMetrics } from './mobile-ip.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string | number>>;
type Kind = 'counter' | 'gauge' | 'histogram';

/** Families in the order of their first sample; all samples of one stand together, as the format demands. */
class Exposition {
  readonly #common: Labels;
  readonly #families = new Map<string, { readonly head: string; readonly lines: string[] }>();

  constructor(common: Labels) {
    this.#common = common;
  }

  add(name: string, kind: Kind, help: string, labels: Labels, value: number): void {
    this.#sample(name, kind, help, '', labels, value);
  }

  /** Cumulative buckets at these upper bounds in seconds, from microseconds. */
  histogram(name: string, help: string, labels: Labels, from: HistogramSnapshot): void {
    for (const bound of BUCKET_BOUNDS_MICROSECONDS) {
      let count = 0;
      for (const [upTo, seen] of from.cumulative) if (upTo <= bound) count = seen;
      this.#sample(name, 'histogram', help, '_bucket', { ...labels, le: String(bound / 1e6) }, count);
    }
    this.#sample(name, 'histogram', help, '_bucket', { ...labels, le: '+Inf' }, from.count);
    this.#sample(name, 'histogram', help, '_sum', labels, from.sumMicroseconds / 1e6);
    this.#sample(name, 'histogram', help, '_count', labels, from.count);
  }

  text(): string {
    return `${[...this.#families.values()].map(({ head, lines }) => `${head}\n${lines.join('\n')}`).join('\n')}\n`;
  }

  #sample(name: string, kind: Kind, help: string, suffix: string, labels: Labels, value: number): void {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { head: `# HELP ${name} ${help}\n# TYPE ${name} ${kind}`, lines: [] };
      this.#families.set(name, family);
    }
    const all = Object.entries({ ...this.#common, ...labels });
    family.lines.push(
      `${name}${suffix}{${all.map(([key, v]) => `${key}="${escaped(String(v))}"`).join(',')}} ${value}`,
    );
  }
}

/** Powers of four of the histograms' own bucket bounds, 64 us to 4.8 h: the same in every scrape. */
const BUCKET_BOUNDS_MICROSECONDS = Array.from({ length: 15 }, (_, i) => 2 ** (6 + 2 * i));

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

/** All metrics of one testbed. */
export function metricsText(testbed: string, status: DaemonStatus): string {
  const out = new Exposition({ testbed });
  const { dataPlane } = status;
  out.add(
    'omni_info',
    'gauge',
    'Always 1; the labels say what runs.',
    { scenario: dataPlane.scenario, seed: dataPlane.seed },
    1,
  );
  out.add('omni_uptime_seconds', 'gauge', 'Since the links started.', {}, dataPlane.uptimeSeconds);
  out.add('omni_realtime', 'gauge', '1 when the daemon runs with real-time priority.', {}, Number(status.realtime));
  out.add('omni_packet_slots', 'gauge', 'Packet slots of the pool.', {}, dataPlane.pool.capacity);
  out.add('omni_packet_slots_used', 'gauge', 'Packet slots in use.', {}, dataPlane.pool.used);
  out.add(
    'omni_alarms',
    'gauge',
    'Places where packets are unaccounted for. Anything but 0 is a bug.',
    {},
    dataPlane.alarms.length,
  );
  lateness(out, dataPlane);
  for (const link of dataPlane.links)
    for (const direction of ['up', 'down'] as const)
      linkMetrics(out, { link: link.name, direction }, link[direction], dataPlane.uptimeSeconds);
  for (const { name, router } of dataPlane.nodes) if (router !== undefined) routerMetrics(out, name, router);
  for (const app of status.apps) {
    out.add(
      'omni_app_restarts_total',
      'counter',
      'How often an app process that ended was started again.',
      { node: app.node },
      app.restarts,
    );
    out.add(
      'omni_app_up',
      'gauge',
      "1 while the node's app process runs.",
      { node: app.node },
      Number(app.state === 'running'),
    );
  }
  mobileIpMetrics((...sample) => out.add(...sample), status);
  return out.text();
}

function lateness(out: Exposition, { lateness: late }: DaemonStatus['dataPlane']): void {
  out.add('omni_events_total', 'counter', 'Events of the links that were due.', {}, late.count);
  out.add('omni_events_overdue_total', 'counter', 'Events handled over 1 ms after they were due.', {}, late.overdue);
  out.add('omni_lateness_max_seconds', 'gauge', 'How late the latest event was.', {}, late.maximumMicroseconds / 1e6);
}

function linkMetrics(
  out: Exposition,
  labels: Labels,
  d: DaemonStatus['dataPlane']['links'][number]['up'],
  uptimeSeconds: number,
): void {
  const c = d.counters;
  const counter = (name: string, help: string, value: number | undefined, more: Labels = {}) =>
    out.add(name, 'counter', help, { ...labels, ...more }, value ?? 0);
  out.add('omni_link_up', 'gauge', '1 in contact, 0 out of contact.', labels, Number(d.up));
  out.add(
    'omni_link_rate_bits_per_second',
    'gauge',
    'Serial rate; every bit on the wire counts.',
    labels,
    d.rateBitPerSecond,
  );
  out.add('omni_link_delay_seconds', 'gauge', 'Propagation delay.', labels, d.delayMilliseconds / 1e3);
  if (d.contact !== undefined) {
    const at = d.up ? d.contact.losSeconds : d.contact.aosSeconds;
    out.add(
      'omni_link_contact_change_seconds',
      'gauge',
      'Time to LOS in contact, to AOS out of it.',
      labels,
      Math.max(0, at - uptimeSeconds),
    );
  }
  counter('omni_link_packets_in_total', 'IP packets the line took.', c.packetsIn);
  counter('omni_link_octets_in_total', 'Octets of IP the line took.', c.octetsIn);
  counter('omni_link_packets_out_total', 'IP packets delivered at the far end.', c.packetsOut);
  counter('omni_link_octets_out_total', 'Octets of IP delivered at the far end.', c.octetsOut);
  counter('omni_link_packets_lost_total', 'IP packets that did not arrive, for whatever reason.', c.packetsLost);
  out.add('omni_link_packets_in_flight', 'gauge', 'IP packets on their way.', labels, c.packetsInFlight ?? 0);
  counter('omni_link_bits_sent_total', 'Bits on the wire: stuffed bits, FCS and flags of frames included.', c.bitsSent);
  counter('omni_link_bit_errors_total', 'Bits that noise flipped.', c.bitErrors);
  for (const [key, outcome] of FRAME_COUNTERS)
    counter('omni_link_frames_received_total', 'Frames the receiver saw, by outcome.', c[key], { outcome });
  for (const [key, value] of Object.entries(c))
    if (key.startsWith('lost.'))
      counter('omni_link_packets_lost_by_reason_total', 'The packets lost, by reason.', value, {
        reason: key.slice(5),
      });
}

const FRAME_COUNTERS = [
  ['framesGood', 'good'],
  ['framesFcsError', 'fcs'],
  ['framesAborted', 'abort'],
  ['framesRunt', 'runt'],
  ['framesGiant', 'giant'],
  ['framesUnaligned', 'unaligned'],
] as const;

function routerMetrics(out: Exposition, node: string, router: RouterSnapshot): void {
  out.add('omni_router_routes', 'gauge', 'Routes in the table.', { node }, router.routes);
  out.add(
    'omni_router_imbalance_packets',
    'gauge',
    'Packets unaccounted for; anything but 0 is a bug.',
    { node },
    router.imbalance,
  );
  out.add(
    'omni_router_originated_packets_total',
    'counter',
    'Packets the router made: ICMP, fragments, copies.',
    { node },
    router.originatedPackets,
  );
  out.add('omni_router_icmp_errors_total', 'counter', 'ICMP errors sent.', { node }, router.icmpErrorsSent);
  out.add(
    'omni_router_icmp_errors_suppressed_total',
    'counter',
    'ICMP errors not sent because of the rate limit.',
    { node },
    router.icmpErrorsSuppressed,
  );
  for (const { name, up, input, output } of router.interfaces) {
    const labels = { node, interface: name };
    out.add('omni_interface_up', 'gauge', '1 when the interface may send.', labels, Number(up));
    out.add('omni_interface_received_packets_total', 'counter', 'IP packets that came in.', labels, input.packets);
    out.add('omni_interface_received_octets_total', 'counter', 'Octets of IP that came in.', labels, input.octets);
    out.add(
      'omni_interface_sent_packets_total',
      'counter',
      'IP packets handed to the line or the kernel.',
      labels,
      output.sentPackets,
    );
    out.add(
      'omni_interface_sent_octets_total',
      'counter',
      'Octets of IP handed to the line or the kernel.',
      labels,
      output.sentOctets,
    );
    for (const [direction, dropped] of [
      ['in', input.dropped],
      ['out', output.dropped],
    ] as const)
      for (const [reason, value] of Object.entries(dropped))
        out.add(
          'omni_interface_dropped_packets_total',
          'counter',
          'IP packets dropped, by reason.',
          { ...labels, direction, reason },
          value,
        );
    for (const each of output.classes) classMetrics(out, { ...labels, class: each.name }, each);
  }
}

function classMetrics(
  out: Exposition,
  labels: Labels,
  each: RouterSnapshot['interfaces'][number]['output']['classes'][number],
): void {
  out.add('omni_queue_packets', 'gauge', 'IP packets that wait, held ones included.', labels, each.queuedPackets);
  out.add('omni_queue_octets', 'gauge', 'Octets of IP that wait.', labels, each.queuedOctets);
  out.add('omni_queue_peak_octets', 'gauge', 'Most octets that waited at one time.', labels, each.peakOctets);
  out.add('omni_queue_sent_packets_total', 'counter', 'IP packets sent from the queue.', labels, each.sentPackets);
  out.add('omni_queue_sent_octets_total', 'counter', 'Octets of IP sent from the queue.', labels, each.sentOctets);
  out.add('omni_queue_dropped_packets_total', 'counter', 'IP packets the queue dropped.', labels, each.droppedPackets);
  out.add(
    'omni_queue_marked_packets_total',
    'counter',
    'IP packets marked Congestion Experienced.',
    labels,
    each.markedPackets,
  );
  out.histogram('omni_queue_wait_seconds', 'Time in the queue while in contact.', labels, each.wait);
  out.histogram(
    'omni_queue_held_seconds',
    'Time in the queue of packets that waited for a contact.',
    labels,
    each.held,
  );
}
