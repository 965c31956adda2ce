// How each stock client does each thing. A cell gives the program's arguments (and its stdin), or is absent when the client cannot
// do that at all. `c` has host, port, user, password, root (of the server), dir (the client's), url, and the file names.

import { fileURLToPath } from 'node:url';

/** @typedef {{argv: string[], stdin?: string, env?: Record<string, string>}} Run */

const lftp = (c, script, settings = '') => ({
  argv: [
    '-c',
    `set net:max-retries 1; set net:timeout 30; set cmd:fail-exit yes; set ssl:verify-certificate no; set ftp:use-mdtm yes; set ftp:ssl-allow ${c.tls ? 'yes' : 'no'}; ${c.tls ? 'set ftp:ssl-force yes; set ftp:ssl-protect-data yes;' : ''} ${settings} open -u ${c.user},${c.password} -p ${c.port} ${c.host6 ?? c.host}; ${script}`,
  ],
});
const curl = (c, ...options) => ({
  argv: ['-sS', '--fail', '-g', ...(c.tls ? ['--ssl-reqd', '-k'] : []), '-u', `${c.user}:${c.password}`, ...options],
});
const bsd =
  (...flags) =>
  (c, lines) => ({
    argv: [...flags],
    stdin: `open ${c.host} ${c.port}\nuser ${c.user} ${c.password}\nbinary\n${lines.join('\n')}\nquit\n`,
  });
const tnftp = bsd('-n', '-v');
// The `-p` of inetutils starts passive mode, as `pftp` does.
const inetutils = bsd('-n', '-v', '-i');
const ncftp = (c, program, ...options) => ({
  program,
  argv: ['-u', c.user, '-p', c.password, '-P', String(c.port), ...options],
});
const wget = (c, ...options) => ({
  argv: ['-q', '--no-check-certificate', '--tries=1', `--user=${c.user}`, `--password=${c.password}`, ...options],
});
const aria2 = (c, ...options) => ({
  argv: [
    '-q',

    '--file-allocation=none',
    '--check-certificate=false',
    `--ftp-user=${c.user}`,
    `--ftp-passwd=${c.password}`,
    ...options,
  ],
});
const rclone = (c, ...options) => ({
  argv: [...options],
  env: {
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_S_TYPE: 'ftp',
    // It puts `:port` behind whatever it is given.
    RCLONE_CONFIG_S_HOST: c.host6 ?? c.host,
    RCLONE_CONFIG_S_PORT: String(c.port),
    RCLONE_CONFIG_S_USER: c.user,
    RCLONE_CONFIG_S_PASS: c.obscured,
    RCLONE_CONFIG_S_EXPLICIT_TLS: c.tls ? 'true' : 'false',
    RCLONE_CONFIG_S_NO_CHECK_CERTIFICATE: 'true',
  },
});
const python = (c, body) => ({
  argv: [
    '-c',
    `import ftplib, ssl
f = ${c.tls ? 'ftplib.FTP_TLS(context=ssl._create_unverified_context())' : 'ftplib.FTP()'}
f.encoding = 'utf-8'
f.connect(${JSON.stringify(c.host)}, ${c.port}, timeout=60)
f.login(${JSON.stringify(c.user)}, ${JSON.stringify(c.password)})
${c.tls ? 'f.prot_p()' : ''}
${body}
f.quit()`,
  ],
});
const perl = (c, body) => ({
  argv: [
    '-e',
    `use utf8; use Net::FTP; my $f = Net::FTP->new(${JSON.stringify(c.host)}, Port => ${c.port}, Timeout => 60${c.active ? ', Passive => 0' : ', Passive => 1'}${c.tls ? ', SSL_verify_mode => 0' : ''}) or die $@; ${c.tls ? '$f->starttls or die $f->message; $f->prot("P");' : ''} $f->login(${JSON.stringify(c.user).replace('@', '\\@')}, ${JSON.stringify(c.password)}) or die $f->message; $f->binary; ${body} $f->quit;`,
  ],
});
const php = (c, body) => ({
  argv: [
    '-r',
    `$f = ${c.tls ? 'ftp_ssl_connect' : 'ftp_connect'}(${JSON.stringify(c.host)}, ${c.port}, 60) or die(1); ftp_login($f, ${JSON.stringify(c.user)}, ${JSON.stringify(c.password)}) or die(1); ftp_pasv($f, ${c.active ? 'false' : 'true'}); ${body} ftp_close($f);`,
  ],
});
const basicFtp = (c, body) => ({
  argv: [
    '--input-type=module',
    '-e',
    `import { Client } from ${JSON.stringify(c.basicFtp)};
const f = new Client(60000);
await f.access({ host: ${JSON.stringify(c.host)}, port: ${c.port}, user: ${JSON.stringify(c.user)}, password: ${JSON.stringify(c.password)}, secure: ${c.tls}, secureOptions: { rejectUnauthorized: false } });
${body}
f.close();`,
  ],
});
const filezilla = (c, operation, more = {}) => ({
  program: process.execPath,
  argv: [fileURLToPath(new URL('filezilla.mjs', import.meta.url)), JSON.stringify({ ...c, operation, ...more })],
});
const q = JSON.stringify;
const url = (c, name) =>
  `${c.url}/${encodeURIComponent(name).replaceAll("'", '%27').replaceAll('(', '%28').replaceAll(')', '%29')}`;

