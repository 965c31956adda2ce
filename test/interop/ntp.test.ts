/** Our NTP server and client against chronyd, ntpsec's ntpd and ntpdig. Set OMNI_INTEROP=full for the longer measurements. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CHRONYD,
  DAEMON_ADDRESS,
  Island,
  NTPD,
  NTPDIG,
  OMNI,
  OUR_ADDRESS,
  SNTP,
  whyNot,
} from '../support/stock-ntp.ts';

const reason = whyNot();
if (reason !== undefined) console.warn(`SKIPPED: NTP interoperability: ${reason}`);
const KEY = '000102030405060708090a0b0c0d0e0f';
const full = process.env.OMNI_INTEROP === 'full';

/** The median asked for is judged on a quiet machine (OMNI_HEAVY=1): the ordinary suite may share its two cores. */
const quiet = process.env.OMNI_HEAVY === '1';
const MEDIAN_SECONDS = 0.0002;
/** Our reading of the clock, its rounding in packets, and chronyd's interpolation between its own readings. */
const CLOCK_READING_SECONDS = 0.00005;

describe.skipIf(reason !== undefined)(`stock NTP programs${reason === undefined ? '' : ` (${reason})`}`, () => {
  let island: Island;
  let folder: string;
  const file = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const ask = (target: string, ...options: string[]) => {
    const { status, stdout, stderr } = island.run(
      ...OMNI,
      'ntp',
      'query',
      target,
      '--json',
      '--timeout',
      '1',
      ...options,
    );
    return {
      status,
      stderr,
      ...(status === 0
        ? (JSON.parse(stdout) as { offsetSeconds: number; delaySeconds: number; stratum: number; reference: string })
        : {}),
    };
  };
  const chrony = (...directives: string[]) => {
    const socket = ['cmdport 0', 'bindcmdaddress /', `pidfile ${join(folder, `chrony-${directives.length}.pid`)}`];
    return [
      CHRONYD,
      '-x',
      '-u',
      'root',
      ...(directives.includes('-Q') ? ['-Q', '-t', '20'] : ['-d']),
      ...(directives.includes('-t 2') ? ['-t', '2'] : []),
      '-f',
      '/dev/null',
      ...directives.filter((directive) => !directive.startsWith('-')),
      ...socket,
    ];
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'omni-ntp-'));
    island = await Island.make();
    await island.start(
      [...OMNI, 'serve', 'ntp', '--listen', `${OUR_ADDRESS}:123`, '--key', `7:${KEY}`],
      () => ask(OUR_ADDRESS).status === 0,
    );
  });
  afterAll(async () => {
    await island?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  test('ntpdig asks our server, plain and with AES-CMAC', () => {
    const keys = file('ntpsec.keys', `7 AES-128 ${KEY}\n`);
    const plain = JSON.parse(island.run(...NTPDIG, '-j', OUR_ADDRESS).stdout);
    expect(plain).toMatchObject({ stratum: 10, leap: 'no-leap' });
    expect(Math.abs(plain.offset)).toBeLessThan(0.1);
    expect(JSON.parse(island.run(...NTPDIG, '-j', '-a', '7', '-k', keys, OUR_ADDRESS).stdout)).toMatchObject({
      stratum: 10,
    });
  });

  test('sntp asks our server', () => {
    const answer = JSON.parse(island.run(...SNTP, '-j', OUR_ADDRESS).stdout);
    expect(answer).toMatchObject({ stratum: 10, leap: 'no-leap' });
  });

  test('chronyd as a client of ours, plain and with AES-CMAC: median offset at most 0.2 ms', () => {
    const keys = file('chrony.keys', `7 AES128 HEX:${KEY}\n`);
    const offsets: number[] = [];
    // Sixteen samples, sixteen a second, in each of some runs: this machine may be busy with other things.
    for (let i = 0; i < (full ? 100 : quiet ? 15 : 3); i++) {
      const option = i % 3 === 2 ? ' key 7' : '';
      const { stderr, stdout } = island.run(
        ...chrony(
          '-Q',
          `server ${OUR_ADDRESS} iburst minpoll -4 maxpoll -4 minsamples 16 maxsamples 16${option}`,
          `keyfile ${keys}`,
        ),
      );
      const wrong = /System clock wrong by (-?[\d.]+) seconds/.exec(stdout + stderr)?.[1];
      expect(wrong, stdout + stderr).toBeDefined();
      offsets.push(Math.abs(Number(wrong)));
    }
    console.log(`chronyd measured us, ms: ${offsets.map((o) => (o * 1000).toFixed(3)).join(' ')}`);
    if (quiet) expect(median(offsets)).toBeLessThanOrEqual(MEDIAN_SECONDS);
  });

  test("each of chronyd's samples of ours, plain and with AES-CMAC, is wrong by half its delay at most", () => {
    const keys = file('chrony-log.keys', `7 AES128 HEX:${KEY}\n`);
    for (const option of ['', ' key 7']) {
      const logs = join(folder, option === '' ? 'plain' : 'key');
      mkdirSync(logs);
      const { stderr, stdout } = island.run(
        ...chrony(
          '-t 2',
          `server ${OUR_ADDRESS} noselect iburst minpoll -4 maxpoll -4${option}`,
          `keyfile ${keys}`,
          'log rawmeasurements',
          `logdir ${logs}`,
        ),
      );
      // noselect: even with -x chronyd measures against a clock of its own that follows what it selects. So both read one clock: whatever a late wake-up adds to one way, half of the delay bounds the offset (RFC 5905 section 8).
      const samples = chronySamples(readFileSync(join(logs, 'measurements.log'), 'utf8'));
      expect(samples.length, stdout + stderr).toBeGreaterThanOrEqual(16);
      for (const { line, offset, delay } of samples)
        expect(Math.abs(offset), line).toBeLessThanOrEqual(delay / 2 + CLOCK_READING_SECONDS);
    }
  });

  test('our client asks chronyd, plain and with AES-CMAC: wrong by half the delay at most, median at most 0.2 ms; a wrong key is refused', async () => {
    const keys = file('chrony-server.keys', `7 AES128 HEX:${KEY}\n`);
    await island.start(
      chrony('local stratum 3', 'allow', 'port 11124', `keyfile ${keys}`),
      () => ask('127.0.0.1:11124').status === 0,
    );
    const answers = Array.from({ length: full ? 25 : 7 }, () => ask('127.0.0.1:11124'));
    const offsets = answers.map(({ offsetSeconds }) => Math.abs(offsetSeconds!));
    console.log(`we measured chronyd, ms: ${offsets.map((o) => (o * 1000).toFixed(3)).join(' ')}`);
    for (const { offsetSeconds, delaySeconds } of answers)
      expect(Math.abs(offsetSeconds!)).toBeLessThanOrEqual(delaySeconds! / 2 + CLOCK_READING_SECONDS);
    if (quiet) expect(median(offsets)).toBeLessThanOrEqual(MEDIAN_SECONDS);
    expect(ask('127.0.0.1:11124', '--key', `7:${KEY}`)).toMatchObject({ status: 0, stratum: 3 });
    expect(ask('127.0.0.1:11124', '--key', `7:${'00'.repeat(16)}`, '--samples', '1')).toMatchObject({ status: 1 });
    // chronyd ignores the correction field, as RFC 7822 asks.
    expect(ask('127.0.0.1:11124', '--correction')).toMatchObject({ status: 0, stratum: 3 });
  });

  test('ntpd follows our server with AES-CMAC, and our client reads ntpd: stratum one more, our address as reference', async () => {
    const keys = file('ntpd.keys', `7 AES-128 ${KEY}\n`);
    const config = file(
      'ntp.conf',
      [
        'interface ignore wildcard',
        `interface listen ${DAEMON_ADDRESS}`,
        'disable kernel',
        `server ${OUR_ADDRESS} iburst minpoll 0 maxpoll 0 key 7`,
        `keys ${keys}`,
        'trustedkey 7',
        '',
      ].join('\n'),
    );
    // One request at a time: ntpd does not answer those who ask four times a second.
    let answer: ReturnType<typeof ask> = { status: 1, stderr: '' };
    await island.start([NTPD, '-n', '-g', '-c', config, '-l', join(folder, 'ntpd.log')], () => {
      answer = ask(DAEMON_ADDRESS, '--samples', '1');
      return answer.status === 0;
    });
    expect(answer).toMatchObject({ stratum: 11, reference: OUR_ADDRESS });
    expect(Math.abs(answer.offsetSeconds!)).toBeLessThan(0.05);
  });
});

/** Lines of chronyd's measurements.log: offset is the 12th column, the delay to the server the 13th, both in seconds. */
const chronySamples = (log: string): { line: string; offset: number; delay: number }[] =>
  log
    .split('\n')
    .filter((line) => /^\d{4}-/.test(line))
    .map((line) => {
      const columns = line.trim().split(/\s+/);
      return { line, offset: Number(columns[11]), delay: Number(columns[12]) };
    });

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
