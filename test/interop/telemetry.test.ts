/** The recorder as its operator runs it: at full rate, and killed. Set OMNI_INTEROP=full for 100 kills and a longer run. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { emitPacket } from '../../src/apps/ntp/index.ts';
import { encodeTelemetry, SPACECRAFT, xtceOf } from '../../src/apps/telemetry/index.ts';
import type { WallTime } from '../../src/core/index.ts';
import { readTelemetryLog } from '../../src/io/telemetry-log.ts';
import { blank } from '../support/ntp.ts';
import { rawIpPcap, udpDatagram } from '../support/pcap.ts';

const omni = fileURLToPath(new URL('../../bin/omni', import.meta.url));
const built = existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)));
if (!built) console.warn('SKIPPED: telemetry recorder: dist is not built: npm run setup');
const full = process.env.OMNI_INTEROP === 'full';
const clock = SPACECRAFT.packets.find((p) => p.name === 'clock')!;
const packet = (n: number) =>
  encodeTelemetry(clock, n % 16_384, (BigInt(n) * 1_000_000n) as WallTime, { stratum: n & 15 });

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'omni-tlm-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function startRecorder(...options: string[]): Promise<{ child: ChildProcess; port: number; lines: string[] }> {
  const child = spawn(
    process.execPath,
    [omni, 'tlm', 'record', '--dir', directory, '--listen', '127.0.0.1:0', '--json', ...options],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines: string[] = [];
  let rest = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop()!;
    lines.push(...parts);
  });
  while (lines.length === 0) await once(child.stdout!, 'data');
  return { child, port: JSON.parse(lines[0]!).listening.port as number, lines };
}

describe.skipIf(!built)('omni tlm record', () => {
  test('records 10,000 packets a second without a loss', async () => {
    const { child, port, lines } = await startRecorder();
    const total = full ? 300_000 : 50_000;
    const sender = fileURLToPath(new URL('../support/packet-sender.mjs', import.meta.url));
    const sent = spawnSync(
      process.execPath,
      [sender, String(port), String(total), '10000', Buffer.from(packet(0)).toString('hex')],
      { encoding: 'utf8' },
    );
    const rate = Number(sent.stdout.trim());
    // What is still in the socket's buffer is read before the signal is: one turn of the recorder's loop is enough, two are sure.
    const control = createSocket('udp4');
    await new Promise((resolve) => control.send(packet(total), port, '127.0.0.1', resolve));
    control.close();
    while (!existsSync(directory) || [...readTelemetryLog(directory)].length < 1)
      await new Promise((r) => setImmediate(r));
    let stored = 0;
    for (let i = 0; i < 100 && stored < total + 1; i++) {
      stored = [...readTelemetryLog(directory)].length;
      await new Promise((r) => setTimeout(r, 50));
    }
    child.kill('SIGINT');
    await once(child, 'exit');
    const status = JSON.parse(lines.at(-1)!);
    console.log(
      `sent ${total} packets at ${rate.toFixed(0)}/s; stored ${status.stored}, counters ${JSON.stringify(status.counters)}`,
    );
    expect(rate).toBeGreaterThan(9900);
    expect(status.stored).toBe(total + 1);
    expect(status.missingPackets).toBe(0);
  });

  test(`killed with SIGKILL ${full ? 100 : 15} times: what it acknowledged as stored is there`, async () => {
    let before = 0;
    let acknowledgedInAll = 0;
    let n = 0;
    const socket = createSocket('udp4');
    for (let round = 0; round < (full ? 100 : 15); round++) {
      const { child, port, lines } = await startRecorder('--acks');
      const exited = once(child, 'exit');
      const target = 1 + ((round * 7919) % 2000);
      let acknowledged = 0;
      while (acknowledged < target) {
        await Promise.all(
          Array.from(
            { length: 20 },
            () => new Promise((resolve) => socket.send(packet(n++), port, '127.0.0.1', resolve)),
          ),
        );
        await new Promise((r) => setImmediate(r));
        acknowledged = lines.length > 1 ? Number(lines.at(-1)) : 0;
      }
      child.kill('SIGKILL');
      await exited;
      acknowledged = Number(lines.at(-1));
      const now = [...readTelemetryLog(directory)].length;
      expect(now).toBeGreaterThanOrEqual(before + acknowledged);
      before = now;
      acknowledgedInAll += acknowledged;
    }
    socket.close();
    console.log(`${acknowledgedInAll} packets acknowledged, ${before} found`);
    expect(before).toBeGreaterThanOrEqual(acknowledgedInAll);
  });

  test('shows, filters and exports what was recorded', async () => {
    const { child, port } = await startRecorder();
    const socket = createSocket('udp4');
    for (const n of [0, 1, 5]) await new Promise((resolve) => socket.send(packet(n), port, '127.0.0.1', resolve));
    socket.close();
    while ([...readTelemetryLog(directory)].length < 3) await new Promise((r) => setTimeout(r, 5));
    child.kill('SIGINT');
    await once(child, 'exit');
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [omni, 'tlm', ...args, '--dir', directory], { encoding: 'utf8' });
    expect(
      run('show', '--json')
        .stdout.trim()
        .split('\n')
        .map((l) => JSON.parse(l).stratum),
    ).toEqual([0, 1, 5]);
    expect(run('show', '--parameter', 'clock.stratum', '--csv').stdout.split('\n')[3]).toBe(
      '1970-01-01T00:00:00.004989Z,2,clock,5,stratum,5,5,,within',
    );
    expect(run('show', '--packet', 'nosuch')).toMatchObject({
      status: 64,
      stderr: expect.stringContaining('housekeeping'),
    });
    expect(JSON.parse(run('gaps', '--json').stdout)).toMatchObject({
      packets: 3,
      missing: 3,
      gaps: [{ packet: 'clock', firstCount: 2, missing: 3 }],
    });
  });
});

const tshark = spawnSync('tshark', ['--version']).status === 0;
describe.skipIf(!tshark)(`tshark${tshark ? '' : ' (not installed)'}`, () => {
  test('decodes our NTP and space packets, none malformed', () => {
    const file = join(directory, 'all.pcap');
    const telemetry = SPACECRAFT.packets.map((p, i) =>
      udpDatagram(40_000, 11_020, encodeTelemetry(p, i, (1_800_000_000n * 10n ** 9n) as WallTime, {})),
    );
    const request = udpDatagram(40_001, 123, emitPacket({ ...blank(), transmit: 0xea3c0001_80000000n }));
    writeFileSync(file, rawIpPcap([request, ...telemetry]));
    const { stdout } = spawnSync(
      'tshark',
      [
        '-r',
        file,
        '-d',
        'udp.port==11020,ccsds',
        '-T',
        'fields',
        '-e',
        'frame.protocols',
        '-e',
        'ccsds.apid',
        '-e',
        'ntp.flags.mode',
        '-e',
        '_ws.malformed',
      ],
      { encoding: 'utf8' },
    );
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((l) => l.split('\t'));
    expect(lines[0]).toEqual(['raw:ip:udp:ntp', '', '3', '']);
    expect(lines.slice(1).map((l) => Number(l[1]))).toEqual(SPACECRAFT.packets.map((p) => p.apid));
    for (const line of lines.slice(1)) expect(line[0]).toContain('ccsds');
    for (const line of lines) expect(line[3] ?? '').toBe('');
  });
});

const xmllint = spawnSync('xmllint', ['--version']).status === 0;
if (!xmllint) console.warn('SKIPPED: XTCE against the standard: needs xmllint (libxml2-utils)');
const schema = process.env.OMNI_XTCE_SCHEMA;
describe.skipIf(!xmllint)('the XTCE file', () => {
  const subset = fileURLToPath(new URL('../vectors/xtce-1.2.rng', import.meta.url));
  const validate = (xml: string, ...grammar: string[]) => {
    const file = join(directory, 'omni.xtce.xml');
    writeFileSync(file, xml);
    const { status, stderr } = spawnSync('xmllint', ['--noout', '--nonet', ...grammar, file], { encoding: 'utf8' });
    return { status, problems: stderr.split('\n').filter((line) => line !== '' && !line.endsWith(' validates')) };
  };

  test('has the elements, order, attributes and values that XTCE 1.2 gives them', () => {
    expect(validate(xtceOf(SPACECRAFT), '--relaxng', subset)).toEqual({ status: 0, problems: [] });
  });
  test.each([
    ['an attribute value that is none', 'validationStatus="Working"', 'validationStatus="Good"'],
    ['a name with a dot', 'name="ccsds-apid"', 'name="ccsds.apid"'],
    ['a size of nothing', 'sizeInBits="48"', 'sizeInBits="0"'],
    ['an epoch that is no date', '<Epoch>1970-01-01T00:00:00Z', '<Epoch>yesterday'],
    ['an element out of order', '<UnitSet/>', ''],
    ['an unknown element', /ArgumentRefEntry /g, 'ArgumentEntry '],
  ] as const)('the check is one: it finds %s', (_, right, wrong) => {
    const xml = xtceOf(SPACECRAFT);
    const broken =
      wrong === '' ? xml.replace(/(<UnitSet\/>)\s*(<IntegerDataEncoding[^>]*\/>)/, '$2$1') : xml.replace(right, wrong);
    expect(broken).not.toBe(xml);
    expect(validate(broken, '--relaxng', subset).status).not.toBe(0);
  });
  test.skipIf(schema === undefined)(
    `is valid by the standard's own schema${schema === undefined ? ' (SKIPPED: OMNI_XTCE_SCHEMA=SpaceSystem.xsd is not set)' : ''}`,
    () => {
      expect(validate(xtceOf(SPACECRAFT), '--schema', schema!)).toEqual({ status: 0, problems: [] });
    },
  );
});
