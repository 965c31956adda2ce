import { describe, expect, test } from 'vitest';
import { SweepError } from '../../../src/lab/sweep/error.ts';
import { listOf, parseSetting, parseShard, parseVariation } from '../../../src/lab/sweep/flags.ts';
import { timeLineOf } from '../../../src/lab/sweep/mahimahi.ts';
import { checkMatrix, type SweepMatrix } from '../../../src/lab/sweep/matrix.ts';
import { planSweep } from '../../../src/lab/sweep/run.ts';

const plan = (matrix: SweepMatrix) => planSweep({ matrix: checkMatrix(matrix), directory: '.' });
const only = (matrix: SweepMatrix) => plan(matrix)[0]!;
const refusal = (matrix: unknown): string => {
  try {
    plan(matrix as SweepMatrix);
  } catch (error) {
    if (error instanceof SweepError) return `${error.message} | ${error.remedy ?? ''}`;
    throw error;
  }
  return 'not refused';
};

describe('a matrix to cells', () => {
  test('every combination, the last key fastest; values for all under set', () => {
    const cells = plan({ set: { mtu: 576 }, vary: { stack: [2000, 'bbr'], 'down.ber': [0, 1e-6, 1e-5] } });
    expect(cells.map(({ settings }) => settings.varied)).toEqual([
      { stack: 2000, 'down.ber': 0 },
      { stack: 2000, 'down.ber': 1e-6 },
      { stack: 2000, 'down.ber': 1e-5 },
      { stack: 'bbr', 'down.ber': 0 },
      { stack: 'bbr', 'down.ber': 1e-6 },
      { stack: 'bbr', 'down.ber': 1e-5 },
    ]);
    expect(cells[1]!.settings).toMatchObject({
      stack: '2000',
      congestionControl: 'reno',
      mtuOctets: 576,
      down: { bitErrorRate: 1e-6, rateBitPerSecond: 1e6, delaySeconds: 0.01 },
      up: { bitErrorRate: 0 },
      overrides: { 'tcp.stack': '2000', 'links.space.mtu': 576, 'links.space.down.ber': 1e-6 },
    });
  });

  test('cells that are not rectangular, crossed with what varies', () => {
    const cells = plan({ cells: [{ rate: '38.4k' }, { rate: '1M', mtu: 576 }], vary: { stack: ['today', 'bbr'] } });
    expect(cells.map(({ settings: s }) => [s.down.rateBitPerSecond, s.mtuOctets, s.stack])).toEqual([
      [38_400, 1500, 'today'],
      [38_400, 1500, 'bbr'],
      [1e6, 576, 'today'],
      [1e6, 576, 'bbr'],
    ]);
  });

  test('an id says what a cell is: the same by another name, another when anything differs', () => {
    const id = (matrix: SweepMatrix) => only(matrix).id;
    expect(id({ set: { 'down.ber': 1e-6 } })).toBe(id({ vary: { 'links.space.down.ber': [1e-6] } }));
    expect(id({ set: { stack: 2000 } })).toBe(id({ set: { 'tcp.stack': '2000' } }));
    expect(id({ set: { 'down.ber': 1e-6 } })).not.toBe(id({ set: { 'down.ber': 2e-6 } }));
    expect(id({ set: { workload: 'bulk' } })).not.toBe(id({ set: { 'workload.octets': 1000 } }));
  });

  test('short names: both directions, the round trip, the asymmetry, data in a segment', () => {
    const { settings } = only({
      set: { rtt: '20ms', rate: '400k', asymmetry: 50, segment: 512, mtu: 576, stack: 'today' },
    });
    expect(settings).toMatchObject({
      up: { rateBitPerSecond: 8000, delaySeconds: 0.01 },
      down: { rateBitPerSecond: 400_000, delaySeconds: 0.01 },
      maximumSegmentOctets: 524,
    });
    expect(only({ set: { segment: 512, stack: 2000 } }).settings.maximumSegmentOctets).toBe(512);
    expect(only({ scenario: 'uosat12', set: { asymmetry: 4 } }).settings.up.rateBitPerSecond).toBe(9600);
    expect(only({ set: { asymmetry: 5, workload: { kind: 'bulk', direction: 'up' } } }).settings).toMatchObject({
      direction: 'up',
      down: { rateBitPerSecond: 200_000 },
    });
  });

  test('services that the workload does not use are left out, the one that it uses is there', () => {
    const services = (kind: string) =>
      only({ scenario: 'uosat12', set: { workload: kind } }).resolved.nodes.map(({ services: s }) =>
        Object.keys(s).join(),
      );
    expect(services('bulk')).toEqual(['', '', '']);
    expect(services('ftp-get')).toEqual(['ftp', '', '']);
    expect(services('mail')).toEqual(['smtp', '', '']);
    expect(services('telemetry')).toEqual(['telemetry', '', 'telemetry']);
  });

  test('framing, FCS, line coding, queue and contacts vary as any scenario key', () => {
    const { link } = only({
      set: {
        framing: 'ppp',
        fcs: 32,
        lineCoding: ['nrzi', 'g3ruh'],
        queue: '50 packets',
        contacts: { period: '3min', duration: '1min' },
        classes: [{ name: 'all' }],
      },
    });
    expect(link).toMatchObject({ encapsulation: { kind: 'ppp' }, fcs: 32, lineCoding: ['nrzi', 'g3ruh'] });
    expect(link.up).toMatchObject({ queueLimit: { packets: 50 }, contacts: { kind: 'periodic' } });
  });
});

