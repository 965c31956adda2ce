#!/usr/bin/env node
// FileZilla as a command: list, get or put one file, on a display in memory (Xvfb). FileZilla has no mode without windows and starts
// no transfer by itself, so its queue is filled before it starts (queue.sqlite3) and Ctrl+P starts it. What it logs goes to stdout.
// To list is good when a file can be fetched out of the list that the window shows.
//
//   filezilla.mjs OPTIONS-AS-JSON    {host, port, user, password, tls, active, operation: list|get|put, from, to, picture?}
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROTOCOL = { explicitTls: 4, plain: 6 };
/** Flag of a queued file. */
const DOWNLOAD = 16;
/** What to do when the target exists: go on with it. */
const RESUME = 5;
const WAIT_MS = 240_000;

const options = JSON.parse(process.argv[2]);
const home = mkdtempSync(join(tmpdir(), `omni-filezilla-${process.pid}-`));
const log = join(home, 'log');
const children = [];
let code = 1;
try {
  code = await run();
} finally {
  for (const child of children.reverse()) child.kill('SIGTERM');
  if (existsSync(log)) process.stdout.write(readFileSync(log));
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}
process.exit(code);

async function run() {
  writeHome();
  const display = await startDisplay();
  const environment = { ...process.env, DISPLAY: display, HOME: home, XDG_CONFIG_HOME: join(home, '.config') };
  const arguments_ = options.operation === 'list' ? ['-c', '0/omni'] : [];
  const filezilla = spawn('filezilla', arguments_, { cwd: home, env: environment, stdio: 'ignore' });
  children.push(filezilla);
  const key = (name) => spawnSync('xdotool', ['key', name], { env: environment });
  const window = await until(() => {
    const found = spawnSync('xdotool', ['search', '--onlyvisible', '--name', 'FileZilla'], {
      env: environment,
      encoding: 'utf8',
    });
    return found.stdout.trim().split('\n')[0] || undefined;
  });
  const logged = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  // No window manager gives the window the keyboard.
  spawnSync('xdotool', ['windowfocus', '--sync', window], { env: environment });
  await pause(1000);
  if (options.operation === 'list') {
    await until(() => (/Directory listing of .* successful/.test(logged()) ? true : undefined));
    await pause(500);
    // The list of remote files: a click gives it the keyboard, a name selects the file that is listed under it, Return fetches it.
    spawnSync('xdotool', ['mousemove', '1000', '640', 'click', '1'], { env: environment });
    spawnSync('xdotool', ['type', '--delay', '20', 'image.bin'], { env: environment });
    key('Return');
  } else key('ctrl+p');
  const said = await until(() => {
    const text = logged();
    if (/File transfer successful/.test(text)) return 'good';
    return /Critical (file transfer )?error|File transfer failed after|Could not connect to server/.test(text)
      ? 'bad'
      : undefined;
  });
  if (options.picture !== undefined) {
    await pause(1000);
    spawnSync('import', ['-window', 'root', options.picture], { env: environment });
  }
  key('ctrl+q');
  await Promise.race([new Promise((done) => filezilla.once('close', done)), pause(5000)]);
  return said === 'good' ? 0 : 1;
}

/** Xvfb chooses a free display and writes its number. */
function startDisplay() {
  const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  return new Promise((done, reject) => {
    child.stdio[3].once('data', (text) => done(`:${String(text).trim()}`));
    child.once('error', reject);
    child.once('close', () => reject(new Error('Xvfb ended')));
  });
}

