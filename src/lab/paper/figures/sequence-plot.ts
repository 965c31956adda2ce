/**
 * A transfer as tcptrace and xplot draw it: sequence numbers against time, what was sent again and why, what arrived out of order,
 * what was lost to noise and to a full queue.
 */
import { FLIGHT } from '../../flight.ts';
import type { TransferReport } from '../../transfer-report.ts';
import type { Arrivals } from '../arrivals.ts';
import { COLOUR, type Figure, OMNI_PAPER, type Panel, type Point, type Series } from '../figure.ts';

const ZOOM_SECONDS = 8;
const SOURCE = `${OMNI_PAPER}, section 7 and figure 8`;

export const KILO = 1000;

/** @param repeats further series for the whole transfer. */
export function drawTransfer(
  report: TransferReport,
  arrivals: Arrivals,
  repeats: readonly Series[],
  methods: string,
  findings: readonly string[],
): Figure {
  const { flow } = report;
  const began = beginning(flow);
  const place = ({ at, sequence }: { at: number; sequence: number }): Point => ({
    x: at - began.at,
    y: (sequence - began.sequence) / KILO,
  });
  const data = flow.timeSequence.filter(({ payloadOctets }) => payloadOctets > 0);
  const again = (causes: readonly string[]) =>
    data.filter(({ cause }) => cause !== undefined && causes.includes(cause)).map(place);
  const acknowledged = flow.acknowledged
    .map(({ at, octets }) => place({ at, sequence: octets }))
    .filter(({ x }) => x >= 0);
  const all: Series[] = [
    { name: 'segment sent', style: STYLE.sent, draw: 'symbols', radius: 1.3, points: data.map(place) },
    { name: 'acknowledged', style: STYLE.acknowledged, draw: 'steps', points: acknowledged },
    { name: 'lost to noise', style: STYLE.noise, draw: 'symbols', points: arrivals.lostToNoise.map(place) },
    { name: 'dropped by the full queue', style: STYLE.queue, draw: 'symbols', points: arrivals.lostInQueue.map(place) },
    { ...{ name: 'sent again, asked for', style: STYLE.fast, draw: 'letters', letter: 'R' }, points: again(['fast']) },
    {
      ...{ name: 'sent again after a time-out', style: STYLE.timeout, draw: 'letters', letter: 'T' },
      points: again(['timeout', 'probe']),
    },
    {
      ...{ name: 'arrived out of order', style: STYLE.outOfOrder, draw: 'letters', letter: 'O' },
      points: arrivals.outOfOrder.map(place),
    },
  ];
  const end = report.seconds;
  const top = report.octets / KILO;
  const near = worthZooming(arrivals.lostToNoise.map(place), end);
  const inWindow = all.map((series) => ({
    ...series,
    points: series.points.filter(({ x }) => x >= near && x <= near + ZOOM_SECONDS),
  }));
  const heights = inWindow.flatMap(({ points }) => points.map(({ y }) => y));
  const y = { name: 'sequence number', unit: 'kB', scale: 'linear' } as const;
  const panels: Panel[] = [
    {
      ...{ key: 'whole', title: 'the whole transfer', theory: [], series: [...all, ...repeats] },
      x: {
        name: 'time',
        unit: 's',
        scale: 'linear',
        domain: [0, niceAbove(end, FLIGHT.seconds * (top > 200 ? 1.05 : 0))],
      },
      y: { ...y, domain: [0, niceAbove(top)] },
      published:
        Math.abs(report.octets - FLIGHT.octets) < FLIGHT.segmentOctets
          ? [
              {
                x: FLIGHT.seconds,
                y: FLIGHT.octets / KILO,
                label: `flight: ${FLIGHT.seconds} s`,
                source: SOURCE,
                align: 'right',
              },
            ]
          : [],
    },
    {
      ...{ key: 'zoom', title: `${ZOOM_SECONDS} s around a recovery`, theory: [], series: inWindow, published: [] },
      x: { name: 'time', unit: 's', scale: 'linear', domain: [near, near + ZOOM_SECONDS] },
      y: { ...y, domain: [Math.floor(Math.min(...heights, top)) - 1, Math.ceil(Math.max(...heights, 1)) + 1] },
    },
  ];
  const { retransmissions: r } = report;
  return {
    ...{ name: 'time-sequence', columns: 1, panelHeight: 330, panels, methods },
    title: 'TCP sequence numbers against time',
    subtitle:
      'As tcptrace draws it: a dot for each segment that the sender put out, the step line what came back acknowledged; R and T where it sent again, O where the receiver got a segment behind a later one, × where noise took the frame, + where the queue was full.',
    intervalNote:
      repeats.length === 0
        ? 'One capture; no intervals.'
        : 'Squares: mean over the replays, bars their 95 % bootstrap interval (the same bit errors, so this is how far the kernel repeats itself). All else: the first replay.',
    findings: [
      `The transfer drawn: ${report.octets} octets in ${report.seconds.toFixed(1)} s, ${(report.goodputBitPerSecond / 1000).toFixed(1)} kbit/s; ${r.total} sent again (${r.fast} asked for, ${r.timeout + r.probe} after a time-out, ${r.spurious} needlessly); ${arrivals.lostToNoise.length} lost to noise, ${arrivals.lostInQueue.length} dropped by the full queue, ${arrivals.outOfOrder.length} arrived out of order, ${arrivals.duplicates} twice.`,
      ...findings,
    ],
  };
}

const STYLE = {
  sent: { colour: COLOUR.black, symbol: 'circle' },
  acknowledged: { colour: COLOUR.green, symbol: 'circle' },
  noise: { colour: COLOUR.vermilion, symbol: 'times' },
  queue: { colour: COLOUR.orange, symbol: 'plus' },
  fast: { colour: COLOUR.blue, symbol: 'circle' },
  timeout: { colour: COLOUR.vermilion, symbol: 'circle' },
  outOfOrder: { colour: COLOUR.purple, symbol: 'circle' },
} as const;

/** Where noise took the most frames within a window; the middle of the transfer when it took none. */
function worthZooming(lost: readonly Point[], end: number): number {
  const times = lost.map(({ x }) => x);
  const among = (from: number) => times.filter((x) => x >= from && x < from + ZOOM_SECONDS / 2).length;
  const best = times.reduce((a, b) => (among(b) > among(a) ? b : a), times[0] ?? end / 2);
  return Math.max(0, Math.round(best - 1));
}

const niceAbove = (...values: number[]): number => Math.ceil(Math.max(...values) / 5) * 5;

/** The first data segment. */
export const beginning = ({ timeSequence: sent }: TransferReport['flow']): { at: number; sequence: number } =>
  sent.find(({ payloadOctets }) => payloadOctets > 0) ?? { at: 0, sequence: 0 };
