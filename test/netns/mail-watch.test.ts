/**
 * `omni serve smtp --watch`: without any contact plan, two relays in two namespaces with a wire between them. Mail waits while nothing
 * passes, and goes at the first sign of life: the interface comes up, or the peer's first packet after a silence. Times are judged
 * against the probe of every 20 seconds, which would send it too.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noTestbeds, OMNI, onPath } from '../support/testbed.ts';

const reason = noTestbeds() ?? (onPath('curl') ? undefined : 'needs curl');
if (reason !== undefined) console.log(`skipped: mail at a sign of life: ${reason}`);

const GROUND = `omni-watch-g${process.pid}`;
const CRAFT = `omni-watch-c${process.pid}`;
const ADDRESS = { [GROUND]: '10.98.0.1', [CRAFT]: '10.98.0.2' };
/** Probes are 20 s apart. */
const WELL_BEFORE_PROBE_SECONDS = 10;

describe.skipIf(reason !== undefined)('mail at the first sign of life', () => {
  let folder = '';
  let begun = 0;
  const children: ChildProcess[] = [];
  const logs: Record<string, { at: number; line: string }[]> = {};
  const ip = (...words: string[]) => {
    const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
  };
  const wire = (side: string, state: 'up' | 'down') => ip('-n', side, 'link', 'set', 'wire', state);
  const serve = (side: string, domain: string, ...words: string[]) => {
    const args = ['--listen', '0.0.0.0:25', '--queue', join(folder, domain), '--domain', domain, ...words];
    const child = spawn('ip', ['netns', 'exec', side, process.execPath, OMNI, 'serve', 'smtp', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.push(child);
    const lines: { at: number; line: string }[] = [];
    logs[domain] = lines;
    child.stderr.on('data', (text) => {
      for (const line of String(text).split('\n')) lines.push({ at: performance.now(), line });
    });
    return until(`${domain} to listen`, () => lines.some(({ line }) => line.includes('SMTP on')));
  };
  const until = async (what: string, condition: () => boolean) => {
    for (const end = performance.now() + 90_000; !condition(); await new Promise((next) => setTimeout(next, 20)))
      if (performance.now() > end) throw new Error(`waited in vain for ${what}: ${JSON.stringify(logs)}`);
  };
  const delivered = () => {
    const box = join(folder, 'craft.test', 'mail', 'box', 'new');
    return existsSync(box) ? readdirSync(box).length : 0;
  };
  const submit = () => {
    const curl = ['curl', '-sS', '--crlf', '--url', 'smtp://127.0.0.1/me', '--mail-from', 'ops@ground.test'];
    const more = ['--mail-rcpt', 'box@craft.test', '-T', join(folder, 'letter')];
    expect(spawnSync('ip', ['netns', 'exec', GROUND, ...curl, ...more]).status).toBe(0);
  };
  const failures = () => logs['ground.test']!.filter(({ line }) => line.includes('event=session-ended')).length;
  /** A probe has just failed, so that the next is most of its period away. */
  const probed = (before: number) => until('a probe that fails', () => failures() > before);
  const signs = () => logs['ground.test']!.filter(({ line }) => line.includes('event=sign-of-life interface=wire'));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'omni-watch-'));
    writeFileSync(join(folder, 'letter'), 'Subject: at last\n\nhello\n');
    // A plan that names no contact of ours: nothing is known, so the relay probes.
    writeFileSync(join(folder, 'plan.ion'), 'a contact +0 +1000000 7 8 1000\n');
    for (const side of [GROUND, CRAFT]) ip('netns', 'add', side);
    ip('-n', GROUND, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', CRAFT);
    for (const side of [GROUND, CRAFT]) {
      ip('-n', side, 'link', 'set', 'lo', 'up');
      // No packets of the kernel's own: each would be a sign of life.
      spawnSync('ip', ['netns', 'exec', side, 'sysctl', '-qw', 'net.ipv6.conf.wire.disable_ipv6=1']);
      ip('-n', side, 'addr', 'add', `${ADDRESS[side]}/24`, 'dev', 'wire');
    }
    for (const side of [GROUND, CRAFT]) wire(side, 'up');
    // A probe fails at once, and nobody hears of it.
    ip('-n', GROUND, 'route', 'add', 'unreachable', '10.98.0.2/32');
    await serve(CRAFT, 'craft.test', '--relay-for', '10.98.0.0/24');
    await serve(
      ...([GROUND, 'ground.test', '--relay-for', '127.0.0.0/8', '--contacts', join(folder, 'plan.ion')] as const),
      ...['--node', '1', '--route', 'craft.test=10.98.0.2:25,peer=2', '--watch', 'wire'],
    );
    begun = performance.now();
  });
  afterAll(async () => {
    for (const child of children) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGKILL')) await gone;
    }
    for (const side of [GROUND, CRAFT]) spawnSync('ip', ['netns', 'del', side]);
    rmSync(folder, { recursive: true, force: true });
  });

  test("the peer's first packet after a silence", async () => {
    submit();
    await probed(0);
    // The silence that counts is five seconds; nothing has passed since the relay began.
    await until('a silence', () => performance.now() > begun + 5_500);
    expect(delivered()).toBe(0);
    expect(signs()).toEqual([]);
    ip('-n', GROUND, 'route', 'del', 'unreachable', '10.98.0.2/32');
    const risen = performance.now();
    spawnSync('ip', ['netns', 'exec', CRAFT, 'ping', '-c', '1', '-W', '1', '10.98.0.1']);
    await until('the letter', () => delivered() === 1);
    expect(signs()).toHaveLength(1);
    expect((performance.now() - risen) / 1000).toBeLessThan(WELL_BEFORE_PROBE_SECONDS);
  });

  test('the interface comes up', async () => {
    await until('the end of the session', () => failures() > 1);
    const before = failures();
    wire(GROUND, 'down');
    submit();
    await probed(before);
    expect(delivered()).toBe(1);
    const risen = performance.now();
    wire(GROUND, 'up');
    await until('the letter', () => delivered() === 2);
    expect((performance.now() - risen) / 1000).toBeLessThan(WELL_BEFORE_PROBE_SECONDS);
    expect(signs().length).toBeGreaterThan(1);
  });
});
