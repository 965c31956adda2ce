/**
 * The outbox: a file that appears in a watched folder goes out as an attachment to whom its rule names, then moves to `.sent`.
 * A file is taken when its size and time did not change between two looks a second apart; names that begin with a dot or end in
 * `.tmp` or `.part` are left alone. Everything in the message derives from the file (Message-ID, Date, boundary), so that a crash
 * half-way repeats exactly the same submissions, which the relay knows. What the relay refuses for good moves to `.refused`; what it
 * refuses for now is tried again after ten seconds, then after twice as long each time, up to ten minutes.
 */
import { createHash } from 'node:crypto';
import { createReadStream, type FSWatcher, watch } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import MailComposer from 'nodemailer/lib/mail-composer';
import {
  type ContactPlan,
  partHeader,
  planParts,
  type Relay,
  type Reply,
  secondsBetween,
  wallPlus,
} from '../apps/smtp/index.ts';
import type { WallTime } from '../core/index.ts';
import { headerOf } from './mail-partials.ts';

export interface OutboxRule {
  readonly match: string;
  readonly to: readonly string[];
  readonly subject?: string | undefined;
  readonly priority: number;
}

export interface OutboxOptions {
  readonly folder: string;
  readonly from: string;
  readonly rules: readonly OutboxRule[];
  readonly partOctets: number | undefined;
  readonly name: string;
  readonly relay: Relay;
  readonly contacts: ContactPlan;
  now(): WallTime;
  log(line: string): void;
}

