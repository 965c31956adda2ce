#!/usr/bin/env node
// `npm run test:interop`: every stock FTP client × every operation against `omni serve ftp`, and where one fails, the same against
// vsftpd and proftpd. Writes the table into docs/interop.md between its markers. --quick leaves out files above 4 GiB.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLIENTS } from './interop/ftp-clients.mjs';
import { startProftpd, startVsftpd } from './interop/ftp-servers.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const quick = process.argv.includes('--quick');
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const document = join(root, 'docs', 'interop.md');

const IMAGE_OCTETS = 1_000_000;
const KEPT_OCTETS = 400_000;
/** aria2 goes on at the last multiple of 16 KiB. */
const RESUME_SLACK_OCTETS = 16_384;
const LARGE_OCTETS = 2 ** 32 + 1_000_000;
const ODD_NAME = "ödd näme & (1) 'q'+%41#.bin";

/** Each gives what to run and how to see that it worked; undefined when the client cannot do it. */
const OPERATIONS = {
  list: { run: (client, c) => client.list?.(c), good: (_, out) => out.includes('image.bin') },
  get: download('get', 'image.bin'),
  put: upload('put', 'up.bin'),
  'resume get': {
    ...download('resumeGet', 'image.bin'),
    prepare: (c) => keepHead(join(c.dir, c.to), join(c.root, 'image.bin')),
    moved: IMAGE_OCTETS - KEPT_OCTETS,
  },
  'resume put': {
    ...upload('resumePut', 'up.bin'),
    prepare: (c) => keepHead(join(c.root, c.to), join(c.dir, 'up.bin')),
    moved: IMAGE_OCTETS - KEPT_OCTETS,
  },
  active: download('active', 'image.bin'),
  IPv6: {
    ...download('get', 'image.bin'),
    ipv4Only: false,
    change: (client, c) => (client.noIpv6 ? undefined : { ...c, host: '::1', host6: '[::1]', url: c.url6 }),
  },
  FTPS: {
    ...download('get', 'image.bin'),
    run: (client, c) => (client.ftps ?? client.get)({ ...c, from: 'image.bin' }),
    change: (client, c) => (client.tls || client.ftps ? { ...c, tls: true } : undefined),
  },
  'odd name': { ...download('get', ODD_NAME) },
  'empty get': download('get', 'empty.bin'),
  'empty put': upload('put', 'nothing.bin'),
  '> 4 GiB': { ...download('get', 'large.bin'), large: true },
};

function download(cell, from) {
  return {
    run: (client, c) => client[cell]?.({ ...c, from, to: client.sameName && cell === 'resumeGet' ? from : c.to }),
    target: (client, c) => (client.sameName && cell === 'resumeGet' ? { ...c, to: from } : c),
    good: async (c) => same(join(c.dir, c.to), join(c.root, from)),
  };
}

function upload(cell, from) {
  return {
    run: (client, c) => client[cell]?.({ ...c, from, to: client.sameName && cell === 'resumePut' ? from : c.to }),
    target: (client, c) => (client.sameName && cell === 'resumePut' ? { ...c, to: from } : c),
    good: async (c) => same(join(c.root, c.to), join(c.dir, from)),
  };
}

await main();

