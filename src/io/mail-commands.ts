/**
 * The mailbox for command loads: checks the signature of the decoded attachment, stores the load and its receipt, answers by mail.
 * `loads/ID.json` is the receipt and the order to run (`runAt`, null for at once), `loads/ID.load` the octets; the onboard command
 * processor (src/node/services/command-loads.ts) takes them from there, and what became of them is told by a second mail.
 * Order of writing: load, receipt, counters, answer; a crash between repeats what is harmless.
 */
import { createHash, createHmac, timingSafeEqual, type X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import PostalMime from 'postal-mime';
import {
  type CommandOrders,
  type CommandRefusal,
  checkCommandLoad,
  checkSignedLoad,
  type Envelope,
  fieldOf,
  formatIso,
  type HeaderSection,
  isUsed,
  type LocalResult,
  NO_COUNTERS,
  parseHeader,
  type Relay,
  type UsedCounters,
  withUsed,
} from '../apps/smtp/index.ts';
import { OmniError, type WallTime } from '../core/index.ts';
import { composeReceipt, composeResult, isTagged, type LoadResult, type Receipt } from './command-load-mail.ts';
import { headerOf } from './mail-partials.ts';
import type { LocalDelivery } from './mail-relay.ts';
import { readCertificates, requireOpenssl, verifySmime } from './smime.ts';
import { writeWholeFile } from './whole-file.ts';

export interface CommandMailboxOptions {
  readonly mailbox: string;
  readonly address: string;
  readonly folder: string;
  readonly keys: readonly { readonly id: string; readonly secret: string; readonly senders?: string[] | undefined }[];
  readonly certificates: readonly {
    readonly id: string;
    readonly file: string;
    readonly senders?: string[] | undefined;
  }[];
  readonly windowSeconds: number;
  readonly operator?: string | undefined;
  readonly largestOctets: number;
  readonly name: string;
  readonly relay: Relay;
  /** Whether a command processor on this node carries loads out. */
  processor?(): boolean;
  now(): WallTime;
  log(line: string): void;
}

export class CommandMailbox {
  readonly #options: CommandMailboxOptions;
  #counters: Record<string, UsedCounters> = {};
  /** S/MIME: digests of what was accepted, and the Unix seconds of their signing. */
  #digests: Record<string, number> = {};
  #signers: readonly {
    readonly id: string;
    readonly senders: readonly string[] | undefined;
    readonly certificate: X509Certificate;
  }[] = [];
  #accepted = 0;
  #refused = 0;

  constructor(options: CommandMailboxOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    await mkdir(join(this.#options.folder, 'loads'), { recursive: true, mode: 0o700 });
    const text = await readFile(join(this.#options.folder, 'counters.json'), 'utf8').catch(() => '{}');
    // A plain number: of a time when counters had to come in their order.
    const known = Object.entries(JSON.parse(text) as Record<string, UsedCounters | number>);
    this.#counters = Object.fromEntries(
      known.map(([key, used]) => [key, typeof used === 'number' ? { floor: used, above: [] } : used]),
    );
    const { certificates } = this.#options;
    if (certificates.length === 0) return;
    await requireOpenssl();
    this.#digests = JSON.parse(await readFile(this.#digestsFile, 'utf8').catch(() => '{}')) as Record<string, number>;
    const signers = certificates.map(async ({ id, file, senders }) => {
      const pem = await readFile(file, 'latin1').catch((cause: Error) => {
        throw new OmniError('OMNI_READ', `reading the certificate of ${id}: ${cause.message}`, { cause });
      });
      return readCertificates(pem, file).map((certificate) => ({ id, senders, certificate }));
    });
    this.#signers = (await Promise.all(signers)).flat();
  }

  get #digestsFile(): string {
    return join(this.#options.folder, 'signatures.json');
  }

  /** Where loads and receipts lie. */
  get loads(): string {
    return join(this.#options.folder, 'loads');
  }

  status(): Record<string, unknown> {
    return { commandLoads: this.#accepted, commandLoadsRefused: this.#refused };
  }

  readonly deliver = async (delivery: LocalDelivery): Promise<LocalResult | undefined> => {
    const { mailbox, largestOctets, log } = this.#options;
    if (delivery.mailbox.toLowerCase() !== mailbox.toLowerCase()) return undefined;
    const { envelope, octets, read } = delivery;
    if (octets > largestOctets * 1.5)
      return { ok: false, temporary: false, status: '5.2.3', diagnostic: `over ${largestOctets} octets` };
    const receipt = join(this.loads, `${envelope.id}.json`);
    const known = await readFile(receipt, 'utf8').catch(() => undefined);
    if (known !== undefined) return this.#answer(delivery, JSON.parse(known));
    const { header } = await headerOf(read);
    const octetsOfMessage = await read(0, octets);
    const smime = /^(?:multipart\/signed|application\/(?:x-)?pkcs7-mime)\b/i.test(
      fieldOf(header, 'content-type') ?? '',
    );
    const checked =
      smime && this.#signers.length > 0
        ? await this.#checkSmime(octetsOfMessage, header, envelope)
        : await this.#checkHmac(octetsOfMessage, header, envelope);
    const { result, sha256, fileName, content } = checked;
    if (!result.ok) {
      this.#refused++;
      log(`event=command-refused id=${envelope.id} from=<${envelope.reversePath}> reason=${result.reason}`);
      const record: Receipt = { accepted: false, reason: result.reason, sha256, fileName, octets: content.length };
      await writeWholeFile(receipt, `${JSON.stringify(record)}\n`);
      return this.#answer(delivery, record);
    }
    const { orders } = result;
    await writeWholeFile(join(this.loads, `${envelope.id}.load`), content);
    const messageId = fieldOf(header, 'message-id');
    const record: Receipt = {
      ...acceptedReceipt(orders, content.length, checked.digest),
      sender: envelope.reversePath,
      ...(messageId === undefined ? {} : { messageId }),
    };
    await writeWholeFile(receipt, `${JSON.stringify(record)}\n`);
    await this.#remember(record);
    this.#accepted++;
    log(
      `event=command-load id=${envelope.id} key=${orders.key} octets=${content.length} sha256=${sha256} run=${record.runAt ?? 'now'}`,
    );
    return this.#answer(delivery, record, messageId);
  };

  /** Tells by mail what became of a load; asked again for the same one, it is told once. Throws when it cannot be queued now. */
  async tell(id: string, result: LoadResult): Promise<void> {
    const receipt = JSON.parse(await readFile(join(this.loads, `${id}.json`), 'utf8')) as Receipt;
    const { operator, relay, address, name, now } = this.#options;
    const good = result.refusal === undefined && result.commands.every((c) => c.outcome === 'completed' || isTagged(c));
    const readers = new Set(
      [receipt.sender ?? '', ...(good ? [] : [operator ?? ''])].filter((reader) => reader !== ''),
    );
    if (readers.size === 0) return;
    const message = composeResult({ id, name, address, readers: [...readers], date: now(), receipt }, result);
    const reply = await relay.submit({
      key: `${id}-result@${address.replace(/.*@/, '')}`,
      reversePath: '',
      recipients: [...readers],
      priority: 4,
      octets: [Buffer.from(message)],
    });
    // For good: nobody can be told, and asking again would not help.
    if (reply.code >= 500) this.#options.log(`event=receipt-refused id=${id} reply=${reply.code}`);
    else if (reply.code >= 300) throw new Error(`queueing the result of load ${id}: ${reply.code} ${reply.text}`);
  }

  async #checkHmac(octets: Uint8Array, header: HeaderSection, envelope: Envelope): Promise<CheckedLoad> {
    const load = await attachmentOf(octets);
    const result = checkCommandLoad({
      header,
      reversePath: envelope.reversePath,
      fileName: load.fileName,
      sha256: load.sha256,
      now: this.#options.now(),
      windowSeconds: this.#options.windowSeconds,
      key: (id) => this.#key(id),
      verify: (id, text, signature) => verify(this.#options.keys.find((k) => k.id === id)!.secret, text, signature),
      used: (id, counter) => isUsed(this.#counters[id] ?? NO_COUNTERS, counter),
    });
    return { ...load, result };
  }

  async #checkSmime(octets: Uint8Array, header: HeaderSection, envelope: Envelope): Promise<CheckedLoad> {
    const signature = await verifySmime(
      octets,
      this.#signers.map(({ certificate }) => certificate),
    );
    if (!signature.ok) return { ...(await attachmentOf(octets)), result: signature };
    const { certificate, digest, entity } = signature;
    const load = await attachmentOf(entity);
    const { id, senders } = this.#signers.find((s) => s.certificate.fingerprint256 === certificate.fingerprint256)!;
    const result = checkSignedLoad({
      header,
      signedHeader: parseHeader(entity),
      reversePath: envelope.reversePath,
      key: { id, senders },
      signed: wallTime(signature.signedMilliseconds),
      validFrom: wallTime(Date.parse(certificate.validFrom)),
      validTo: wallTime(Date.parse(certificate.validTo)),
      fileName: load.fileName,
      sha256: load.sha256,
      now: this.#options.now(),
      windowSeconds: this.#options.windowSeconds,
      repeated: digest in this.#digests,
    });
    return { ...load, result, digest };
  }

  /** So that the load is not accepted again: its counter, or for S/MIME its digest while its time lies in the window. */
  async #remember({ key, counter, digest, signed }: Receipt): Promise<void> {
    if (digest === undefined) {
      const used = key === undefined ? NO_COUNTERS : (this.#counters[key] ?? NO_COUNTERS);
      if (key === undefined || isUsed(used, counter!)) return;
      this.#counters[key] = withUsed(used, counter!);
      await writeWholeFile(join(this.#options.folder, 'counters.json'), `${JSON.stringify(this.#counters)}\n`);
      return;
    }
    if (digest in this.#digests) return;
    const now = Number(this.#options.now() / 1_000_000_000n);
    // Twice the window: the clock may be wrong by one when it is set.
    const fresh = Object.entries(this.#digests).filter(([, at]) => at > now - 2 * this.#options.windowSeconds);
    this.#digests = { ...Object.fromEntries(fresh), [digest]: Math.round(Date.parse(signed ?? '') / 1000) };
    await writeWholeFile(this.#digestsFile, `${JSON.stringify(this.#digests)}\n`);
  }

  #key(id: string): { id: string; senders: readonly string[] | undefined } | undefined {
    const key = this.#options.keys.find((k) => k.id === id);
    return key && { id: key.id, senders: key.senders };
  }

  async #answer(
    delivery: LocalDelivery,
    receipt: Receipt,
    messageId = delivery.envelope.messageId,
  ): Promise<LocalResult> {
    const { envelope } = delivery;
    // A crash may have come between receipt and counters.
    if (receipt.accepted) await this.#remember(receipt);
    const { operator, relay, address, name, now, processor } = this.#options;
    const readers = new Set<string>();
    if (envelope.reversePath !== '') readers.add(envelope.reversePath);
    if (!receipt.accepted && operator !== undefined) readers.add(operator);
    const done: LocalResult = {
      ok: true,
      temporary: false,
      status: '2.0.0',
      diagnostic: receipt.accepted ? 'command load stored' : `command load refused: ${receipt.reason}`,
    };
    if (readers.size === 0) return done;
    const letter = { id: envelope.id, name, address, readers: [...readers], date: now(), receipt };
    const text = composeReceipt(letter, messageId, processor?.() ?? true);
    const reply = await relay.submit({
      key: `${envelope.id}-receipt@${address.replace(/.*@/, '')}`,
      reversePath: '',
      recipients: [...readers],
      priority: Math.max(4, envelope.priority),
      octets: [Buffer.from(text)],
    });
    if (reply.code >= 500) this.#options.log(`event=receipt-refused id=${envelope.id} reply=${reply.code}`);
    else if (reply.code >= 300) return { ok: false, temporary: true, status: '4.3.0', diagnostic: reply.text };
    return done;
  }
}

interface Load {
  readonly fileName: string;
  readonly content: Buffer;
  readonly sha256: string;
}
interface CheckedLoad extends Load {
  readonly result:
    | { readonly ok: true; readonly orders: CommandOrders }
    | { readonly ok: false; readonly reason: CommandRefusal };
  readonly digest?: string;
}

/** The first attachment of a message or an entity, or its text. */
async function attachmentOf(octets: Uint8Array): Promise<Load> {
  const message = await PostalMime.parse(octets, { maxNestingDepth: 8 });
  const [attachment] = message.attachments;
  const content =
    attachment === undefined
      ? Buffer.from(message.text ?? '')
      : Buffer.from(attachment.content as ArrayBuffer | Uint8Array as Uint8Array);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { fileName: attachment?.filename ?? 'load', content, sha256 };
}

const wallTime = (milliseconds: number): WallTime => (BigInt(milliseconds) * 1_000_000n) as WallTime;

function acceptedReceipt(orders: CommandOrders, octets: number, digest: string | undefined): Receipt {
  const { key, counter, sha256, fileName, signed, runAt } = orders;
  const times = { signed: formatIso(signed), runAt: runAt === undefined ? null : formatIso(runAt) };
  return { accepted: true, key, counter, ...(digest && { digest }), sha256, fileName, octets, ...times };
}

export function signOrders(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('hex');
}

function verify(secret: string, text: string, signature: string): boolean {
  const expected = Buffer.from(signOrders(secret, text), 'hex');
  const given = Buffer.from(signature, 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
