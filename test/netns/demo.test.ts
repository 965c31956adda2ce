/**
 * The demonstration as its user runs it: a short replay, what its captures hold, and that nothing is left behind, also after Ctrl-C.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const skip =
  process.getuid?.() !== 0 ? 'needs root' : !has('curl') ? 'needs curl' : !has('tshark') ? 'needs tshark' : undefined;
const omni = join(import.meta.dirname, '..', '..', 'bin', 'omni');
const name = `dt${process.pid}`;

let folder: string;
let environment: NodeJS.ProcessEnv;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-demo-test-'));
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

const namespaces = (): string[] =>
  execFileSync('ip', ['netns'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith(name));
const tshark = (file: string, ...args: string[]): string[] =>
  execFileSync('tshark', ['-r', file, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .split('\n')
    .filter((line) => line !== '');

test.skipIf(skip !== undefined)(
  `a replay of a small image at a high error rate (${skip ?? 'root, curl, tshark'})`,
  () => {
    const output = join(folder, 'out');
    const options = ['--octets', '16000', '--ber', '5e-5', '--seed', '3', '--name', name, '--output', output, '--json'];
    const { status, stdout, stderr } = spawnSync(omni, ['demo', ...options], { encoding: 'utf8', env: environment });
    expect(stderr).toContain(`${name}-2000: up`);
    expect(status, stderr).toBe(0);
    const { results } = JSON.parse(stdout);
    expect(results.map((result: { variant: string }) => result.variant)).toEqual(['2000', 'today']);
    for (const result of results) {
      const { transfer, complete, bitErrors, files } = result;
      expect(complete).toBe(true);
      expect(transfer.octets).toBe(16_000);
      expect(transfer.segments).toBe(Math.ceil(16_000 / 512));
      expect(transfer.segmentOctets).toBe(512);
      // Every loss was of a data segment or an acknowledgment-free one, and each data segment lost was sent again.
      expect(bitErrors).toBeGreaterThan(0);
      expect(transfer.frames.hit).toBeGreaterThan(0);
      expect(transfer.retransmissions.total).toBeGreaterThan(0);
      expect(transfer.utilisation).toBeLessThan(512 / 559);
      expect(statSync(files.image).size).toBe(16_000);
      expect(readFileSync(files.image).toString('latin1', 1, 4)).toBe('PNG');

      const again =
        '(tcp.analysis.retransmission || tcp.analysis.out_of_order) && ip.src==10.12.0.1 && tcp.len>0 && !(tcp.port==21)';
      expect(tshark(files.spacecraft, '-Y', again).length).toBe(transfer.retransmissions.dataSegments);
      const protocols = tshark(files.link, '-T', 'fields', '-e', 'frame.protocols').join('\n');
      for (const protocol of ['fr:ip:tcp:ftp', 'raw:ip:tcp']) expect(protocols).toContain(protocol);
      const damaged =
        'frame.packet_flags_crc_error==1 || frame.packet_flags_symbol_error==1 || frame.packet_flags_unaligned_frame_error==1';
      expect(tshark(files.link, '-Y', `_ws.malformed && !(${damaged})`)).toEqual([]);

      const why = spawnSync(omni, ['why', 'drop==noise-fcs', '--limit', '1', '-r', files.link], { encoding: 'utf8' });
      expect(why.stdout).toMatch(/packet \d+: 10\.12\.0\.1:\d+ → .*\n {2}space down\n.*entered, traffic class files/);
      expect(why.stdout).toContain('FCS wrong, frame discarded');
    }
    expect(namespaces()).toEqual([]);
    expect(existsSync(join(folder, 'run')) ? readdirSync(join(folder, 'run')) : []).toEqual([]);
  },
);

test.skipIf(skip !== undefined)(`Ctrl-C leaves nothing behind (${skip ?? 'root, curl'})`, async () => {
  const child = spawn(omni, ['demo', '--name', name, '--output', join(folder, 'cut')], {
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      // The first progress line: both transfers run.
      if (said.includes('kbit/s   0 s')) resolve();
    });
    child.once('exit', () => resolve());
  });
  expect(namespaces().length).toBe(6);
  child.kill('SIGINT');
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(said).toContain('interrupted');
  expect(code).toBe(130);
  expect(namespaces()).toEqual([]);
  expect(existsSync(join(folder, 'run')) ? readdirSync(join(folder, 'run')) : []).toEqual([]);
  expect(existsSync(join(folder, 'state')) ? readdirSync(join(folder, 'state')) : []).toEqual([]);
});
