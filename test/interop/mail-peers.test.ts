/**
 * Stock mail servers as upstream and downstream peers of the relay, each over loopback with its own configuration and spool in a temporary
 * folder: Postfix where it is installed, Exim unpacked by `node scripts/setup.mjs --for=interop`. Every letter goes through the peer and
 * ends in the relay's Maildir. With OMNI_HEAVY=1 (`npm run test:interop`); UPDATE_DOCS=1 rewrites their table in docs/interop.md.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type LocalRelay, localRelay, testCertificate } from '../support/mail/local-relay.ts';

const EXIM = join(import.meta.dirname, '..', '..', 'build', 'stock', 'usr', 'sbin', 'exim4');
const POSTFIX = '/usr/sbin/postfix';
const heavy = process.env.OMNI_HEAVY === '1' && process.getuid?.() === 0;
if (!heavy) console.log('skipped: mail peers need root and OMNI_HEAVY=1');
for (const [name, program] of [
  ['Exim', EXIM],
  ['Postfix', POSTFIX],
])
  if (heavy && !existsSync(program!)) console.log(`skipped: ${name}: ${program} is not there`);

const BODY = 'first line\n.\n..two dots\n.dot\nGrüße aus dem All: ♁\nlast\n';
const FILE_OCTETS = 50_000_000;
const EXIM_ID = 64_999;
const tls = testCertificate();

interface Peer {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

let folder = '';
/** The mail's end; every peer hands all it gets to it. */
let end: LocalRelay;
const table: Record<string, Record<string, string>> = {};
const good = (row: string, column: string) => {
  table[row] = { ...table[row], [column]: 'good' };
};

describe.skipIf(!heavy)('mail peers', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'omni-mail-peers-'));
    chmodSync(folder, 0o755);
    end = await localRelay({
      policy: { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] },
      ...(tls === undefined ? {} : { tls }),
    });
  });
  afterAll(async () => {
    await end?.close();
    rmSync(folder, { recursive: true, force: true });
    if (process.env.UPDATE_DOCS === '1') writeTable();
  });
  const running: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of running.splice(0).reverse()) await stop();
  });

  for (const [program, start] of [
    [POSTFIX, startPostfix],
    [EXIM, startExim],
  ] as const)
    it.skipIf(!existsSync(program))(`${program === EXIM ? 'Exim' : 'Postfix'} upstream and downstream`, async () => {
      const peer = await start(end.port);
      running.push(peer.stop);
      const ours = await localRelay({
        name: 'up.test',
        policy: {
          domains: ['up.test'],
          relayFor: ['127.0.0.0/8'],
          routes: [{ domain: '*', host: '127.0.0.1', port: peer.port, peers: undefined, tls: 'opportunistic' }],
        },
      });
      running.push(() => ours.close());
      const key = program === EXIM ? 'exim' : 'postfix';
      for (const [row, port, who] of [
        [`${peer.name} → omni`, peer.port, `${key}up`],
        [`omni → ${peer.name} → omni`, ours.port, `${key}down`],
      ] as const) {
        await letter(port, who);
        const [text] = await arrived(who, 1);
        expect(text!.endsWith(`\n\n${BODY}`)).toBe(true);
        expect(text).toMatch(program === EXIM ? /by exim\.test with/ : /by postfix\.test \(Postfix\)/);
        good(row, 'dots');
        good(row, '8-bit');
        if (/with U?T?F?8?ESMTPS/.test(text!)) good(row, 'TLS');
        await letter(port, `${who}-jürgen`, 'grüße@client.test');
        expect((await arrived(`${who}-jürgen`, 1))[0]).toContain(`Delivered-To: ${who}-jürgen@relay.test`);
        good(row, 'UTF-8 address');
        const content = randomBytes(FILE_OCTETS);
        await attachment(port, `${who}file`, content);
        const encoded = /base64[\s\S]*?\n\n([A-Za-z0-9+/=\n]+)\n--/.exec((await arrived(`${who}file`, 1))[0]!)![1]!;
        expect(sha256(Buffer.from(encoded, 'base64'))).toBe(sha256(content));
        good(row, '50 MB attachment');
      }
      if (program !== EXIM) return;
      // K: by BDAT (RFC 3030), from us and to us.
      const log = readFileSync(join(folder, 'exim', 'log', 'mainlog'), 'utf8');
      expect(log).toMatch(/ <= .* K S=/);
      expect(log).toMatch(/ [=-]> .* K C=/);
    });
});

const sha256 = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex');

async function arrived(mailbox: string, count: number): Promise<string[]> {
  await end.until(() => end.mailbox(mailbox).length >= count);
  return end.mailbox(mailbox).map((text) => Buffer.from(text, 'latin1').toString('utf8'));
}

async function letter(port: number, mailbox: string, from = 'sender@client.test', whole = false): Promise<void> {
  const to = whole ? mailbox : `${mailbox}@relay.test`;
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  const fields = `From: ${from}\r\nTo: ${to}\r\nSubject: through a peer\r\nMIME-Version: 1.0\r\n`;
  const type = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n';
  const raw = `${fields}${type}${BODY.replaceAll('\n', '\r\n')}`;
  await transport.sendMail({ envelope: { from, to: [to], use8BitMime: true }, raw });
  transport.close();
}

