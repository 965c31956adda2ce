/**
 * A PNG writer (W3C PNG, third edition; the chunk and filter rules are sections 5 and 9): 8-bit RGB, one IDAT, tEXt metadata
 * and, on request, padding to an exact number of octets.
 *
 * Left out: palettes, alpha, 16-bit samples, interlace, reading. Padding goes into a private ancillary chunk `omNi`, which
 * every reader must skip; a chunk costs 12 octets, so a file cannot be padded by 1 … 11 octets.
 */

/** zlib-wrapped DEFLATE (RFC 1950); ring 1 has none of its own, the adapter gives it. */
export type Deflate = (octets: Uint8Array) => Uint8Array;

export interface PngImage {
  readonly width: number;
  readonly height: number;
  /** RGB, 8 bits each, row by row from the top left. */
  readonly pixels: Uint8Array;
}

export interface PngText {
  /** 1 … 79 octets of Latin-1, e.g. one of PNG's own: Title, Author, Creation Time, Source, Comment. */
  readonly keyword: string;
  readonly text: string;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
export const CHUNK_OVERHEAD_OCTETS = 12;
/** Lower case first: ancillary; second: private; upper case third: as reserved; lower case fourth: safe to copy. */
export const PADDING_CHUNK = 'omNi';

export function encodePng(image: PngImage, text: readonly PngText[], deflate: Deflate): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, image.width);
  view.setUint32(4, image.height);
  header.set([8, 2, 0, 0, 0], 8); // bit depth 8, colour type 2 (RGB), deflate, adaptive filters, not interlaced
  return concatenate([
    SIGNATURE,
    chunk('IHDR', header),
    ...text.map(({ keyword, text: value }) => chunk('tEXt', latin1(`${keyword}\0${value}`))),
    chunk('IDAT', deflate(filterRows(image))),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/**
 * The same picture in exactly `octets` octets; the padding's content is the caller's. Throws RangeError when the file is
 * already longer, or shorter by fewer than a chunk's 12 octets.
 */
export function padPng(png: Uint8Array, octets: number, fill: (padding: Uint8Array) => void): Uint8Array {
  const gap = octets - png.length;
  if (gap === 0) return png;
  if (gap < CHUNK_OVERHEAD_OCTETS) throw new RangeError(`cannot pad ${png.length} octets to ${octets}`);
  const padding = new Uint8Array(gap - CHUNK_OVERHEAD_OCTETS);
  fill(padding);
  const end = png.length - CHUNK_OVERHEAD_OCTETS; // IEND is an empty chunk
  return concatenate([png.subarray(0, end), chunk(PADDING_CHUNK, padding), png.subarray(end)]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const octets = new Uint8Array(data.length + CHUNK_OVERHEAD_OCTETS);
  const view = new DataView(octets.buffer);
  view.setUint32(0, data.length);
  octets.set(latin1(type), 4);
  octets.set(data, 8);
  view.setUint32(data.length + 8, crc32(octets.subarray(4, data.length + 8)));
  return octets;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** CRC-32 as PNG section 5.5 and Annex D. */
function crc32(octets: Uint8Array): number {
  let crc = 0xffffffff;
  for (const octet of octets) crc = CRC_TABLE[(crc ^ octet) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Each row by the filter with the least sum of absolute differences (section 12.7): what photographs compress best with. */
function filterRows({ width, height, pixels }: PngImage): Uint8Array {
  const stride = width * 3;
  if (pixels.length !== stride * height)
    throw new RangeError(`${pixels.length} octets are not ${width} × ${height} RGB`);
  const filtered = new Uint8Array((stride + 1) * height);
  const candidates = [0, 1, 2, 3, 4].map(() => new Uint8Array(stride));
  let above: Uint8Array = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const row = pixels.subarray(y * stride, (y + 1) * stride);
    let best = 0;
    let bestSum = Number.POSITIVE_INFINITY;
    for (let filter = 0; filter < candidates.length; filter++) {
      const sum = filterRow(filter, row, above, candidates[filter]!);
      if (sum < bestSum) {
        bestSum = sum;
        best = filter;
      }
    }
    filtered[y * (stride + 1)] = best;
    filtered.set(candidates[best]!, y * (stride + 1) + 1);
    above = row;
  }
  return filtered;
}

function filterRow(filter: number, row: Uint8Array, above: Uint8Array, out: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) {
    const left = i >= 3 ? row[i - 3]! : 0;
    const up = above[i]!;
    const upLeft = i >= 3 ? above[i - 3]! : 0;
    const predicted =
      filter === 0
        ? 0
        : filter === 1
          ? left
          : filter === 2
            ? up
            : filter === 3
              ? (left + up) >>> 1
              : paeth(left, up, upLeft);
    const difference = (row[i]! - predicted) & 0xff;
    out[i] = difference;
    sum += difference < 128 ? difference : 256 - difference;
  }
  return sum;
}

function paeth(a: number, b: number, c: number): number {
  const p = a + b - c;
  const pa = Math.abs(p - a);
  const pb = Math.abs(p - b);
  const pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const octets = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    octets.set(part, at);
    at += part.length;
  }
  return octets;
}
