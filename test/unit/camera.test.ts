import { createHash } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { encodePng, photograph, renderEarthLimb, SMALLEST_PHOTOGRAPH_OCTETS } from '../../src/apps/camera/index.ts';

const deflate = (octets: Uint8Array): Uint8Array => deflateSync(octets, { level: 9 });

describe('the renderer', () => {
  test('the same seed gives the same pixels, another seed another view', () => {
    const digest = (seed: number): string =>
      createHash('sha256')
        .update(renderEarthLimb({ seed, width: 64, height: 48 }).pixels)
        .digest('hex');
    expect(digest(7)).toBe(digest(7));
    expect(digest(7)).not.toBe(digest(8));
    // Pinned, so that a change of the picture, or of a machine's arithmetic, is noticed.
    expect(digest(2000).slice(0, 16)).toMatchInlineSnapshot(`"fe36ed5bbc571e1b"`);
  });

  test('space lies above the limb, the Earth below, for every seed tried', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { pixels } = renderEarthLimb({ seed, width: 64, height: 48 });
      const brightness = (from: number, to: number): number =>
        pixels.subarray(from * 64 * 3, to * 64 * 3).reduce((sum, v) => sum + v, 0) / ((to - from) * 64 * 3);
      expect(brightness(0, 4)).toBeLessThan(20);
      expect(brightness(30, 48)).toBeGreaterThan(20);
    }
  });
});

describe('the PNG writer', () => {
  test('an independent reader gets the pixels back', () => {
    const image = renderEarthLimb({ seed: 3, width: 40, height: 30 });
    const read = readPng(encodePng(image, [{ keyword: 'Title', text: 'Earth limb' }], deflate));
    expect(read.chunks).toEqual(['IHDR', 'tEXt', 'IDAT', 'IEND']);
    expect(read.pixels).toEqual(Buffer.from(image.pixels));
  });

  test('refuses pixels that are not width × height', () => {
    expect(() => encodePng({ width: 2, height: 2, pixels: new Uint8Array(3) }, [], deflate)).toThrow(RangeError);
  });
});

describe('a photograph', () => {
  test.each([1000, 1001, 4096, 20_000, 65_536, 227_840])(
    'has exactly %i octets and is nearly all picture',
    (octets) => {
      const { png, width, height, paddingOctets } = photograph({ seed: 42, octets, deflate });
      expect(png.length).toBe(octets);
      expect(readPng(png).pixels.length).toBe(width * height * 3);
      if (octets > 10_000) expect(paddingOctets).toBeLessThan(0.06 * octets);
    },
  );

  test('takes any size from the smallest up', () => {
    for (let octets = SMALLEST_PHOTOGRAPH_OCTETS; octets < SMALLEST_PHOTOGRAPH_OCTETS + 300; octets += 7)
      expect(photograph({ seed: octets, octets, deflate }).png.length).toBe(octets);
    expect(() => photograph({ seed: 1, octets: SMALLEST_PHOTOGRAPH_OCTETS - 1, deflate })).toThrow(RangeError);
    expect(() => photograph({ seed: 1, octets: Number.NaN, deflate })).toThrow(RangeError);
  });

  test('names its seed and time', () => {
    const { png } = photograph({ seed: 'pass-1', octets: 5000, deflate, takenAt: '2000-07-05T12:00:00Z' });
    const text = Buffer.from(png).toString('latin1');
    expect(text).toContain('seed pass-1');
    expect(text).toContain('Creation Time\u00002000-07-05T12:00:00Z');
  });
});

/** Reads what the writer may write, checking every CRC with Node's own polynomial division (zlib's gzip trailer). */
function readPng(png: Uint8Array): { chunks: string[]; pixels: Buffer } {
  const data = Buffer.from(png);
  expect(data.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const chunks: string[] = [];
  const idat: Buffer[] = [];
  let width = 0;
  let height = 0;
  for (let at = 8; at < data.length; ) {
    const length = data.readUInt32BE(at);
    const type = data.toString('latin1', at + 4, at + 8);
    const body = data.subarray(at + 8, at + 8 + length);
    expect(data.readUInt32BE(at + 8 + length)).toBe(crcByDivision(data.subarray(at + 4, at + 8 + length)));
    chunks.push(type);
    if (type === 'IHDR') [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    if (type === 'IDAT') idat.push(body);
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(idat));
  const stride = width * 3;
  const pixels = Buffer.alloc(stride * height);
  const sample = (x: number, y: number): number => (x < 0 || y < 0 ? 0 : pixels[y * stride + x]!);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < stride; x++) {
      const [a, b, c] = [sample(x - 3, y), sample(x, y - 1), x < 3 ? 0 : sample(x - 3, y - 1)];
      const distances = [b - c, a - c, a + b - 2 * c].map(Math.abs);
      const nearest = [a, b, c][distances.indexOf(Math.min(...distances))]!;
      const predictor = [0, a, b, (a + b) >> 1, nearest][raw[y * (stride + 1)]!]!;
      pixels[y * stride + x] = raw[y * (stride + 1) + 1 + x]! + predictor;
    }
  return { chunks, pixels };
}

function crcByDivision(octets: Uint8Array): number {
  let crc = 0xffffffff;
  for (const octet of octets)
    for (let bit = 0; bit < 8; bit++) crc = ((crc ^ (octet >> bit)) & 1 ? 0xedb88320 : 0) ^ (crc >>> 1);
  return ~crc >>> 0;
}
