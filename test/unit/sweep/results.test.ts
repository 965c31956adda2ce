import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Journal, type JournalFile, readResults } from '../../../src/lab/sweep/journal.ts';
import { checkMatrix } from '../../../src/lab/sweep/matrix.ts';
import { latenessBound, loadOf, Planner } from '../../../src/lab/sweep/planner.ts';
import { ProgressClock } from '../../../src/lab/sweep/progress.ts';
import { isSound, RESULT_SCHEMA, type SweepResult, sweepResultSchema } from '../../../src/lab/sweep/result.ts';
import { planSweep } from '../../../src/lab/sweep/run.ts';
import { cellsCsv, mergeResults, runsCsv, summariseCells, tableRows } from '../../../src/lab/sweep/table.ts';
import { batchesOf, seedOf, tasksOf, withoutDone } from '../../../src/lab/sweep/tasks.ts';
import { parseTcpInfo } from '../../../src/lab/sweep/tcp-info.ts';

const CELLS = planSweep({ matrix: checkMatrix({ vary: { ber: [0, 1e-6, 1e-5] } }), directory: '.' });
const [CELL] = CELLS;

function result(
  repetition: number,
  goodputBitPerSecond: number,
  more: Partial<SweepResult> = {},
  cell = CELL!,
): SweepResult {
  const frames = { sent: 100, hit: 2, lost: { 'noise-fcs': 2, 'queue-full': 1 }, undetected: 0, bitErrors: 3 };
  return {
    schema: RESULT_SCHEMA,
    sweep: 'test',
    cell: cell.id,
    settings: cell.settings,
    repetition,
    seed: seedOf(1, cell.id, repetition),
    attempt: 1,
    started: '2026-01-02T03:04:05.678Z',
    versions: { omni: '0', node: '20', kernel: '6' },
    machine: { cpu: 'a', cores: 2, memoryOctets: 1 },
    outcome: 'complete',
    problem: null,
    measures: {
      octets: 1000,
      seconds: 8000 / goodputBitPerSecond,
      finishSeconds: 2,
      goodputBitPerSecond,
      utilisation: goodputBitPerSecond / 1e6,
      efficiency: 0.9,
      lineBits: 1e4,
      frameBits: 1e4,
      segments: 2,
      segmentsSent: 3,
      segmentOctets: 512,
      retransmissions: { total: 1, fast: 1, timeout: 0, probe: 0, spurious: 0, dataSegments: 1 },
      duplicateAcknowledgments: 3,
      roundTrip: { samples: 2, minimum: 0.02, median: 0.03, mean: 0.03, p95: 0.04, maximum: 0.04 },
      frames,
      reverseFrames: frames,
      tcpInfo: null,
      exchanges: null,
    },
    lateness: { maximumNanoseconds: 1000, boundNanoseconds: 1e6, overdue: 0, events: 10, late: false },
    captures: [],
    ...more,
  };
}
const LATE = { maximumNanoseconds: 2e6, boundNanoseconds: 1e6, overdue: 1, events: 10, late: true };

test('the record is what the schema says', () => {
  expect(sweepResultSchema.parse(JSON.parse(JSON.stringify(result(0, 5e5))))).toEqual(result(0, 5e5));
});

describe('what is left to run', () => {
  test('every repetition of every cell, each with a seed of its own; shards share it out without a gap', () => {
    const all = tasksOf(CELLS, 4, 1);
    expect(all).toHaveLength(12);
    expect(new Set(all.map(({ seed }) => seed)).size).toBe(12);
    const shards = [1, 2, 3, 4, 5].flatMap((index) => tasksOf(CELLS, 4, 1, { index, of: 5 }));
    const key = ({ cell, repetition }: (typeof all)[number]) => `${cell.id}/${repetition}`;
    expect(shards.map(key).sort()).toEqual(all.map(key).sort());
    expect(tasksOf(CELLS, 1, 2)[0]!.seed).not.toBe(all[0]!.seed);
  });

  test('a sound run settles, a run over time too; late and failed ones are made again, their attempts counted on', () => {
    const done = [
      result(0, 5e5),
      result(1, 5e5, { lateness: LATE }),
      result(2, 5e5, { outcome: 'incomplete' }),
      result(3, 5e5, { outcome: 'failed', measures: null, attempt: 2 }),
    ];
    const left = withoutDone(tasksOf([CELL!], 4, 1), done);
    expect(left.map(({ repetition, attempt }) => [repetition, attempt])).toEqual([
      [1, 2],
      [3, 3],
    ]);
  });

  test('short runs of a cell share a testbed, long ones do not', () => {
    const tasks = tasksOf(CELLS, 20, 1);
    const short = batchesOf(tasks, () => 2, 3);
    expect(Math.max(...short.map((batch) => batch.tasks.length))).toBe(10);
    expect(short.flatMap((batch) => batch.tasks)).toHaveLength(60);
    expect(Math.max(...batchesOf(tasks, () => 60, 3).map((batch) => batch.tasks.length))).toBe(4);
    expect(batchesOf(tasks, () => 300, 3)).toHaveLength(60);
    // Few runs on a large machine: side by side before one after the other.
    expect(batchesOf(tasksOf(CELLS, 1, 1), () => 2, 30)).toHaveLength(3);
  });
});

