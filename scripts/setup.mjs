#!/usr/bin/env node
// Makes a fresh clone ready: npm packages, the native addon, the compiled TypeScript and the Debian packages that the purpose
// needs. Says what it is about to install before it does; does nothing, in well under two seconds, when all is in place.
// Plain JavaScript without dependencies, because it runs before there are any.
//
//   node scripts/setup.mjs [--for=build|demo|test|interop|bench] [--only=typescript]

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const option = (name, fallback) =>
  process.argv.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3) ?? fallback;
const purpose = option('for', 'build');
const only = option('only', '');

const EXIT_UNAVAILABLE = 69;
const EXIT_NO_PERMISSION = 77;

/** Program → Debian package, by purpose; a later purpose includes the ones it names. */
const PROGRAMS = {
  build: { cc: 'gcc', make: 'make', python3: 'python3-minimal' },
  demo: { ip: 'iproute2', ping: 'iputils-ping', curl: 'curl' },
  test: {
    lftp: 'lftp',
    scapy: 'python3-scapy',
    tnftp: 'tnftp',
    tshark: 'tshark',
    iperf3: 'iperf3',
    tracepath: 'iputils-tracepath',
    xmllint: 'libxml2-utils',
  },
  // Postfix is not installed for anybody: it would start a mail server. Its test runs where it is.
  interop: {
    swaks: 'swaks',
    msmtp: 'msmtp',
    's-nail': 's-nail',
    mutt: 'mutt',
    ncftpget: 'ncftp',
    'inetutils-ftp': 'inetutils-ftp',
    wget: 'wget',
    aria2c: 'aria2',
    rclone: 'rclone',
    perl: 'perl',
    php: 'php-cli',
    openssl: 'openssl',
    // FileZilla has no mode without its windows: a display in memory, keys for it, and a picture of what it shows.
    filezilla: 'filezilla',
    Xvfb: 'xvfb',
    xdotool: 'xdotool',
    import: 'imagemagick',
  },
  bench: { iperf3: 'iperf3' },
};
/**
 * Debian packages that are unpacked into build/stock instead of installed: chrony and ntpsec exclude each other, and installing
 * either would start a daemon that steers this host's clock; likewise vsftpd and proftpd. Only the interoperability tests run them, in namespaces.
 */
const FTP_SERVERS = [
  'vsftpd',
  'libwrap0',
  'proftpd-core',
  'proftpd-mod-crypto',
  'libhiredis0.14',
  'libmemcached11',
  'libmemcachedutil2',
  'libhashkit2',
  'libpcre2-posix3',
];
const UNPACKED = {
  test: ['chrony', 'ntpsec', 'ntpsec-ntpdig', 'sntp', 'python3-ntp'],
  // Exim is a mail server, and excludes Postfix.
  interop: [...FTP_SERVERS, 'exim4-daemon-light'],
  bench: FTP_SERVERS,
};
const PURPOSES = {
  build: ['build'],
  demo: ['build', 'demo'],
  test: ['build', 'demo', 'test'],
  interop: ['build', 'demo', 'test', 'interop'],
  bench: ['build', 'demo', 'bench'],
};

main();

function main() {
  if (!(purpose in PURPOSES)) stop(`unknown purpose '${purpose}'; one of ${Object.keys(PURPOSES).join(', ')}`, 64);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    stop(
      `Node ${process.versions.node} is too old: omni needs 20.19 or newer. Install it and run this again.`,
      EXIT_UNAVAILABLE,
    );
  if (only !== 'typescript') installPrograms();
  if (only !== 'typescript') unpackPrograms();
  installNpmPackages();
  if (only !== 'typescript') buildAddon();
  buildTypeScript();
}

function installPrograms() {
  const missing = new Map();
  for (const part of PURPOSES[purpose])
    for (const [program, debianPackage] of Object.entries(PROGRAMS[part]))
      if (!onPath(program)) missing.set(debianPackage, program);
  if (missing.size === 0) return;
  const packages = [...missing.keys()];
  say(`Debian packages to install: ${packages.join(' ')} (for the programs ${[...missing.values()].join(', ')})`);
  if (process.getuid?.() !== 0)
    stop(`that needs root. Run: sudo apt-get install ${packages.join(' ')}`, EXIT_NO_PERMISSION);
  if (!onPath('apt-get'))
    stop(`no apt-get here: install ${packages.join(' ')} with this system's package manager.`, EXIT_UNAVAILABLE);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['-q', 'update'], { env: environment, quiet: true });
  run('apt-get', ['-q', '-y', '--no-install-recommends', 'install', ...packages], { env: environment, quiet: true });
}