function writeHome() {
  const folder = join(home, '.config', 'filezilla');
  mkdirSync(folder, { recursive: true });
  const { host, port, user, password, tls, active } = options;
  const protocol = tls ? PROTOCOL.explicitTls : PROTOCOL.plain;
  const settings = {
    // Newer than any: no greeting, no look for updates.
    'Greeting version': '99.0.0',
    'Disable update check': 1,
    'Logging file': log,
    'Last local directory': `${home}/`,
    'Use Pasv mode': active ? 0 : 1,
    'Allow transfermode fallback': 0,
    'Reconnect count': 0,
    'Number of Transfers': 1,
  };
  const xml = (body) => `<?xml version="1.0" encoding="UTF-8"?>\n<FileZilla3>${body}</FileZilla3>\n`;
  const setting = ([name, value]) => `<Setting name="${name}">${value}</Setting>`;
  writeFileSync(
    join(folder, 'filezilla.xml'),
    xml(`<Settings>${Object.entries(settings).map(setting).join('')}</Settings>`),
  );
  const site = { Host: host, Port: port, Protocol: protocol, Type: 0, User: user, Pass: password, Logontype: 1 };
  const fields = Object.entries(site).map(([name, value]) => `<${name}>${value}</${name}>`);
  writeFileSync(join(folder, 'sitemanager.xml'), xml(`<Servers><Server>${fields.join('')}omni</Server></Servers>`));
  // What a person would have accepted in a window before.
  const accepted = tls
    ? `<TrustedCerts>${certificate()}</TrustedCerts>`
    : `<InsecureHosts><Host Port="${port}">${host}</Host></InsecureHosts>`;
  writeFileSync(join(folder, 'trustedcerts.xml'), xml(accepted));
  if (options.operation !== 'list') writeQueue(join(folder, 'queue.sqlite3'), protocol);
}

function certificate() {
  const place = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  const { stdout } = spawnSync('openssl', ['s_client', '-connect', place, '-starttls', 'ftp'], { input: 'QUIT\r\n' });
  const der = execFileSync('openssl', ['x509', '-outform', 'DER'], { input: stdout });
  const day = 86_400;
  const now = Math.floor(Date.now() / 1000);
  return `<Certificate><Data>${der.toString('hex')}</Data><ActivationTime>${now - day}</ActivationTime><ExpirationTime>${now + 2 * day}</ExpirationTime><Host>${options.host}</Host><Port>${options.port}</Port><TrustSANs>0</TrustSANs></Certificate>`;
}

function writeQueue(file, protocol) {
  const { host, port, user, password, operation, from, to, active } = options;
  const get = operation === 'get';
  const here = `${process.cwd()}/`;
  const local = get ? to : from;
  const resumed = get && existsSync(local) ? RESUME : options.resume ? RESUME : null;
  const rows = {
    server: [host, port, user, password, protocol, active ? 'active' : 'passive'],
    file: [from, to === from ? null : to, get ? -1 : statSync(local).size, get ? DOWNLOAD : 0, resumed],
    here,
  };
  const script = `import json, sqlite3, sys
r = json.load(sys.stdin)
c = sqlite3.connect(sys.argv[1])
c.executescript('''
CREATE TABLE servers (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, host TEXT NOT NULL, port INTEGER, user TEXT, password TEXT, account TEXT, keyfile TEXT, protocol INTEGER, type INTEGER, logontype INTEGER, timezone_offset INTEGER, transfer_mode TEXT, max_connections INTEGER, encoding TEXT, bypass_proxy INTEGER, post_login_commands TEXT, name TEXT, parameters TEXT, site_path TEXT DEFAULT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, server INTEGER NOT NULL, source_file TEXT, target_file TEXT, local_path INTEGER, remote_path INTEGER, size INTEGER, error_count INTEGER, priority INTEGER, flags INTEGER, default_exists_action INTEGER, extra_flags TEXT);
CREATE TABLE local_paths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT NOT NULL);
CREATE TABLE remote_paths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT NOT NULL);
''')
c.execute("INSERT INTO servers (host, port, user, password, protocol, type, logontype, timezone_offset, transfer_mode, max_connections, encoding, bypass_proxy) VALUES (?, ?, ?, ?, ?, 0, 1, 0, ?, 0, 'Auto', 0)", r['server'])
c.execute("INSERT INTO local_paths (path) VALUES (?)", (r['here'],))
c.execute("INSERT INTO remote_paths (path) VALUES ('1 0')")
c.execute("INSERT INTO files (server, source_file, target_file, local_path, remote_path, size, priority, flags, default_exists_action) VALUES (1, ?, ?, 1, 1, ?, 2, ?, ?)", r['file'])
c.commit()`;
  execFileSync('/usr/bin/python3', ['-c', script, file], { input: JSON.stringify(rows) });
}

async function until(look) {
  for (const end = Date.now() + WAIT_MS; Date.now() < end; ) {
    const found = look();
    if (found !== undefined) return found;
    await pause(200);
  }
  return undefined;
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
