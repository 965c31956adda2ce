/**
 * HDTN's contact plans (NASA Glenn's High-rate Delay Tolerant Networking): JSON, `{ "contacts": [ … ] }`, each contact with `source`,
 * `dest`, `startTime` and `endTime` in seconds, `rateBitsPerSec` (0: unlimited) and `owlt`, the one-way light time in seconds.
 * Times from 1,000,000,000 on are Unix time, since HDTN takes both; smaller ones count from the scenario's start. Older plans say
 * `rate` and `finalDestination`; both are passed over.
 */
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { didYouMean } from '../problems.ts';
import {
  type ContactPlan,
  NANOSECONDS,
  overlaps,
  type PlannedContact,
  type PlannedRange,
  type PlanProblem,
} from './plan.ts';

const KEYS = [
  'contact',
  'source',
  'dest',
  'startTime',
  'endTime',
  'rateBitsPerSec',
  'owlt',
  'finalDestination',
  'rate',
];
const FIRST_UNIX_TIME = 1e9;

export function parseHdtnPlan(text: string, epochMilliseconds: number): ContactPlan {
  const problems: PlanProblem[] = [];
  // YAML 1.2 contains JSON, and its parser knows the line of every value. Tabs, which YAML forbids in places, are blanks to JSON.
  const lines = new LineCounter();
  const document = parseDocument(text.replaceAll('\t', ' '), {
    lineCounter: lines,
    version: '1.2',
    prettyErrors: false,
  });
  const lineOf = (node: unknown): number => (isNode(node) && node.range ? lines.linePos(node.range[0]).line : 1);
  for (const error of document.errors)
    problems.push({ line: lines.linePos(error.pos[0]).line, key: 'JSON', message: error.message });
  const root = document.contents;
  const list = isMap(root) ? root.get('contacts', true) : undefined;
  if (problems.length === 0 && !isSeq(list))
    problems.push({ line: lineOf(root), key: 'contacts', message: 'a list "contacts" is missing' });
  if (problems.length > 0 || !isSeq(list)) return { contacts: [], ranges: [], problems };

  const contacts: PlannedContact[] = [];
  const ranges: PlannedRange[] = [];
  for (const [index, item] of list.items.entries()) {
    if (!isMap(item)) {
      problems.push({ line: lineOf(item), key: `contacts[${index}]`, message: 'a contact is an object { … }' });
      continue;
    }
    const read = readContact(item, index, lineOf, epochMilliseconds, problems);
    if (read === undefined) continue;
    contacts.push(read.contact);
    if (read.range !== undefined) ranges.push(read.range);
  }
  return { contacts, ranges, problems: [...problems, ...overlaps(contacts)].sort((a, b) => a.line - b.line) };
}

function readContact(
  item: YAMLMap,
  index: number,
  lineOf: (node: unknown) => number,
  epochMilliseconds: number,
  problems: PlanProblem[],
): { readonly contact: PlannedContact; readonly range: PlannedRange | undefined } | undefined {
  const before = problems.length;
  const line = lineOf(item);
  const pairOf = (key: string): Pair | undefined =>
    item.items.find((pair) => isPair(pair) && isScalar(pair.key) && pair.key.value === key);
  const problem = (key: string, message: string) =>
    problems.push({ line: lineOf(pairOf(key)?.key) || line, key: `contacts[${index}].${key}`, message });
  for (const { key } of item.items)
    if (isScalar(key) && !KEYS.includes(String(key.value)))
      problem(String(key.value), `unknown key${didYouMean(String(key.value), KEYS)}`);

  const value = (key: string): unknown => item.get(key);
  const number = (key: string, what: string): number => {
    const found = value(key);
    if (found === undefined) problem(key, `the key is missing; ${what}`);
    else if (typeof found !== 'number' || !Number.isFinite(found))
      problem(key, `'${String(found)}' is not a number of seconds: ${what}`);
    else if (found < 0) problem(key, `a time cannot be negative (${found})`);
    else return found;
    return Number.NaN;
  };
  const node = (key: string): string => {
    const found = value(key);
    if (typeof found === 'number' || typeof found === 'string') return String(found);
    problem(key, 'the key is missing; it names a node');
    return '';
  };
  const from = node('source');
  const to = node('dest');
  const times = 'seconds since the start, or Unix time (dates and zones are not in this format)';
  const begin = sinceStart(number('startTime', times), epochMilliseconds);
  const end = sinceStart(number('endTime', times), epochMilliseconds);
  const lightSeconds = value('owlt') === undefined ? undefined : number('owlt', 'the one-way light time in seconds');
  const rate = value('rateBitsPerSec') ?? 0;
  if (typeof rate !== 'number' || !(rate >= 0))
    problem('rateBitsPerSec', `'${String(rate)}' is not a rate in bit/s (0: unlimited)`);
  if (end <= begin) problem('endTime', 'the contact ends before it begins');
  if (problems.length > before) return undefined;
  const bounds = { from, to, begin, end, line };
  return {
    contact: { ...bounds, rateBitPerSecond: rate === 0 ? Number.POSITIVE_INFINITY : (rate as number) },
    range: lightSeconds === undefined ? undefined : { ...bounds, lightSeconds, bothWays: false },
  };
}

function sinceStart(seconds: number, epochMilliseconds: number): number {
  if (seconds >= FIRST_UNIX_TIME) return (seconds * 1000 - epochMilliseconds) * 1e6;
  return Math.round(seconds * NANOSECONDS);
}
