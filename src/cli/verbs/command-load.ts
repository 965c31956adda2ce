/** `omni command-load`: signs a command load and mails it to the spacecraft. The other end is the mailbox of src/io/mail-commands.ts. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { createTransport, type SendMailOptions } from 'nodemailer';
import {
  type CommandOrders,
  canonicalOrders,
  formatIso,
  orderFields,
  parseIso,
  parseMailbox,
} from '../../apps/smtp/index.ts';
import { parseSpacePackets } from '../../apps/telemetry/index.ts';
import type { WallTime } from '../../core/index.ts';
import { signOrders } from '../../io/mail-commands.ts';
import { signSmime } from '../../io/smime.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface Options {
  readonly to: string;
  readonly from: string;
  readonly key?: string;
  readonly secretFile?: string;
  readonly certificate?: string;
  readonly privateKey?: string;
  readonly at?: string;
  readonly smtp: string;
  readonly priority: string;
  readonly write?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb(
    'command-load',
    'Sign a command load and mail it; its receipt (SHA-256) and what became of its commands come back by mail.',
    [
      'omni cmd spacecraft ping --out pass.tc             # a sequence of telecommands is what the spacecraft carries out',
      'omni command-load pass.tc --to commands@spacecraft --from ops@control --key ops --secret-file ops.key --smtp surrey:25',
      'omni command-load pass.tc --to commands@spacecraft --from ops@control --key ops --secret-file ops.key \\',
      '    --at 2026-11-21T14:00:00Z --write load.eml     # to be sent with any mail program',
      'omni command-load pass.tc --to commands@spacecraft --from ops@control --certificate ops.pem --private-key ops.key',
    ],
  )
    .argument('<file>', 'the command load')
    .requiredOption('--to <address>', 'the command mailbox')
    .requiredOption('--from <address>', 'sender; gets the receipt')
    .option('--key <id>', 'key id, as in the spacecraft’s scenario: sign by HMAC')
    .option('--secret-file <file>', 'file with the key’s secret')
    .option('--certificate <file>', 'PEM certificate that the scenario names: sign by S/MIME, with openssl')
    .option('--private-key <file>', 'PEM private key of the certificate')
    .option('--at <time>', 'when to run it, as 2026-11-21T14:00:00Z; default: at once')
    .option('--smtp <host:port>', 'relay to hand it to', '127.0.0.1:25')
    .option('--priority <n>', '−9 … 9; 9 goes first', '4')
    .option('--write <file>', 'write the message there and send nothing')
    .option('--json', 'print what was signed as JSON')
    .action(run);
}

async function run(file: string, options: Options): Promise<void> {
  const content = read(file);
  for (const [option, address] of [
    ['--to', options.to],
    ['--from', options.from],
  ] as const)
    if (parseMailbox(address) === undefined)
      throw new VerbError(EXIT.usage, `${option} ${address}: not a mail address`, 'Write commands@spacecraft.');
  if (!parseSpacePackets(content).ok)
    note(
      `omni: ${file} is no sequence of telecommands (omni cmd … --out FILE makes one): a spacecraft of omni will store it, not run it`,
    );
  const runAt = options.at === undefined ? undefined : parseIso(options.at);
  if (options.at !== undefined && runAt === undefined)
    throw new VerbError(EXIT.usage, `--at ${options.at}: not a time`, 'Write 2026-11-21T14:00:00Z.');
  const priority = Number(options.priority);
  if (!Number.isInteger(priority) || Math.abs(priority) > 9)
    throw new VerbError(EXIT.usage, `--priority ${options.priority}: not a whole number from −9 to 9`);
  const orders: CommandOrders = {
    key: options.key ?? '',
    // Microseconds of Unix time: it rises by itself, and two operators do not collide.
    counter: Date.now() * 1000 + Number(process.hrtime.bigint() % 1000n),
    signed: (BigInt(Date.now()) * 1_000_000n) as WallTime,
    runAt,
    fileName: basename(file),
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  const [message, by] = await compose(options, orders, content, priority);
  if (options.write === undefined) await send(options, message);
  else writeFileSync(options.write, message);
  const { fileName, sha256, counter } = orders;
  const about = { fileName, octets: content.length, sha256, runAt: options.at ?? null };
  const where = options.write === undefined ? `handed to ${options.smtp}` : `in ${options.write}`;
  if (options.json)
    printJson(
      options.key === undefined
        ? { ...about, certificate: options.certificate }
        : { ...about, counter, key: options.key },
    );
  else note(`omni: ${fileName} (${content.length} octets, SHA-256 ${sha256}) signed with ${by}, ${where}`);
}

/** The message, CRLF lines, and what signed it. */
async function compose(
  options: Options,
  orders: CommandOrders,
  content: Buffer,
  priority: number,
): Promise<[Buffer, string]> {
  const { from, to, key, secretFile, certificate, privateKey } = options;
  const { fileName, sha256 } = orders;
  const subject = `Command load ${fileName}`;
  const headers = { 'MT-Priority': String(priority) };
  if (key !== undefined && secretFile !== undefined) {
    const secret = read(secretFile).toString('utf8').trim();
    if (secret.length < 16)
      throw new VerbError(EXIT.dataError, `--secret-file ${secretFile}: a secret has 16 characters or more`);
    const signature = signOrders(secret, canonicalOrders(orders));
    const text = `${subject}, ${content.length} octets, SHA-256 ${sha256}.\n`;
    const attachments = [{ filename: fileName, content }];
    const message = {
      from,
      to,
      subject,
      headers: { ...orderFields(orders, signature), ...headers },
      text,
      attachments,
    };
    return [await built(message), `key ${key}`];
  }
  if (certificate === undefined || privateKey === undefined)
    throw new VerbError(
      EXIT.usage,
      'nothing to sign with',
      'Give --key and --secret-file, or --certificate and --private-key.',
    );
  const time = orders.runAt === undefined ? {} : { 'Omni-Command-Run-At': formatIso(orders.runAt) };
  const attachment = { filename: fileName, content, contentType: 'application/octet-stream' };
  // The entity that is signed: an attachment, and the time to run as a field of it.
  const entity = (await built({ headers: time, attachments: [attachment] })).toString('latin1').split('\r\n\r\n');
  const fields = unfolded(entity[0]!).filter((field) => /^(Content-|Omni-)/i.test(field));
  const signed = await signSmime(
    `${fields.join('\r\n')}\r\n\r\n${entity.slice(1).join('\r\n\r\n')}`,
    certificate,
    privateKey,
  );
  const outer = (await built({ from, to, subject, headers, text: '.' })).toString('latin1').split('\r\n\r\n')[0]!;
  const kept = unfolded(outer).filter((field) => !/^(Content-|MIME-)/i.test(field));
  return [Buffer.from(`${kept.join('\r\n')}\r\n${signed}`, 'latin1'), `certificate ${certificate}`];
}

/** Header fields, each with its continuation lines. */
const unfolded = (header: string): string[] => header.split(/\r\n(?![ \t])/);

async function built(message: SendMailOptions): Promise<Buffer> {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  return (await transport.sendMail(message)).message as Buffer;
}

async function send({ smtp: target, from, to }: Options, raw: Buffer): Promise<void> {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(target);
  if (match === null) throw new VerbError(EXIT.usage, `--smtp ${target}: not HOST:PORT`);
  const transport = createTransport({
    host: match[1] ?? match[2]!,
    port: Number(match[3] ?? 25),
    tls: { rejectUnauthorized: false },
  });
  try {
    await transport.sendMail({ envelope: { from, to: [to] }, raw });
  } catch (cause) {
    throw new VerbError(EXIT.failure, `handing the load to ${target}: ${(cause as Error).message}`);
  } finally {
    transport.close();
  }
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VerbError(EXIT.dataError, `reading ${file}: ${(cause as Error).message}`);
  }
}
