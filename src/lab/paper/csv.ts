/** A figure's numbers as CSV (RFC 4180), units in the header: measured points, theory and published values, one a line. */
import type { Axis, Figure, Panel } from './figure.ts';
import { short } from './provenance.ts';

export interface CsvFile {
  readonly name: string;
  readonly text: string;
}

/** One file for all panels with the same axes: `fer.csv`, then `fer-undetected.csv`. */
export function csvFiles(figure: Figure): CsvFile[] {
  const groups = new Map<string, Panel[]>();
  for (const panel of figure.panels) {
    const axes = `${axisColumn(panel.x)}|${axisColumn(panel.y)}`;
    groups.set(axes, [...(groups.get(axes) ?? []), panel]);
  }
  return [...groups.values()].map((panels, index) => ({
    name: index === 0 ? `${figure.name}.csv` : `${figure.name}-${panels[0]!.key}.csv`,
    text: csvOf(panels),
  }));
}

function csvOf(panels: readonly Panel[]): string {
  const { x, y } = panels[0]!;
  const rows: (string | number | undefined)[][] = [
    [
      'panel',
      'kind',
      'series',
      axisColumn(x),
      axisColumn(y),
      `low [${y.unit}]`,
      `high [${y.unit}]`,
      'runs [1]',
      'source',
    ],
  ];
  for (const { key, series, theory, published } of panels) {
    for (const { name, points } of series)
      for (const p of points)
        rows.push([key, 'measured', name, short(p.x), short(p.y), short(p.low), short(p.high), p.runs, '']);
    for (const { name, source, points } of theory)
      for (const p of points)
        if (Number.isFinite(p.y)) rows.push([key, 'theory', name, short(p.x), short(p.y), '', '', '', source]);
    for (const mark of published) {
      const limit = mark.bound === undefined ? ['', ''] : mark.bound === 'below' ? ['', mark.y] : [mark.y, ''];
      rows.push([key, 'published', mark.label.replaceAll('\n', ' '), mark.x, mark.y, ...limit, '', mark.source]);
    }
  }
  return `${rows.map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

const axisColumn = ({ name, unit }: Axis): string => `${name} [${unit}]`;

const cell = (value: string | number | undefined): string => {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
