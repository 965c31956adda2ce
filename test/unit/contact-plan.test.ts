import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { lineSources } from '../../src/node/line-sources.ts';
import {
  contactsBetween,
  delaysBetween,
  parseErrorPositions,
  parseHdtnPlan,
  parseIonPlan,
} from '../../src/scenario/contact-plan/index.ts';

const EPOCH = Date.UTC(2026, 0, 1);
const problemsOf = (plan: { problems: readonly { line: number; key: string; message: string }[] }) =>
  plan.problems.map(({ line, key, message }) => `${line}: ${key}: ${message}`);

describe('ION', () => {
  test('contacts, ranges, reference times and dates', () => {
    const plan = parseIonPlan(
      [
        '# the two nodes',
        'a contact +60 +7260 1 2 10000',
        'a contact 2026/01/01-02:00:00 2026/01/01-02:10:00 2 1 125000 0.9',
        '@ 2026/01/01-01:00:00',
        'a contact +0 +60 1 2 1000',
        '@ +3600',
        'a contact +5 +15 1 2 1000',
        'a range +0 +100 1 2 12',
      ].join('\n'),
      EPOCH,
    );
    expect(problemsOf(plan)).toEqual([
      '5: contact: this contact from 1 to 2 overlaps the one on line 2',
      '7: contact: this contact from 1 to 2 overlaps the one on line 2',
    ]);
    expect(
      plan.contacts.map(({ from, to, begin, end, rateBitPerSecond }) => [
        from,
        to,
        begin / 1e9,
        end / 1e9,
        rateBitPerSecond,
      ]),
    ).toEqual([
      ['1', '2', 60, 7260, 80_000],
      ['2', '1', 7200, 7800, 1_000_000],
      ['1', '2', 3600, 3660, 8000],
      ['1', '2', 7205, 7215, 8000],
    ]);
    expect(plan.ranges).toMatchObject([
      { from: '1', to: '2', begin: 7200e9, end: 7300e9, lightSeconds: 12, bothWays: true },
    ]);
  });

  test('of an ionstart file only the commands of ionadmin are read', () => {
    const plan = parseIonPlan(
      '## begin ionadmin\n1 1 ionconfig\ns\na contact +0 +10 1 2 125000\nm production 1000000\n## end ionadmin\n## begin ltpadmin\na span 2 10 10\n## end ltpadmin\n',
      EPOCH,
    );
    expect(plan.problems).toEqual([]);
    expect(plan.contacts).toHaveLength(1);
  });

  test('registrations and hypothetical contacts say nothing of times', () => {
    expect(parseIonPlan('a contact -1 0 1 1 0\na contact 0 0 1 2 0\n', EPOCH)).toEqual({
      contacts: [],
      ranges: [],
      problems: [],
    });
  });

  test.each([
    [
      'a contact 2026-01-01T00:00:00+02:00 +60 1 2 1000',
      "1: start time: '2026-01-01T00:00:00+02:00' is not a time of ION's",
    ],
    ['a contact 2026/01/01-00:00:00Z +60 1 2 1000', "1: start time: '2026/01/01-00:00:00Z' is not a time of ION's"],
    ['a contact 2026/02/30-00:00:00 +60 1 2 1000', "1: start time: '2026/02/30-00:00:00' is not a date"],
    ['a contact -5 +60 1 2 1000', '1: start time: a time cannot be negative (-5)'],
    ['a contact 5 +60 1 2 1000', "1: start time: '5' has no sign"],
    ['a contact +60 +60 1 2 1000', '1: stop time: the contact ends (+60) before it begins (+60)'],
    ['a contact +0 +60 1 2 0', "1: data rate: '0' is not a rate"],
    ['a contact +0 +60 1 2', '1: a contact: write: a contact BEGIN'],
    ['a contact +0 +60 1 2 9 2', "1: confidence: '2' is not"],
    ['a range +0 +60 1 2 -1', "1: distance: '-1' is not a distance"],
    ['\nb contact +0 +60 1 2 9', "2: b: 'b' is not a command of ionrc(5)"],
    ['a plan 1', "1: a: 'a plan' is not known"],
    ['d contact * 1 2', '1: d contact: a plan that changes itself is not supported'],
  ])('%j is refused with line and key', (text, expected) => {
    expect(problemsOf(parseIonPlan(text, EPOCH)).join('\n')).toContain(expected);
  });
});

