/**
 * NTP over real links of unequal rates: how far off the clock truly is while the client reports next to nothing, and that the
 * links' correction brings the true error below one tick. Stock clients get the same by rewriting.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NtpPoll } from '../../src/node/ntp-polls.ts';
import { NTPDIG, STOCK_ENVIRONMENT, whyNot } from '../support/stock-ntp.ts';
import { noTestbeds, TestbedSandbox } from '../support/testbed.ts';

const skip = noTestbeds();
const TICK_SECONDS = 0.01;
/**
 * A plain NTP packet on the line has 83 octets (IPv4, UDP, Frame Relay, FCS-16, a flag). Requests go down, replies come up and take
 * longer, which the client takes for a clock that is ahead: it sets it behind.
 */
const bias = (up: number, down: number): number => ((83 * 8) / down - (83 * 8) / up) / 2;

const LINKS = {
  uosat12: { up: 9600, down: 38_400 },
  candos: { up: 2000, down: 128_000 },
} as const;
const CURES = ['off', 'stamp', 'rewrite'] as const;

const spacecraft = Object.keys(LINKS).flatMap((link) => CURES.map((cure) => ({ link, cure, name: `${link}-${cure}` })));
const scenario = (name: string): string =>
  [
    `name: ${name}`,
    'nodes:',
    '  ground: { kind: ground-station, ntp: { server: { rateLimitSeconds: 0 } } }',
    ...spacecraft.map(
      ({ name: node, cure }) =>
        `  ${node}: { kind: spacecraft, clock: { offset: 300ms, driftPpm: 5, tick: 10ms }, ntp: { client: { server: ground, discipline: regression, pollSeconds: 2, burst: 12, burstSpacingSeconds: 1, correction: ${cure === 'stamp' ? 'stamped' : "'off'"} } } }`,
    ),
    'links:',
    ...spacecraft.map(({ link, cure, name: node }) => {
      const { up, down } = LINKS[link as keyof typeof LINKS];
      return `  ${node}: { between: [ground, ${node}], up: { rate: ${up}, delay: 10ms }, down: { rate: ${down}, delay: 10ms }, ntpCorrection: ${cure} }`;
    }),
    '',
  ].join('\n');

interface Shown {
  readonly trueErrorSeconds: number;
  readonly client: { readonly discipline: string; readonly counters: Readonly<Record<string, number>> };
  readonly polls: readonly NtpPoll[];
  readonly links: readonly { readonly mode: string; readonly counters: Readonly<Record<string, number>> }[];
}