describe('planner', () => {
  test('a run of any load may go alone; others as the budget allows', () => {
    const planner = new Planner({ cores: 2, memoryOctets: 16e9 });
    expect(planner.admits(5)).toBe(true);
    let started = 0;
    while (planner.admits(0.1)) {
      planner.begin(0.1);
      started++;
    }
    expect(started).toBe(12);
    for (let i = 0; i < started; i++) planner.end(0.1);
    expect(planner.admits(5)).toBe(true);
  });

  test('memory and --parallel limit it; a run that must be alone waits for all others', () => {
    const planner = new Planner({ cores: 64, memoryOctets: 2e9 });
    let started = 0;
    while (planner.admits(0.01)) {
      planner.begin(0.01);
      started++;
    }
    expect(started).toBe(4);
    const two = new Planner({ cores: 64, memoryOctets: 64e9, parallel: 2 });
    two.begin(0.01);
    expect(two.admits(0.01)).toBe(true);
    expect(two.admits(0.01, true)).toBe(false);
    two.end(0.01);
    two.begin(0.01, true);
    expect(two.admits(0.01)).toBe(false);
    two.end(0.01);
    two.begin(0.01);
    two.begin(0.01);
    expect(two.admits(0.01)).toBe(false);
  });

  test('late runs make it careful, good ones bold again, within bounds', () => {
    const planner = new Planner({ cores: 2, memoryOctets: 16e9 });
    const before = planner.budget;
    planner.learn(true);
    expect(planner.budget).toBeLessThan(before);
    for (let i = 0; i < 100; i++) planner.learn(true);
    expect(planner.budget).toBeGreaterThan(0);
    for (let i = 0; i < 1000; i++) planner.learn(false);
    expect(planner.budget).toBe(before);
  });

  test('the load grows with the rate; the bound of lateness with the round trip', () => {
    const at = (set: Record<string, string | number>) =>
      planSweep({ matrix: checkMatrix({ set }), directory: '.' })[0]!;
    const loads = ['38.4k', '1M', '10M', '100M'].map((rate) => loadOf(at({ rate })).cores);
    expect(loads).toEqual([...loads].sort((a, b) => a - b));
    expect(loads[0]).toBeLessThan(0.05);
    // 20 ms of propagation, 12 ms of a full frame and 0.4 ms of an acknowledgement at 1 Mbit/s.
    expect(latenessBound(at({})) / 1e6).toBeCloseTo(8.1, 1);
    expect(latenessBound(at({ rate: '100M', delay: '0s' }))).toBe(1e6);
  });
});

describe('the results file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'omni-journal-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('appended to; a torn line of a killed writer is ended and passed over', async () => {
    const path = join(folder, 'deep', 'results.jsonl');
    const first = await Journal.open(path);
    first.append(result(0, 5e5));
    first.close();
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"schema":"omni-swe`);
    const second = await Journal.open(path);
    second.append(result(1, 6e5));
    second.close();
    const { results, ignored } = readResults(path);
    expect(results).toEqual([result(0, 5e5), result(1, 6e5)]);
    expect(ignored).toBe(1);
  });

  test('one writer at a time', async () => {
    const path = join(folder, 'results.jsonl');
    const journal = await Journal.open(path);
    await expect(Journal.open(path)).rejects.toMatchObject({ code: 'OMNI_TESTBED_BUSY' });
    journal.close();
  });

  test('a disk that fills up in the middle of a line: the line is taken back and the error says so', () => {
    let stored = Buffer.alloc(0);
    const room = 3000;
    const file: JournalFile = {
      size: 0,
      append: (octets) => {
        const fits = octets.subarray(0, Math.max(0, room - stored.length));
        stored = Buffer.concat([stored, fits]);
        if (fits.length < octets.length) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
      },
      truncate: (size) => {
        stored = stored.subarray(0, size);
      },
      sync: () => {},
      close: () => {},
    };
    const journal = new Journal(file);
    let written = 0;
    expect(() => {
      for (;;) {
        journal.append(result(written, 5e5));
        written++;
      }
    }).toThrow(expect.objectContaining({ code: 'OMNI_DISK_FULL', remedy: expect.stringContaining('goes on') }));
    expect(written).toBe(1);
    const lines = stored.toString().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([result(0, 5e5)]);
  });
});

