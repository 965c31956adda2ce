/** What a sweep varies: the matrix of a job file, or of the API. */
import { z } from 'zod';

const values = z.record(z.string(), z.json());

export const sweepMatrixSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/)
    .max(24)
    .optional(),
  /** A scenario file or the name of one that comes with omni. Default `lab`: a ground station and a spacecraft. */
  scenario: z.string().optional(),
  /** Scenario keys by dotted path, short names (`ber`, `rate`, `mss`, `stack`, …) and `workload`: the same for every cell. */
  set: values.optional(),
  /** The same keys with lists of values: every combination is a cell. */
  vary: z.record(z.string(), z.array(z.json()).min(1)).optional(),
  /** Combinations that are not rectangular: each entry is crossed with `vary`. */
  cells: z.array(values).min(1).optional(),
  repetitions: z.int().min(1).max(100_000).optional(),
  seed: z.union([z.int(), z.string()]).optional(),
});

export type SweepMatrix = z.input<typeof sweepMatrixSchema>;
