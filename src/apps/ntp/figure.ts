/** Figure 5 as SVG: the client's own offsets, as the paper drew them, beside the true error, which it could not. */
import type { Figure5 } from './experiments.ts';

const WIDTH = 860;
const PANEL = 230;
const LEFT = 70;
const RIGHT = 20;

export function figure5Svg(figure: Figure5): string {
  const end = 840;
  const x = (seconds: number) => LEFT + ((WIDTH - LEFT - RIGHT) * seconds) / end;
  const panel = (top: number, limitMs: number, title: string, stepMs: number) => {
    const y = (ms: number) =>
      top + PANEL / 2 - (Math.max(-limitMs, Math.min(limitMs, ms)) / limitMs) * (PANEL / 2 - 10);
    const grid: string[] = [];
    for (let ms = -limitMs; ms <= limitMs; ms += stepMs)
      grid.push(
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(ms)}" y2="${y(ms)}" stroke="${ms === 0 ? '#666' : '#ddd'}"/><text x="${LEFT - 6}" y="${y(ms) + 4}" text-anchor="end">${ms}</text>`,
      );
    const line = figure.result.trace.map((p) => `${x(p.seconds).toFixed(1)},${y(p.trueError * 1000).toFixed(1)}`);
    const dots = figure.result.reported.map(
      (r) => `<circle cx="${x(r.seconds).toFixed(1)}" cy="${y(-r.offset * 1000).toFixed(1)}" r="3.5" fill="#c33"/>`,
    );
    const marks = [
      [figure.enabledAt, 'NTP on'],
      [figure.setAheadAt, 'set 3.25 s ahead'],
    ].map(
      ([at, label]) =>
        `<line x1="${x(at as number)}" x2="${x(at as number)}" y1="${top}" y2="${top + PANEL}" stroke="#88a" stroke-dasharray="4 3"/><text x="${x(at as number) + 4}" y="${top + 12}">${label}</text>`,
    );
    return `<text x="${LEFT}" y="${top - 6}" font-weight="bold">${title}</text>${grid.join('')}${marks.join('')}<polyline points="${line.join(' ')}" fill="none" stroke="#246" stroke-width="1.5"/>${dots.join('')}`;
  };
  const minutes = [0, 2, 4, 6, 8, 10, 12, 14].map(
    (m) => `<text x="${x(m * 60)}" y="${2 * PANEL + 90}" text-anchor="middle">${m} min</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${2 * PANEL + 130}" font-family="sans-serif" font-size="12">`,
    '<title>NTP on UoSAT-12: clock error and reported offset over one pass</title>',
    '<rect width="100%" height="100%" fill="white"/>',
    panel(30, 3500, 'Clock minus truth (line) and clock minus server as the client reports it (dots), ms', 1000),
    panel(PANEL + 65, 100, 'The same, enlarged; a tick is 10 ms', 20),
    ...minutes,
    `<text x="${LEFT}" y="${2 * PANEL + 115}">Omni rule, poll 30 s, 9.6 kbit/s up and 38.4 kbit/s down. The gap between line and dots is what unequal serial rates hide from NTP.</text>`,
    '</svg>',
    '',
  ].join('\n');
}
