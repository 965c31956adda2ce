/** The queue of a relay that does not run, from its envelopes, read only. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeEnvelope, formatIso, progressOf, type QueueLine, wireOctets } from '../apps/smtp/index.ts';
import { OmniError } from '../core/index.ts';

export async function listStoredQueue(queue: string): Promise<QueueLine[]> {
  const folder = join(queue, 'envelopes');
  const names = await readdir(folder).catch((cause) => {
    throw new OmniError('OMNI_MAIL_QUEUE', `${queue} is no mail queue: there is no folder ${folder}`, { cause });
  });
  const lines: QueueLine[] = [];
  for (const name of names) {
    const envelope = decodeEnvelope(await readFile(join(folder, name), 'utf8').catch(() => ''));
    if (envelope === undefined) continue;
    const waiting = envelope.recipients.filter((r) => r.state === 'queued');
    for (const hop of new Set(waiting.map((r) => r.hop))) {
      const progress = progressOf(envelope, hop);
      lines.push({
        id: envelope.id,
        from: envelope.reversePath,
        recipients: waiting.filter((r) => r.hop === hop).map((r) => r.address),
        hop,
        octets: wireOctets(envelope),
        storedOctets: Math.floor(progress.storedOctets),
        priority: envelope.priority,
        subject: envelope.subject,
        arrived: formatIso(envelope.arrived),
        tries: progress.attempts,
        held: envelope.held,
        nextContact: undefined,
        predicted: undefined,
        reason: envelope.held ? 'held by the operator' : 'the relay does not run',
        lastReply: progress.lastReply,
      });
    }
  }
  return lines;
}