async function main() {
  const folder = mkdtempSync(join(tmpdir(), `omni-interop-${process.pid}-`));
  const servers = [];
  try {
    const served = join(folder, 'served');
    const here = join(folder, 'here');
    for (const made of [served, here]) mkdirSync(made);
    prepare(folder, served, here);
    servers.push(await startOmni(folder, served));
    const others = [];
    for (const start of [startVsftpd, startProftpd]) {
      const other = await start({ root, folder, served, freePort, answers }).catch((error) =>
        say(`not compared: ${error.message}`),
      );
      if (other !== undefined) others.push(other);
    }
    servers.push(...others);
    const rows = [];
    for (const [name, client] of Object.entries(CLIENTS)) {
      if (only.length > 0 && !only.includes(name)) continue;
      rows.push(await row(name, client, servers[0], others, served, here));
    }
    if (only.length === 0) write(rows, others);
    process.exitCode = rows.some(({ cells }) => Object.values(cells).some((cell) => cell.startsWith('**fails')))
      ? 1
      : 0;
  } finally {
    for (const server of servers) server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function row(name, client, omni, others, served, here) {
  const version = versionOf(client.program);
  if (version === undefined) say(`${name}: not installed (node scripts/setup.mjs --for=interop)`);
  const cells = {};
  for (const [operation, description] of Object.entries(OPERATIONS)) {
    if (version === undefined) cells[operation] = 'absent';
    else if (description.large && quick) cells[operation] = 'not run';
    else cells[operation] = await cell(client, description, omni, others, served, here);
    say(`${name} ${operation}: ${cells[operation]}`);
  }
  return { name, version, cells };
}

async function cell(client, description, omni, others, served, here) {
  const result = await attempt(client, description, omni, served, here);
  if (result === undefined) return '-';
  if (result === true) return 'good';
  process.stderr.write(`${result}\n`);
  // The others listen on IPv4 only.
  if (description.ipv4Only === false) return '**fails** (not compared)';
  const same = [];
  for (const other of others)
    if ((await attempt(client, description, other, served, here)) !== true) same.push(other.name);
  return same.length === others.length && others.length > 0
    ? `fails with ${same.join(' and ')} too`
    : `**fails** (not with ${
        others
          .map(({ name }) => name)
          .filter((other) => !same.includes(other))
          .join(', ') || 'others: not compared'
      })`;
}

/** True, a text that says what went wrong, or undefined when the client has no such operation. */
async function attempt(client, description, server, served, here) {
  let c = {
    host: '127.0.0.1',
    port: server.port,
    user: server.user,
    password: server.password,
    obscured: server.obscured,
    url: `ftp://127.0.0.1:${server.port}`,
    url6: `ftp://[::1]:${server.port}`,
    root: served,
    dir: here,
    to: 'transferred.bin',
    kept: KEPT_OCTETS,
    tls: false,
    basicFtp: join(root, 'node_modules/basic-ftp/dist/index.js'),
  };
  if (description.change !== undefined) c = description.change(client, c);
  if (c === undefined) return undefined;
  for (const file of [
    join(here, 'transferred.bin'),
    join(served, 'transferred.bin'),
    join(here, 'image.bin'),
    join(served, 'up.bin'),
  ])
    rmSync(file, { force: true });
  const target = description.target?.(client, c) ?? c;
  const run = description.run(client, c);
  if (run === undefined) return undefined;
  description.prepare?.(target);
  server.allowUploads?.();
  const before = server.moved?.();
  const { code, out, err } = await start(run.program ?? client.program, run, here);
  const problem = `exit ${code}\n${out.slice(-1500)}\n${err.slice(-1500)}`;
  // The bare ftp clients end with 0 whatever happened: the files decide.
  if (!(await description.good(target, out))) return problem;
  if (
    description.moved !== undefined &&
    before !== undefined &&
    server.moved() - before > description.moved + RESUME_SLACK_OCTETS
  )
    return 'it sent everything again';
  return true;
}

function start(program, run, cwd) {
  return new Promise((done) => {
    const env = { ...process.env, HOME: cwd, ...run.env };
    const child = spawn(program, run.argv, { cwd, env, stdio: 'pipe' });
    const timer = setTimeout(() => child.kill('SIGKILL'), 300_000);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(run.stdin ?? '');
    child.once('error', (error) => done({ code: error.message, out, err }));
    child.once('close', (code) => {
      clearTimeout(timer);
      done({ code, out, err });
    });
  });
}

function prepare(folder, served, here) {
  writeFileSync(join(served, 'image.bin'), randomBytes(IMAGE_OCTETS));
  writeFileSync(join(served, ODD_NAME), randomBytes(1000));
  writeFileSync(join(served, 'empty.bin'), '');
  writeFileSync(join(served, 'large.bin'), '');
  if (!quick) truncateSync(join(served, 'large.bin'), LARGE_OCTETS);
  if (!quick) appendFileSync(join(served, 'large.bin'), 'the end');
  writeFileSync(join(here, 'up.bin'), randomBytes(IMAGE_OCTETS));
  writeFileSync(join(here, 'nothing.bin'), '');
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...files, ...subject], {
    stdio: 'ignore',
  });
}

