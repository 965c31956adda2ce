/**
 * ION's contact plans: the `a contact`, `a range` and `@` lines of ionrc(5) of the Interplanetary Overlay Network.
 *
 *   @ 2008/10/05-11:30:00                      reference time of what follows; the scenario's start unless given
 *   a contact +60 +7260 1 2 10000 [0.9]        begin, end, from, to, octets a second, confidence
 *   a range +0 2009/01/01-00:00:00 1 2 12      begin, end, from, to, light seconds; both ways when from < to
 *
 * In a file of several programs' commands (ionstart's `## begin ionadmin` … `## end ionadmin`) only ionadmin's are read. Commands
 * that change no plan (1, s, x, e, m, l, i, v, h, ?, r, ^) are passed over. Registrations (begin −1) and hypothetical contacts (end
 * 0) say nothing of times and are passed over too.
 */
import {
  type ContactPlan,
  NANOSECONDS,
  overlaps,
  type PlannedContact,
  type PlannedRange,
  type PlanProblem,
} from './plan.ts';

const PASSED_OVER = new Set(['1', 's', 'x', 'e', 'm', 'l', 'i', 'v', 'h', '?', 'r', '^', 'p', 'q', 'w']);

export function parseIonPlan(text: string, epochMilliseconds: number): ContactPlan {
  const contacts: PlannedContact[] = [];
  const ranges: PlannedRange[] = [];
  const problems: PlanProblem[] = [];
  const hasSections = /^##\s*begin\s+ionadmin/m.test(text);
  let reading = !hasSections;
  let reference = 0;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const section = /^##\s*(begin|end)\s+(\w+)/.exec(raw);
    if (section !== null && hasSections) reading = section[1] === 'begin' && section[2] === 'ionadmin';
    const words = raw.trim().split(/\s+/);
    const [command, what] = words as [string, string | undefined];
    if (!reading || command === '' || command.startsWith('#')) continue;
    const problem = (key: string, message: string) => problems.push({ line, key, message });
    const time = (key: string, word: string | undefined): number | undefined => {
      const parsed = parseTime(word, reference, epochMilliseconds);
      if (typeof parsed === 'string') problem(key, parsed);
      else return parsed;
      return undefined;
    };
    if (command === '@') reference = time('@', what) ?? reference;
    else if (command === 'a' && what === 'contact') {
      const contact = readContact(words, line, time, problem);
      if (contact !== undefined) contacts.push(contact);
    } else if (command === 'a' && what === 'range') {
      const range = readRange(words, line, time, problem);
      if (range !== undefined) ranges.push(range);
    } else if ((command === 'c' || command === 'd') && (what === 'contact' || what === 'range'))
      problem(
        `${command} ${what}`,
        'a plan that changes itself is not supported; write the contacts as they are to be',
      );
    else if (command === 'a') problem('a', `'a ${what ?? ''}' is not known; 'a contact' and 'a range' are`);
    else if (!PASSED_OVER.has(command)) problem(command, `'${command}' is not a command of ionrc(5)`);
  }
  return { contacts, ranges, problems: [...problems, ...overlaps(contacts)].sort((a, b) => a.line - b.line) };
}

type ReadTime = (key: string, word: string | undefined) => number | undefined;
type Report = (key: string, message: string) => void;

function readContact(words: string[], line: number, time: ReadTime, problem: Report): PlannedContact | undefined {
  const [, , begins, ends, from, to, rateWord, confidence] = words;
  if (rateWord === undefined || words.length > 8) {
    problem('a contact', 'write: a contact BEGIN END FROM TO OCTETS_PER_SECOND [CONFIDENCE]');
    return undefined;
  }
  const registration = begins === '-1' && from === to;
  const hypothetical = ends === '0';
  if (registration || hypothetical) return undefined;
  const begin = time('start time', begins);
  const end = time('stop time', ends);
  const rate = Number(rateWord);
  if (!(rate > 0 && Number.isFinite(rate)))
    problem('data rate', `'${rateWord}' is not a rate in octets per second over 0`);
  if (confidence !== undefined && !(Number(confidence) > 0 && Number(confidence) <= 1))
    problem('confidence', `'${confidence}' is not over 0 and at most 1`);
  if (begin === undefined || end === undefined || !(rate > 0)) return undefined;
  if (end <= begin) {
    problem('stop time', `the contact ends (${ends}) before it begins (${begins})`);
    return undefined;
  }
  return { from: from!, to: to!, begin, end, rateBitPerSecond: rate * 8, line };
}

function readRange(words: string[], line: number, time: ReadTime, problem: Report): PlannedRange | undefined {
  const [, , begins, ends, from, to, distance] = words;
  if (distance === undefined || words.length > 7) {
    problem('a range', 'write: a range BEGIN END FROM TO LIGHT_SECONDS');
    return undefined;
  }
  const begin = time('start time', begins);
  const end = time('stop time', ends);
  const lightSeconds = Number(distance);
  if (!(lightSeconds >= 0 && Number.isFinite(lightSeconds)))
    problem('distance', `'${distance}' is not a distance in light seconds, 0 or more`);
  if (begin === undefined || end === undefined || !(lightSeconds >= 0)) return undefined;
  if (end <= begin) {
    problem('stop time', `the range ends (${ends}) before it begins (${begins})`);
    return undefined;
  }
  return { from: from!, to: to!, begin, end, lightSeconds, bothWays: Number(from) < Number(to), line };
}

/** Nanoseconds since the scenario's start, or what is wrong. */
function parseTime(word: string | undefined, reference: number, epochMilliseconds: number): number | string {
  if (word === undefined) return 'a time is missing; write +SECONDS or yyyy/mm/dd-hh:mm:ss';
  if (/^\+\d+(\.\d+)?$/.test(word)) return reference + Math.round(Number(word) * NANOSECONDS);
  if (/^-\d+(\.\d+)?$/.test(word)) return `a time cannot be negative (${word})`;
  const match = /^(\d{4})\/(\d{1,2})\/(\d{1,2})-(\d{1,2}):(\d{2}):(\d{2})$/.exec(word);
  const milliseconds = match === null ? undefined : utcMilliseconds(match.slice(1).map(Number));
  if (milliseconds !== undefined) return (milliseconds - epochMilliseconds) * 1e6;
  if (match !== null) return `'${word}' is not a date of the calendar`;
  if (/^\d+$/.test(word)) return `'${word}' has no sign: write +${word} for seconds after the reference time`;
  return `'${word}' is not a time of ION's: write +SECONDS or yyyy/mm/dd-hh:mm:ss, which is UTC (no zone, no offset, no 'T')`;
}

function utcMilliseconds([year, month, day, hour, minute, second]: number[]): number | undefined {
  const milliseconds = Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
  const date = new Date(milliseconds);
  const same =
    date.getUTCMonth() === month! - 1 && date.getUTCDate() === day && hour! < 24 && minute! < 60 && second! < 60;
  return same ? milliseconds : undefined;
}