describe.skipIf(skip !== undefined)(`NTP on unequal links (${skip ?? 'root, TUN'})`, () => {
  const sandbox = new TestbedSandbox('nt');
  const name = sandbox.prefix;

  beforeAll(async () => {
    const file = join(sandbox.directory, 'ntp.yaml');
    writeFileSync(file, scenario(name));
    expect(await sandbox.run('up', file)).toMatchObject({ code: 0 });
  }, 60_000);
  afterAll(() => sandbox.close(), 60_000);

  const show = async (node: string): Promise<Shown> =>
    JSON.parse((await sandbox.run('ntp', node, '--polls', '64', '--json')).stdout) as Shown;

  /** Polls until the burst is over and `enough` says so; a busy machine takes longer, and no wait makes a bias of the rates go away. */
  async function settled(node: string, enough: (samples: readonly NtpPoll[]) => boolean): Promise<Shown> {
    for (;;) {
      const shown = await show(node);
      const samples = shown.polls.filter((poll) => poll.result === 'sample');
      if (samples.length >= 12 && (enough(samples.slice(-5)) || samples.length >= 40)) return shown;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

  test.each(spacecraft)('$name', { timeout: 120_000 }, async ({ name: node, link, cure }) => {
    const { up, down } = LINKS[link as keyof typeof LINKS];
    const expected = cure === 'off' ? bias(up, down) : 0;
    const { client, polls, links } = await settled(
      node,
      (samples) => Math.abs(median(samples.map((poll) => poll.trueErrorSeconds!)) - expected) < TICK_SECONDS,
    );
    const last = polls.filter((poll) => poll.result === 'sample').slice(-5);
    const reported = median(last.map((poll) => -poll.offsetSeconds!));
    const trueError = median(last.map((poll) => poll.trueErrorSeconds!));
    console.log(
      `${node}: reported ${(reported * 1000).toFixed(1)} ms, true ${(trueError * 1000).toFixed(1)} ms, bias of the rates ${(bias(up, down) * 1000).toFixed(1)} ms`,
    );
    expect(client.discipline).toBe('regression');
    // What the client itself reports is small in every case.
    expect(Math.abs(reported)).toBeLessThan(2 * TICK_SECONDS);
    expect(Math.abs(trueError - expected)).toBeLessThan(TICK_SECONDS);
    const [{ mode, counters }] = links as [Shown['links'][number]];
    expect(mode).toBe(cure);
    expect(Object.keys(counters)).toEqual(
      cure === 'off' ? [] : cure === 'stamp' ? ['stamped'] : ['remembered', 'rewritten'],
    );
  });

  const stock = whyNot();
  if (stock !== undefined) console.warn(`SKIPPED: stock ntpdig over the links: ${stock}`);
  test.skipIf(stock !== undefined)(
    'stock ntpdig, by the host clock that is right, sees what the link hides, and nothing of it when the link rewrites',
    async () => {
      const offset = async (node: string): Promise<number> => {
        const environment = Object.entries(STOCK_ENVIRONMENT).map(([key, value]) => `${key}=${value}`);
        const words = ['exec', node, '--', 'env', ...environment, ...NTPDIG, '-j', '-p', '4', 'ground'];
        const { stdout, stderr } = await sandbox.run(...words);
        expect(stdout, stderr).not.toBe('');
        return (JSON.parse(stdout) as { offset: number }).offset;
      };
      for (const [link, { up, down }] of Object.entries(LINKS)) {
        const [plain, rewritten] = [await offset(`${link}-off`), await offset(`${link}-rewrite`)];
        console.log(
          `${link}: ntpdig says ${(plain * 1000).toFixed(1)} ms, with rewriting ${(rewritten * 1000).toFixed(1)} ms`,
        );
        expect(Math.abs(plain - bias(up, down))).toBeLessThan(TICK_SECONDS);
        expect(Math.abs(rewritten)).toBeLessThan(TICK_SECONDS);
      }
    },
    60_000,
  );

  test('`omni ntp NODE` shows both side by side, --follow goes on poll by poll, and errors name the remedy', async () => {
    const shown = await sandbox.run('ntp', 'candos-stamp');
    expect(shown.stdout).toMatch(
      /candos-stamp: NTP client of ground, on, in contact; discipline regression, stratum 2/,
    );
    expect(shown.stdout).toMatch(/clock as the client reports it +[+-]\d+\.\d+ ms/);
    expect(shown.stdout).toMatch(/without the links' correction +\+2\d\d\.\d+ ms/);
    expect(shown.stdout).toMatch(/true error, now +[+-]\d+\.\d+ ms, \d\.\d ticks of 10 ms/);
    expect(shown.stdout).toMatch(/link candos-stamp: correction stamp, packets stamped \d+/);
    expect((await sandbox.run('ntp', 'ground')).stdout).toMatch(/server on 0\.0\.0\.0 port 123: .*answered \d+/);
    expect((await sandbox.run('ntp', 'nobody')).stderr).toMatch(/there is no node 'nobody'/);

    const child = sandbox.start(['ntp', 'uosat12-stamp', '--follow', '--polls', '1', '--json']);
    const seen: NtpPoll[] = [];
    let rest = '';
    await new Promise<void>((resolve) => {
      child.stdout!.on('data', (chunk) => {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop()!;
        seen.push(...lines.map((line) => JSON.parse(line) as NtpPoll));
        if (seen.length >= 3) resolve();
      });
    });
    child.kill('SIGINT');
    await new Promise((resolve) => child.once('close', resolve));
    expect(child.exitCode).toBe(0);
    expect(seen.map((poll) => poll.number)).toEqual([0, 1, 2].map((i) => seen[0]!.number + i));
  }, 60_000);
});
