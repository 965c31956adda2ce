// vsftpd and proftpd as yardsticks, from Debian's packages unpacked in build/stock (they exclude each other when installed, and
// would start daemons). Both serve the same folder to the anonymous user.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const stockFolder = (root) => join(root, 'build', 'stock');

function programOf(root, name) {
  const file = join(stockFolder(root), 'usr/sbin', name);
  if (existsSync(file)) return file;
  throw new Error(`${name} is not in build/stock; node scripts/setup.mjs --for=interop puts it there`);
}

const environmentOf = (root) => ({
  ...process.env,
  LD_LIBRARY_PATH: join(stockFolder(root), 'usr/lib/x86_64-linux-gnu'),
});

/** Uploads must be allowed for anybody, and the folder's own mode must not make vsftpd refuse. */
const common = (served) => ({
  user: 'anonymous',
  password: 'x',
  obscured: 'L3q7zaVDBlMbjVjyAWrGNUS2aBdG',
  allowUploads: () => chmodSync(served, 0o777),
});

export async function startVsftpd({ root, folder, served, freePort, answers }) {
  const program = programOf(root, 'vsftpd');
  const port = await freePort();
  const lines = {
    listen: 'YES',
    listen_ipv6: 'NO',
    background: 'NO',
    listen_port: port,
    listen_address: '127.0.0.1',
    anonymous_enable: 'YES',
    local_enable: 'NO',
    anon_root: served,
    run_as_launching_user: 'YES',
    write_enable: 'YES',
    anon_upload_enable: 'YES',
    anon_other_write_enable: 'YES',
    anon_umask: '022',
    xferlog_enable: 'NO',
    max_clients: 500,
    max_per_ip: 500,
    ssl_enable: 'YES',
    allow_anon_ssl: 'YES',
    require_ssl_reuse: 'NO',
    ssl_ciphers: 'HIGH',
    rsa_cert_file: join(folder, 'cert.pem'),
    rsa_private_key_file: join(folder, 'key.pem'),
  };
  const file = join(folder, 'vsftpd.conf');
  writeFileSync(
    file,
    Object.entries(lines)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  const child = spawn(program, [file], { stdio: 'ignore', env: environmentOf(root) });
  await answers(port);
  return { name: 'vsftpd', port, child, ...common(served), stop: () => child.kill('SIGTERM') };
}

export async function startProftpd({ root, folder, served, freePort, answers }) {
  const program = programOf(root, 'proftpd');
  const port = await freePort();
  const text = `ServerType standalone
ServerName bench
DefaultServer on
Port ${port}
DefaultAddress 127.0.0.1
UseIPv6 off
SocketBindTight on
ModulePath ${join(stockFolder(root), 'usr/lib/proftpd')}
LoadModule mod_tls.c
PidFile ${folder}/proftpd.pid
ScoreboardFile ${folder}/proftpd.scoreboard
DelayEngine off
WtmpLog off
TransferLog none
SystemLog none
UseReverseDNS off
UseFtpUsers off
MaxInstances 500
User nobody
Group nogroup
TLSEngine on
TLSRequired off
TLSRSACertificateFile ${folder}/cert.pem
TLSRSACertificateKeyFile ${folder}/key.pem
TLSOptions NoSessionReuseRequired
AllowStoreRestart on
AllowRetrieveRestart on
<Anonymous ${served}>
  User nobody
  Group nogroup
  UserAlias anonymous nobody
  RequireValidShell off
  AllowOverwrite on
  AllowStoreRestart on
</Anonymous>
`;
  const file = join(folder, 'proftpd.conf');
  writeFileSync(file, text);
  chmodSync(folder, 0o755);
  const child = spawn(program, ['-n', '-c', file], { stdio: 'ignore', env: environmentOf(root) });
  await answers(port).catch((error) => {
    child.kill('SIGTERM');
    throw error;
  });
  return { name: 'proftpd', port, child, ...common(served), stop: () => child.kill('SIGTERM') };
}
