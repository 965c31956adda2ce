/**
 * `fer`: frame error rate against bit error rate, FCS-16 and FCS-32, with 1 − (1 − p)^n; and what the FCS does not see. Counted from
 * the framer, the noise and the deframer that links run (src/lab/frame-error-rate.ts), not from testbeds: the same seeds give
 * the same counts on every machine.
 */
import type { LineCode } from '../../../channel/index.ts';
import type { FcsWidth } from '../../../hdlc/index.ts';
import type { Shard } from '../../fidelity/cells.ts';
import { poissonLimits99 } from '../../fidelity/interval.ts';
import type { Totals } from '../../fidelity/workers.ts';
import { COLOUR, type Figure, type Point, type Series, type Style, THEORY_STYLE } from '../figure.ts';
import type { FigureContext, FigureModule } from '../module.ts';
import { exposedBits, frameErrorRate, OMNI_FRAMING } from '../theory.ts';

export interface FrameRecipe {
  readonly kind: 'frame-error-rate';
  readonly measure: 'lost' | 'undetected';
  /** Header and payload, without the FCS. */
  readonly contentOctets: number;
  readonly fcs: FcsWidth;
  readonly lineCoding: readonly LineCode[];
  readonly bitErrorRate: number;
  readonly frames: number;
}

const RATES = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2];
const SIZES = [558, 1506] as const;
const WIDTHS = [16, 32] as const;
const UNDETECTED_RATES = [1e-4, 1e-3, 3e-3, 1e-2];
const UNDETECTED_CODES: readonly { fcs: FcsWidth; lineCoding: readonly LineCode[]; name: string }[] = [
  { fcs: 16, lineCoding: [], name: 'FCS-16' },
  { fcs: 16, lineCoding: ['nrzi'], name: 'FCS-16, NRZI' },
  { fcs: 32, lineCoding: [], name: 'FCS-32' },
];
const FRAMES = 250_000;
const DAMAGED = 750_000;
const FRAMES_PER_SHARD = 250_000;

const STYLES: Readonly<Record<string, Style>> = {
  '558/16': { colour: COLOUR.blue, symbol: 'circle' },
  '558/32': { colour: COLOUR.skyBlue, symbol: 'circle', hollow: true, dash: '5 3' },
  '1506/16': { colour: COLOUR.vermilion, symbol: 'triangle' },
  '1506/32': { colour: COLOUR.orange, symbol: 'triangle', hollow: true, dash: '5 3' },
  'FCS-16': { colour: COLOUR.blue, symbol: 'square' },
  'FCS-16, NRZI': { colour: COLOUR.vermilion, symbol: 'diamond', hollow: true, dash: '5 3' },
  'FCS-32': { colour: COLOUR.green, symbol: 'times' },
};

export const fer: FigureModule = {
  name: 'fer',
  summary: 'frame error rate against bit error rate, and what the FCS does not see',
  needsTestbeds: false,
  matrix: ({ scale }) => ({ frameErrorRate: [...lostFrames(scale), ...undetectedDamage(scale)] }),
  async build(context) {
    const groups = [lostFrames(context.scale), undetectedDamage(context.scale)] as const;
    const recipes = groups.flat().flatMap((group) => group.recipes);
    const points = await remeasureFrames(recipes, context);
    const take = (group: Group): Series => ({
      ...{ name: group.name, style: STYLES[group.key]!, draw: 'points' },
      points: group.recipes.map((recipe) => points[recipes.indexOf(recipe)]!),
    });
    return figureOf(
      groups[0].map(take),
      groups[1].map((group) => ({ ...take(group), apart: true })),
    );
  },
};

interface Group {
  readonly key: string;
  readonly name: string;
  readonly recipes: readonly FrameRecipe[];
}

