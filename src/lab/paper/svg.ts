/** Pieces of SVG as text: what the figure and its legend are put together of. */
import { parseHTML } from 'linkedom';
import type { Style } from './figure.ts';

export const WIDTH = 960;
export const MARGIN = 24;
export const INK = '#1a1a1a';
/** Widths of DejaVu Sans, the widest of the fonts that may be used, in parts of the font size. */
export const CHARACTER_WIDTH = 0.6;

/** A document for Plot to draw into. */
export const emptyDocument = (): never => parseHTML('<!doctype html><html><body></body></html>').document as never;

export const strokeOf = ({ colour, dash }: Style) => ({
  stroke: colour,
  ...(dash === undefined ? {} : { strokeDasharray: dash }),
});

export const symbolOf = ({ colour, symbol, hollow }: Style, asSample = false) => ({
  symbol,
  stroke: colour,
  strokeWidth: 1.4,
  fill: hollow || asSample ? 'white' : colour,
});

/** What Plot drew, at its place: with attributes only, and numbers of a thousandth of a pixel. */
export const nested = (svg: string, x: number, y: number): string =>
  svg
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/ class="[^"]*"/g, '')
    .replace(/ font-family="[^"]*"/, '')
    .replace('fill="currentColor"', `fill="${INK}"`)
    .replaceAll('var(--plot-background)', 'white')
    .replaceAll('currentColor', INK)
    .replaceAll(/(-?\d+\.\d{3})\d+/g, '$1')
    .replace(/<svg /, `<svg x="${round(x)}" y="${round(y)}" overflow="visible" `);

export function text(x: number, y: number, content: string, size: number, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" ${attributes}>${escapeXml(content)}</text>`;
}

const round = (value: number): number => Math.round(value * 100) / 100;

export function wrap(content: string, size: number, width: number): string[] {
  const most = Math.floor(width / (size * CHARACTER_WIDTH));
  const lines: string[] = [];
  let line = '';
  for (const word of content.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > most) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}

export const escapeXml = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
