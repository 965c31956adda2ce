/**
 * Joins message/partial messages (RFC 2046 section 5.2.2). Each part is a file under the id's hash; when all are there, the whole is
 * submitted to the recipient once (the submission's key is the id) and the parts go. A crash anywhere repeats steps, never mail.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type HeaderSection,
  joinedHeader,
  type LocalResult,
  MessageScanner,
  partialInfo,
  type Relay,
} from '../apps/smtp/index.ts';
import type { LocalDelivery } from './mail-relay.ts';

const HEADER_LIMIT_OCTETS = 65_536;
const CHUNK_OCTETS = 65_536;
/** Messages waiting for parts; beyond it new ones wait at their sender. */
const MOST_WAITING = 1000;

export interface PartialJoinerOptions {
  readonly folder: string;
  readonly relay: Relay;
  log(line: string): void;
}

type Read = (offset: number, length: number) => Promise<Uint8Array>;

export class PartialJoiner {
  readonly #options: PartialJoinerOptions;

  constructor(options: PartialJoinerOptions) {
    this.#options = options;
  }

  /** Undefined: not a part, somebody else's mail. */
  async deliver(delivery: LocalDelivery): Promise<LocalResult | undefined> {
    const { envelope, recipient, octets, read } = delivery;
    // Those of strangers are for their reader to join.
    const info = envelope.joinHere ? partialInfo((await headerOf(read)).header) : undefined;
    if (info === undefined) return undefined;
    const { folder: root, relay, log } = this.#options;
    const hash = createHash('sha256').update(`${info.id}\0${envelope.reversePath}\0${recipient.address}`).digest('hex');
    const name = hash.slice(0, 32);
    const folder = join(root, name);
    const key = `joined-${name}@parts`;
    if (relay.submitted(key))
      return { ok: true, temporary: false, status: '2.0.0', diagnostic: `part ${info.number} was joined before` };
    await mkdir(root, { recursive: true, mode: 0o700 });
    const waiting = await readdir(root);
    if (!waiting.includes(name) && waiting.length >= MOST_WAITING)
      return { ok: false, temporary: true, status: '4.3.1', diagnostic: 'too many messages wait for their parts' };
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writePart(join(folder, `${info.number}`), octets, read);
    if (info.total !== undefined)
      await writePart(join(folder, 'total'), 0, async () => Buffer.from(String(info.total)));
    const parts = (await readdir(folder)).filter((n) => /^\d+$/.test(n)).length;
    const total = await totalOf(folder);
    const done: LocalResult = { ok: true, temporary: false, status: '2.0.0', diagnostic: `part ${info.number} stored` };
    if (total === undefined || parts < total) {
      log(
        `event=part id=${envelope.id} of=${JSON.stringify(info.id)} number=${info.number} have=${parts} total=${total ?? '?'}`,
      );
      return done;
    }
    const reply = await relay.submit({
      key,
      reversePath: envelope.reversePath,
      recipients: [recipient.address],
      priority: envelope.priority,
      octets: whole(folder, total),
      ...(recipient.notify === undefined ? {} : { notify: recipient.notify }),
    });
    if (reply.code !== 250) return { ok: false, temporary: true, status: '4.3.0', diagnostic: reply.text };
    await rm(folder, { recursive: true, force: true });
    log(`event=joined of=${JSON.stringify(info.id)} parts=${total} reply=${JSON.stringify(reply.text)}`);
    return { ...done, diagnostic: `joined from ${total} parts` };
  }
}

async function totalOf(folder: string): Promise<number | undefined> {
  try {
    const handle = await open(join(folder, 'total'), 'r');
    try {
      return Number(await handle.readFile('utf8'));
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

async function writePart(path: string, octets: number, read: Read): Promise<void> {
  const handle = await open(`${path}.tmp`, 'w', 0o600);
  try {
    for (let at = 0; at === 0 || at < octets; ) {
      const chunk = await read(at, CHUNK_OCTETS);
      if (chunk.length === 0) break;
      await handle.write(chunk);
      at += chunk.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.tmp`, path);
}

/** The header section and where the body begins. */
export async function headerOf(read: Read): Promise<{ header: HeaderSection; bodyAt: number }> {
  const scanner = new MessageScanner(HEADER_LIMIT_OCTETS);
  let text = '';
  for (let at = 0; scanner.inHeader && at < HEADER_LIMIT_OCTETS; ) {
    const chunk = await read(at, 4096);
    if (chunk.length === 0) break;
    scanner.write(chunk);
    text += Buffer.from(chunk).toString('latin1');
    at += chunk.length;
  }
  const end = text.indexOf('\r\n\r\n');
  return { header: scanner.header, bodyAt: end < 0 ? text.length : end + 4 };
}

/** The joined message, read from the parts a chunk at a time. */
async function* whole(folder: string, total: number): AsyncGenerator<Uint8Array> {
  for (let number = 1; number <= total; number++) {
    const handle = await open(join(folder, String(number)), 'r');
    try {
      const read: Read = async (offset, length) => {
        const octets = new Uint8Array(length);
        const { bytesRead } = await handle.read(octets, 0, length, offset);
        return octets.subarray(0, bytesRead);
      };
      const outer = await headerOf(read);
      let at = outer.bodyAt;
      if (number === 1) {
        // The first part encloses the header of the whole.
        const begin = at;
        const inner = await headerOf((offset, length) => read(begin + offset, length));
        yield Buffer.from(joinedHeader(outer.header, inner.header), 'utf8');
        at += inner.bodyAt;
      }
      for (;;) {
        const chunk = await read(at, CHUNK_OCTETS);
        if (chunk.length === 0) break;
        at += chunk.length;
        yield chunk;
      }
    } finally {
      await handle.close();
    }
  }
}