describe('HDTN', () => {
  const contact = (change: Record<string, unknown>) => ({
    contact: 0,
    source: 102,
    dest: 10,
    startTime: 0,
    endTime: 2000,
    rateBitsPerSec: 1_000_000,
    owlt: 1,
    ...change,
  });
  const planOf = (...contacts: Record<string, unknown>[]) =>
    parseHdtnPlan(JSON.stringify({ contacts }, null, '\t'), EPOCH);

  test('contacts in seconds since the start and in Unix time, light time, no rate limit', () => {
    const unix = EPOCH / 1000;
    const plan = planOf(
      contact({}),
      contact({ source: 10, dest: 102, startTime: unix + 5, endTime: unix + 10.5, rateBitsPerSec: 0 }),
    );
    expect(plan.problems).toEqual([]);
    expect(plan.contacts).toMatchObject([
      { from: '102', to: '10', begin: 0, end: 2000e9, rateBitPerSecond: 1e6 },
      { from: '10', to: '102', begin: 5e9, end: 10.5e9, rateBitPerSecond: Number.POSITIVE_INFINITY },
    ]);
    expect(plan.ranges).toMatchObject([{ lightSeconds: 1 }, { lightSeconds: 1 }]);
  });

  test.each([
    [contact({ startTime: -1 }), '4: contacts[0].startTime: a time cannot be negative (-1)', 'startTime'],
    [contact({ startTime: '2026-01-01T00:00:00+02:00' }), 'is not a number of seconds', 'startTime'],
    [contact({ endTime: 0 }), 'contacts[0].endTime: the contact ends before it begins', 'endTime'],
    [contact({ starttime: 3 }), "unknown key; did you mean 'startTime'?", 'starttime'],
    [contact({ rateBitsPerSec: -3 }), "'-3' is not a rate", 'rateBitsPerSec'],
    [contact({ source: null }), 'contacts[0].source: the key is missing', 'source'],
  ])('case %#: what is wrong is told with line and key', (wrong, expected, key) => {
    const text = JSON.stringify({ contacts: [wrong] }, null, 1);
    const line = text.split('\n').findIndex((each) => each.includes(`"${key}"`)) + 1;
    const problems = problemsOf(parseHdtnPlan(text, EPOCH));
    expect(problems.join('\n')).toContain(expected.replace(/^4: /, ''));
    expect(problems[0]).toMatch(new RegExp(`^${line}: contacts\\[0\\]`));
  });

  test('broken JSON, no list, overlaps', () => {
    expect(problemsOf(parseHdtnPlan('{ "contacts": [\n{ "source": 1,,\n', EPOCH))[0]).toMatch(/^2: JSON: /);
    expect(problemsOf(parseHdtnPlan('{ "contact": [] }', EPOCH))).toEqual([
      '1: contacts: a list "contacts" is missing',
    ]);
    expect(problemsOf(planOf(contact({}), contact({ startTime: 1999, endTime: 3000 })))).toEqual([
      '12: contacts[1]: this contact from 102 to 10 overlaps the one on line 3'.replace('contacts[1]', 'contact'),
    ]);
  });
});

test('contacts of one direction: those before time zero are cut, those that touch are one', () => {
  const plan = parseIonPlan(
    '@ 2025/12/31-23:59:50\na contact +0 +5 1 2 9\na contact +6 +20 1 2 9\na contact +20 +30 1 2 9\na contact +40 +50 1 2 9\na contact +0 +99 2 1 9\n',
    EPOCH,
  );
  expect(plan.problems).toEqual([]);
  expect(contactsBetween(plan, '1', '2').map(({ aos, los }) => [aos / 1e9, los / 1e9])).toEqual([
    [0, 20],
    [30, 40],
  ]);
});

