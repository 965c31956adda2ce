/**
 * What `omni top` shows: a pure function from two successive answers of the daemon to lines of text. Rates are means over the
 * time between the two. Octets and bits are those of IP packets, except the load, which counts every bit on the wire.
 */
import type { RouterSnapshot } from '../router/index.ts';
import { formatRate } from '../scenario/index.ts';
import type { DaemonStatus } from '../testbed/daemon.ts';
import { bar } from './live-line.ts';
import { mobileIpLines } from './mobile-ip.ts';

export const TOP_COLUMNS = 80;

type Link = DaemonStatus['dataPlane']['links'][number];
type Direction = Link['up'];
type Output = RouterSnapshot['interfaces'][number]['output'];

export interface TopOptions {
  readonly testbed: string;
  readonly columns?: number;
}

/** The whole view, one string a line, none longer than the columns. */
export function topLines(before: DaemonStatus | undefined, now: DaemonStatus, options: TopOptions): string[] {
  const columns = options.columns ?? TOP_COLUMNS;
  const seconds = now.dataPlane.uptimeSeconds - (before?.dataPlane.uptimeSeconds ?? 0);
  const lines = [
    ...header(now, options.testbed, columns),
    '',
    row(HEADINGS),
    ...now.dataPlane.links.flatMap((link) =>
      (['up', 'down'] as const).flatMap((name) =>
        directionLines(link, name, earlier(before, link.name, name), now.dataPlane, seconds),
      ),
    ),
    '',
    ...classLines(now),
    ...mobileIpLines(now),
    ...appLines(now),
  ];
  return lines.map((line) => cut(line, columns));
}

function header({ dataPlane, realtime, pid }: DaemonStatus, testbed: string, columns: number): string[] {
  const { lateness, pool, alarms, uptimeSeconds, seed } = dataPlane;
  const left = `${testbed}  up ${clock(uptimeSeconds)}  seed ${seed}  daemon ${pid}`;
  const late =
    lateness.overdue > 0
      ? `LATE: ${lateness.overdue} of ${lateness.count} events over 1 ms, at worst ${short(lateness.maximumMicroseconds / 1000)} ms`
      : `on time: p99 ${lateness.p99Microseconds} us, at worst ${lateness.maximumMicroseconds} us late`;
  const slots = `${pool.used} of ${pool.capacity} packet slots`;
  return [
    left,
    `${late}${realtime ? '' : ' (no real-time priority)'}`.padEnd(columns - slots.length - 1) + slots,
    ...alarms.map(({ where, missing }) => `ALARM  ${where}: ${missing} packets unaccounted for`),
  ];
}

const WIDTHS = [12, 5, 12, 7, 14, 8, 12, 8] as const;
const HEADINGS = ['LINK', 'WAY', 'CONTACT', 'RATE', 'LOAD', 'GOODPUT', 'QUEUE', 'LOST'];

/** The first three columns to the left, the others to the right. */
const row = (cells: readonly string[]): string =>
  cells
    .map((cell, i) => (i < 3 ? cell.slice(0, WIDTHS[i]! - 1).padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)))
    .join('')
    .trimEnd();

function directionLines(
  link: Link,
  name: 'up' | 'down',
  before: Direction | undefined,
  dataPlane: DaemonStatus['dataPlane'],
  seconds: number,
): string[] {
  const d = link[name];
  const output = outputOf(dataPlane, link.name, d.from);
  const since = (counter: string) => (d.counters[counter] ?? 0) - (before?.counters[counter] ?? 0);
  // A frame counts when its last bit is out, so over a time as short as a frame the share could come out above 1.
  const load = seconds > 0 ? Math.min(1, since('bitsSent') / seconds / d.rateBitPerSecond) : 0;
  const goodput = seconds > 0 ? (since('octetsOut') * 8) / seconds : 0;
  const queue = output === undefined ? '' : `${output.queuedPackets} / ${short(output.queuedOctets)}B`;
  const first = row([
    link.name,
    name,
    contact(d, dataPlane.uptimeSeconds),
    formatRate(d.rateBitPerSecond),
    `${bar(load, 6)} ${`${Math.round(100 * load)}%`.padStart(4)}`,
    short(goodput),
    queue,
    String(d.counters.packetsLost ?? 0),
  ]);
  const losses = lossesOf(d, output);
  return [first, ...wrap(losses, `  ${d.from} > ${d.to} lost`, 4)];
}

