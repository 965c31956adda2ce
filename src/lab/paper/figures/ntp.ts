/**
 * `ntp`: figure 5 of the paper, UoSAT-12's clock under NTP, as the client reported it and as it truly was. Replayed in virtual
 * time (src/lab/ntp-figure.ts): the same seed gives the same clock on every machine.
 */
import { type Figure5Replay, replayFigure5 } from '../../ntp-figure.ts';
import { COLOUR, type Figure, OMNI_PAPER, type Point, type PublishedMark, type Series } from '../figure.ts';
import type { FigureModule } from '../module.ts';

const MILLISECONDS = 1000;
const SOURCE = `${OMNI_PAPER}, figure 5 and its text`;

export const ntp: FigureModule = {
  name: 'ntp',
  summary: "figure 5: UoSAT-12's clock under NTP, reported and true error",
  needsTestbeds: false,
  matrix: ({ seed }) => ({ ntp: { seed } }),
  build: async ({ seed }) => figureOf(replayFigure5({ seed }), seed),
};

export function remeasureNtp(
  recipes: readonly { readonly seed: string; readonly series: string; readonly x: number }[],
): Point[] {
  const replays = new Map<string, Map<string, Point>>();
  return recipes.map((recipe) => {
    let points = replays.get(recipe.seed);
    if (points === undefined) {
      const series = seriesOf(replayFigure5({ seed: recipe.seed }), recipe.seed);
      points = new Map(series.flatMap(({ points: of }) => of.map((p) => [`${p.recipe?.series} ${p.x}`, p])));
      replays.set(recipe.seed, points);
    }
    return points.get(`${recipe.series} ${recipe.x}`) ?? { x: recipe.x, y: Number.NaN };
  });
}

function seriesOf({ samples }: Figure5Replay, seed: string): [trueError: Series, reported: Series] {
  const point = (series: string, time: number, y: number, isMeasured: boolean): Point => {
    const x = Number(time.toPrecision(9));
    return { x, y: y * MILLISECONDS, ...(isMeasured ? { recipe: { kind: 'ntp', seed, series, x } } : {}) };
  };
  return [
    {
      ...{ name: 'true error of the clock', style: { colour: COLOUR.vermilion, symbol: 'circle' }, draw: 'line' },
      // All are drawn; those at the client's calculations suffice to compare a reproduction with.
      points: samples.map(({ time, trueError, reportedOffset }) =>
        point('true', time, trueError, reportedOffset !== undefined),
      ),
    },
    {
      name: 'error that the client calculated',
      style: { colour: COLOUR.blue, symbol: 'diamond', hollow: true },
      draw: 'symbols',
      points: samples.flatMap(({ time, reportedOffset }) =>
        reportedOffset === undefined ? [] : [point('reported', time, reportedOffset, true)],
      ),
    },
  ];
}

/** Of a line in seconds only what can be seen at a scale of seconds: its steps. */
const coarse = ({ points, ...series }: Series): Series => ({
  ...series,
  points: points
    .filter(({ y }, i) => {
      const [before, after] = [points[i - 1]?.y, points[i + 1]?.y];
      return before === undefined || after === undefined || Math.abs(y - before) > STEP || Math.abs(after - y) > STEP;
    })
    .map(({ x, y }) => ({ x, y })),
});

const STEP = 15;

function figureOf(replay: Figure5Replay, seed: string): Figure {
  const { milestones, enabledAt, setAheadAt, tickSeconds } = replay;
  const series = seriesOf(replay, seed);
  const [trueError, reported] = series;
  const tick = tickSeconds * MILLISECONDS;
  const calculations = reported.points.map(({ x }) => x);
  const second = (after: number): number => calculations.filter((x) => x > after)[2] ?? after;
  const settled = second(setAheadAt);
  const later = calculations[calculations.indexOf(settled) + 2] ?? settled;
  const bound = (x: number, ticks: number): PublishedMark => ({
    ...{ x, y: ticks * tick, label: `< ${ticks} ticks`, bound: 'below', source: SOURCE },
  });
  const rules = [
    { axis: 'x', at: enabledAt, label: 'NTP on' },
    { axis: 'x', at: setAheadAt, label: 'set 3.25 s ahead' },
  ] as const;
  const x = { name: 'time', unit: 's', scale: 'linear', domain: [0, 840] } as const;
  const held = trueError.points.filter(({ x: at }) => at > later).map(({ y }) => y);
  const mean = held.reduce((sum, y) => sum + y, 0) / held.length;
  return {
    name: 'ntp',
    title: 'NTP on UoSAT-12: what the client saw and how far off the clock was',
    subtitle:
      'The pass of 14 April 2000 replayed: clock of 10 ms ticks, 300 ms off; a poll every 30 s over 9.6 kbit/s up and 38.4 kbit/s down; the step rule of the flight.',
    columns: 1,
    panelHeight: 250,
    panels: [
      {
        ...{ key: 'whole', title: 'the whole range', x, rules, theory: [] },
        series: [coarse(trueError), { ...reported, points: reported.points.map(({ x: at, y }) => ({ x: at, y })) }],
        y: { name: 'clock ahead of the truth', unit: 'ms', scale: 'linear', domain: [-500, 4000] },
        published: [
          { x: 20, y: 300, label: '300 ms off', source: SOURCE },
          { x: setAheadAt, y: 3250, label: '3.25 s', source: SOURCE, align: 'right' },
        ],
      },
      {
        ...{
          key: 'near',
          title: 'near zero',
          x,
          rules: [...rules, { axis: 'y', at: 0, label: '' }],
          series,
          theory: [],
        },
        y: { name: 'clock ahead of the truth', unit: 'ms', scale: 'linear', domain: [-50, 90] },
        published: [bound(second(enabledAt), 2), bound(settled, 6), bound(later, 2)],
      },
    ],
    intervalNote:
      'Line: the true error each second, which the flight could not know. Diamonds: what the client calculated, before it stepped the clock. No intervals: one replay, the same on every machine.',
    methods: `Virtual time, seed ${seed}: the NTP client of the spacecraft (two calculations before a step, whole seconds first) against a perfect server over the UoSAT-12 link, with the jitter of some twenty router hops. No kernel and no clock of the machine takes part. 'omni ntp figure5' prints the same replay.`,
    findings: [
      ...milestones.map(
        ({ what, paperTicks, reportedTicks, trueTicks }) =>
          `${what}: the paper says within ${paperTicks} ticks; the client reports ${reportedTicks.toFixed(1)}, the truth is ${trueTicks.toFixed(1)}.`,
      ),
      `At the end the clock is ${(-mean).toFixed(1)} ms behind on average while the client sees about none: half the difference between the two directions' serialisation, which NTP cannot see.`,
    ],
  };
}