describe('an impossible matrix is refused with the key and the remedy', () => {
  test.each([
    [
      { set: { mss: 1460, mtu: 1006 } },
      /^mss: .*1460 octets does not fit an MTU of 1006.* \| set mtu to 1500 or more, or mss to 966/,
    ],
    [
      { set: { segment: 1460, mtu: 1500, stack: 'today' } },
      /^segment: .*1472 .*\| set mtu to 1512 or more, or segment to 1448/,
    ],
    [
      { set: { 'down.rate': '5G' } },
      /^down.rate: this machine cannot carry 5000000000 bit\/s .*\| set it to \d+ bit\/s or less/,
    ],
    [{ vary: { bre: [1] } }, /^bre: unknown key; did you mean 'ber'/],
    [{ vary: { 'links.space.down.bre': [1] } }, /^links.space.down.bre: unknown key 'bre'; did you mean 'ber'/],
    [{ vary: { ber: [2] } }, /^ber: a bit error rate lies between 0 and 0.5/],
    [{ vary: { fcs: [24] } }, /^fcs: `fcs` is 16 or 32/],
    [{ set: { stack: 'reno' } }, /^stack: .*one of '2000'/],
    [{ set: { workload: 'http' } }, /^workload: 'http' is not one of bulk, ftp-get/],
    [{ set: { 'workload.sice': 5 } }, /^workload.sice: bulk has no such key/],
    [{ set: { rtt: 20 } }, /^rtt: '20' has no unit/],
    [{ set: { asymmetry: 5e5 } }, /^asymmetry: .*lowest rate is 100/],
    [{ vari: {} }, /^vari: unknown key; did you mean 'vary'/],
    [{ repetitions: 0 }, /^repetitions: /],
    [{ vary: { ber: [] } }, /^vary.ber: a list of values/],
    [{ vary: { ber: [1] }, cells: [{ ber: 0 }] }, /^ber: is in 'cells' and in 'vary'/],
    [{ scenario: 'nowhere.yaml' }, /^scenario: there is no scenario file/],
    [{ scenario: 'relay' }, /^link: the scenario has several: /],
    [{ client: 'huston' }, /^client: the scenario has no node 'huston' \| it has spacecraft, ground/],
    [{ set: { 'down.rate': { mahimahi: 'no-such-trace' } } }, /^down.rate: cannot read the trace/],
  ])('%j', (matrix, expected) => {
    expect(refusal(matrix)).toMatch(expected);
  });
});

describe('flags', () => {
  test('values are YAML; commas inside brackets stay', () => {
    expect(parseVariation('ber=1e-7, 0', '--vary')).toEqual(['ber', [1e-7, 0]]);
    expect(
      parseVariation('contacts={period: 3min, duration: 1min},{period: 6min, duration: 2min}', '--vary')[1],
    ).toHaveLength(2);
    expect(parseSetting('lineCoding=[nrzi, g3ruh]', '--set')).toEqual(['lineCoding', ['nrzi', 'g3ruh']]);
    expect(listOf("2000,'20 packets'", 'stack')).toEqual([2000, '20 packets']);
    expect(() => parseSetting('mtu', '--set')).toThrow("--set: 'mtu' is not KEY=VALUE");
  });

  test('shards', () => {
    expect(parseShard('2/8')).toEqual({ index: 2, of: 8 });
    for (const bad of ['0/4', '5/4', '2', 'a/b']) expect(() => parseShard(bad)).toThrow('--shard');
  });
});

describe('mahimahi traces', () => {
  test('opportunities of 1504 octets in bins; the trace repeats', () => {
    // Two in the first 100 ms, none in the second, one at its very end.
    const { timeLine, cycle } = timeLineOf('10\n100\n250\n', 100);
    expect(cycle).toBe('250ms');
    expect(timeLine).toEqual([
      { at: '0s', rate: (2 * 1504 * 8) / 0.1 },
      { at: '100ms', rate: 100 },
      { at: '200ms', rate: Math.round((1504 * 8) / 0.05) },
    ]);
  });

  test('what is no trace is refused with its line', () => {
    expect(() => timeLineOf('1\n2\nx\n', 100)).toThrow("line 3 of the trace, 'x'");
    expect(() => timeLineOf('5\n3\n', 100)).toThrow('line 2');
    expect(() => timeLineOf('', 100)).toThrow('no time');
  });
});
