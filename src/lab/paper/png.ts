/** SVG to PNG at twice its size, by resvg. Letters need a font of the machine's; without one a PNG would have none and is not made. */
import { Resvg } from '@resvg/resvg-js';

const ZOOM = 2;
/** The default family comes last: resvg takes it for families that the machine has not. */
const FONT = { loadSystemFonts: true, defaultFontFamily: 'DejaVu Sans', sansSerifFamily: 'DejaVu Sans' };

export function renderPng(svg: string): Uint8Array {
  return new Resvg(svg, { font: FONT, fitTo: { mode: 'zoom', value: ZOOM } }).render().asPng();
}

/** Whether this machine has any font at all. */
export function hasFonts(): boolean {
  const probe =
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text y="15" font-size="14">M</text></svg>';
  const { pixels } = new Resvg(probe, { font: FONT }).render();
  return pixels.some((octet) => octet !== 0);
}
