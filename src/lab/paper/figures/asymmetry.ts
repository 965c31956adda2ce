/**
 * `asymmetry`: goodput against the ratio of the two rates, with k of RFC 3449; where the paper's "50:1" holds. Twice: with queues
 * that drop nothing, as RFC 3449's k supposes, and with queues of 20 packets, which thin the acknowledgments out.
 */
import {
  COLOUR,
  type Figure,
  OMNI_PAPER,
  type Panel,
  type Point,
  type Series,
  type Style,
  type TheoryLine,
} from '../figure.ts';
import type { FigureContext, FigureModule, PaperCell, ResultsOf } from '../module.ts';
import { pointsOf } from '../runs.ts';
import { segmentKeys, stackOf } from '../stacks.ts';
import { acknowledgmentLimit, ceiling, lineBits, normalizedBandwidthRatio, TCP_IP_OCTETS } from '../theory.ts';
import { curve } from './fer.ts';

const RATIOS = [5, 10, 20, 30, 50, 75, 100, 150, 200];
const SEGMENTS = [512, 1024, 1460] as const;
const DOWN_BIT_PER_SECOND = 400_000;
const SECONDS = 60;
const RUNS = 2;
const CLAIMED_RATIO = 50;
/** Of the ceiling: less than this and the ratio is felt. */
const HOLDS = 0.95;
const QUEUES = [
  { key: 'deep', title: 'queues that drop nothing', packets: 2000 },
  { key: 'short', title: 'queues of 20 packets', packets: 20 },
] as const;
const STYLES: Readonly<Record<number, Style>> = {
  512: { colour: COLOUR.vermilion, symbol: 'circle' },
  1024: { colour: COLOUR.blue, symbol: 'triangle', dash: '6 3' },
  1460: { colour: COLOUR.green, symbol: 'square', hollow: true, dash: '2 2' },
};
const SOURCE = `${OMNI_PAPER}: "about 50:1", with 8 kbit/s up to 400 kbit/s down`;
const STACK = stackOf('2000');

export const asymmetry: FigureModule = {
  name: 'asymmetry',
  summary: 'goodput against the ratio of the rates, with k of RFC 3449',
  needsTestbeds: true,
  cells: (context) => allCells(context),
  matrix: (context) => ({ scenario: 'lab', cells: allCells(context) }),
  build: async (context, results) => figureOf(context, results),
};

const allCells = (context: FigureContext): PaperCell[] =>
  QUEUES.flatMap(({ packets }) =>
    SEGMENTS.flatMap((segment) => RATIOS.map((ratio) => cellOf(packets, segment, ratio, context))),
  );

function cellOf(packets: number, segment: number, ratio: number, { repetitions, scale }: FigureContext): PaperCell {
  return {
    keys: {
      ...{ rate: DOWN_BIT_PER_SECOND, asymmetry: ratio, rtt: '20ms', ber: 0, queue: `${packets} packets` },
      ...STACK.keys,
      ...segmentKeys(segment, STACK),
      workload: { kind: 'bulk', seconds: `${Math.max(2, SECONDS * Math.min(1, scale))}s` },
    },
    repetitions: repetitions ?? RUNS,
  };
}

/** k for full segments and bare acknowledgments on our frames. */
export const ratioK = (segment: number, ratio: number): number =>
  normalizedBandwidthRatio({
    downBitPerSecond: ratio,
    upBitPerSecond: 1,
    dataOctets: lineBits(segment + TCP_IP_OCTETS) / 8,
    acknowledgmentOctets: lineBits(TCP_IP_OCTETS) / 8,
  });

function figureOf(context: FigureContext, results: ResultsOf): Figure {
  const panels = QUEUES.map(({ key, title, packets }): Panel => {
    const series = SEGMENTS.map(
      (segment): Series => ({
        ...{ name: `MSS ${segment}`, style: STYLES[segment]!, draw: 'points' },
        points: RATIOS.flatMap((ratio) => {
          const cell = cellOf(packets, segment, ratio, context);
          return pointsOf(ratio, cell, 'utilisation', results(cell));
        }),
      }),
    );
    return {
      ...{ key, title, series },
      x: { name: 'rate down ÷ rate up', unit: '1', scale: 'log', domain: [4.5, 220], ticks: RATIOS },
      y: {
        name: 'payload bits of the downlink',
        unit: '%',
        scale: 'linear',
        domain: [0, 100],
        ticks: [0, 20, 40, 60, 80, 100],
      },
      theory: [
        ...SEGMENTS.map((segment) => ackLine(segment, 2)),
        // Where the segments are smallest this kernel's receiver answers nearly each.
        ackLine(512, 1),
      ],
      published: [{ x: CLAIMED_RATIO, y: 93, label: 'about 50:1', source: SOURCE }],
      rules: [{ axis: 'x', at: CLAIMED_RATIO, label: '' }],
    };
  });
  return {
    name: 'asymmetry',
    title: 'How much faster down than up TCP can use',
    subtitle:
      'One bulk transfer down 400 kbit/s, acknowledgments up a slower line: TCP of 2000, no bit errors, 20 ms round trip. k is the ratio of the rates divided by the ratio of the frame sizes.',
    ...{ columns: 2, panelHeight: 380, panels },
    methods: `omni sweep, scenario lab: ${SECONDS} s of bulk TCP down 400 kbit/s, up 1/ratio of it, ${RUNS} runs a point (without noise they hardly differ). How many segments one acknowledgment answers is the receiving kernel's choice: from one to two, whence the lines 1/k and 2/k. An acknowledgment takes 47 octets on the line, a segment 47 more than its data, stuffing on top. In the first panel both queues hold 2000 packets and drop nothing; in the second 20.`,
    findings: panels.flatMap((panel, index) => [
      ...panel.series.map(({ points }, i) => finding(SEGMENTS[i]!, points, QUEUES[index]!.title)),
    ]),
  };
}

function ackLine(segment: 512 | 1024 | 1460, answered: 1 | 2): TheoryLine {
  return {
    name: `${answered} ÷ k, MSS ${segment}`,
    style: { colour: STYLES[segment]!.colour, symbol: 'circle', dash: answered === 2 ? '1 3' : '7 2 1 2' },
    source:
      'RFC 3449 section 3.1: when no acknowledgment is dropped and one answers n segments, the uplink lets n/k of the downlink through',
    points: curve(4.5, 220, (ratio) => 100 * ceiling(segment) * acknowledgmentLimit(ratioK(segment, ratio), answered)),
  };
}

function finding(segment: number, points: readonly Point[], queues: string): string {
  const most = 100 * ceiling(segment);
  const at50 = points.find(({ x }) => x === CLAIMED_RATIO);
  if (at50 === undefined) return `MSS ${segment}, ${queues}: no run at 50:1 counts.`;
  const last = points.filter((_, index) => points.slice(0, index + 1).every(({ y }) => y >= HOLDS * most)).at(-1);
  const holds = at50.y >= HOLDS * most;
  return `MSS ${segment}, ${queues}: at 50:1 k is ${ratioK(segment, CLAIMED_RATIO).toFixed(2)} and ${at50.y.toFixed(1)} % of ${most.toFixed(1)} % is reached: 50:1 ${holds ? 'holds' : 'does not hold'}; ${last === undefined ? `no ratio measured reaches ${100 * HOLDS} % of the ceiling` : `up to ${last.x}:1 at least ${100 * HOLDS} % of the ceiling`}${queues.includes('nothing') ? ` (2/k says up to ${((50 * 2) / ratioK(segment, 50)).toFixed(1)}:1)` : ''}.`;
}
