/**
 * Stock mail programs as senders to the relay on loopback, each in every way: swaks, msmtp, s-nail, curl and mutt. A program that is absent
 * skips its tests; `node scripts/setup.mjs --for=interop` installs them. The 50 MB run with OMNI_HEAVY=1 (`npm run test:interop`), and then
 * UPDATE_DOCS=1 rewrites the table in docs/interop.md. How each is called is test/support/mail/senders.ts; servers are mail-peers.test.ts.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay, testCertificate } from '../support/mail/local-relay.ts';
import { type Errand, SENDERS, type Sender, SUBJECT, WAYS, type Way } from '../support/mail/senders.ts';

const has = (program: string) =>
  ['/usr/bin', '/bin', '/usr/sbin', '/usr/local/bin'].some((folder) => existsSync(join(folder, program)));
const heavy = process.env.OMNI_HEAVY === '1';
const tls = testCertificate();
for (const { program } of Object.values(SENDERS))
  if (!has(program)) console.log(`skipped: ${program} is not installed (node scripts/setup.mjs --for=interop)`);
if (tls === undefined) console.log('skipped: TLS with mail programs: no openssl');
if (!heavy) console.log('skipped: 50 MB from each mail program: OMNI_HEAVY=1 runs it');

const SMALL = 'one line\n';
const EIGHT_BIT = 'Grüße aus dem All: ♁\n';
const DOTS = 'first line\n.\n..two dots\n.dot\nlast\n';
const LARGE_OCTETS = 50_000_000;

let relay: LocalRelay;
let folder = '';
const table: Record<string, Partial<Record<Way, string>>> = {};
const notes: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'omni-mail-senders-'));
  writeFileSync(join(folder, 'cert.pem'), tls?.cert ?? '');
  relay = await localRelay({
    ...(tls === undefined ? {} : { tls }),
    authenticate: async (user, password) => user === 'user' && password === 'secret',
  });
});
afterAll(async () => {
  await relay?.close();
  rmSync(folder, { recursive: true, force: true });
  if (process.env.UPDATE_DOCS === '1' && heavy) writeTable();
});

for (const [name, sender] of Object.entries(SENDERS))
  describe.skipIf(!has(sender.program))(name, () => {
    for (const way of WAYS)
      it.skipIf((way === '50 MB' && !heavy) || (tls === undefined && /TLS|AUTH/.test(way)))(way, () =>
        cell(name, sender, way),
      );
  });

async function cell(name: string, sender: Sender, way: Way): Promise<void> {
  const mailbox = `${way === 'UTF-8 address' ? 'jürgen-' : ''}${name}-${WAYS.indexOf(way)}`;
  const content = randomBytes(way === '50 MB' ? LARGE_OCTETS : 20_000);
  writeFileSync(join(folder, 'data.bin'), content);
  const errand: Errand = {
    port: relay.port,
    to: `${mailbox}@relay.test`,
    body: way === '8-bit body' || way === 'UTF-8 address' ? EIGHT_BIT : way === 'dots' ? DOTS : SMALL,
    file: way === 'attachment' || way === '50 MB' ? join(folder, 'data.bin') : undefined,
    secure: way === 'STARTTLS' || way === 'AUTH PLAIN',
    login: way === 'AUTH PLAIN',
    certificate: join(folder, 'cert.pem'),
    folder,
  };
  const lack = sender.lacks?.[way];
  const { code, output } = await run(sender, errand);
  if (code !== 0) {
    expect(output).toMatch(lack?.seen ?? /^the program ended well$/);
    remember(name, way, '-', lack!.because);
    return;
  }
  await relay.until(() => relay.mailbox(mailbox).length > 0);
  expect(relay.mailbox(mailbox)).toHaveLength(1);
  const text = relay.mailbox(mailbox)[0]!;
  const protocol = /^Received: [\s\S]*?\bwith (\S+)/m.exec(text)![1]!;
  if (lack !== undefined) {
    expect(`with ${protocol} `).toMatch(lack.seen);
    remember(name, way, '-', lack.because);
    return;
  }
  expect(protocol).toMatch(PROTOCOL[way] ?? /^(UTF8SMTP|ESMTP|SMTP)$/);
  const parsed = await PostalMime.parse(Buffer.from(text, 'latin1'));
  expect(parsed.subject).toBe(SUBJECT);
  // swaks ends its data with an empty line of its own, and an attachment's text has none.
  expect(parsed.text?.trimEnd()).toBe(errand.body.trimEnd());
  if (way === '8-bit body') expect(Buffer.from(text, 'latin1').toString('utf8')).toContain(EIGHT_BIT.trimEnd());
  if (errand.file !== undefined) {
    expect(parsed.attachments).toHaveLength(1);
    expect(digest(new Uint8Array(parsed.attachments[0]!.content as ArrayBuffer))).toBe(digest(content));
  }
  remember(name, way, 'good', sender.remarks?.[way]);
}

/** The protocol that the relay's `Received` field names (RFC 3848, RFC 6531 section 4.3). */
const PROTOCOL: Partial<Record<Way, RegExp>> = {
  STARTTLS: /^ESMTPS$/,
  'AUTH PLAIN': /^ESMTPSA$/,
  'UTF-8 address': /^UTF8SMTP$/,
};

const digest = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');

function remember(name: string, way: Way, result: string, remark: string | undefined): void {
  if (remark !== undefined) notes.push(`${name}, ${way}: ${remark}.`);
  table[name] = { ...table[name], [way]: remark === undefined ? result : `${result} [${notes.length}]` };
}

function run(sender: Sender, errand: Errand): Promise<{ code: number | null; output: string }> {
  const { argv, input, files } = sender.call(errand);
  for (const [file, text] of Object.entries(files ?? {})) writeFileSync(join(folder, file), text);
  return new Promise((resolve, reject) => {
    const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' };
    const child = spawn(sender.program, argv, { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: 120_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        output = `${output}${text}`.slice(-20_000);
      });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
}

function versionOf({ program, version }: Sender): string {
  const { stdout, stderr } = spawnSync(program, version, { encoding: 'utf8' });
  return /v?(\d+(?:\.\d+)+)/.exec(stdout + stderr)?.[1] ?? '';
}

function writeTable(): void {
  const file = join(import.meta.dirname, '..', '..', 'docs', 'interop.md');
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rows = Object.entries(SENDERS).map(([name, sender]) =>
    row([`${name} ${versionOf(sender)}`, ...WAYS.map((way) => table[name]?.[way] ?? '**fails**')]),
  );
  const lines = [row(['sender', ...WAYS]), row(['---', ...WAYS.map(() => '---')]), ...rows];
  const below = notes.map((text, i) => `[${i + 1}] ${text}`).join('\n');
  const begin =
    '<!-- mail-senders:begin, written by UPDATE_DOCS=1 OMNI_HEAVY=1 npx vitest run --project interop test/interop/mail-senders.test.ts -->';
  const text = `${begin}\n${lines.join('\n')}\n\n${below}\n<!-- mail-senders:end -->`;
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(/<!-- mail-senders:begin[\s\S]*?<!-- mail-senders:end -->/, () => text),
  );
}
