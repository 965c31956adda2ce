/**
 * Stock mail programs against the relay on loopback: swaks, msmtp, s-nail, curl and mutt as senders. A program that is absent skips
 * its test; `node scripts/setup.mjs --for=interop` installs them. The 50 MB message runs with OMNI_HEAVY=1 (`npm run test:interop`).
 * Servers as peers are in mail-peers.test.ts.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay, testCertificate } from '../support/mail/local-relay.ts';

const run = promisify(execFile);
const has = (program: string) =>
  ['/usr/bin', '/bin', '/usr/sbin', '/usr/local/bin'].some((folder) => existsSync(join(folder, program)));
const heavy = process.env.OMNI_HEAVY === '1';

let relay: LocalRelay;
let folder = '';
const tls = testCertificate();
const BODY = 'first line\n.\n..two dots\n.dot\nGrüße aus dem All: ♁\nlast\n';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'omni-mail-interop-'));
  relay = await localRelay({
    ...(tls === undefined ? {} : { tls }),
    authenticate: async (user, password) => user === 'user' && password === 'secret',
  });
});
afterAll(async () => {
  await relay?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The one message that reached the mailbox, as UTF-8. */
async function arrived(mailbox: string): Promise<string> {
  await relay.until(() => relay.mailbox(mailbox).length > 0);
  expect(relay.mailbox(mailbox)).toHaveLength(1);
  return Buffer.from(relay.mailbox(mailbox)[0]!, 'latin1').toString('utf8');
}

function feed(command: string, args: readonly string[], input: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, HOME: folder, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`${command} exit ${code}: ${output}`)),
    );
    child.stdin.end(input);
  });
}
const letter = (to: string, body = BODY) =>
  `From: sender@client.test\nTo: ${to}@relay.test\nSubject: from a stock client\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${body}`;

describe('senders', () => {
  it.skipIf(!has('swaks') || tls === undefined)('swaks over TLS with AUTH, dots and 8 bits', async () => {
    writeFileSync(join(folder, 'swaks.eml'), letter('swaks'));
    const args = [
      '--server',
      '127.0.0.1',
      '--port',
      String(relay.port),
      '--tls',
      '--auth',
      'PLAIN',
      '--auth-user',
      'user',
    ];
    const more = ['--auth-password', 'secret', '--from', 'sender@client.test', '--to', 'swaks@relay.test'];
    const { stdout } = await run('swaks', [...args, ...more, '--data', join(folder, 'swaks.eml')]);
    expect(stdout).toMatch(/235 2\.7\.0[\s\S]*250 2\.6\.0 queued as/);
    // swaks ends its data with an empty line of its own.
    expect((await arrived('swaks')).trimEnd()).toMatch(new RegExp(`\\n\\n${BODY.trimEnd().replaceAll('.', '\\.')}$`));
  });

  it.skipIf(!has('swaks'))('swaks with a UTF-8 address (SMTPUTF8)', async () => {
    const args = ['--server', '127.0.0.1', '--port', String(relay.port), '--from', 'sender@client.test'];
    await run('swaks', [...args, '--to', 'jürgen@relay.test', '--body', 'x']).catch((error) => {
      // swaks 2020 does not send the keyword SMTPUTF8; the address is what is tested.
      throw new Error(error.stdout);
    });
    expect(await arrived('jürgen')).toContain('Delivered-To: jürgen@relay.test');
  });

  it.skipIf(!has('msmtp'))('msmtp with DSN parameters', async () => {
    const args = [
      '--file=/dev/null',
      '--host=127.0.0.1',
      `--port=${relay.port}`,
      '--from=sender@client.test',
      '--dsn-return=headers',
    ];
    await feed('msmtp', [...args, '--dsn-notify=failure,delay', 'msmtp@relay.test'], letter('msmtp'));
    expect((await arrived('msmtp')).endsWith(`\n\n${BODY}`)).toBe(true);
  });

  it.skipIf(!has('s-nail'))('s-nail with an attachment', async () => {
    writeFileSync(join(folder, 'data.bin'), Buffer.from(Array.from({ length: 5000 }, (_, i) => i & 255)));
    const set = [
      'v15-compat',
      `mta=smtp://127.0.0.1:${relay.port}`,
      'smtp-auth=none',
      'from=sender@client.test',
      'sendwait',
    ];
    const args = [
      '-:/',
      ...set.flatMap((s) => ['-S', s]),
      '-s',
      'attached',
      '-a',
      join(folder, 'data.bin'),
      'snail@relay.test',
    ];
    await feed('s-nail', args, 'see attachment\n');
    expect(await arrived('snail')).toMatch(/filename=.?data\.bin/);
  });

  it.skipIf(!has('curl'))('curl', async () => {
    const args = [
      '-sS',
      '--crlf',
      '--url',
      `smtp://127.0.0.1:${relay.port}/client.test`,
      '--mail-from',
      'sender@client.test',
    ];
    await feed('curl', [...args, '--mail-rcpt', 'curl@relay.test', '-T', '-'], letter('curl'));
    expect((await arrived('curl')).endsWith(`\n\n${BODY}`)).toBe(true);
  });

  it.skipIf(!has('mutt'))('mutt, and mutt reads the Maildir', async () => {
    const rc = join(folder, 'muttrc');
    const lines = [
      `set smtp_url="smtp://127.0.0.1:${relay.port}/"`,
      'set ssl_starttls=no',
      'set from="sender@client.test"',
    ];
    writeFileSync(rc, `${[...lines, 'set copy=no', 'set ssl_force_tls=no', 'set mbox_type=Maildir'].join('\n')}\n`);
    await feed('mutt', ['-F', rc, '-n', '-s', 'from mutt', 'mutt@relay.test'], BODY);
    expect(await arrived('mutt')).toContain('Subject: from mutt');
  });

  it.skipIf(!has('curl') || !heavy)('a message of 50 MB', async () => {
    const line = `${'x'.repeat(70)}\n`;
    const body = line.repeat(Math.ceil(50e6 / line.length));
    const args = [
      '-sS',
      '--crlf',
      '--url',
      `smtp://127.0.0.1:${relay.port}/client.test`,
      '--mail-from',
      'sender@client.test',
    ];
    await feed('curl', [...args, '--mail-rcpt', 'large@relay.test', '-T', '-'], letter('large', body));
    expect((await arrived('large')).length).toBeGreaterThan(50e6);
  });
});