const lostFrames = (scale: number): Group[] =>
  SIZES.flatMap((octets) =>
    WIDTHS.map((fcs) => ({
      key: `${octets}/${fcs}`,
      name: `${octets} octets, FCS-${fcs}`,
      recipes: RATES.map((bitErrorRate) => ({
        ...{ kind: 'frame-error-rate', measure: 'lost', contentOctets: octets - 2, fcs, lineCoding: [] as const },
        ...{ bitErrorRate, frames: Math.ceil(FRAMES * scale) },
      })),
    })),
  );

const undetectedDamage = (scale: number): Group[] =>
  UNDETECTED_CODES.map(({ fcs, lineCoding, name }) => ({
    ...{ key: name, name },
    recipes: UNDETECTED_RATES.map((bitErrorRate) => {
      const contentOctets = 556;
      const damaged = frameErrorRate(exposedBits(contentOctets - OMNI_FRAMING.headerOctets), bitErrorRate);
      return {
        ...{ kind: 'frame-error-rate', measure: 'undetected', contentOctets, fcs, lineCoding, bitErrorRate },
        frames: Math.ceil((DAMAGED * scale) / damaged),
      };
    }),
  }));

function figureOf(lost: Series[], unseen: Series[]): Figure {
  const frames = [...lost, ...unseen]
    .flatMap(({ points }) => points)
    .reduce((sum, { recipe }) => sum + Number(recipe?.frames), 0);
  const outside = lost
    .flatMap(({ points }) => points)
    .filter(({ recipe, x, low, high }) => {
      const expected = theoryOf(
        (recipe as unknown as FrameRecipe).contentOctets,
        (recipe as unknown as FrameRecipe).fcs,
        x,
      );
      return expected < low! || expected > high!;
    });
  const total = lost.flatMap(({ points }) => points).length;
  const seen = (name: string) => unseen.find((series) => series.name === name)?.points ?? [];
  const events = (name: string) =>
    seen(name).reduce((sum, { recipe }) => sum + Number((recipe as { counted?: number }).counted ?? 0), 0);
  const damaged = (name: string) => seen(name).reduce((sum, { runs }) => sum + (runs ?? 0), 0);
  return {
    name: 'fer',
    title: 'Frames lost to bit errors, and damage that the FCS does not see',
    subtitle:
      'Frame Relay frames of random contents sent back to back through the framer, the noise and the deframer that every omni link runs. Independent bit errors. Sizes are header to FCS-16; FCS-32 adds two octets.',
    columns: 2,
    panels: [
      {
        key: 'lost',
        title: 'lost frames',
        x: { name: 'bit error rate', unit: '1', scale: 'log', domain: [5e-9, 2e-2], format: 'power' },
        y: { name: 'frame error rate', unit: '1', scale: 'log', domain: [2e-5, 2], format: 'power' },
        series: lost,
        theory: SIZES.map((octets, index) => ({
          name: `theory, ${octets} octets`,
          style: { ...THEORY_STYLE, dash: index === 0 ? '2 3' : '7 3' },
          source:
            '1 − (1 − p)^n, RFC 3819 section 8.5.3, with n the stuffed bits of the frame and its two flags, FCS-16',
          points: curve(5e-9, 2e-2, (x) => theoryOf(octets - 2, 16, x)),
        })),
        published: [],
      },
      {
        key: 'undetected',
        title: 'damaged frames of 558 octets that pass the FCS',
        x: { name: 'bit error rate', unit: '1', scale: 'log', domain: [5e-5, 2e-2], format: 'power' },
        y: { name: 'undetected of damaged frames', unit: '1', scale: 'log', domain: [1e-8, 1e-3], format: 'power' },
        series: unseen,
        theory: [
          {
            name: '2⁻¹⁶',
            style: THEORY_STYLE,
            source: 'what passes 16 check bits when the damage is random and leaves the length alone',
            points: [
              { x: 5e-5, y: 2 ** -16 },
              { x: 2e-2, y: 2 ** -16 },
            ],
          },
        ],
        published: [],
      },
    ],
    intervalNote:
      'Bars: 99 % interval of the rate (Wilson for lost frames, exact Poisson for undetected ones). Where nothing was seen the symbol stands at the upper limit and the bar leads down to the edge.',
    methods: `${frames.toLocaleString('en')} frames in all: ${lost[0]!.points[0]!.runs?.toLocaleString('en')} for each point of the first panel; for the second as many as damage about ${Math.round(damaged('FCS-16') / UNDETECTED_RATES.length).toLocaleString('en')} each. Contents are random, 256 of a kind for each 250,000 frames; errors come from the seeded error source of src/channel, frames are judged by the receiver of src/channel. A damaged frame did not arrive as it was sent; an undetected one passed the FCS with other octets.`,
    findings: [
      `${total - outside.length} of ${total} frame error rates have theory inside their 99 % interval.`,
      ...UNDETECTED_CODES.map(
        ({ name }) =>
          `${name}: ${events(name)} of ${damaged(name).toLocaleString('en')} damaged frames passed undetected.`,
      ),
    ],
  };
}

