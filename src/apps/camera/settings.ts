/** The camera's settings as a scenario writes them; one source for types, validation and documentation. */
import { z } from 'zod';
import { SMALLEST_PHOTOGRAPH_OCTETS } from './photograph.ts';

export const LARGEST_PHOTOGRAPH_OCTETS = 256 << 20;

const photographSettings = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'a file name of letters, digits, dots, hyphens and underscores')
    .describe('file name'),
  octets: z
    .number()
    .int()
    .min(SMALLEST_PHOTOGRAPH_OCTETS)
    .max(LARGEST_PHOTOGRAPH_OCTETS)
    .default(227_840)
    .describe('exact size of the file; the default is the UoSAT-12 image of 5 July 2000'),
  seed: z.union([z.number().int(), z.string()]).optional().describe('of the view; default: its name'),
  takenAt: z.string().max(60).optional().describe('text of the file’s Creation Time'),
});

export const cameraSettings = z.strictObject({
  folder: z.string().optional().describe('where the files go; default: the FTP root, `files` in the state directory'),
  images: z
    .array(photographSettings)
    .max(1000)
    .default([{ name: 'earth-limb.png', octets: 227_840, seed: 2000 }])
    .describe('the photographs taken when the node starts'),
});

export type CameraSettings = z.infer<typeof cameraSettings>;
