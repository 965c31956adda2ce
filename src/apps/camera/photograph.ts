/**
 * A photograph of an exact file size: renders the view at the largest size whose PNG fits, and fills the last octets with a
 * private chunk of seeded noise (under 3 % for files of 10 kB to 5 MB; all beyond the largest sensor is padding).
 */
import { Rng } from '../../core/index.ts';
import { renderEarthLimb } from './earth-limb.ts';
import { CHUNK_OVERHEAD_OCTETS, type Deflate, encodePng, type PngText, padPng } from './png.ts';

export interface PhotographOptions {
  readonly seed: number | string;
  /** The file's size: 1,000 octets or more. */
  readonly octets: number;
  readonly deflate: Deflate;
  /** RFC 3339 text for the metadata. */
  readonly takenAt?: string;
  readonly camera?: string;
}

export interface Photograph {
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Octets of the file that are not picture. */
  readonly paddingOctets: number;
}

export const SMALLEST_PHOTOGRAPH_OCTETS = 1000;
/** The sensor: no picture is wider. */
const LARGEST_WIDTH = 2048;
const SMALLEST_WIDTH = 8;
/** What 8-bit RGB with this noise costs, to begin the search with (measured). */
const GUESS_OCTETS_A_PIXEL = 1.25;

/** Throws RangeError for fewer than `SMALLEST_PHOTOGRAPH_OCTETS`. */
export function photograph(options: PhotographOptions): Photograph {
  const { octets, seed } = options;
  if (!(Number.isSafeInteger(octets) && octets >= SMALLEST_PHOTOGRAPH_OCTETS))
    throw new RangeError(`a photograph has at least ${SMALLEST_PHOTOGRAPH_OCTETS} octets, not ${octets}`);
  const fits = (png: Uint8Array): boolean => png.length === octets || png.length + CHUNK_OVERHEAD_OCTETS <= octets;

  let width = clampWidth(Math.sqrt(octets / (GUESS_OCTETS_A_PIXEL * 0.75)));
  let best: { png: Uint8Array; width: number; height: number } | undefined;
  let smallestTooLarge = LARGEST_WIDTH + 4;
  // The size of the file grows smoothly with the area, so a few steps of proportion reach it.
  for (let attempt = 0; attempt < 12; attempt++) {
    const picture = take(options, width);
    if (fits(picture.png)) best = picture;
    else smallestTooLarge = Math.min(smallestTooLarge, width);
    const wanted = clampWidth(width * Math.sqrt((octets - CHUNK_OVERHEAD_OCTETS) / picture.png.length));
    const next = Math.max(SMALLEST_WIDTH, Math.min(wanted, smallestTooLarge - 4));
    if (best !== undefined && next <= best.width) break;
    width = next;
  }
  best ??= take(options, SMALLEST_WIDTH);
  const noise = new Rng(seed, 'camera/padding');
  return {
    png: padPng(best.png, octets, (padding) => noise.fill(padding)),
    width: best.width,
    height: best.height,
    paddingOctets: octets - best.png.length,
  };
}

function take(options: PhotographOptions, width: number): { png: Uint8Array; width: number; height: number } {
  const height = (width * 3) / 4;
  const text: PngText[] = [
    { keyword: 'Title', text: 'Earth limb' },
    { keyword: 'Source', text: options.camera ?? 'omni onboard camera, wide angle' },
    { keyword: 'Comment', text: `simulated; seed ${options.seed}` },
  ];
  if (options.takenAt !== undefined) text.push({ keyword: 'Creation Time', text: options.takenAt });
  const png = encodePng(renderEarthLimb({ seed: options.seed, width, height }), text, options.deflate);
  return { png, width, height };
}

/** A multiple of 4, so that 4:3 has a whole height. */
const clampWidth = (width: number): number =>
  Math.min(LARGEST_WIDTH, Math.max(SMALLEST_WIDTH, Math.floor(width / 4) * 4));