export const CLIENTS = {
  curl: {
    program: 'curl',
    list: (c) => curl(c, `${c.url}/`),
    get: (c) => curl(c, '-o', c.to, url(c, c.from)),
    put: (c) => curl(c, '-T', c.from, url(c, c.to)),
    resumeGet: (c) => curl(c, '-C', '-', '-o', c.to, url(c, c.from)),
    resumePut: (c) => curl(c, '-C', '-', '-T', c.from, url(c, c.to)),
    active: (c) => curl(c, '-P', '-', '-o', c.to, url(c, c.from)),
    tls: true,
  },
  lftp: {
    program: 'lftp',
    list: (c) => lftp(c, 'cls -l'),
    get: (c) => lftp(c, `get ${q(c.from)} -o ${q(c.to)}`),
    put: (c) => lftp(c, `put ${q(c.from)} -o ${q(c.to)}`),
    resumeGet: (c) => lftp(c, `get -c ${q(c.from)} -o ${q(c.to)}`),
    resumePut: (c) => lftp(c, `reput ${q(c.from)} -o ${q(c.to)}`),
    active: (c) => lftp(c, `get ${q(c.from)} -o ${q(c.to)}`, 'set ftp:passive-mode no;'),
    tls: true,
  },
  tnftp: {
    program: 'tnftp',
    list: (c) => tnftp(c, ['ls']),
    get: (c) => tnftp(c, [`get ${q(c.from)} ${q(c.to)}`]),
    put: (c) => tnftp(c, [`put ${q(c.from)} ${q(c.to)}`]),
    resumeGet: (c) => tnftp(c, [`reget ${q(c.from)} ${q(c.to)}`]),
    resumePut: (c) => tnftp(c, [`restart ${c.kept}`, `put ${q(c.from)} ${q(c.to)}`]),
    active: (c) => bsd('-A', '-n', '-v')(c, [`get ${q(c.from)} ${q(c.to)}`]),
  },
  ncftp: {
    program: 'ncftpget',
    list: (c) => ncftp(c, 'ncftpls', '-l', `ftp://${c.host}/`),
    get: (c) => ncftp(c, 'ncftpget', '-V', '-C', c.host, c.from, c.to),
    put: (c) => ncftp(c, 'ncftpput', '-V', '-C', c.host, c.from, c.to),
    resumeGet: (c) => ncftp(c, 'ncftpget', '-V', '-z', c.host, '.', c.from),
    resumePut: (c) => ncftp(c, 'ncftpput', '-V', '-z', c.host, '/', c.from),
    active: (c) => ncftp(c, 'ncftpget', '-V', '-E', '-C', c.host, c.from, c.to),
    sameName: true,
    noIpv6: true,
  },
  'inetutils-ftp': {
    program: 'inetutils-ftp',
    list: (c) => inetutils(c, ['passive', 'ls']),
    get: (c) => inetutils(c, ['passive', `get ${q(c.from)} ${q(c.to)}`]),
    put: (c) => inetutils(c, ['passive', `put ${q(c.from)} ${q(c.to)}`]),
    resumeGet: (c) => inetutils(c, ['passive', `reget ${q(c.from)} ${q(c.to)}`]),
    resumePut: (c) => inetutils(c, ['passive', `restart ${c.kept}`, `put ${q(c.from)} ${q(c.to)}`]),
    active: (c) => inetutils(c, [`get ${q(c.from)} ${q(c.to)}`]),
  },
  wget: {
    program: 'wget',
    list: (c) => wget(c, '-O', '-', `${c.url}/`),
    get: (c) => wget(c, '-O', c.to, url(c, c.from)),
    resumeGet: (c) => wget(c, '-c', '-O', c.to, url(c, c.from)),
    active: (c) => wget(c, '--no-passive-ftp', '-O', c.to, url(c, c.from)),
    ftps: (c) => wget(c, '-O', c.to, url(c, c.from).replace(/^ftp:/, 'ftps:')),
  },
  aria2: {
    program: 'aria2c',
    get: (c) => aria2(c, '-o', c.to, url(c, c.from)),
    resumeGet: (c) => aria2(c, '-c', '-o', c.to, url(c, c.from)),
    active: (c) => aria2(c, '--ftp-pasv=false', '-o', c.to, url(c, c.from)),
  },
  rclone: {
    program: 'rclone',
    list: (c) => rclone(c, 'lsl', 's:'),
    get: (c) => rclone(c, 'copyto', `s:${c.from}`, c.to),
    put: (c) => rclone(c, 'copyto', c.from, `s:${c.to}`),
    tls: true,
  },
  'Python ftplib': {
    program: '/usr/bin/python3',
    list: (c) => python(c, 'f.dir()'),
    get: (c) => python(c, `f.retrbinary('RETR ' + ${q(c.from)}, open(${q(c.to)}, 'wb').write)`),
    put: (c) => python(c, `f.storbinary('STOR ' + ${q(c.to)}, open(${q(c.from)}, 'rb'))`),
    resumeGet: (c) => python(c, `f.retrbinary('RETR ' + ${q(c.from)}, open(${q(c.to)}, 'ab').write, rest=${c.kept})`),
    resumePut: (c) =>
      python(
        c,
        `h = open(${q(c.from)}, 'rb'); h.seek(${c.kept}); f.storbinary('STOR ' + ${q(c.to)}, h, rest=${c.kept})`,
      ),
    active: (c) => python(c, `f.set_pasv(False); f.retrbinary('RETR ' + ${q(c.from)}, open(${q(c.to)}, 'wb').write)`),
    tls: true,
  },
  'Perl Net::FTP': {
    program: 'perl',
    list: (c) => perl(c, 'print "$_\\n" for $f->dir;'),
    get: (c) => perl(c, `my $n = ${q(c.from)}; utf8::encode($n); $f->get($n, ${q(c.to)}) or die $f->message;`),
    put: (c) => perl(c, `$f->put(${q(c.from)}, ${q(c.to)}) or die $f->message;`),
    resumeGet: (c) => perl(c, `$f->get(${q(c.from)}, ${q(c.to)}, ${c.kept}) or die $f->message;`),
    resumePut: (c) =>
      perl(
        c,
        `open my $h, '<', ${q(c.from)}; binmode $h; seek $h, ${c.kept}, 0; $f->append($h, ${q(c.to)}) or die $f->message;`,
      ),
    active: (c) => perl({ ...c, active: true }, `$f->get(${q(c.from)}, ${q(c.to)}) or die $f->message;`),
    tls: true,
  },
  PHP: {
    program: 'php',
    list: (c) => php(c, "foreach (ftp_rawlist($f, '/') as $l) echo $l, PHP_EOL;"),
    get: (c) => php(c, `ftp_get($f, ${q(c.to)}, ${q(c.from)}, FTP_BINARY) or exit(1);`),
    put: (c) => php(c, `ftp_put($f, ${q(c.to)}, ${q(c.from)}, FTP_BINARY) or exit(1);`),
    resumeGet: (c) => php(c, `ftp_get($f, ${q(c.to)}, ${q(c.from)}, FTP_BINARY, ${c.kept}) or exit(1);`),
    resumePut: (c) => php(c, `ftp_put($f, ${q(c.to)}, ${q(c.from)}, FTP_BINARY, ${c.kept}) or exit(1);`),
    active: (c) => php({ ...c, active: true }, `ftp_get($f, ${q(c.to)}, ${q(c.from)}, FTP_BINARY) or exit(1);`),
    tls: true,
    noIpv6Literal: true,
  },
  'basic-ftp': {
    program: process.execPath,
    list: (c) => basicFtp(c, 'for (const e of await f.list()) console.log(e.name, e.size);'),
    get: (c) => basicFtp(c, `await f.downloadTo(${q(c.to)}, ${q(c.from)});`),
    put: (c) => basicFtp(c, `await f.uploadFrom(${q(c.from)}, ${q(c.to)});`),
    resumeGet: (c) => basicFtp(c, `await f.downloadTo(${q(c.to)}, ${q(c.from)}, ${c.kept});`),
    resumePut: (c) => basicFtp(c, `await f.appendFrom(${q(c.from)}, ${q(c.to)}, { localStart: ${c.kept} });`),
    tls: true,
  },
  FileZilla: {
    program: 'filezilla',
    list: (c) => filezilla(c, 'list'),
    get: (c) => filezilla(c, 'get'),
    put: (c) => filezilla(c, 'put'),
    resumeGet: (c) => filezilla(c, 'get'),
    resumePut: (c) => filezilla(c, 'put', { resume: true }),
    active: (c) => filezilla(c, 'get', { active: true }),
    tls: true,
  },
};