test('ranges give the delay: one for both ways unless the way back has its own; held between, and before the first', () => {
  const plan = parseIonPlan(
    'a range +10 +20 1 2 1.28\na range +30 +40 1 2 1.3\na range +0 +99 3 2 4\na range +0 +99 2 3 5\n',
    EPOCH,
  );
  const delays = (from: string, to: string) =>
    delaysBetween(plan, from, to).map(({ at, value }) => [at / 1e9, value / 1e9]);
  expect(delays('1', '2')).toEqual([
    [0, 1.28],
    [30, 1.3],
  ]);
  expect(delays('2', '1')).toEqual(delays('1', '2'));
  expect(delays('3', '2')).toEqual([[0, 4]]);
  expect(delays('2', '3')).toEqual([[0, 5]]);
  expect(delays('1', '3')).toEqual([]);
});

describe('recorded errors', () => {
  test('positions, comments, blank lines', () => {
    expect(parseErrorPositions('# bit positions\n3\n\n10 # in the FCS\n4000000000\n')).toEqual({
      positions: [3, 10, 4e9],
      problems: [],
    });
  });
  test.each([
    ['3\n2\n', '2: position: 2 does not come after 3'],
    ['3\n3\n', '2: position: 3 does not come after 3'],
    ['-1\n', "1: position: '-1' is not a bit position"],
    ['1.5\n', "1: position: '1.5' is not a bit position"],
    ['99999999999999999\n', '1: position: 99999999999999999 is beyond'],
  ])('%j is refused', (text, expected) => {
    expect(problemsOf(parseErrorPositions(text)).join('\n')).toContain(expected);
  });
});

describe('from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'omni-plan-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const sources = lineSources({ epochMilliseconds: EPOCH });

  test('both formats are told apart by their first character', () => {
    const ion = sources.readContactPlan(file('a.ionrc', 'a contact +10 +20 1 2 9\n'), '1', '2');
    const hdtn = sources.readContactPlan(
      file(
        'b.json',
        '{"contacts":[{"contact":0,"source":1,"dest":2,"startTime":10,"endTime":20,"rateBitsPerSec":9,"owlt":1}]}',
      ),
      '1',
      '2',
    );
    for (const carrier of [ion, hdtn]) expect(carrier.upcoming(0 as never, 9)).toEqual([{ aos: 10e9, los: 20e9 }]);
  });

  test('what is wrong is told with the file; so is a pair that the plan does not have, with those that it has', () => {
    const bad = file('bad.ionrc', 'a contact +10 +20 1 2 9\na contact +15 +25 1 2 9\n');
    expect(() => sources.readContactPlan(bad, '1', '2')).toThrow(
      `${bad}:2: contact: this contact from 1 to 2 overlaps the one on line 1`,
    );
    const good = file('good.ionrc', 'a contact +10 +20 1 2 9\n');
    expect(() => sources.readContactPlan(good, '1', '3')).toThrow("the plan has no contact from '1' to '3'");
    expect(() => sources.readContactPlan(join(folder, 'absent'), '1', '2')).toThrow('there is no such file');
    expect(() => sources.readErrorFile(file('errors', '5\n4\n'))).toThrow(
      /errors:2: position: 4 does not come after 5/,
    );
  });

  test('old elements far from the scenario: a sentence and a remedy instead of nonsense', () => {
    const tle = [
      '1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927',
      '2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537',
    ] as const;
    const station = { latitudeDegrees: 51, longitudeDegrees: 0, altitudeMetres: 0 };
    const later = lineSources({ epochMilliseconds: Date.UTC(2060, 0, 1) });
    expect(() => later.computeOrbit({ kind: 'orbit', tle, station, maskDegrees: 5 })).toThrow(/decayed/);
  });
});