describe('tables', () => {
  const results = [
    ...[4e5, 5e5, 9e5].map((goodput, i) => result(i, goodput)),
    result(3, 1, { lateness: LATE }),
    result(4, 1, { outcome: 'incomplete' }),
    result(0, 7e5, {}, CELLS[1]!),
  ];

  test('mean, median and interval of the runs that count; the others are named', () => {
    const [cell] = summariseCells(results);
    expect(cell).toMatchObject({ runs: 3, incomplete: 1, unsound: 1 });
    const { goodput } = cell!.measures;
    expect(goodput).toMatchObject({ unit: 'bit/s', mean: 6e5, median: 5e5, least: 4e5, greatest: 9e5 });
    expect(goodput!.meanInterval.low).toBeGreaterThanOrEqual(4e5);
    expect(goodput!.meanInterval.high).toBeLessThanOrEqual(9e5);
    const [head, first, second] = tableRows(summariseCells(results));
    expect(head![0]).toBe('ber');
    expect(first!.slice(0, 4)).toEqual(['0', '3', '600 kbit/s', '500 kbit/s']);
    expect(first!.at(-1)).toBe('1 over time, 1 late or failed');
    expect(second!.at(-1)).toBe('0');
  });

  test('a late run that was made again well counts once', () => {
    const cells = summariseCells([result(0, 1, { lateness: LATE }), result(0, 5e5, { attempt: 2 })]);
    expect(cells[0]).toMatchObject({ runs: 1, unsound: 0 });
  });

  test('CSV has units in its header, a row a cell or a row a run', () => {
    const [head, row] = cellsCsv(summariseCells(results)).split('\r\n');
    expect(head).toContain('goodput mean [bit/s],goodput median [bit/s],goodput mean low 95 [bit/s]');
    expect(row!.split(',').slice(0, 3)).toEqual([CELL!.id, '0', '3']);
    expect(runsCsv(results).trimEnd().split('\r\n')).toHaveLength(5);
    expect(runsCsv(results, 'flent').split('\r\n')[0]).toContain('TCP download [Mbits/s]');
    expect(runsCsv(results, 'ns3').split('\r\n')[1]).toContain(',3,2,1000,3,400000,');
  });

  test('merging takes each run once and orders them', () => {
    const [a, b, c] = results;
    expect(
      mergeResults([
        [c!, a!],
        [a!, b!],
      ]),
    ).toEqual([a, b, c]);
    expect(isSound(a!)).toBe(true);
  });
});

test('TCP_INFO as ss prints it when a socket goes away', () => {
  const line =
    'UNCONN 1 0 10.99.0.1:40160 10.99.0.2:5001 wscale:10,10 rto:1000 rtt:43.94/8.5 mss:536 bytes_sent:239556 bytes_retrans:11716 bytes_acked:227842 segs_out:462 retrans:0/19 dsack_dups:2 reord_seen:1 minrtt:22.389 app_limited';
  expect(parseTcpInfo(line, 'cubic')).toEqual({
    local: '10.99.0.1:40160',
    peer: '10.99.0.2:5001',
    congestionControl: 'cubic',
    minimumRoundTripSeconds: 0.022389,
    roundTripSeconds: 0.04394,
    retransmitted: 19,
    octetsAcknowledged: 227842,
    octetsRetransmitted: 11716,
    duplicatesReported: 2,
    reordering: 1,
  });
  expect(parseTcpInfo('UNCONN 0 0 *:5001 *:* rto:1000 mss:536', 'cubic')).toBeUndefined();
});

test('the time that is left follows the time that runs took', () => {
  const clock = new ProgressClock([10, 10, 10, 10], 100);
  expect(clock.snapshot(100)).toMatchObject({ done: 0, total: 4, secondsLeft: undefined });
  clock.begin();
  clock.end(10, false);
  expect(clock.snapshot(105)).toMatchObject({ done: 1, secondsLeft: 15 });
  clock.begin();
  clock.end(10, true);
  // A run that has to be made again has cost its time and is still to do.
  expect(clock.snapshot(110)).toMatchObject({ done: 1, repeated: 1, secondsLeft: 15 });
});
