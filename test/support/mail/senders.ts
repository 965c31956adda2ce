/**
 * How each stock mail program is told to send: the command line, its configuration and its input for one letter over one kind of
 * session. What a program cannot do by itself is written beside it as the words in which it says so.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const WAYS = [
  'plain',
  'STARTTLS',
  'AUTH PLAIN',
  '8-bit body',
  'UTF-8 address',
  'dots',
  'attachment',
  '50 MB',
] as const;
export type Way = (typeof WAYS)[number];

export interface Errand {
  readonly port: number;
  readonly to: string;
  readonly body: string;
  /** A file to attach. */
  readonly file: string | undefined;
  readonly secure: boolean;
  readonly login: boolean;
  /** The relay's own certificate, in PEM; the programs verify it by this. */
  readonly certificate: string;
  readonly folder: string;
}

export interface Call {
  readonly argv: readonly string[];
  readonly input?: string;
  /** Files to write first, by name in the folder. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Sender {
  readonly program: string;
  readonly version: readonly string[];
  call(errand: Errand): Call;
  /** What the program itself cannot do, and the words that show it: its own, or the relay's `Received` line. */
  readonly lacks?: Partial<Record<Way, { readonly seen: RegExp; readonly because: string }>>;
  /** Of what is good, how. */
  readonly remarks?: Partial<Record<Way, string>>;
}

export const FROM = 'sender@client.test';
const HOST = '127.0.0.1';
export const SUBJECT = 'from a stock client';

/** A finished message, for programs that compose none. */
export function letter({ to, body, file }: Errand): string {
  const text = `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${body}`;
  const head = `From: ${FROM}\nTo: ${to}\nSubject: ${SUBJECT}\nMIME-Version: 1.0\n`;
  if (file === undefined) return `${head}${text}`;
  const encoded = readFileSync(file, 'base64').replace(/.{76}/g, '$&\n');
  const part = `Content-Type: application/octet-stream; name=data.bin\nContent-Transfer-Encoding: base64\n\n${encoded}`;
  return `${head}Content-Type: multipart/mixed; boundary=b\n\n--b\n${text}\n--b\n${part}\n--b--\n`;
}

const WITHOUT_KEYWORD = {
  seen: /with ESMTP /,
  because: 'it sends the address without the keyword SMTPUTF8; the relay takes it, and the letter arrives',
};

const swaks: Sender = {
  program: 'swaks',
  version: ['--version'],
  call: (errand) => ({
    argv: [
      ...['--server', HOST, '--port', String(errand.port), '--from', FROM, '--to', errand.to],
      ...(errand.secure ? ['--tls', '--tls-verify', '--tls-ca-path', errand.certificate] : []),
      ...(errand.login ? ['--auth', 'PLAIN', '--auth-user', 'user', '--auth-password', 'secret'] : []),
      ...(errand.file === undefined
        ? ['--data', `@${join(errand.folder, 'swaks.eml')}`]
        : [
            '--header',
            `Subject: ${SUBJECT}`,
            '--body',
            errand.body,
            '--attach-type',
            'application/octet-stream',
            '--attach',
            `@${errand.file}`,
          ]),
    ],
    files: { 'swaks.eml': letter(errand) },
  }),
  lacks: { 'UTF-8 address': WITHOUT_KEYWORD },
};

const msmtp: Sender = {
  program: 'msmtp',
  version: ['--version'],
  call: (errand) => ({
    argv: [
      ...['--file=/dev/null', `--host=${HOST}`, `--port=${errand.port}`, `--from=${FROM}`],
      ...(errand.secure ? ['--tls=on', '--tls-starttls=on', `--tls-trust-file=${errand.certificate}`] : []),
      ...(errand.login ? ['--auth=plain', '--user=user', '--passwordeval=echo secret'] : []),
      ...['--dsn-return=headers', '--dsn-notify=failure,delay', errand.to],
    ],
    input: letter(errand),
  }),
  lacks: { 'UTF-8 address': WITHOUT_KEYWORD },
  remarks: {
    attachment: 'it composes nothing: it was given a finished message',
    '50 MB': 'as its attachment',
  },
};

const snail: Sender = {
  program: 's-nail',
  version: ['-V'],
  call: (errand) => {
    const login = errand.login ? 'user:secret@' : '';
    const set = [
      'v15-compat',
      `mta=smtp://${login}${HOST}:${errand.port}`,
      `smtp-auth=${errand.login ? 'plain' : 'none'}`,
      `from=${FROM}`,
      'sendwait',
      'ttycharset=utf-8',
      'sendcharsets=utf-8',
      'mime-encoding=8bit',
      ...(errand.secure ? ['smtp-use-starttls', 'tls-verify=strict', `tls-ca-file=${errand.certificate}`] : []),
    ];
    const attach = errand.file === undefined ? [] : ['-a', errand.file];
    return {
      argv: ['-:/', ...set.flatMap((s) => ['-S', s]), '-s', SUBJECT, ...attach, errand.to],
      input: errand.body,
    };
  },
  lacks: {
    'UTF-8 address': { seen: /contains invalid byte/, because: 'it says "contains invalid byte" and sends nothing' },
  },
};

const curl: Sender = {
  program: 'curl',
  version: ['--version'],
  call: (errand) => ({
    argv: [
      ...['-sS', '--url', `smtp://${HOST}:${errand.port}/client.test`],
      ...['--mail-from', FROM, '--mail-rcpt', errand.to],
      ...(errand.secure ? ['--ssl-reqd', '--cacert', errand.certificate] : []),
      ...(errand.login ? ['--user', 'user:secret', '--login-options', 'AUTH=PLAIN'] : []),
      ...(errand.file === undefined
        ? ['--crlf', '-T', '-']
        : [
            '-H',
            `Subject: ${SUBJECT}`,
            '-H',
            `To: ${errand.to}`,
            '-F',
            `=${errand.body.replaceAll('\n', '\r\n')}`,
          ].concat(['-F', `file=@${errand.file};encoder=base64`])),
    ],
    ...(errand.file === undefined ? { input: letter(errand) } : {}),
  }),
};

const mutt: Sender = {
  program: 'mutt',
  version: ['-v'],
  call: (errand) => ({
    argv: [
      ...['-F', join(errand.folder, 'muttrc'), '-n', '-s', SUBJECT],
      ...(errand.file === undefined ? [] : ['-a', errand.file]),
      ...['--', errand.to],
    ],
    input: errand.body,
    files: {
      muttrc: `${[
        `set smtp_url="smtp://${errand.login ? 'user@' : ''}${HOST}:${errand.port}/"`,
        ...(errand.login ? ['set smtp_pass="secret"', 'set smtp_authenticators="plain"'] : []),
        `set ssl_starttls=${errand.secure ? 'yes' : 'no'}`,
        `set ssl_force_tls=${errand.secure ? 'yes' : 'no'}`,
        `set certificate_file="${errand.certificate}"`,
        `set from="${FROM}"`,
        'set copy=no',
        'set charset=utf-8',
        'set send_charset=utf-8',
        'set allow_8bit',
        'set use_8bitmime',
      ].join('\n')}\n`,
    },
  }),
};

export const SENDERS: Readonly<Record<string, Sender>> = { swaks, msmtp, 's-nail': snail, curl, mutt };