/** Everything that was lost, by reason, most first: on the line by what the receiver saw, and before it. */
function lossesOf(d: Direction, output: Output | undefined): string[] {
  const onTheLine = Object.entries(d.counters).flatMap(([name, count]): [string, number][] =>
    name.startsWith('lost.') ? [[name.slice('lost.'.length), count]] : [],
  );
  const seen = [...onTheLine, ...Object.entries(output?.dropped ?? {})];
  return seen
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => `${reason} ${count}`);
}

/** One table of the classes that have carried anything, by link and way. */
function classLines({ dataPlane }: DaemonStatus): string[] {
  const rows = dataPlane.links.flatMap((link) =>
    (['up', 'down'] as const).flatMap((name) =>
      (outputOf(dataPlane, link.name, link[name].from)?.classes ?? [])
        .filter((each) => each.sentPackets + each.queuedPackets + each.droppedPackets > 0)
        .map((each) => classRow(link.name, name, each)),
    ),
  );
  return rows.length === 0 ? [] : [classColumns(CLASS_HEADINGS), ...rows, ''];
}

const CLASS_WIDTHS = [12, 5, 17, 8, 8, 10, 10, 8] as const;
const CLASS_HEADINGS = ['LINK', 'WAY', 'CLASS', 'SENT', 'WAITING', 'WAIT P99', 'LONGEST', 'DROPPED'];
const classColumns = (cells: readonly string[]): string =>
  cells
    .map((cell, i) =>
      i < 3 ? cell.slice(0, CLASS_WIDTHS[i]! - 1).padEnd(CLASS_WIDTHS[i]!) : cell.padStart(CLASS_WIDTHS[i]!),
    )
    .join('')
    .trimEnd();

function classRow(link: string, way: string, each: Output['classes'][number]): string {
  return classColumns([
    link,
    way,
    each.name,
    short(each.sentPackets),
    short(each.queuedPackets),
    waited(each.wait.p99Microseconds),
    waited(each.wait.maxMicroseconds),
    short(each.droppedPackets),
  ]);
}

/** Only what needs attention: a healthy app process is not news. */
function appLines({ apps }: DaemonStatus): string[] {
  return apps
    .filter((app) => app.state !== 'running')
    .map(
      (app) => `${app.node}: services ${app.state.toUpperCase()}${app.reason === undefined ? '' : ` (${app.reason})`}`,
    );
}

function outputOf(dataPlane: DaemonStatus['dataPlane'], link: string, from: string): Output | undefined {
  const router = dataPlane.nodes.find((node) => node.name === from)?.router;
  return router?.interfaces.find((each) => each.kind === 'link' && each.name === link)?.output;
}

function earlier(before: DaemonStatus | undefined, link: string, name: 'up' | 'down'): Direction | undefined {
  return before?.dataPlane.links.find((each) => each.name === link)?.[name];
}

function contact(d: Direction, uptimeSeconds: number): string {
  if (d.contact === undefined) return d.up ? 'always' : 'none';
  return d.up
    ? `LOS ${clock(d.contact.losSeconds - uptimeSeconds)}`
    : `AOS ${clock(d.contact.aosSeconds - uptimeSeconds)}`;
}

/** 5:07, 1:02:03. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Three significant digits with k, M, G: 999, 1.23k, 45.6M. */
export function short(n: number): string {
  if (n < 999.5) return String(n < 10 && !Number.isInteger(n) ? Number(n.toPrecision(2)) : Math.round(n));
  for (const [factor, unit] of [
    [1e3, 'k'],
    [1e6, 'M'],
    [1e9, 'G'],
  ] as const)
    if (n < 999.5 * factor) return `${Number((n / factor).toPrecision(3))}${unit}`;
  return `${Math.round(n / 1e9)}G`;
}

const waited = (us: number): string => (us < 999_500 ? `${short(us / 1000)} ms` : `${short(us / 1e6)} s`);

/** Items after a heading, as many to a line as fit. */
function wrap(items: readonly string[], heading: string, indent: number): string[] {
  const lines: string[] = [];
  let line = `${heading}:`;
  for (const item of items) {
    if (line.length + item.length + 2 > TOP_COLUMNS) {
      lines.push(line);
      line = ' '.repeat(indent);
    }
    line += `${line.trim() === '' ? '' : ' '}${item}`;
  }
  return items.length === 0 ? [] : [...lines, line];
}

const cut = (line: string, columns: number): string =>
  line.length <= columns ? line : `${line.slice(0, columns - 1)}…`;
