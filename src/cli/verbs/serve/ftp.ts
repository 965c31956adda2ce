/** `omni serve ftp`: the spacecraft's FTP server on any machine. */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { ALWAYS_IN_CONTACT, type FtpSettings, ftpSettings } from '../../../apps/ftp/index.ts';
import type { WallTime } from '../../../core/index.ts';
import { hashPassword } from '../../../io/ftp-accounts.ts';
import { type FtpListen, FtpServer } from '../../../io/ftp-server.ts';
import { EXIT } from '../../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../../verb.ts';

interface Options {
  readonly root?: string;
  readonly listen: string[];
  readonly implicit: string[];
  readonly user: string[];
  readonly anonymous?: boolean | string;
  readonly readOnly?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly requireTls?: boolean;
  readonly pasvPorts?: string;
  readonly pasvAddress?: string;
  readonly idle: string;
  readonly stall: string;
  readonly quota?: string;
  readonly quotaFiles?: string;
  readonly maxSessions: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
  readonly hashPassword?: boolean;
}

const gather = (value: string, before: string[]): string[] => [...before, value];

export function command(): Command {
  return verb('ftp', 'Serve a folder by FTP. Runs until SIGTERM or Ctrl-C; logs to stderr.', [
    'omni serve ftp --root ./files --listen 127.0.0.1:2121 --user operator:secret',
    'omni serve ftp --root /srv/images --listen 0.0.0.0:21 --listen [::]:21 --anonymous',
    'omni serve ftp --root . --listen :2121 --user a:b --tls-cert cert.pem --tls-key key.pem --implicit :9990',
    'omni serve ftp --hash-password < password.txt',
  ])
    .option('--root <folder>', 'folder to serve; nothing outside it can be reached')
    .option('--listen <address:port>', 'where to listen; repeatable; [::1]:2121 for IPv6; port 0 is any', gather, [])
    .option('--implicit <address:port>', 'where TLS starts at once (FTPS, usually port 990); repeatable', gather, [])
    .option('--user <name:password>', 'who may log in; the password may be a scrypt form; repeatable', gather, [])
    .option('--anonymous [read-write]', 'let anonymous and ftp log in without a password, to read only')
    .option('--read-only', 'nobody may change anything')
    .option('--tls-cert <file>', 'PEM certificate chain, for AUTH TLS')
    .option('--tls-key <file>', 'PEM private key')
    .option('--require-tls', 'refuse logins and transfers without TLS')
    .option('--pasv-ports <first-last>', 'ports for passive data connections')
    .option('--pasv-address <IPv4 address>', 'address to name in PASV replies, behind NAT')
    .option('--idle <seconds>', 'end a session without a command for so long', '300')
    .option('--stall <seconds>', 'give up a transfer without an octet for so long', '300')
    .option('--quota <octets>', 'most octets that each user’s tree may hold')
    .option('--quota-files <count>', 'most files and folders that each user’s tree may hold')
    .option('--max-sessions <count>', 'control connections at once', '400')
    .option('--quiet', 'log only what goes wrong')
    .option('--json', 'print where it listens as JSON, once it does')
    .option('--hash-password', 'read a password from stdin, print its scrypt form, and end')
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (options.hashPassword) return printHash();
  if (options.root === undefined) throw usage('--root is missing', 'Name the folder to serve: --root ./files');
  if (options.user.length === 0 && options.anonymous === undefined)
    throw usage('nobody could log in', 'Add --user NAME:PASSWORD or --anonymous.');
  const plain = options.listen.length + options.implicit.length === 0 ? ['127.0.0.1:2121'] : options.listen;
  const listen = [
    ...plain.map((text) => parseListen(text, false)),
    ...options.implicit.map((text) => parseListen(text, true)),
  ];
  const log = (line: string) => {
    if (!options.quiet || /error|refused|login-failed/.test(line)) note(`${new Date().toISOString()} ${line}`);
  };
  const server = await FtpServer.start({
    listen,
    root: resolve(options.root),
    settings: settingsFrom(options),
    passiveAddress: options.pasvAddress,
    greeting: 'omni FTP server ready.',
    contacts: ALWAYS_IN_CONTACT,
    wallTime: () => (BigInt(Date.now()) * 1_000_000n) as WallTime,
    log,
  });
  const { addresses } = server;
  if (options.json) printJson({ addresses, root: resolve(options.root), pid: process.pid });
  for (const { address, port } of addresses)
    note(`omni: FTP on ${address} port ${port}, serving ${resolve(options.root)}`);
  const signal = await new Promise<string>((done) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => done(name));
  });
  note(`omni: ${signal}, ending the sessions`);
  await server.close();
}

function settingsFrom(options: Options): FtpSettings {
  const quotas = {
    ...(options.quota === undefined ? {} : { quotaOctets: Number(options.quota) }),
    ...(options.quotaFiles === undefined ? {} : { quotaFiles: Number(options.quotaFiles) }),
  };
  const users = options.user.map((text) => {
    const colon = text.indexOf(':');
    if (colon < 1) throw usage(`--user ${text}: no password`, 'Write --user NAME:PASSWORD.');
    return {
      name: text.slice(0, colon),
      password: text.slice(colon + 1),
      readOnly: options.readOnly ?? false,
      ...quotas,
    };
  });
  const anonymous =
    options.anonymous === undefined ? 'off' : options.anonymous === true ? 'read-only' : String(options.anonymous);
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined))
    throw usage('--tls-cert and --tls-key come together', 'Give both.');
  const ports = /^(\d+)-(\d+)$/.exec(options.pasvPorts ?? '');
  if (options.pasvPorts !== undefined && (ports === null || Number(ports[1]) > Number(ports[2])))
    throw usage(`--pasv-ports ${options.pasvPorts}: not a range`, 'Write --pasv-ports 50000-50100.');
  const checked = ftpSettings.safeParse({
    users,
    anonymous: anonymous === 'read-write' && options.readOnly ? 'read-only' : anonymous,
    ...(ports === null ? {} : { passivePorts: [Number(ports[1]), Number(ports[2])] }),
    ...(options.tlsCert === undefined
      ? {}
      : { tls: { certificateFile: options.tlsCert, keyFile: options.tlsKey, required: options.requireTls ?? false } }),
    idleSeconds: Number(options.idle),
    stallSeconds: Number(options.stall),
    maximumSessions: Number(options.maxSessions),
    maximumSessionsPerAddress: Number(options.maxSessions),
  });
  if (checked.success) return checked.data;
  const problem = checked.error.issues[0]!;
  throw usage(`${problem.path.join('.')}: ${problem.message}`, 'omni serve ftp --help explains the options.');
}

/** `ADDR:PORT`, `[ADDR]:PORT` or `:PORT` (all IPv4 addresses). */
function parseListen(text: string, implicitTls: boolean): FtpListen {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[3]) > 65_535)
    throw usage(`'${text}' is no ADDRESS:PORT`, 'Write 127.0.0.1:2121, [::1]:2121 or :2121.');
  return { address: match[1] ?? (match[2] || '0.0.0.0'), port: Number(match[3]), implicitTls };
}

async function printHash(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${await hashPassword(line)}\n`);
    return;
  }
  throw usage('no password came on stdin', 'Try: omni serve ftp --hash-password < password.txt');
}

const usage = (message: string, remedy: string): VerbError => new VerbError(EXIT.usage, message, remedy);
