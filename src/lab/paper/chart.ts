/**
 * Draws a figure as one SVG document: title, panels, legend, notes. Observable Plot draws axes and marks into linkedom's document;
 * no browser, no network. Colours are doubled by symbols, fill and dashes, so that the figure can be read in grey. The panels'
 * style sheets are taken out: not every reader of SVG knows CSS variables, and everything has its attributes.
 */
import * as Plot from '@observablehq/plot';
import { type Axis, axisTitle, COLOUR, type Figure, type Panel, type Series, type Style } from './figure.ts';
import { drawLegend, notes } from './legend.ts';
import { emptyDocument, escapeXml, INK, MARGIN, nested, strokeOf, symbolOf, text, WIDTH, wrap } from './svg.ts';

const FONT = 'DejaVu Sans, Verdana, Geneva, sans-serif';

/** @param metadata the provenance as text, put into `<metadata>`. @param footer one line at the foot of the figure. */
export function drawFigure(figure: Figure, metadata: string, footer: string): string {
  const content: string[] = [];
  let y = MARGIN + 12;
  content.push(text(MARGIN, y, figure.title, 16, 'font-weight="bold"'));
  y += 8;
  for (const line of wrap(figure.subtitle, 11, WIDTH - 2 * MARGIN)) {
    y += 15;
    content.push(text(MARGIN, y, line, 11));
  }
  y += 12;
  const gap = 20;
  const width = (WIDTH - 2 * MARGIN - gap * (figure.columns - 1)) / figure.columns;
  const height = figure.panelHeight ?? 340;
  figure.panels.forEach((panel, index) => {
    const column = index % figure.columns;
    const x = MARGIN + column * (width + gap);
    if (index > 0 && column === 0) y += height + 30;
    const letter = figure.panels.length > 1 ? `(${String.fromCharCode(97 + index)}) ` : '';
    content.push(text(x, y + 12, `${letter}${panel.title}`, 12, 'font-weight="bold"'));
    content.push(drawPanel(panel, x, y + 16, width, height));
  });
  y += height + 34;
  const legend = drawLegend(figure, y);
  content.push(legend.svg);
  y = legend.bottom + 6;
  for (const note of notes(figure))
    for (const [i, line] of wrap(note, 10, WIDTH - 2 * MARGIN).entries()) {
      y += 14;
      content.push(text(MARGIN + (i === 0 ? 0 : 12), y, line, 10, 'fill="#444"'));
    }
  y += 20;
  content.push(text(MARGIN, y, footer, 9, 'fill="#666"'));
  y += 14;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="${FONT}" fill="${INK}" color="${INK}" role="img">
<title>${escapeXml(figure.title)}</title>
<desc>${escapeXml([figure.subtitle, ...figure.findings].join(' '))}</desc>
<metadata>${metadata}</metadata>
<rect width="${WIDTH}" height="${y}" fill="white"/>
${content.join('\n')}
</svg>
`;
}

const MARGINS = { marginLeft: 62, marginRight: 16, marginTop: 26, marginBottom: 44 };
/** Pixels between the symbols of two series at one x, so that their intervals can be told apart. */
const DODGE = 4;

function drawPanel(panel: Panel, x: number, y: number, width: number, height: number): string {
  const inside = <T extends { x: number; y: number }>(points: readonly T[]) =>
    points.filter((p) => within(p.x, panel.x) && within(p.y, panel.y));
  const marks: Plot.Markish[] = [
    Plot.gridX(ticksOf(panel.x), { stroke: '#e3e3e3', strokeOpacity: 1 }),
    Plot.gridY(ticksOf(panel.y), { stroke: '#e3e3e3', strokeOpacity: 1 }),
    Plot.frame({ stroke: '#999' }),
    ...axes(panel),
    ...rules(panel),
  ];
  for (const line of panel.theory)
    marks.push(Plot.line(clipped(line.points, panel), { x: 'x', y: 'y', ...strokeOf(line.style), strokeWidth: 1.4 }));
  const dodged = panel.series.filter(({ draw }) => draw === 'points');
  panel.series.forEach((series) => {
    const dx = series.draw === 'points' ? (dodged.indexOf(series) - (dodged.length - 1) / 2) * DODGE : 0;
    marks.push(...seriesMarks(series, panel, inside(series.points), dx));
  });
  for (const mark of panel.published) {
    const [lines, point] = [mark.label.split('\n'), [mark]];
    const side = mark.align === 'right' ? -1 : 1;
    if (mark.bound !== undefined)
      marks.push(
        Plot.vector(point, {
          x: 'x',
          y: 'y',
          length: 22,
          rotate: mark.bound === 'below' ? 180 : 0,
          anchor: 'start',
          stroke: COLOUR.black,
          strokeWidth: 1.6,
        }),
      );
    marks.push(
      Plot.dot(point, {
        x: 'x',
        y: 'y',
        symbol: 'star',
        r: 6.5,
        fill: COLOUR.black,
        stroke: 'white',
        strokeWidth: 0.8,
      }),
      Plot.text(point, {
        ...{ x: 'x', y: 'y', text: () => lines.join('\n'), textAnchor: side === 1 ? 'start' : 'end' },
        ...{ dx: 9 * side, dy: mark.bound === 'below' ? 9 : -7, fontWeight: 'bold', fontSize: 10 },
        ...{ fill: COLOUR.black, stroke: 'white', strokeWidth: 3 },
      }),
    );
  }
  const plotted = Plot.plot({
    document: emptyDocument(),
    width,
    height,
    ...MARGINS,
    style: { fontSize: '11px' } as never,
    x: { type: panel.x.scale, domain: panel.x.domain as [number, number], label: null },
    y: { type: panel.y.scale, domain: panel.y.domain as [number, number], label: null },
    marks,
  }) as unknown as { outerHTML: string };
  return nested(plotted.outerHTML, x, y);
}

function axes(panel: Panel): Plot.Markish[] {
  const common = { fontSize: 10.5, color: INK, stroke: '#999', label: null };
  const labels = { fontSize: 11, fontWeight: 'bold', fill: INK } as const;
  return [
    Plot.axisX(ticksOf(panel.x), { ...common, fill: INK, text: formatOf(panel.x), tickSize: 4 }),
    Plot.axisY(ticksOf(panel.y), { ...common, fill: INK, text: formatOf(panel.y), tickSize: 4 }),
    Plot.text([axisTitle(panel.x)], { frameAnchor: 'bottom', dy: 36, text: (d: string) => d, ...labels }),
    Plot.text([axisTitle(panel.y)], { frameAnchor: 'top-left', dx: -52, dy: -18, text: (d: string) => d, ...labels }),
  ];
}

function rules({ rules: given = [] }: Panel): Plot.Markish[] {
  return given.flatMap(({ axis, at, label }) =>
    axis === 'x'
      ? [
          Plot.ruleX([at], { stroke: '#888', strokeDasharray: '5 3' }),
          Plot.text([label], {
            ...{ x: at, frameAnchor: 'top', dy: 6, dx: 4, text: (d: string) => d, textAnchor: 'start', fontSize: 9.5 },
            ...{ fill: '#555', stroke: 'white', strokeWidth: 3 },
          }),
        ]
      : [
          Plot.ruleY([at], { stroke: '#888', strokeDasharray: '5 3' }),
          Plot.text([label], {
            ...{
              y: at,
              frameAnchor: 'right',
              dx: -4,
              dy: -6,
              text: (d: string) => d,
              textAnchor: 'end',
              fontSize: 9.5,
            },
            ...{ fill: '#555', stroke: 'white', strokeWidth: 3 },
          }),
        ],
  );
}

function seriesMarks(series: Series, panel: Panel, points: Series['points'], dx: number): Plot.Markish[] {
  const { style, draw } = series;
  const at = { x: 'x', y: 'y', dx };
  if (draw === 'line')
    return [Plot.line(clipped(series.points, panel), { ...at, ...strokeOf(style), strokeWidth: 1.4 })];
  if (draw === 'steps')
    return [Plot.line(points, { ...at, ...strokeOf(style), strokeWidth: 1.2, curve: 'step-after' })];
  if (draw === 'letters')
    return [
      Plot.text(points, {
        ...at,
        dx: 7,
        text: () => series.letter ?? '•',
        fill: style.colour,
        fontWeight: 'bold',
        fontSize: 10,
      }),
    ];
  if (draw === 'symbols') return [Plot.dot(points, { ...at, ...symbolOf(style), r: series.radius ?? 3.5 })];
  if (draw === 'samples')
    return [
      Plot.dot(swarm(points, panel), { ...at, ...symbolOf({ ...style, hollow: true }), r: 2.6, strokeWidth: 0.9 }),
      ...intervals(points, panel, { ...style, colour: INK }, 0),
      Plot.dot(
        points.filter(({ low }) => low !== undefined),
        { ...at, ...symbolOf(style), r: 4.5, stroke: INK },
      ),
    ];
  return [
    ...(series.apart ? [] : [Plot.line(points, { ...at, ...strokeOf(style), strokeWidth: 1, strokeOpacity: 0.75 })]),
    ...intervals(points, panel, style, dx),
    Plot.dot(points, { ...at, ...symbolOf(style), r: 4 }),
  ];
}

/** Cut at the edges of the panel, which on a logarithmic axis has no zero. */
function intervals(points: Series['points'], { y }: Panel, { colour }: Style, dx: number): Plot.Markish[] {
  const [least, most] = y.domain;
  const bars = points.flatMap(({ x, low, high }) =>
    low === undefined || high === undefined ? [] : [{ x, low: Math.max(least, low), high: Math.min(most, high) }],
  );
  return [
    Plot.ruleX(bars, { x: 'x', y1: 'low', y2: 'high', dx, stroke: colour, strokeWidth: 1.6 }),
    ...(['low', 'high'] as const).map((end) =>
      Plot.vector(bars, {
        ...{
          x: 'x',
          y: end,
          dx,
          shape: CAP,
          length: 7,
          rotate: 90,
          anchor: 'middle',
          stroke: colour,
          strokeWidth: 1.6,
        },
      }),
    ),
  ];
}

/** A straight stroke without an arrow's head: the end of an interval. */
const CAP = {
  draw(context: { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void }, length: number): void {
    context.moveTo(0, 0);
    context.lineTo(0, -length);
  },
} as Plot.VectorShape;

const SWARM_LEVELS = 60;
/** In units of the axis, whose categories are 1 apart. */
const SWARM_WIDTH = 0.34;
/** Samples of one x beside each other where their values nearly coincide; closer when they are many. */
function swarm(points: Series['points'], { x, y }: Panel): { x: number; y: number }[] {
  const step = (x.domain[1] - x.domain[0]) / 160;
  const levels = new Map<string, { x: number; y: number }[]>();
  for (const point of points.filter(({ low }) => low === undefined)) {
    const level = Math.round(((point.y - y.domain[0]) / (y.domain[1] - y.domain[0])) * SWARM_LEVELS);
    const key = `${point.x} ${level}`;
    levels.set(key, [...(levels.get(key) ?? []), point]);
  }
  return [...levels.values()].flatMap((level) => {
    const apart = Math.min(step, SWARM_WIDTH / level.length);
    return level.map((point, n) => ({ x: point.x + (n - (level.length - 1) / 2) * apart, y: point.y }));
  });
}

const within = (value: number, { domain: [low, high] }: Axis): boolean => value >= low && value <= high;

/** A line as far as the frame: where it leaves the panel it is cut at the edge. */
function clipped(points: readonly { x: number; y: number }[], { x, y }: Panel): { x: number; y: number }[] {
  const [low, high] = y.domain;
  return points
    .filter((p) => within(p.x, x) && !Number.isNaN(p.y))
    .map((p) => ({ x: p.x, y: Math.min(high, Math.max(low, p.y)) }));
}

function ticksOf({ ticks, categories, scale, domain: [low, high] }: Axis): number[] {
  if (categories !== undefined) return categories.map((_, index) => index);
  if (ticks !== undefined) return [...ticks];
  if (scale === 'log') {
    const decades: number[] = [];
    for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++) decades.push(Number(`1e${e}`));
    return decades;
  }
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
  const ticks5: number[] = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++)
    ticks5.push(Number((n * step).toPrecision(12)));
  return ticks5;
}

const SUPERSCRIPT = '⁰¹²³⁴⁵⁶⁷⁸⁹';

function formatOf({ format, categories }: Axis): (value: number) => string {
  if (categories !== undefined) return (value) => categories[value] ?? '';
  if (format === 'power')
    return (value) => {
      const exponent = Math.round(Math.log10(value));
      const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPT[Number(digit)]).join('');
      return `10${exponent < 0 ? '⁻' : ''}${digits}`;
    };
  if (format === 'si')
    return (value) =>
      value >= 1e6 ? `${value / 1e6} M` : value >= 1000 ? `${value / 1000} k` : String(Number(value.toPrecision(12)));
  return (value) => String(Number(value.toPrecision(12)));
}
