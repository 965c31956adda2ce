/** `omni serve smtp` and `omni mailq` as their users run them: real processes, a contact plan from a file, a disk that is really full. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OMNI } from '../support/testbed.ts';

let folder = '';
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'omni-mail-alone-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGKILL')) await gone;
  }
  spawnSync('umount', ['-q', join(folder, 'disk')]);
  rmSync(folder, { recursive: true, force: true });
});

interface Served {
  readonly port: number;
  readonly log: () => string;
}
function serve(words: readonly string[], wrap: readonly string[] = [], host = '127.0.0.1'): Promise<Served> {
  const [program, ...rest] = [
    ...wrap,
    process.execPath,
    OMNI,
    'serve',
    'smtp',
    '--json',
    '--listen',
    `${host}:0`,
    ...words,
  ];
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let output = '';
  let log = '';
  child.stderr.on('data', (text) => {
    log += text;
  });
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`omni serve smtp ended: ${log}`)));
    child.stdout.on('data', (text) => {
      output += text;
      const match = /"port": (\d+)/.exec(output);
      if (match !== null) resolve({ port: Number(match[1]), log: () => log });
    });
  });
}
const mailq = (...words: string[]) =>
  spawnSync(process.execPath, [OMNI, 'mailq', '--queue', join(folder, 'queue'), ...words], { encoding: 'utf8' });
const send = (port: number, to: string, text = 'hello') =>
  createTransport({ host: '127.0.0.1', port, ignoreTLS: true }).sendMail({
    from: 'me@ground.test',
    to,
    subject: 'alone',
    text,
  });
const until = async (condition: () => boolean, what: string) => {
  for (const end = performance.now() + 60_000; !condition(); await new Promise((resolve) => setTimeout(resolve, 50)))
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
};
const names = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

describe('a relay alone, with a contact plan from a file', () => {
  it('waits for the contact, says when in omni mailq, holds, releases and cancels by it, and delivers in the contact', async () => {
    // An address of its own: whoever connects from the next hop's address is a sign of its life.
    const craft = await serve(['--queue', join(folder, 'craft'), '--domain', 'craft.test'], [], '127.0.0.2');
    const plan = join(folder, 'plan.ion');
    const lead = 8;
    writeFileSync(plan, `a contact +${lead} +600 ground craft 50000\na contact +${lead} +600 craft ground 50000\n`);
    const epoch = new Date();
    const route = `craft.test=127.0.0.2:${craft.port},peer=craft,tls=never`;
    const words = ['--queue', join(folder, 'queue'), '--domain', 'ground.test', '--relay-for', '127.0.0.0/8'];
    const timed = ['--contacts', plan, '--epoch', epoch.toISOString(), '--node', 'ground'];
    const ground = await serve([...words, ...timed, '--route', route]);
    for (const box of ['kept', 'held', 'gone']) await send(ground.port, `${box}@craft.test`);
    const list = () => (JSON.parse(mailq('--json').stdout) as { queue: Line[] }[])[0]!.queue;
    interface Line {
      readonly id: string;
      readonly recipients: readonly string[];
      readonly held: boolean;
      readonly reason: string;
      readonly nextContact?: { readonly begin: string };
      readonly predicted?: { readonly expected: string };
    }
    const idOf = (box: string) => list().find(({ recipients }) => recipients[0] === `${box}@craft.test`)!.id;
    expect(list()).toHaveLength(3);
    const begin = epoch.getTime() + lead * 1000;
    for (const line of list()) {
      expect(Date.parse(line.nextContact!.begin)).toBe(begin);
      expect(Date.parse(line.predicted!.expected)).toBeGreaterThan(begin);
      expect(line.reason).toMatch(/no contact with craft for|connecting|being sent|sent, its reply/);
    }
    const held = idOf('held');
    expect(mailq('hold', held).status).toBe(0);
    expect(mailq('cancel', idOf('gone')).status).toBe(0);
    expect(mailq('hold', 'no-such-message')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no-such-message'),
    });
    expect(list().find(({ id }) => id === held)).toMatchObject({ held: true, reason: 'held by the operator' });
    const box = (name: string) => names(join(folder, 'craft', 'mail', name, 'new'));
    await until(() => box('kept').length === 1, 'the delivery');
    const finished = join(folder, 'craft', 'finished');
    await until(() => names(finished).length === 1, 'the end of the delivery');
    const { arrived } = JSON.parse(readFileSync(join(finished, names(finished)[0]!), 'utf8')) as { arrived: string };
    expect(Date.parse(arrived)).toBeGreaterThanOrEqual(begin);
    expect(box('held')).toEqual([]);
    expect(mailq('release', held).status).toBe(0);
    await until(() => box('held').length === 1, 'the released message');
    await until(() => list().length === 0, 'an empty queue');
    expect(box('gone')).toEqual([]);
  }, 120_000);
});

describe('its options', () => {
  it('of relays that are started over one queue at the same moment, one serves; the next may when it was killed', async () => {
    const words = ['--queue', join(folder, 'queue'), '--domain', 'ground.test'];
    const tries = await Promise.allSettled([1, 2, 3].map(() => serve(words)));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const refused of tries.filter((t) => t.status === 'rejected'))
      expect(String(refused.reason)).toContain('another relay works on the queue');
    const [serving] = children.filter(({ exitCode }) => exitCode === null);
    const gone = new Promise((resolve) => serving!.once('exit', resolve));
    serving!.kill('SIGKILL');
    await gone;
    await serve(words);
  }, 60_000);

  it('take several values at once, domains as people write them, and a queue that cannot be is one sentence', async () => {
    const words = [
      '--queue',
      join(folder, 'queue'),
      '--domain',
      'ground.test',
      'bücher.test',
      '--relay-for',
      '127.0.0.0/8',
      '::1/128',
    ];
    const relay = await serve([...words, '--route', '*=', '--listen', '[::1]:0']);
    await send(relay.port, 'me@bücher.test');
    await until(() => names(join(folder, 'queue', 'mail', 'me', 'new')).length === 1, 'the letter');
    writeFileSync(join(folder, 'file'), '');
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [OMNI, 'serve', 'smtp', '--domain', 'a', ...more], { encoding: 'utf8' });
    expect(run('--queue', join(folder, 'file', 'q')).stderr).toMatch(/^omni: making the mail queue in .*\n$/);
    expect(run('--queue', join(folder, 'q2'), '--route', 'x=host:99999').stderr).toContain('is not HOST:PORT');
  });
});

const noMounts =
  process.getuid?.() !== 0 || spawnSync('unshare', ['-m', 'true']).status !== 0
    ? 'needs root and mount namespaces'
    : undefined;
if (noMounts !== undefined) console.log(`skipped: a full disk: ${noMounts}`);

describe.skipIf(noMounts !== undefined)('a disk that is really full', () => {
  it('refuses what does not fit and tells what would, leaves nothing of it, and keeps what was accepted', async () => {
    // 64 MiB are kept free for the system; 20 more are for mail.
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const wrap = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs -o size=84m tmpfs '${disk}' && exec "$@"`, 'sh'];
    const relay = await serve(['--queue', join(disk, 'queue'), '--domain', 'ground.test'], wrap);
    const pid = children.at(-1)!.pid!;
    const seen = (path: string) => names(`/proc/${pid}/root${join(disk, 'queue', path)}`);
    await send(relay.port, 'box@ground.test', 'first');
    // Without SIZE it is found out while it comes.
    const { Talk } = await import('../support/mail/talk.ts');
    const talk = await Talk.open(relay.port);
    await talk.say('EHLO me');
    expect(await talk.say('MAIL FROM:<a@b.test> SIZE=30000000')).toMatch(
      /^452 4\.3\.1 the disk is full: [12]\d{7} octets would fit now/,
    );
    await talk.say('MAIL FROM:<a@b.test>');
    await talk.say('RCPT TO:<box@ground.test>');
    await talk.say('DATA');
    talk.write('Subject: large\r\n\r\n');
    const line = `${'y'.repeat(998)}\r\n`;
    for (let i = 0; i < 95; i++) talk.write(line.repeat(1000));
    expect(await talk.say('.')).toMatch(/^452 4\.3\.1 /);
    talk.end();
    expect(seen('incoming').concat(seen('messages'), seen('envelopes'))).toEqual([]);
    await send(relay.port, 'box@ground.test', 'second');
    await until(() => seen('mail/box/new').length === 2, 'both letters');
    expect(relay.log()).toContain('event=store-failed');
  }, 120_000);
});