const LOOK_EVERY_MS = 1000;
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 600_000;
/** Of the largest pass of the next days: the rest is for what goes before. */
const SHARE_OF_PASS = 0.8;

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #seen = new Map<string, string>();
  readonly #complained = new Set<string>();
  /** Put off: how long, and until when. */
  readonly #deferred = new Map<string, { readonly pauseMs: number; readonly until: number }>();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  #closed = false;
  #sent = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    // What a crash left of a message under composition.
    await rm(join(this.#options.folder, '.work'), { recursive: true, force: true });
    for (const name of ['.sent', '.refused', '.work'])
      await mkdir(join(this.#options.folder, name), { recursive: true });
    // The watch only makes the first look come sooner; a file system without inotify is looked at all the same.
    try {
      this.#watcher = watch(this.#options.folder, () => this.#later(100));
      this.#watcher.on('error', () => {});
    } catch {
      this.#watcher = undefined;
    }
    this.#later(0);
  }

  status(): Record<string, unknown> {
    return { outboxSent: this.#sent };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    clearTimeout(this.#timer);
    await this.#working;
  }

  #later(ms: number): void {
    if (this.#closed || (this.#timer !== undefined && ms > 0 && ms < LOOK_EVERY_MS)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#working = this.#look()
        .catch((error) => this.#options.log(`event=outbox-error error=${JSON.stringify(String(error))}`))
        .finally(() => this.#later(LOOK_EVERY_MS));
    }, ms);
  }

  async #look(): Promise<void> {
    const { folder, rules, log } = this.#options;
    for (const name of (await readdir(folder)).sort()) {
      if (this.#closed) return;
      if (/^\.|\.(tmp|part)$/.test(name)) continue;
      const info = await stat(join(folder, name)).catch(() => undefined);
      if (info === undefined || !info.isFile()) continue;
      const mark = `${info.size} ${info.mtimeMs}`;
      if (this.#seen.get(name) !== mark) {
        this.#seen.set(name, mark);
        this.#deferred.delete(name);
        continue;
      }
      if (performance.now() < (this.#deferred.get(name)?.until ?? 0)) continue;
      const rule = rules.find(({ match }) => glob(match, name));
      if (rule === undefined) {
        if (!this.#complained.has(name)) log(`event=outbox-no-rule file=${JSON.stringify(name)}`);
        this.#complained.add(name);
        continue;
      }
      await this.#send(name, info.size, info.mtimeMs, rule);
    }
  }

  async #send(name: string, octets: number, mtimeMs: number, rule: OutboxRule): Promise<void> {
    const { folder, from, relay, log, name: host } = this.#options;
    const hash = createHash('sha256').update(`${name}\0${octets}\0${mtimeMs}`).digest('hex').slice(0, 24);
    const file = join(folder, name);
    const work = await mkdtemp(join(folder, '.work', 'message-'));
    try {
      const composed = join(work, 'message');
      const total = await compose(composed, {
        from,
        to: [...rule.to],
        subject: rule.subject ?? name,
        messageId: `<${hash}@${host}>`,
        date: new Date(mtimeMs),
        baseBoundary: hash,
        disableFileAccess: false,
        text: `${name}: ${octets} octets.\n`,
        attachments: [{ filename: name, content: createReadStream(file), contentTransferEncoding: 'base64' }],
      });
      const limit = this.#options.partOctets ?? this.#largestPart();
      const parts = limit !== undefined && total > limit ? await cut(composed, total, limit) : undefined;
      const common = { reversePath: from, recipients: rule.to, priority: rule.priority };
      const submissions =
        parts === undefined
          ? [{ key: `${hash}@outbox`, octets: range(composed, 0, total) }]
          : parts.map(({ header, offset, octets: length }, i) => ({
              key: `${hash}-${i + 1}@outbox`,
              octets: withHeader(
                header(`<${hash}.${i + 1}@${host}>`, i + 1, parts.length, `${hash}@${host}`),
                composed,
                offset,
                length,
              ),
            }));
      for (const submission of submissions) {
        const reply = await relay.submit({ ...common, ...submission });
        if (reply.code !== 250) {
          await this.#notSent(name, reply);
          return;
        }
      }
      await this.#put(name, '.sent');
      this.#sent++;
      log(
        `event=outbox-sent file=${JSON.stringify(name)} octets=${octets} parts=${submissions.length} to=${rule.to.join(',')}`,
      );
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  async #notSent(name: string, { code, text }: Reply): Promise<void> {
    const why = `file=${JSON.stringify(name)} reply=${JSON.stringify(`${code} ${text}`)}`;
    if (code >= 500) {
      await this.#put(name, '.refused');
      this.#options.log(`event=outbox-refused ${why}`);
      return;
    }
    const before = this.#deferred.get(name)?.pauseMs;
    const pauseMs = before === undefined ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, 2 * before);
    this.#deferred.set(name, { pauseMs, until: performance.now() + pauseMs });
    this.#options.log(`event=outbox-deferred ${why} again=${pauseMs / 1000}`);
  }

  /** Beside files of the same name that went before, not over them. */
  async #put(name: string, to: '.sent' | '.refused'): Promise<void> {
    const { folder } = this.#options;
    let free = name;
    for (let n = 2; (await stat(join(folder, to, free)).catch(() => undefined)) !== undefined; n++)
      free = `${name}.${n}`;
    await rename(join(folder, name), join(folder, to, free));
    this.#seen.delete(name);
    this.#deferred.delete(name);
  }

  /** What fits the largest pass of the next days, as far as the plan says. */
  #largestPart(): number | undefined {
    const { contacts, now } = this.#options;
    if (contacts.always) return undefined;
    const until = wallPlus(now(), 3 * 86400);
    const sizes = contacts
      .next(now(), 200)
      .filter((c) => secondsBetween(c.begin, until) > 0)
      .map((c) => c.octetsOut ?? 0);
    const largest = Math.max(0, ...sizes);
    return largest > 0 ? Math.max(4096, Math.floor(largest * SHARE_OF_PASS)) : undefined;
  }
}

type PartHeader = (messageId: string, number: number, total: number, id: string) => string;

async function cut(
  file: string,
  octets: number,
  limit: number,
): Promise<{ header: PartHeader; offset: number; octets: number }[]> {
  const handle = await open(file, 'r');
  try {
    const read = async (offset: number, length: number) => {
      const buffer = new Uint8Array(length);
      const { bytesRead } = await handle.read(buffer, 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const { header } = await headerOf(read);
    // Room for the part's own header.
    const plan = await planParts(octets, limit - 1024, async (offset) => {
      const from = Math.max(0, offset - 2048);
      const text = Buffer.from(await read(from, offset - from)).toString('latin1');
      const at = text.lastIndexOf('\r\n');
      return at < 0 ? offset : from + at + 2;
    });
    return plan.map((part) => ({
      ...part,
      header: (messageId, number, total, id) => partHeader(header, { id, number, total }, messageId),
    }));
  } finally {
    await handle.close();
  }
}

/** Writes the composed message with CRLF line ends; returns its length. */
async function compose(file: string, mail: object): Promise<number> {
  const composer = new MailComposer({ ...mail, newline: 'windows' } as ConstructorParameters<typeof MailComposer>[0]);
  const handle = await open(file, 'w', 0o600);
  let length = 0;
  let last = '';
  try {
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        length += chunk.length;
        last = (last + chunk.subarray(-2).toString('latin1')).slice(-2);
        handle.write(chunk).then(() => done(), done);
      },
    });
    await pipeline(composer.compile().createReadStream(), sink);
    if (last !== '\r\n') {
      await handle.write('\r\n');
      length += 2;
    }
  } finally {
    await handle.close();
  }
  return length;
}

async function* range(file: string, offset: number, length: number): AsyncGenerator<Uint8Array> {
  if (length > 0) yield* createReadStream(file, { start: offset, end: offset + length - 1 });
}

async function* withHeader(header: string, file: string, offset: number, length: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(header);
  yield* range(file, offset, length);
}

function glob(pattern: string, name: string): boolean {
  const escaped = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`).test(name);
}
