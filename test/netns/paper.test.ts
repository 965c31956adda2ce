/**
 * `omni paper` and `omni reproduce` as their users run them: a small figure measured in namespaces, taken up again after a kill -9,
 * and measured again from its file; refusals before the first run; nothing left behind.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const missing =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync('/dev/net/tun')
      ? 'needs TUN'
      : has('curl')
        ? undefined
        : 'needs curl';
const omni = join(import.meta.dirname, '..', '..', 'bin', 'omni');

let folder: string;
let environment: NodeJS.ProcessEnv;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-paper-test-'));
  chmodSync(folder, 0o755); // the services run as nobody
  environment = {
    ...process.env,
    OMNI_RUN_DIRECTORY: join(folder, 'run'),
    OMNI_STATE_DIRECTORY: join(folder, 'state'),
  };
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const run = (...args: string[]) => spawnSync(omni, args, { encoding: 'utf8', env: environment, cwd: folder });
const lines = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];

test.skipIf(missing !== undefined)(
  `a figure of four short replays, killed and taken up again, then reproduced (${missing ?? 'root, TUN, curl'})`,
  async () => {
    const paper = ['paper', 'uosat-ftp', '--scale', '0.04', '--repetitions', '1', '--output', 'out', '--json'];
    const runs = join(folder, 'out', 'runs.jsonl');
    const killed = spawn(omni, [...paper, '--parallel', '1'], { env: environment, cwd: folder, stdio: 'ignore' });
    const ended = new Promise((resolve) => killed.once('exit', resolve));
    while (lines(runs).length < 2 && killed.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 50));
    killed.kill('SIGKILL');
    await ended;
    const kept = lines(runs).slice(0, 2);

    const { status, stdout, stderr } = run(...paper);
    expect(status, stderr).toBe(0);
    expect(lines(runs).slice(0, 2)).toEqual(kept);
    const report = JSON.parse(stdout);
    expect(report.runs.sound).toBe(4);
    expect(report.figures[0].findings).toHaveLength(4);
    execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: join(folder, 'out') });
    const csv = lines(join(folder, 'out', 'uosat-ftp.csv'));
    expect(csv[0]).toContain('payload bits of the line [%]');
    // One replay and its mean for each of four stacks.
    expect(csv.filter((line) => line.includes(',measured,'))).toHaveLength(8);

    const again = run('reproduce', join('out', 'uosat-ftp.svg'), '--points', '2', '--repetitions', '1', '--json');
    expect([0, 1], again.stderr).toContain(again.status);
    const { points, intact, counts } = JSON.parse(again.stdout);
    expect(intact).toBe(true);
    expect(points).toHaveLength(2);
    expect(counts['not measured']).toBe(0);
    expect(again.status).toBe(counts.outside === 0 ? 0 : 1);
    for (const { measured } of points) expect(measured.y).toBeGreaterThanOrEqual(0);
    // A testbed has its record there until all of it is gone; the last one takes the folder along.
    const testbeds = join(folder, 'run');
    expect(existsSync(testbeds) ? readdirSync(testbeds) : []).toEqual([]);
  },
);

test.skipIf(missing !== undefined)(
  'time-sequence is drawn from a capture: what noise took is what arrived out of order',
  () => {
    const demo = [
      'demo',
      '--octets',
      '20000',
      '--ber',
      '3e-5',
      '--seed',
      '3',
      '--name',
      `pt${process.pid}`,
      '--output',
      'demo',
      '--json',
    ];
    const replayed = run(...demo);
    expect(replayed.status, replayed.stderr).toBe(0);
    const [old] = JSON.parse(replayed.stdout).results;
    const capture = join('demo', '2000-link.pcapng');
    const drawn = run('paper', 'time-sequence', '--capture', capture, '--output', 'drawn', '--no-png', '--json');
    expect(drawn.status, drawn.stderr).toBe(0);
    const [{ findings }] = JSON.parse(drawn.stdout).figures;
    expect(findings[0]).toContain(`${old.transfer.octets} octets in ${old.transfer.seconds.toFixed(1)} s`);
    expect(findings[0]).toContain(`${old.transfer.retransmissions.total} sent again`);
    expect(Number(/(\d+) lost to noise/.exec(findings[0])![1])).toBeGreaterThan(0);
    expect(run('paper', 'time-sequence', '--capture', capture, '--link', 'nope').stderr).toContain('it has space');
    expect(run('reproduce', join('drawn', 'time-sequence.svg')).stderr).toContain(
      'no point that could be measured again',
    );
  },
);

test.skipIf(missing !== undefined)('an edited figure is told, and its reproduction ends with 1', () => {
  expect(run('paper', 'ntp', '--output', 'ntp', '--no-png').status).toBe(0);
  const good = run('reproduce', 'ntp/ntp.svg', '--json');
  expect(good.status, good.stderr).toBe(0);
  expect(JSON.parse(good.stdout).counts).toMatchObject({ outside: 0, 'not measured': 0, inside: 0 });
  const svg = readFileSync(join(folder, 'ntp', 'ntp.svg'), 'utf8');
  writeFileSync(join(folder, 'edited.svg'), svg.replace(/"y":(\d+\.\d+)/, '"y":9$1'));
  const edited = run('reproduce', 'edited.svg');
  expect(edited.stderr).toContain('edited.svg was edited');
  expect(edited.status).toBe(1);
});

test('refusals say what to do, before anything runs', () => {
  expect(run('paper', 'no-such').stderr).toContain("there is no figure 'no-such'");
  expect(run('paper', 'fer', '--repetitions', '0').status).toBe(64);
  expect(run('paper', 'fer', '--scale', '2').stderr).toContain('above 0, at most 1');
  writeFileSync(join(folder, 'plain.svg'), '<svg/>');
  const plain = run('reproduce', 'plain.svg');
  expect(plain.status).toBe(65);
  expect(plain.stderr).toContain('holds no provenance');
  expect(run('reproduce', 'missing.svg').status).toBe(65);
  expect(run('paper').stdout).toContain('tcp-vs-ber');
});

test.skipIf(missing !== undefined || spawnSync('setpriv', ['--version']).status !== 0)(
  'without root the figures that need testbeds are refused, those that do not are made (root to drop, setpriv)',
  () => {
    const open = mkdtempSync(join(tmpdir(), 'omni-paper-nobody-'));
    chmodSync(open, 0o777);
    try {
      const asNobody = (...args: string[]) =>
        spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', omni, ...args], {
          encoding: 'utf8',
          cwd: open,
        });
      const refused = asNobody('paper', 'delay');
      expect(refused.status).toBe(77);
      expect(refused.stderr).toContain('needs root');
      expect(existsSync(join(open, 'omni-paper'))).toBe(false);
      const made = asNobody('paper', 'ntp', '--no-png');
      expect(made.status, made.stderr).toBe(0);
    } finally {
      rmSync(open, { recursive: true });
    }
  },
);
