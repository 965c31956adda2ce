/** `omni command-load`: signs a command load and mails it to the spacecraft. The other end is the mailbox of src/io/mail-commands.ts. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { createTransport } from 'nodemailer';
import { type CommandOrders, canonicalOrders, orderFields, parseIso } from '../../apps/smtp/index.ts';
import type { WallTime } from '../../core/index.ts';
import { signOrders } from '../../io/mail-commands.ts';
import { EXIT } from '../exit-codes.ts';
import { note, printJson, VerbError, verb } from '../verb.ts';

interface Options {
  readonly to: string;
  readonly from: string;
  readonly key: string;
  readonly secretFile: string;
  readonly at?: string;
  readonly smtp: string;
  readonly priority: string;
  readonly write?: string;
  readonly json?: boolean;
}

export function command(): Command {
  return verb('command-load', 'Sign a command load and mail it; a receipt with its SHA-256 comes back by mail.', [
    'omni command-load stored.cmd --to commands@spacecraft --from ops@control --key ops --secret-file ops.key --smtp surrey:25',
    'omni command-load stored.cmd --to commands@spacecraft --from ops@control --key ops --secret-file ops.key \\',
    '    --at 2026-11-21T14:00:00Z --write load.eml     # to be sent with any mail program',
  ])
    .argument('<file>', 'the command load')
    .requiredOption('--to <address>', 'the command mailbox')
    .requiredOption('--from <address>', 'sender; gets the receipt')
    .requiredOption('--key <id>', 'key id, as in the spacecraft’s scenario')
    .requiredOption('--secret-file <file>', 'file with the key’s secret')
    .option('--at <time>', 'when to run it, as 2026-11-21T14:00:00Z; default: at once')
    .option('--smtp <host:port>', 'relay to hand it to', '127.0.0.1:25')
    .option('--priority <n>', '−9 … 9; 9 goes first', '4')
    .option('--write <file>', 'write the message there and send nothing')
    .option('--json', 'print what was signed as JSON')
    .action(run);
}

async function run(file: string, options: Options): Promise<void> {
  const content = read(file);
  const secret = read(options.secretFile).toString('utf8').trim();
  const runAt = options.at === undefined ? undefined : parseIso(options.at);
  if (options.at !== undefined && runAt === undefined)
    throw new VerbError(EXIT.usage, `--at ${options.at}: not a time`, 'Write 2026-11-21T14:00:00Z.');
  const priority = Number(options.priority);
  if (!Number.isInteger(priority) || Math.abs(priority) > 9)
    throw new VerbError(EXIT.usage, `--priority ${options.priority}: not a whole number from −9 to 9`);
  const orders: CommandOrders = {
    key: options.key,
    // Microseconds of Unix time: it rises by itself, and two operators do not collide.
    counter: Date.now() * 1000 + Number(process.hrtime.bigint() % 1000n),
    signed: (BigInt(Date.now()) * 1_000_000n) as WallTime,
    runAt,
    fileName: basename(file),
    sha256: createHash('sha256').update(content).digest('hex'),
  };
  const message = {
    from: options.from,
    to: options.to,
    subject: `Command load ${orders.fileName}`,
    headers: {
      ...orderFields(orders, signOrders(secret, canonicalOrders(orders))),
      'MT-Priority': String(priority),
    },
    text: `Command load ${orders.fileName}, ${content.length} octets, SHA-256 ${orders.sha256}.\n`,
    attachments: [{ filename: orders.fileName, content }],
  };
  if (options.write === undefined) await send(options.smtp, message);
  else {
    const built = await createTransport({ streamTransport: true, buffer: true, newline: 'windows' }).sendMail(message);
    writeFileSync(options.write, built.message as Buffer);
  }
  const { fileName, sha256, counter } = orders;
  if (options.json)
    printJson({ fileName, octets: content.length, sha256, counter, key: options.key, runAt: options.at ?? null });
  else
    note(
      `omni: ${fileName} (${content.length} octets, SHA-256 ${sha256}) signed with key ${options.key}${options.write === undefined ? ` and handed to ${options.smtp}` : `, in ${options.write}`}`,
    );
}

async function send(target: string, message: object): Promise<void> {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(target);
  if (match === null) throw new VerbError(EXIT.usage, `--smtp ${target}: not HOST:PORT`);
  const transport = createTransport({
    host: match[1] ?? match[2]!,
    port: Number(match[3] ?? 25),
    tls: { rejectUnauthorized: false },
  });
  try {
    await transport.sendMail(message);
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