async function attachment(port: number, mailbox: string, content: Buffer): Promise<void> {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  const to = `${mailbox}@relay.test`;
  await transport.sendMail({
    from: 'sender@client.test',
    to,
    text: 'a file',
    attachments: [{ filename: 'a', content }],
  });
  transport.close();
}

async function startPostfix(next: number): Promise<Peer> {
  const port = await freePort();
  const at = join(folder, 'postfix');
  const [config, spool, data] = ['config', 'spool', 'data'].map((name) => join(at, name)) as [string, string, string];
  for (const made of [config, spool, data]) mkdirSync(made, { recursive: true });
  const main = {
    compatibility_level: '3.6',
    queue_directory: spool,
    data_directory: data,
    command_directory: '/usr/sbin',
    daemon_directory: '/usr/lib/postfix/sbin',
    mail_owner: 'postfix',
    myhostname: 'postfix.test',
    mydestination: '',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    smtpd_recipient_restrictions: 'permit_mynetworks, reject',
    transport_maps: `inline:{ relay.test=smtp:[127.0.0.1]:${next} }`,
    message_size_limit: '0',
    mailbox_size_limit: '0',
    smtputf8_enable: 'yes',
    smtp_tls_security_level: 'may',
    maillog_file: join(at, 'maillog'),
    maillog_file_prefixes: at,
    alias_maps: '',
    smtp_host_lookup: 'native',
  };
  writeFileSync(
    join(config, 'main.cf'),
    Object.entries(main)
      .map(([k, v]) => `${k} = ${v}\n`)
      .join(''),
  );
  const services = readFileSync('/usr/share/postfix/master.cf.dist', 'utf8')
    .replace(/^smtp\s+inet.*$/m, `127.0.0.1:${port} inet n - n - - smtpd`)
    .replaceAll(/^(\S+\s+\S+\s+\S+\s+\S+\s+)y/gm, '$1n');
  writeFileSync(join(config, 'master.cf'), services);
  const id = Number(/^postfix:[^:]*:(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))![1]);
  chownSync(data, id, id);
  execFileSync('postfix', ['-c', config, 'start'], { stdio: 'ignore' });
  await listens(port);
  const version = String(execFileSync('postconf', ['-h', 'mail_version'])).trim();
  return {
    name: `Postfix ${version}`,
    port,
    stop: async () => {
      execFileSync('postfix', ['-c', config, 'stop'], { stdio: 'ignore' });
    },
  };
}

/** Exim wants a user of its own: it sees copies of passwd and group that have one, in a mount namespace. */
async function startExim(next: number): Promise<Peer> {
  const port = await freePort();
  const at = join(folder, 'exim');
  for (const made of ['spool', 'log']) mkdirSync(join(at, made), { recursive: true });
  const user = `Debian-exim:x:${EXIM_ID}:`;
  for (const [name, line] of [
    ['passwd', `${user}${EXIM_ID}::${at}:/usr/sbin/nologin\n`],
    ['group', `${user}\n`],
  ] as const) {
    copyFileSync(join('/etc', name), join(at, name));
    appendFileSync(join(at, name), line);
  }
  for (const owned of [at, join(at, 'spool'), join(at, 'log')]) chownSync(owned, EXIM_ID, EXIM_ID);
  const config = join(at, 'exim.conf');
  writeFileSync(
    config,
    `primary_hostname = exim.test
exim_path = ${EXIM}
spool_directory = ${join(at, 'spool')}
log_file_path = ${join(at, 'log')}/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = ${port}
tls_advertise_hosts =
keep_environment =
host_lookup =
message_size_limit = 0
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
acl_smtp_rcpt = all
acl_smtp_data = all
begin acl
all:
  accept
begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = onward
  self = send
begin transports
onward:
  driver = smtp
  port = ${next}
  allow_localhost
  tls_verify_certificates =
begin retry
* * F,1h,1s
`,
  );
  const bind = `mount --bind '${at}/passwd' /etc/passwd && mount --bind '${at}/group' /etc/group`;
  const child: ChildProcess = spawn(
    'unshare',
    ['-m', 'sh', '-c', `${bind} && exec '${EXIM}' -C '${config}' -bdf -q5s`],
    {
      stdio: 'ignore',
    },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await listens(port);
  const version = /Exim version (\S+)/.exec(await greeting(port))?.[1] ?? /Exim (\S+)/.exec(await greeting(port))?.[1];
  return {
    name: `Exim ${version ?? ''}`.trim(),
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function greeting(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', (text) => {
      socket.destroy();
      resolve(String(text));
    });
    socket.once('error', reject);
  });
}

async function listens(port: number): Promise<void> {
  for (let tries = 0; ; tries++)
    try {
      await greeting(port);
      return;
    } catch (error) {
      if (tries === 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

const COLUMNS = ['dots', '8-bit', 'UTF-8 address', 'TLS', '50 MB attachment'];

function writeTable(): void {
  const file = join(import.meta.dirname, '..', '..', 'docs', 'interop.md');
  const rows = Object.entries(table).map(([row, cells]) => [row, ...COLUMNS.map((c) => cells[c] ?? '-')]);
  const lines = [['peers', ...COLUMNS], ['---', ...COLUMNS.map(() => '---')], ...rows];
  const text = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const marked = /(<!-- mail-peers:begin[^>]*-->\n)[\s\S]*?(<!-- mail-peers:end -->)/;
  writeFileSync(file, readFileSync(file, 'utf8').replace(marked, `$1${text}\n$2`));
}
