/** `delay`: goodput against round trip, from low Earth orbit to beyond the Moon, for several windows; where 64 KiB stops. */
import { COLOUR, type Figure, OMNI_PAPER, type Point, type Series, type Style, THEORY_STYLE } from '../figure.ts';
import type { FigureContext, FigureModule, PaperCell, ResultsOf } from '../module.ts';
import { pointsOf } from '../runs.ts';
import { segmentKeys, stackOf } from '../stacks.ts';
import { ceiling, lineBits, TCP_IP_OCTETS, windowLimit } from '../theory.ts';
import { curve } from './fer.ts';

const ROUND_TRIPS_MILLISECONDS = [4, 10, 20, 40, 80, 160, 320, 640, 1280, 2560];
const RATE = 1e6;
const SEGMENT = 1448;
const RUNS = 2;
const LEAST_SECONDS = 20;
const ROUND_TRIPS_A_RUN = 30;
const STACK = stackOf('rfc2488');
/** Linux makes the window that it announces from the receive buffer: about half of it before the first segments, up to 0.62 after. */
const WINDOWS: readonly { octets: number; bufferOctets: number; name: string; style: Style }[] = [
  { octets: 8760, bufferOctets: 17_520, name: '8760 octets', style: { colour: COLOUR.orange, symbol: 'diamond' } },
  {
    octets: 32_768,
    bufferOctets: 60_000,
    name: '32 KiB',
    style: { colour: COLOUR.blue, symbol: 'triangle', dash: '6 3' },
  },
  { octets: 65_535, bufferOctets: 262_144, name: '64 KiB', style: { colour: COLOUR.vermilion, symbol: 'circle' } },
  {
    octets: 1_048_576,
    bufferOctets: 2_097_152,
    name: '1 MiB',
    style: { colour: COLOUR.green, symbol: 'square', hollow: true, dash: '2 2' },
  },
];
const LARGEST_UNSCALED = 65_535;
const SOURCE = `${OMNI_PAPER}, section 4; the Moon's distance makes it 2564 ms, not the 1666 printed`;

export const delay: FigureModule = {
  name: 'delay',
  summary: 'goodput against round trip for several windows; where 64 KiB stops',
  needsTestbeds: true,
  cells: (context) => allCells(context),
  matrix: (context) => ({ scenario: 'lab', cells: allCells(context) }),
  build: async (context, results) => figureOf(context, results),
};

const allCells = (context: FigureContext): PaperCell[] =>
  WINDOWS.flatMap(({ octets }) => ROUND_TRIPS_MILLISECONDS.map((rtt) => cellOf(octets, rtt, context)));

function cellOf(window: number, roundTrip: number, { repetitions, scale }: FigureContext): PaperCell {
  const buffer = WINDOWS.find(({ octets }) => octets === window)!.bufferOctets;
  const seconds = Math.max(LEAST_SECONDS, (ROUND_TRIPS_A_RUN * roundTrip) / 1000) * Math.min(1, scale);
  return {
    keys: {
      ...{ rate: RATE, rtt: `${roundTrip}ms`, ber: 0 },
      ...STACK.keys,
      ...segmentKeys(SEGMENT, STACK),
      windowScaling: window > LARGEST_UNSCALED,
      'nodes.ground.sysctl.net.ipv4.tcp_rmem': `4096 ${buffer} ${buffer}`,
      workload: { kind: 'bulk', seconds: `${Math.max(2, Math.round(seconds))}s` },
    },
    repetitions: repetitions ?? RUNS,
  };
}

const CEILING = (ceiling(SEGMENT, undefined, STACK.optionOctets) * RATE) / 1000;

function theory(window: number, roundTripMilliseconds: number): number {
  const packet = SEGMENT + STACK.optionOctets + TCP_IP_OCTETS;
  const serialisation = (lineBits(packet) + lineBits(TCP_IP_OCTETS + STACK.optionOctets)) / RATE;
  // A window is filled with whole segments.
  const whole = Math.max(1, Math.floor(window / SEGMENT)) * SEGMENT;
  return Math.min(CEILING, windowLimit(whole, roundTripMilliseconds / 1000 + serialisation) / 1000);
}

