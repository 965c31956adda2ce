/** A relay over real sockets and a real folder in the test's own process, and what is in its Maildirs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WallTime } from '../../../src/core/index.ts';
import { MailRelay, type MailRelayOptions } from '../../../src/io/mail-relay.ts';

export interface LocalRelay {
  readonly mail: MailRelay;
  readonly port: number;
  readonly folder: string;
  readonly log: string[];
  mailbox(name: string): string[];
  /** Waits until the condition holds; for at most a minute. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export async function localRelay(options: Partial<MailRelayOptions> = {}): Promise<LocalRelay> {
  const folder = mkdtempSync(join(tmpdir(), 'omni-mail-'));
  const log: string[] = [];
  const mail = await MailRelay.start({
    name: 'relay.test',
    listen: [{ host: '127.0.0.1', port: 0 }],
    queue: join(folder, 'queue'),
    maildir: join(folder, 'mail'),
    policy: { domains: ['relay.test'], relayFor: [], routes: [] },
    contacts: { always: true, next: () => [] },
    now: () => (BigInt(Date.now()) * 1_000_000n) as WallTime,
    log: (line) => log.push(line),
    ...options,
  });
  const mailbox = (name: string): string[] => {
    try {
      const box = join(folder, 'mail', name, 'new');
      return readdirSync(box).map((file) => readFileSync(join(box, file), 'latin1'));
    } catch {
      return [];
    }
  };
  return {
    mail,
    port: mail.addresses[0]!.port,
    folder,
    log,
    mailbox,
    until: async (condition) => {
      for (const end = performance.now() + 60_000; !condition(); ) {
        if (performance.now() > end) throw new Error(`waited in vain; log:\n${log.join('\n')}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    close: async () => {
      await mail.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A self-signed certificate for 127.0.0.1, made by openssl; undefined when there is no openssl. */
export function testCertificate(): { cert: string; key: string } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'omni-mail-tls-'));
  try {
    const key = join(folder, 'key.pem');
    const cert = join(folder, 'cert.pem');
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject];
    execFileSync('openssl', args, { stdio: 'ignore' });
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
