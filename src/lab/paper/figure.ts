/**
 * A figure as data: panels with axes, what was measured, what theory says and what was published. Drawing (chart.ts), CSV (csv.ts)
 * and provenance (provenance.ts) are made of this and nothing else, so that they cannot disagree.
 */

export interface Figure {
  /** As on the command line: `tcp-vs-ber`. */
  readonly name: string;
  readonly title: string;
  readonly subtitle: string;
  readonly panels: readonly Panel[];
  /** Panels side by side. */
  readonly columns: 1 | 2;
  readonly panelHeight?: number;
  /** What was done, so that others can do it: a paragraph. */
  readonly methods: string;
  /** What the figure says, computed from it: a sentence each. */
  readonly findings: readonly string[];
  /** What bars and lines mean; the default speaks of means and 95 % bootstrap intervals. */
  readonly intervalNote?: string;
}

export interface Panel {
  /** Unique in its figure, in file names and points: `1M`. */
  readonly key: string;
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly theory: readonly TheoryLine[];
  readonly published: readonly PublishedMark[];
  readonly rules?: readonly Rule[];
}

export interface Axis {
  readonly name: string;
  /** `1` for a plain number. */
  readonly unit: string;
  readonly scale: 'linear' | 'log';
  readonly domain: readonly [number, number];
  readonly ticks?: readonly number[];
  /** Words in place of the numbers at 0, 1, 2, …: for categories. */
  readonly categories?: readonly string[];
  /** How numbers are written; `power` is 10⁻⁵. */
  readonly format?: 'power' | 'plain' | 'si';
}

export type SymbolName = 'circle' | 'square' | 'triangle' | 'diamond' | 'cross' | 'times' | 'plus' | 'star';

export interface Style {
  readonly colour: string;
  readonly symbol: SymbolName;
  readonly hollow?: boolean;
  /** SVG dash array of the joining line. */
  readonly dash?: string;
}

export interface Series {
  readonly name: string;
  readonly style: Style;
  /** `points` with intervals, joined; a `line` without symbols; `samples` as a swarm; `letters` like tcptrace; or only `symbols`. */
  readonly draw: 'points' | 'line' | 'steps' | 'samples' | 'letters' | 'symbols';
  readonly letter?: string;
  /** Of `symbols`, in pixels. */
  readonly radius?: number;
  /** No line between `points`. */
  readonly apart?: boolean;
  readonly points: readonly Point[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
  /** 95 % interval; absent where a point is one observation. */
  readonly low?: number;
  readonly high?: number;
  /** Runs behind the point. */
  readonly runs?: number;
  /** How it was measured, for `omni reproduce`; absent where it cannot be measured alone. */
  readonly recipe?: Readonly<Record<string, unknown>>;
}

export interface TheoryLine {
  readonly name: string;
  readonly style: Style;
  /** The formula and where it is printed. */
  readonly source: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface PublishedMark {
  readonly x: number;
  readonly y: number;
  readonly label: string;
  /** `below`: "under 60 %". */
  readonly bound?: 'below' | 'above';
  readonly source: string;
  readonly align?: 'left' | 'right';
}

export interface Rule {
  readonly axis: 'x' | 'y';
  readonly at: number;
  readonly label: string;
}

/** Okabe and Ito's colours, which the colour-blind tell apart; yellow is left out, it vanishes on paper. */
export const COLOUR = {
  black: '#000000',
  orange: '#e69f00',
  skyBlue: '#56b4e9',
  green: '#009e73',
  blue: '#0072b2',
  vermilion: '#d55e00',
  purple: '#cc79a7',
  grey: '#666666',
} as const;

export const THEORY_STYLE = { colour: COLOUR.grey, symbol: 'circle', dash: '2 3' } as const satisfies Style;

/** Criscuolo, Hogie and Parise, the paper whose figures these are. */
export const OMNI_PAPER =
  'Criscuolo, Hogie, Parise: Transport Protocols and Applications for Internet Use in Space, IEEE Aerospace 2001';

export const axisTitle = ({ name, unit }: Axis): string => (unit === '1' || unit === '' ? name : `${name}, ${unit}`);
