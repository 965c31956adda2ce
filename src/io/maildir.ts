/**
 * Delivery into Maildirs (tmp, new, cur), one per mailbox: written to tmp with LF line ends as readers expect, synced, renamed to
 * new, folder synced. The file's name comes from the queue's id, so a delivery that a crash repeats changes nothing.
 */
import { open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalResult, MessageReader } from '../apps/smtp/index.ts';
import { makeFolder, syncFolder } from './whole-file.ts';

const CHUNK_OCTETS = 65536;

export interface MaildirDelivery {
  readonly root: string;
  /** The local part; it becomes the folder's name. */
  readonly mailbox: string;
  readonly reversePath: string;
  readonly recipient: string;
  readonly id: string;
  readonly seconds: number;
  readonly host: string;
  readonly octets: number;
  readonly read: MessageReader;
}

export async function deliverToMaildir(delivery: MaildirDelivery): Promise<LocalResult> {
  const folder = join(delivery.root, folderName(delivery.mailbox));
  for (const part of ['tmp', 'new', 'cur']) await makeFolder(join(folder, part));
  const name = `${delivery.seconds}.${delivery.id}.${delivery.host.replace(/[/:]/g, '_')}`;
  const present = [...(await readdir(join(folder, 'new'))), ...(await readdir(join(folder, 'cur')))];
  if (!present.some((n) => n === name || n.startsWith(`${name}:`))) {
    const beside = join(folder, 'tmp', name);
    const handle = await open(beside, 'w', 0o600);
    try {
      await handle.write(`Return-Path: <${delivery.reversePath}>\nDelivered-To: ${delivery.recipient}\n`);
      let at = 0;
      let heldCr = false;
      for (;;) {
        const chunk = await delivery.read(at, CHUNK_OCTETS);
        if (chunk.length === 0) break;
        at += chunk.length;
        // Whole CRLF pairs only: a CR at the end waits for the next chunk.
        const text: Buffer = Buffer.concat([Buffer.from(heldCr ? '\r' : ''), chunk]);
        heldCr = text.at(-1) === 13;
        await handle.write(withoutCr(heldCr ? text.subarray(0, -1) : text));
      }
      await handle.sync();
    } catch (error) {
      await handle.close();
      await rm(beside, { force: true });
      throw error;
    }
    await handle.close();
    await rename(beside, join(folder, 'new', name));
  }
  await syncFolder(join(folder, 'new'));
  return { ok: true, temporary: false, status: '2.0.0', diagnostic: `delivered to mailbox ${delivery.mailbox}` };
}

/** CRLF becomes LF; stored messages have no other CR. */
function withoutCr(octets: Buffer): Buffer {
  const out = Buffer.allocUnsafe(octets.length);
  let length = 0;
  for (let i = 0; i < octets.length; i++) if (!(octets[i] === 13 && octets[i + 1] === 10)) out[length++] = octets[i]!;
  return out.subarray(0, length);
}

/** A name that cannot leave its folder, the same for upper and lower case, different for different mailboxes. */
export function folderName(local: string): string {
  return local
    .toLowerCase()
    .replace(/[^a-z0-9._+@\u0080-\uffff-]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/^\./, '%2e')
    .slice(0, 200);
}
