/**
 * `uosat-ftp`: the FTP transfer of 5 July 2000 against replays of it by each stack through bit errors of the same rate, each replay
 * with errors of its own: distributions, because at some ten errors a file one transfer says little.
 */
import { FLIGHT } from '../../flight.ts';
import type { SweepResult } from '../../sweep/result.ts';
import { COLOUR, type Figure, OMNI_PAPER, type Panel, type Point, type Series } from '../figure.ts';
import type { FigureContext, FigureModule, PaperCell, ResultsOf } from '../module.ts';
import { type MeasureName, pointsOf, samplesOf } from '../runs.ts';
import { STACKS, type Stack, segmentKeys } from '../stacks.ts';

const REPLAYS = 50;
const SOURCE = `${OMNI_PAPER}, section 7`;
const CATEGORIES = ['flight', ...STACKS.map(({ name }) => name)];
/** Two series beside each other in one category. */
const APART = 0.2;

export const uosatFtp: FigureModule = {
  name: 'uosat-ftp',
  summary: 'the FTP transfer of 5 July 2000 against replays by each stack',
  needsTestbeds: true,
  programs: ['curl'],
  cells: (context) => STACKS.map((stack) => cellOf(stack, context)),
  matrix: (context) => ({ scenario: 'lab', cells: STACKS.map((stack) => cellOf(stack, context)) }),
  build: async (context, results) => figureOf(context, results),
};

function cellOf(stack: Stack, { repetitions, scale }: FigureContext): PaperCell {
  return {
    keys: {
      preset: 'uosat12',
      ...{ 'down.rate': '38.4k', 'up.rate': '9.6k', rtt: '20ms' },
      ...stack.keys,
      ...segmentKeys(FLIGHT.segmentOctets, stack),
      'down.ber': FLIGHT.bitErrorRate,
      workload: { kind: 'ftp-get', octets: Math.max(5000, Math.round(FLIGHT.octets * Math.min(1, scale))) },
    },
    repetitions: repetitions ?? REPLAYS,
  };
}

function figureOf(context: FigureContext, resultsOf: ResultsOf): Figure {
  const groups = STACKS.map((stack, index) => {
    const cell = cellOf(stack, context);
    return { stack, cell, x: index + 1, results: resultsOf(cell) };
  });
  const distribution = (name: string, measure: MeasureName, style: Series['style'], shift: number): Series => ({
    ...{ name, style, draw: 'samples' },
    points: groups.flatMap(({ cell, x, results }) => [
      ...samplesOf(x + shift, measure, results),
      ...pointsOf(x + shift, cell, measure, results),
    ]),
  });
  const x: Panel['x'] = {
    name: 'TCP',
    unit: '1',
    scale: 'linear',
    domain: [-0.5, STACKS.length + 0.5],
    categories: CATEGORIES,
  };
  const { retransmissions } = FLIGHT;
  const least = Math.min(
    50,
    ...groups.flatMap(({ results }) => results.map(({ measures }) => Math.floor(10 * measures!.utilisation) * 10)),
  );
  const most = Math.max(
    12,
    ...groups.flatMap(({ results }) => results.map(({ measures }) => measures!.retransmissions.total)),
  );
  return {
    name: 'uosat-ftp',
    title: 'The FTP transfer of 5 July 2000 and its replays',
    subtitle: `${FLIGHT.octets} octets by FTP from the spacecraft in segments of 512 octets, 38.4 kbit/s down and 9.6 kbit/s up, no FEC, BER ${FLIGHT.bitErrorRate.toExponential()} on the downlink; each replay with bit errors of its own.`,
    columns: 1,
    panelHeight: 300,
    panels: [
      {
        ...{ key: 'utilisation', title: 'use of the downlink', x, theory: [] },
        y: { name: 'payload bits of the line', unit: '%', scale: 'linear', domain: [least, 100] },
        series: [distribution('one replay', 'utilisation', { colour: COLOUR.blue, symbol: 'circle' }, 0)],
        published: [{ x: 0, y: 100 * FLIGHT.utilisation, label: '79.2 %', source: SOURCE }],
        rules: [{ axis: 'y', at: 100 * FLIGHT.utilisation, label: '' }],
      },
      {
        ...{ key: 'retransmissions', title: 'segments sent again', x, theory: [] },
        y: { name: 'segments', unit: '1', scale: 'linear', domain: [-1, 5 * Math.ceil((most + 1) / 5)] },
        series: [
          distribution('asked for by the receiver', 'fast', { colour: COLOUR.green, symbol: 'triangle' }, -APART),
          distribution('after a time-out', 'timeout', { colour: COLOUR.vermilion, symbol: 'square' }, APART),
        ],
        published: [
          { x: -APART, y: retransmissions.fast, label: '7 single losses', source: SOURCE },
          { x: APART, y: retransmissions.timeout, label: '2 multiple losses', source: SOURCE },
        ],
      },
    ],
    intervalNote: 'Small symbols: one replay each. Filled symbols: mean; bars: 95 % bootstrap interval of the mean.',
    methods: `curl fetches the file from the spacecraft's FTP server in a testbed of its own for each replay (omni sweep, scenario lab with the link of uosat12); ${context.repetitions ?? REPLAYS} replays a stack. BER 4.5e-6 is derived from the flight: 9 of 445 frames of 558 octets lost. A segment sent again is "asked for" when duplicate acknowledgments or SACK blocks asked for it, else a timer did it; the flight's single losses were mended by fast retransmission, its multiple losses by time-out. Counted from the packets at the sender.`,
    findings: groups.map(({ stack, results, cell }) =>
      finding(stack, results, pointsOf(0, cell, 'utilisation', results)[0]),
    ),
  };
}

function finding(stack: Stack, results: readonly SweepResult[], point: Point | undefined): string {
  if (point === undefined) return `${stack.name}: no replay counts.`;
  const { y, low, high } = point;
  const values = results.map(({ measures }) => 100 * measures!.utilisation).sort((a, b) => a - b);
  const flight = 100 * FLIGHT.utilisation;
  const below = values.filter((value) => value <= flight).length;
  const place = low! <= flight && flight <= high! ? 'inside' : 'outside';
  const mean = (of: (m: NonNullable<SweepResult['measures']>) => number) =>
    (results.reduce((sum, { measures }) => sum + of(measures!), 0) / results.length).toFixed(1);
  return `${stack.name}: mean ${y.toFixed(1)} % (95 % interval ${low!.toFixed(1)} to ${high!.toFixed(1)}), single replays ${values[0]!.toFixed(1)} to ${values.at(-1)!.toFixed(1)}; the flight's ${flight.toFixed(1)} % lies ${place} the interval, and ${below} of ${values.length} replays were no faster. Sent again: ${mean((m) => m.retransmissions.fast)} asked for, ${mean((m) => m.retransmissions.timeout + m.retransmissions.probe)} after a time-out (flight: 7 and 2).`;
}