async function startOmni(folder, served) {
  const port = await freePort();
  const tls = ['--tls-cert', join(folder, 'cert.pem'), '--tls-key', join(folder, 'key.pem')];
  const listen = ['--listen', `127.0.0.1:${port}`, '--listen', `[::1]:${port}`];
  let log = '';
  const child = spawn(
    process.execPath,
    [join(root, 'dist/cli/main.js'), 'serve', 'ftp', '--root', served, ...listen, '--user', 'op:secret', ...tls],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  child.stderr.on('data', (chunk) => {
    log += chunk;
  });
  await answers(port);
  const obscured = existsSync('/usr/bin/rclone')
    ? execFileSync('rclone', ['obscure', 'secret'], { encoding: 'utf8' }).trim()
    : '';
  return {
    name: 'omni',
    port,
    user: 'op',
    password: 'secret',
    obscured,
    // Octets of all files moved so far, by the server's own log: a resumed transfer must not move the whole file.
    moved: () => [...log.matchAll(/transferred=(\d+)/g)].reduce((sum, [, octets]) => sum + Number(octets), 0),
    stop: () => child.kill('SIGTERM'),
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function answers(port) {
  for (let attempts = 0; attempts < 200; attempts++) {
    const greeted = await new Promise((done) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('data', () => {
        socket.destroy();
        done(true);
      });
      socket.once('error', () => done(false));
    });
    if (greeted) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`nothing answers on port ${port}`);
}

function keepHead(target, source) {
  copyFileSync(source, target);
  truncateSync(target, KEPT_OCTETS);
  // As old as its source: ncftp takes a newer one for another file.
  const { mtime } = statSync(source);
  utimesSync(target, mtime, mtime);
}

async function same(a, b) {
  if (!existsSync(a) || statSync(a).size !== statSync(b).size) return false;
  const hash = async (file) => {
    const sum = createHash('sha256');
    // Of a very large file its end: it is one hole otherwise, and the size has been compared.
    for await (const chunk of createReadStream(file, { start: Math.max(0, statSync(file).size - 10_000_000) }))
      sum.update(chunk);
    return sum.digest('hex');
  };
  return (await hash(a)) === (await hash(b));
}

function versionOf(program) {
  const flags = {
    tnftp: ['-?'],
    perl: ['-MNet::FTP', '-e', 'print "Net::FTP $Net::FTP::VERSION"'],
    ncftpget: ['-v'],
    rclone: ['version'],
    php: ['-r', 'echo "PHP ", PHP_VERSION;'],
  };
  const { error, stdout, stderr } = spawnSync(program, flags[program] ?? ['--version'], {
    encoding: 'utf8',
    input: '',
  });
  if (error !== undefined) return undefined;
  return program === 'tnftp'
    ? debianVersion('tnftp')
    : program === 'ncftpget'
      ? debianVersion('ncftp')
      : program === process.execPath
        ? JSON.parse(readFileSync(join(root, 'node_modules/basic-ftp/package.json'), 'utf8')).version
        : (/\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'present');
}

function debianVersion(name) {
  // dpkg's own placeholder, not a template string's.
  const format = '$' + '{Version}';
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', format, name], { encoding: 'utf8' });
  return /\d+(\.\d+)+|\d{6,}/.exec(stdout)?.[0] ?? 'present';
}

function write(rows, others) {
  const operations = Object.keys(OPERATIONS);
  const lines = [
    `| client | ${operations.join(' | ')} |`,
    `|---|${operations.map(() => '---').join('|')}|`,
    ...rows.map(
      ({ name, version, cells }) =>
        `| ${name} ${version ?? ''} | ${operations.map((operation) => cells[operation]).join(' | ')} |`,
    ),
  ];
  const compared =
    others.length === 0
      ? 'No other server was there to compare with.'
      : `Compared, where something fails, with ${others.map(({ name }) => name).join(' and ')}.`;
  const text = `<!-- ftp:begin, written by npm run test:interop -->\n${lines.join('\n')}\n\n${compared}\n<!-- ftp:end -->`;
  const old = readFileSync(document, 'utf8');
  writeFileSync(
    document,
    old.replace(/<!-- ftp:begin[\s\S]*?<!-- ftp:end -->/, () => text),
  );
  say(`written: ${document}`);
}

function say(text) {
  process.stderr.write(`interop: ${text}\n`);
}