const theoryOf = (contentOctets: number, fcs: FcsWidth, bitErrorRate: number): number =>
  frameErrorRate(
    exposedBits(contentOctets - OMNI_FRAMING.headerOctets, { ...OMNI_FRAMING, fcsOctets: fcs === 16 ? 2 : 4 }),
    bitErrorRate,
  );

export function curve(from: number, to: number, y: (x: number) => number, steps = 60): { x: number; y: number }[] {
  return Array.from({ length: steps + 1 }, (_, i) => {
    const x = from * (to / from) ** (i / steps);
    return { x, y: y(x) };
  });
}

export async function remeasureFrames(recipes: readonly FrameRecipe[], context: FigureContext): Promise<Point[]> {
  const shards = recipes.flatMap((recipe, cell) => shardsOf(recipe, cell, context.seed));
  const totals = await context.countFrames(shards, recipes.length, context.progress);
  return recipes.map((recipe, index) => pointOf(recipe, totals[index]!));
}

function shardsOf(recipe: FrameRecipe, cell: number, seed: string): Shard[] {
  const shards: Shard[] = [];
  // The seed follows from what is measured, not from its place in a list, so that one point alone comes out the same.
  const name = `${seed}/${recipe.measure}/${recipe.contentOctets}/${recipe.fcs}/${recipe.lineCoding.join('+')}/${recipe.bitErrorRate}`;
  for (let left = recipe.frames, part = 0; left > 0; left -= FRAMES_PER_SHARD, part++)
    shards.push({
      cell,
      options: {
        frameOctets: recipe.contentOctets,
        frames: Math.min(left, FRAMES_PER_SHARD),
        noise: { kind: 'independent', ber: recipe.bitErrorRate },
        seed: `${name}/${part}`,
        fcs: recipe.fcs,
        lineCoding: recipe.lineCoding,
      },
    });
  return shards;
}

function pointOf(recipe: FrameRecipe, total: Totals): Point {
  const x = recipe.bitErrorRate;
  if (recipe.measure === 'lost') {
    const { low, high } = wilson99(total.errors, total.frames);
    return {
      x,
      y: total.errors / total.frames,
      low,
      high,
      runs: total.frames,
      recipe: { ...recipe, counted: total.errors },
    };
  }
  const { low, high } = poissonLimits99(total.undetected, total.errors);
  const y = total.undetected === 0 ? high : total.undetected / total.errors;
  return { x, y, low, high, runs: total.errors, recipe: { ...recipe, counted: total.undetected } };
}

/** Wilson's score interval: never leaves 0 … 1, good at both ends. */
export function wilson99(count: number, trials: number): { readonly low: number; readonly high: number } {
  const z = 2.5758;
  const p = count / trials;
  const centre = (p + z ** 2 / (2 * trials)) / (1 + z ** 2 / trials);
  const half = (z / (1 + z ** 2 / trials)) * Math.sqrt((p * (1 - p)) / trials + z ** 2 / (4 * trials ** 2));
  // Exact at the ends, where rounding would leave it a hair inside.
  return {
    low: count === 0 ? 0 : Math.max(0, centre - half),
    high: count === trials ? 1 : Math.min(1, centre + half),
  };
}
