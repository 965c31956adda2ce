import { DOMParser } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { csvFiles } from '../../../src/lab/paper/csv.ts';
import { COLOUR, type Figure, OMNI_PAPER } from '../../../src/lab/paper/figure.ts';
import { dressed } from '../../../src/lab/paper/paper.ts';
import { hasFonts, renderPng } from '../../../src/lab/paper/png.ts';
import { canonicalJson, readProvenance } from '../../../src/lab/paper/provenance.ts';
import { reportPage } from '../../../src/lab/paper/report.ts';
import { verdictOf } from '../../../src/lab/paper/reproduce.ts';

const FIGURE: Figure = {
  name: 'sample',
  title: 'A <sample> & its "marks"',
  subtitle: 'Two panels.',
  columns: 2,
  panels: [
    {
      key: 'a',
      title: 'points',
      x: { name: 'bit error rate', unit: '1', scale: 'log', domain: [1e-8, 1e-4], format: 'power' },
      y: { name: 'utilisation', unit: '%', scale: 'linear', domain: [0, 100] },
      series: [
        {
          name: 'TCP of 2000, MSS 512',
          style: { colour: COLOUR.vermilion, symbol: 'circle' },
          draw: 'points',
          points: [
            { x: 1e-7, y: 91.25, low: 90.5, high: 92, runs: 20, recipe: { kind: 'sweep', keys: { stack: '2000' } } },
            { x: 1e-5, y: 52.1, low: 45, high: 60, runs: 20 },
          ],
        },
        {
          name: 'BBR',
          style: { colour: COLOUR.green, symbol: 'square', hollow: true, dash: '5 3' },
          draw: 'points',
          points: [{ x: 1e-7, y: 90, low: 89, high: 91, runs: 3 }],
        },
      ],
      theory: [
        {
          name: 'PFTK',
          style: { colour: COLOUR.grey, symbol: 'circle', dash: '2 3' },
          source: 'RFC 3819 section 8.5.1',
          points: [
            { x: 1e-8, y: Number.POSITIVE_INFINITY },
            { x: 1e-6, y: 90 },
            { x: 1e-4, y: 10 },
          ],
        },
      ],
      published: [{ x: 1e-5, y: 60, label: 'under 60 %', bound: 'below', source: OMNI_PAPER }],
    },
    {
      key: 'b',
      title: 'swarm and letters',
      x: { name: 'TCP', unit: '1', scale: 'linear', domain: [-0.5, 1.5], categories: ['flight', 'replay'] },
      y: { name: 'segments', unit: '1', scale: 'linear', domain: [0, 12] },
      series: [
        {
          name: 'replays',
          style: { colour: COLOUR.blue, symbol: 'triangle' },
          draw: 'samples',
          points: [...[7, 7, 7, 8].map((y) => ({ x: 1, y })), { x: 1, y: 7.25, low: 7, high: 7.75, runs: 4 }],
        },
        {
          name: 'again',
          style: { colour: COLOUR.blue, symbol: 'circle' },
          draw: 'letters',
          letter: 'R',
          points: [{ x: 0.5, y: 3 }],
        },
      ],
      theory: [],
      published: [{ x: 0, y: 9, label: '9 retransmissions', source: OMNI_PAPER }],
    },
  ],
  methods: 'Drawn for a test with <, > and &.',
  findings: ['It says "so" & more.'],
};

const ORIGIN = {
  commands: ['omni paper sample --seed 1'],
  made: '2026-11-21T12:00:00.000Z',
  versions: { omni: '0.1.0', node: '20.20.2', kernel: '6.18' },
  machine: { cpu: 'a <cpu>', cores: 2, memoryOctets: 1 },
  seed: '1',
  seeds: ['1/a/0'],
  matrix: { cells: [{ b: 1, a: 2 }] },
  runs: { made: 44, sound: 43, late: 1, failed: 0 },
};

const { svg, files, provenance } = dressed(FIGURE, ORIGIN);

