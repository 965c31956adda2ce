/** The legend below the panels, and the notes on intervals, theory and published values. */
import * as Plot from '@observablehq/plot';
import { COLOUR, type Figure, type Series, type Style } from './figure.ts';
import { CHARACTER_WIDTH, emptyDocument, MARGIN, nested, symbolOf, text, WIDTH } from './svg.ts';

export function drawLegend(figure: Figure, top: number): { svg: string; bottom: number } {
  const entries = new Map<string, { style: Style; draw: Series['draw']; letter?: string }>();
  for (const { series, theory } of figure.panels) {
    for (const s of series) if (!entries.has(s.name)) entries.set(s.name, s);
    for (const line of theory) if (!entries.has(line.name)) entries.set(line.name, { style: line.style, draw: 'line' });
  }
  if (figure.panels.some(({ published }) => published.length > 0))
    entries.set('published', { style: { colour: COLOUR.black, symbol: 'star' }, draw: 'symbols' });
  const size = 10.5;
  let [x, y] = [MARGIN, top];
  const parts: string[] = [];
  for (const [name, { style, draw, letter }] of entries) {
    const width = 34 + name.length * size * CHARACTER_WIDTH + 14;
    if (x > MARGIN && x + width > WIDTH - MARGIN) [x, y] = [MARGIN, y + 18];
    parts.push(legendSample(x, y, style, draw, letter), text(x + 34, y + 4, name, size));
    x += width;
  }
  return { svg: parts.join('\n'), bottom: y + 10 };
}

function legendSample(x: number, y: number, style: Style, draw: Series['draw'], letter = '•'): string {
  const dash = style.dash === undefined ? '' : ` stroke-dasharray="${style.dash}"`;
  const line = `<line x1="${x}" x2="${x + 28}" y1="${y}" y2="${y}" stroke="${style.colour}" stroke-width="1.4"${dash}/>`;
  if (draw === 'line' || draw === 'steps') return line;
  if (draw === 'letters') return text(x + 10, y + 4, letter, 10.5, `fill="${style.colour}" font-weight="bold"`);
  const symbol = Plot.plot({
    document: emptyDocument(),
    ...{ width: 28, height: 16, margin: 0, axis: null },
    x: { type: 'identity' },
    y: { type: 'identity' },
    marks: [Plot.dot([[14, 8]], { ...symbolOf(style, draw === 'samples'), r: style.symbol === 'star' ? 6 : 4 })],
  }) as unknown as { outerHTML: string };
  return (draw === 'points' ? line : '') + nested(symbol.outerHTML, x, y - 8);
}

export function notes(figure: Figure): string[] {
  const sources = new Map<string, string[]>();
  for (const { published } of figure.panels)
    for (const { label, source } of published) {
      const labels = sources.get(source) ?? [];
      const plain = label.replaceAll('\n', ' ');
      if (!labels.includes(plain)) labels.push(plain);
      sources.set(source, labels);
    }
  const theory = new Map<string, string[]>();
  for (const { name, source } of figure.panels.flatMap((panel) => panel.theory)) {
    const names = theory.get(source) ?? [];
    theory.set(source, names.includes(name) ? names : [...names, name]);
  }
  return [
    figure.intervalNote ?? 'Symbols: mean over the runs; bars: 95 % bootstrap interval of the mean.',
    ...[...theory].map(([source, names]) => `${names.join('; ')}: ${source}.`),
    ...[...sources].map(([source, labels]) => `★ ${labels.join('; ')}: ${source}.`),
  ];
}