function figureOf(context: FigureContext, results: ResultsOf): Figure {
  const series = WINDOWS.map(
    ({ octets, name, style }): Series => ({
      ...{ name: `window of ${name}`, style, draw: 'points' },
      points: ROUND_TRIPS_MILLISECONDS.flatMap((rtt) => {
        const cell = cellOf(octets, rtt, context);
        return pointsOf(rtt, cell, 'goodput', results(cell));
      }),
    }),
  );
  const stops = LARGEST_UNSCALED / SEGMENT;
  const serialisation = (lineBits(SEGMENT + 52) + lineBits(52)) / RATE;
  const stopMilliseconds = ((Math.floor(stops) * SEGMENT * 8) / (CEILING * 1000) - serialisation) * 1000;
  const known: readonly (readonly [number, string])[] = [
    [32, 'horizon'],
    [240, 'geostationary'],
    [480, 'ACTS'],
    [1666, 'Moon, as printed'],
  ];
  return {
    name: 'delay',
    title: 'Goodput against round trip time',
    subtitle:
      'One bulk transfer over 1 Mbit/s each way without bit errors; Reno with SACK (RFC 2488), scaled windows above 64 KiB only; the receiver announces no more than the window.',
    ...{ columns: 1, panelHeight: 420 },
    panels: [
      {
        ...{ key: 'delay', title: '1 Mbit/s, segments of 1448 octets', series },
        x: { name: 'round trip', unit: 'ms', scale: 'log', domain: [3, 3500], ticks: ROUND_TRIPS_MILLISECONDS },
        y: { name: 'goodput', unit: 'kbit/s', scale: 'linear', domain: [0, 1000] },
        theory: WINDOWS.map(({ octets, name }, index) => ({
          name: `window ÷ round trip, ${name}`,
          style: { ...THEORY_STYLE, dash: ['1 3', '4 3', '8 3', '8 2 2 2'][index]! },
          source:
            "whole segments of one window each round trip (propagation, one frame and one acknowledgment), not above the line's ceiling",
          points: curve(3, 3500, (rtt) => theory(octets, rtt), 160),
        })),
        published: known.map(([x, label]) => ({
          x,
          y: 985,
          label,
          source: SOURCE,
          align: x > 1000 ? 'left' : 'right',
        })),
        rules: known.map(([at]) => ({ axis: 'x', at, label: '' })),
      },
    ],
    methods: `omni sweep, scenario lab: bulk TCP for ${LEAST_SECONDS} s or ${ROUND_TRIPS_A_RUN} round trips, whichever is longer, ${RUNS} runs a point (without noise they hardly differ). Windows are set by the receive buffer (net.ipv4.tcp_rmem of the ground station: 17,520, 60,000, 262,144 and 2,097,152 octets), those up to 64 KiB without window scaling. Delay is half each way; the queue holds what the line carries in a round trip, at least 20 packets. Goodput is payload acknowledged over the time since the first segment, so the slow start of a long round trip is in it and the theory line, which is the steady state, is not reached there.`,
    findings: findingsOf(series, stopMilliseconds),
  };
}

function findingsOf(series: readonly Series[], stopMilliseconds: number): string[] {
  const reach = ({ points, name }: Series): string => {
    const good = points.filter(({ y }) => y >= 0.9 * CEILING).map(({ x }) => x);
    const ends: Point | undefined = points.at(-1);
    return `${name}: at least 90 % of what the line can carry up to ${good.length === 0 ? 'no round trip measured' : `${Math.max(...good)} ms`}; ${ends?.y.toFixed(0)} kbit/s at ${ends?.x} ms.`;
  };
  return [
    `64 KiB without scaling fills 1 Mbit/s up to a round trip of ${stopMilliseconds.toFixed(0)} ms by theory: past a geostationary relay, not as far as the Moon.`,
    ...series.map(reach),
  ];
}