describe('the SVG', () => {
  const document = new DOMParser().parseFromString(svg, 'image/svg+xml');
  const all = (selector: string) =>
    [...document.querySelectorAll(selector)] as { getAttribute(name: string): string | null; textContent: string }[];

  test('is one document with title, description and panels', () => {
    expect(all('title')[0]!.textContent).toBe(FIGURE.title);
    expect(all('desc')[0]!.textContent).toContain('It says "so" & more.');
    expect(all('svg svg').length).toBeGreaterThanOrEqual(2);
    expect(balanced(svg)).toBe(true);
  });

  test('stands alone: no style sheet, no variable, nothing to load', () => {
    expect(svg).not.toMatch(/<style|var\(|currentColor|href|url\(|<image|<script|@import/);
    expect(svg.match(/https?:\/\//g)).toEqual(['http://']); // the name space
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('has every mark: symbols, intervals, theory, published values, letters, and colours for the colour-blind', () => {
    const dots = all('[aria-label="dot"] path, [aria-label="dot"] circle');
    // Three points, four samples and their mean, two published stars; and five in the legend.
    expect(dots.length).toBeGreaterThanOrEqual(10);
    expect(all('[aria-label="rule"] line').length).toBeGreaterThanOrEqual(4);
    expect(all('[stroke-dasharray="2 3"] path').length).toBe(1);
    expect(svg).toContain(`fill="${COLOUR.vermilion}"`);
    expect(all('text').some(({ textContent }) => textContent === 'R')).toBe(true);
    for (const word of [
      'under 60 %',
      '9 retransmissions',
      'flight',
      'replay',
      '10⁻⁵',
      'utilisation, %',
      'published',
      'PFTK',
    ])
      expect(svg).toContain(word);
    expect(all('[aria-label="vector"]').length).toBeGreaterThan(0);
  });

  test('names the source of theory and of published values', () => {
    const words = all('text')
      .map(({ textContent }) => textContent)
      .join(' ');
    expect(words).toContain('PFTK: RFC 3819 section 8.5.1.');
    expect(words).toContain('★ under 60 %; 9 retransmissions: Criscuolo');
  });

  test('comes out the same each time', () => {
    expect(dressed(FIGURE, ORIGIN).svg).toBe(svg);
  });

  test.skipIf(!hasFonts())('becomes a PNG of twice its size (needs a font of the machine)', () => {
    const png = renderPng(svg);
    expect([...png.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    expect(new DataView(png.buffer, png.byteOffset).getUint32(16)).toBe(1920);
  });
});

describe('provenance', () => {
  test('is read back whole out of the SVG', () => {
    const read = readProvenance(svg, 'sample.svg');
    expect(read).toEqual({ provenance, intact: true });
    expect(read.provenance.points).toHaveLength(9);
    expect(read.provenance.points[0]).toEqual({
      ...{ panel: 'a', series: 'TCP of 2000, MSS 512', x: 1e-7, y: 91.25, low: 90.5, high: 92, runs: 20 },
      recipe: { kind: 'sweep', keys: { stack: '2000' } },
    });
  });

  test('notices an edit', () => {
    const edited = svg.replace('"y":91.25', '"y":94.25');
    expect(edited).not.toBe(svg);
    expect(readProvenance(edited, 'sample.svg').intact).toBe(false);
  });

  test.each([
    ['<svg xmlns="http://www.w3.org/2000/svg"/>', /holds no provenance/],
    ['<svg><metadata>{"schema": </metadata></svg>', /is no JSON/],
    ['<svg><metadata>{"schema": "omni-figure/9"}</metadata></svg>', /of schema 'omni-figure\/9'/],
    ['<svg><metadata>{"schema": "omni-figure/1"}</metadata></svg>', /is damaged: figure/],
    ['<svg><metadata>null</metadata></svg>', /of schema 'undefined'/],
  ])('%s is refused', (content, reason) => {
    expect(() => readProvenance(content, 'x.svg')).toThrow(reason);
  });

  test('does not depend on the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: 1, c: undefined }], a: null })).toBe('{"a":null,"b":[1,{"d":1}]}');
  });
});

describe('CSV', () => {
  const [first, second] = files.map(({ content }) => rows(String(content)));

  test('a file for each pair of axes, units in the header', () => {
    expect(csvFiles(FIGURE).map(({ name }) => name)).toEqual(['sample.csv', 'sample-b.csv']);
    expect(first![0]).toEqual([
      'panel',
      'kind',
      'series',
      'bit error rate [1]',
      'utilisation [%]',
      'low [%]',
      'high [%]',
      'runs [1]',
      'source',
    ]);
  });

  test('agrees with the provenance, point by point', () => {
    const measured = [...first!, ...second!].filter(([, kind]) => kind === 'measured');
    expect(measured.map(([panel, , series, x, y, low, high]) => [panel, series, x, y, low, high].join())).toEqual(
      provenance.points.map((p) => [p.panel, p.series, p.x, p.y, p.low ?? '', p.high ?? ''].join()),
    );
  });

  test('quotes what has commas, leaves out what is not finite, and has published bounds', () => {
    expect(first!.filter(([, kind]) => kind === 'theory')).toHaveLength(2);
    expect(first!.find(([, kind]) => kind === 'published')).toEqual([
      'a',
      'published',
      'under 60 %',
      '0.00001',
      '60',
      '',
      '60',
      '',
      OMNI_PAPER,
    ]);
  });
});

test('the report loads nothing and has every figure', () => {
  const page = reportPage([{ svg, provenance }]);
  expect(page).toContain("default-src 'none'");
  expect(page).not.toMatch(/<script|<link|src=|url\(|@import|<metadata/);
  expect(page.match(/href="[^#]/g)).toBeNull();
  expect(page).toContain('A &lt;sample&gt; &amp; its &quot;marks&quot;');
  expect(page).toContain('43 counted runs');
});

test.each([
  [{ y: 91.25 }, 'equal'],
  [{ y: 90.6, low: 90, high: 91 }, 'inside'],
  [{ y: 90, low: 89, high: 90.6 }, 'compatible'],
  [{ y: 80, low: 79, high: 81 }, 'outside'],
  [{ y: Number.NaN }, 'not measured'],
  [undefined, 'not measured'],
])('%o against 91.25 (90.5 to 92) is %s', (measured, verdict) => {
  expect(verdictOf(provenance.points[0]!, measured)).toBe(verdict);
});

function balanced(xml: string): boolean {
  const open: string[] = [];
  for (const [, close, name, self] of xml.matchAll(/<(\/?)([a-z]+)(?:"[^"]*"|[^>"])*?(\/?)>/g)) {
    if (self === '/') continue;
    if (close === '') open.push(name!);
    else if (open.pop() !== name) return false;
  }
  return open.length === 0;
}

function rows(csv: string): string[][] {
  return csv
    .trimEnd()
    .split('\r\n')
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
        ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!,
      ),
    );
}
