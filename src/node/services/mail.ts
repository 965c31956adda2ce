/** A node's mail relay: its queue and Maildirs in the state directory, its contacts those of the node's links. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DEFAULT_RETRY, type Route } from '../../apps/smtp/index.ts';
import { mailSettings } from '../../apps/smtp/settings.ts';
import { OmniError } from '../../core/index.ts';
import type { LoadResult } from '../../io/command-load-mail.ts';
import { passwordMatches } from '../../io/ftp-accounts.ts';
import { startMailApplications } from '../../io/mail-applications.ts';
import { MailRelay } from '../../io/mail-relay.ts';
import { onboard } from '../onboard.ts';
import type { Service, ServiceContext, StartService } from '../service.ts';

export const startMail: StartService = async (context: ServiceContext): Promise<Service> => {
  const settings = mailSettings.parse(context.settings ?? {});
  const { clock, contacts, stateDirectory } = context;
  const { log } = context;
  const domains = settings.domains ?? [context.node];
  const name = settings.name ?? context.node;
  const routes = settings.routes.map((route): Route => {
    const { domain, host, port, tls, login, certificateAuthorityFile: file } = route;
    const ca = file === undefined ? {} : { certificateAuthorities: read(file) };
    const auth = login === undefined ? {} : { auth: login };
    return {
      domain: domain.toLowerCase(),
      host,
      port,
      tls,
      peers: route.scheduled ? route.peers : undefined,
      ...ca,
      ...auth,
    };
  });
  const users = new Map(settings.users.map((user) => [user.name, user.password]));
  const queue = join(stateDirectory, 'queue');
  await mkdir(queue, { recursive: true });
  const mail = await MailRelay.start({
    name,
    // One socket for both address families.
    listen: [{ host: '::', port: settings.port }],
    queue,
    maildir: resolve(stateDirectory, settings.maildir ?? 'mail'),
    policy: {
      domains,
      relayFor: settings.relayFor,
      routes,
      ...(settings.mailboxes === undefined ? {} : { mailboxes: settings.mailboxes.map((m) => m.toLowerCase()) }),
    },
    contacts,
    joinPartials: settings.joinPartials,
    scheduledRetry: {
      ...DEFAULT_RETRY.scheduledRetry,
      expiryRounds: settings.expiryContacts,
      delayNoticeRounds: settings.delayNoticeContacts,
    },
    now: () => clock.now(),
    log,
    ...(settings.messageOctets === undefined ? {} : { limits: { messageOctets: settings.messageOctets } }),
    ...(settings.tls === undefined
      ? {}
      : { tls: { cert: read(settings.tls.certificateFile), key: read(settings.tls.keyFile) } }),
    ...(users.size === 0
      ? {}
      : {
          authenticate: async (user: string, password: string) => {
            const stored = users.get(user);
            return stored !== undefined && passwordMatches(Buffer.from(password).toString('latin1'), stored);
          },
        }),
  });
  const node = onboard(context);
  const applications = await startMailApplications(mail, {
    settings,
    processor: () => node.action('command.sequence') !== undefined,
    domains,
    name,
    stateDirectory,
    contacts,
    now: () => clock.now(),
    log,
  });
  const { commands } = applications;
  if (commands !== undefined) {
    node.offer('mail.loads', () => commands.loads);
    node.offer('mail.loadResult', async ({ id, result }) => {
      await commands.tell(String(id), result as LoadResult);
      return 'told';
    });
  }
  node.offer('mail.flush', async () => {
    await mail.handleRequest('try', undefined);
    return `${mail.relay.list().length} messages queued`;
  });
  node.publish('mailQueue', () => {
    const lines = mail.relay.list();
    const oldest = lines.reduce((least, line) => Math.min(least, Date.parse(line.arrived)), Number.POSITIVE_INFINITY);
    return {
      messages: lines.length,
      octets: lines.reduce((sum, line) => sum + line.octets, 0),
      oldestSeconds: lines.length === 0 ? 0 : Math.max(0, Number(clock.now() / 1_000_000n) - oldest) / 1000,
    };
  });
  const service: Service & { handleRequest(method: string, params: unknown): unknown } = {
    name: 'smtp',
    status: () => ({ ...mail.status(), ...applications.status() }),
    close: async () => {
      for (const action of ['mail.flush', 'mail.loads', 'mail.loadResult']) node.withdraw(action);
      node.silence('mailQueue');
      await applications.close();
      await mail.close();
    },
    handleRequest: (method, params) => mail.handleRequest(method, params),
  };
  return service;
};

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new OmniError('OMNI_READ', `reading ${file} for the mail relay: ${(cause as Error).message}`, { cause });
  }
}
