/**
 * Measures a figure's points again from the provenance in its file, and says where they fall. Two verdicts for a point with an
 * interval: `inside` when the new mean lies in the published interval; else `compatible` when the two intervals overlap, which is
 * what chance does now and then (of 95 % intervals of equal size about one mean in six lies outside the other), or `outside`.
 * What is computed (frames, clocks) has to come out the same, to the last digit kept.
 */
import { OmniError } from '../../core/index.ts';
import type { Point } from './figure.ts';
import { type FrameRecipe, remeasureFrames } from './figures/fer.ts';
import { remeasureNtp } from './figures/ntp.ts';
import { remeasureTransfers, type TransferRecipe } from './figures/time-sequence.ts';
import type { FigureContext } from './module.ts';
import { type Provenance, type ProvenancePoint, short } from './provenance.ts';
import { type RunOptions, remeasureSweep, type SweepRecipe } from './runs.ts';

export type Verdict = 'equal' | 'inside' | 'compatible' | 'outside' | 'not measured';

export interface Reproduced {
  readonly published: ProvenancePoint;
  readonly measured: Pick<Point, 'y' | 'low' | 'high' | 'runs'>;
  readonly verdict: Verdict;
}

type Recipe =
  | FrameRecipe
  | TransferRecipe
  | SweepRecipe
  | { readonly kind: 'ntp'; readonly seed: string; readonly series: string; readonly x: number };

export interface ReproduceOptions extends RunOptions {
  /** At most so many points, spread over the figure. */
  readonly points?: number;
  /** Only panels or series whose name holds this text. */
  readonly only?: string;
  /** In place of each point's own number of runs. */
  readonly repetitions?: number;
}

/** The points of the figure that can be measured again, as the options choose them. Throws OmniError OMNI_NOTHING. */
export function chosenPoints(
  { points, figure }: Provenance,
  { points: most, only }: ReproduceOptions,
): ProvenancePoint[] {
  const fits = ({ panel, series }: ProvenancePoint) =>
    only === undefined || panel.includes(only) || series.includes(only);
  const all = points.filter((point) => point.recipe !== undefined && fits(point));
  if (all.length === 0)
    throw new OmniError(
      'OMNI_NOTHING',
      `${figure} has no point that could be measured again${only === undefined ? '' : ` with '${only}' in its panel or series`}`,
      {
        remedy:
          only === undefined
            ? 'it was drawn from a capture of yours'
            : `its series: ${[...new Set(points.map(({ series }) => series))].join(', ')}`,
      },
    );
  if (most === undefined || most >= all.length) return all;
  return Array.from({ length: most }, (_, i) => all[Math.floor((i * all.length) / most)]!);
}

export async function reproduce(
  chosen: readonly ProvenancePoint[],
  context: FigureContext,
  options: ReproduceOptions,
): Promise<Reproduced[]> {
  const recipes = chosen.map(({ recipe }) => ({ ...recipe }) as unknown as Recipe);
  const of = <Kind extends Recipe['kind']>(kind: Kind) =>
    recipes.flatMap((recipe, index) =>
      recipe.kind === kind ? [{ recipe: recipe as Extract<Recipe, { kind: Kind }>, index }] : [],
    );
  const measured = new Array<Point | undefined>(recipes.length);
  const keep = (indexed: readonly { index: number }[], points: readonly Point[]): void =>
    indexed.forEach(({ index }, i) => {
      measured[index] = points[i];
    });
  const { repetitions } = options;
  const frames = of('frame-error-rate');
  if (frames.length > 0)
    keep(
      frames,
      await remeasureFrames(
        frames.map((f) => f.recipe),
        context,
      ),
    );
  const clocks = of('ntp');
  keep(clocks, remeasureNtp(clocks.map((c) => c.recipe)));
  const transfers = of('transfer');
  const replays = (recipe: TransferRecipe) => ({
    ...recipe,
    replays: Math.min(repetitions ?? recipe.replays, recipe.replays),
  });
  if (transfers.length > 0)
    keep(
      transfers,
      await remeasureTransfers(
        transfers.map((t) => replays(t.recipe)),
        context,
      ),
    );
  const runs = of('sweep');
  const again = runs.map(({ recipe }) => ({ ...recipe, repetitions: repetitions ?? recipe.repetitions }));
  keep(runs, await remeasureSweep(again, options));
  return chosen.map((published, index) => {
    const point = measured[index];
    return { published, measured: point ?? { y: Number.NaN }, verdict: verdictOf(published, point) };
  });
}

export function verdictOf(
  published: ProvenancePoint,
  measured: Pick<Point, 'y' | 'low' | 'high'> | undefined,
): Verdict {
  if (measured === undefined || Number.isNaN(measured.y)) return 'not measured';
  if (short(measured.y) === published.y) return 'equal';
  const { low, high } = published;
  if (low === undefined || high === undefined) return 'outside';
  if (measured.y >= low && measured.y <= high) return 'inside';
  return (measured.low ?? measured.y) <= high && (measured.high ?? measured.y) >= low ? 'compatible' : 'outside';
}
