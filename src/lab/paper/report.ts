/** All figures in one HTML file that loads nothing from anywhere: SVG inline, methods, findings and the measured points in tables. */

import type { Provenance } from './provenance.ts';
import { escapeXml } from './svg.ts';

export interface ReportFigure {
  readonly svg: string;
  readonly provenance: Provenance;
}

export function reportPage(figures: readonly ReportFigure[]): string {
  const runs = figures.reduce((sum, { provenance }) => sum + provenance.runs.sound, 0);
  const [first] = figures;
  const versions = first === undefined ? {} : first.provenance.versions;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>TCP and services over a space link: the figures</title>
<style>
body { font: 16px/1.5 'DejaVu Sans', Verdana, Geneva, sans-serif; color: #1a1a1a; background: white; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1.5rem; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.8rem; }
th, td { text-align: right; padding: 0.1rem 0.6rem; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
code { font-size: 0.85rem; }
summary { cursor: pointer; }
@media print { details { display: none; } h2 { break-before: page; } }
</style>
</head>
<body>
<h1>TCP and services over a space link</h1>
<p>${figures.length} figures, ${runs} counted runs, made with ${escapeXml(
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  )}. Each figure carries its provenance; <code>omni reproduce FILE.svg</code> measures it again.</p>
<ul>
${figures.map(({ provenance: p }) => `<li><a href="#${p.figure}">${escapeXml(p.title)}</a></li>`).join('\n')}
</ul>
${figures.map(section).join('\n')}
</body>
</html>
`;
}

function section({ svg, provenance: p }: ReportFigure): string {
  const rows = p.points.filter(({ low }) => low !== undefined);
  // The provenance stays in the figure's own file; here its points are in the table.
  const inline = svg.replace(/<metadata>[^<]*<\/metadata>/, '');
  return `<section id="${p.figure}">
<h2>${escapeXml(p.title)}</h2>
${inline}
<ul>${p.findings.map((finding) => `<li>${escapeXml(finding)}</li>`).join('')}</ul>
<p><strong>Methods.</strong> ${escapeXml(p.methods)}${p.runs.made > 0 ? ` ${p.runs.made} runs; ${p.runs.late} were not counted because the emulator was late, and repeated; ${p.runs.failed} failed.` : ''}</p>
<pre><code>${p.commands.map(escapeXml).join('\n')}</code></pre>
<p>SHA-256: ${Object.entries(p.files)
    .map(([name, sum]) => `<code>${escapeXml(name)} ${sum.slice(0, 16)}…</code>`)
    .join(
      ', ',
    )}; provenance <code>${p.checksum.slice(0, 16)}…</code>. Machine: ${escapeXml(p.machine.cpu)}, ${p.machine.cores} cores.</p>
<details><summary>${rows.length} points with intervals</summary>
<table><tr><th>panel</th><th>series</th><th>x</th><th>y</th><th>low</th><th>high</th><th>runs</th></tr>
${rows
  .map(
    ({ panel, series, x, y, low, high, runs }) =>
      `<tr><td>${escapeXml(panel)}</td><td>${escapeXml(series)}</td>${[x, y, low, high].map((v) => `<td>${number(v)}</td>`).join('')}<td>${runs ?? ''}</td></tr>`,
  )
  .join('\n')}
</table></details>
</section>`;
}

const number = (value: number | undefined): string => (value === undefined ? '' : String(Number(value.toPrecision(4))));