/** Not fatal: without them the tests that need them skip and say so. */
function unpackPrograms() {
  const packages = PURPOSES[purpose].flatMap((part) => UNPACKED[part] ?? []);
  const folder = join(root, 'build', 'stock');
  const stamp = join(folder, '.omni-stamp');
  const there = read(stamp)?.split(' ') ?? [];
  if (packages.every((name) => there.includes(name))) return;
  // What another purpose has put there stays.
  packages.push(...there.filter((name) => name !== '' && !packages.includes(name)));
  if (!onPath('apt-get') || !onPath('dpkg-deb'))
    return say(`no apt-get here: tests against ${packages.join(', ')} will skip`);
  say(`Debian packages to unpack into build/stock (not installed): ${packages.join(' ')}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const download = () => spawnSync('apt-get', ['-q', 'download', ...packages], { cwd: folder, encoding: 'utf8' });
  let result = download();
  if (result.status !== 0 && process.getuid?.() === 0) {
    run('apt-get', ['-q', 'update'], { quiet: true });
    result = download();
  }
  if (result.status !== 0) return say(`could not download them; tests against them will skip. ${result.stderr.trim()}`);
  for (const name of readdirSync(folder).filter((f) => f.endsWith('.deb')))
    run('dpkg-deb', ['-x', join(folder, name), folder], { quiet: true });
  writeFileSync(stamp, packages.join(' '));
}

function installNpmPackages() {
  const stamp = join(root, 'node_modules', '.omni-stamp');
  const want = digest([join(root, 'package-lock.json')]);
  if (read(stamp) === want) return;
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  say(`npm packages to install: ${Object.keys(lock.packages).length - 1}, pinned by package-lock.json`);
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { quiet: true });
  writeFileSync(stamp, want);
}

function buildAddon() {
  const folder = join(root, 'native');
  const stamp = join(folder, 'build', '.omni-stamp');
  const sources = files(folder, /\.(c|h|gyp)$/).filter((f) => !f.includes('/build/'));
  const want = digest(sources);
  if (read(stamp) === want && existsSync(join(folder, 'build', 'Release', 'omni.node'))) return;
  say('building the native addon (node-gyp, local headers)');
  // Debian's nodejs and the official archives both keep the headers beside the binary's prefix.
  const prefix = dirname(dirname(process.execPath));
  const headers = [prefix, '/usr', '/usr/local'].find((p) => existsSync(join(p, 'include', 'node', 'node_api.h')));
  if (headers === undefined)
    stop(
      'no Node headers (include/node/node_api.h) beside this Node: install the headers, e.g. the package libnode-dev.',
      EXIT_UNAVAILABLE,
    );
  run('npm', ['run', '--silent', 'build:native'], {
    quiet: true,
    env: { ...process.env, npm_config_nodedir: headers },
  });
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, want);
}

function buildTypeScript() {
  const stamp = join(root, 'dist', '.omni-stamp');
  const want = digest([
    ...files(join(root, 'src'), /\.ts$/),
    join(root, 'tsconfig.base.json'),
    join(root, 'tsconfig.build.json'),
  ]);
  if (read(stamp) === want) return;
  say('compiling the TypeScript');
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], {
    quiet: true,
  });
  writeFileSync(stamp, want);
}

function files(folder, pattern) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => pattern.test(name) && statSync(name).isFile())
    .sort();
}

function digest(names) {
  const hash = createHash('sha256').update(process.versions.node);
  for (const name of names) hash.update(name.slice(root.length)).update('\0').update(readFileSync(name)).update('\0');
  return hash.digest('hex');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function onPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function run(command, args, { quiet = false, env = process.env } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.error === undefined && result.status === 0) return;
  if (quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  stop(
    `'${command} ${args.join(' ')}' failed (${result.error?.message ?? `exit ${result.status}`}).`,
    EXIT_UNAVAILABLE,
  );
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function stop(text, code) {
  say(text);
  process.exit(code);
}
