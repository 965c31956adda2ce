/** What a node does with mail beside relaying it: joins parts, takes command loads, sends what appears in the outbox. */
import { join, resolve } from 'node:path';
import type { ContactPlan } from '../apps/smtp/index.ts';
import type { MailSettings } from '../apps/smtp/settings.ts';
import type { WallTime } from '../core/index.ts';
import { CommandMailbox } from './mail-commands.ts';
import { Outbox } from './mail-outbox.ts';
import { PartialJoiner } from './mail-partials.ts';
import type { MailRelay } from './mail-relay.ts';

export interface ApplicationOptions {
  readonly settings: MailSettings;
  readonly domains: readonly string[];
  readonly name: string;
  readonly stateDirectory: string;
  readonly contacts: ContactPlan;
  /** Whether a command processor on this node carries loads out. */
  processor?(): boolean;
  now(): WallTime;
  log(line: string): void;
}

export interface MailApplications {
  readonly commands: CommandMailbox | undefined;
  status(): Record<string, unknown>;
  close(): Promise<void>;
}

export async function startMailApplications(mail: MailRelay, options: ApplicationOptions): Promise<MailApplications> {
  const { settings, stateDirectory, domains, name, contacts, now, log } = options;
  const { commands: commandSettings, outbox: outboxSettings } = settings;
  let commands: CommandMailbox | undefined;
  let outbox: Outbox | undefined;
  if (settings.joinPartials) {
    const joiner = new PartialJoiner({ folder: join(stateDirectory, 'parts'), relay: mail.relay, log });
    mail.addHandler((delivery) => joiner.deliver(delivery));
  }
  if (commandSettings !== undefined) {
    commands = new CommandMailbox({
      ...commandSettings,
      folder: resolve(stateDirectory, commandSettings.folder ?? 'commands'),
      address: `${commandSettings.mailbox}@${domains[0]}`,
      name,
      relay: mail.relay,
      ...(options.processor === undefined ? {} : { processor: options.processor }),
      now,
      log,
    });
    await commands.open();
    const { deliver } = commands;
    mail.addHandler(deliver);
  }
  if (outboxSettings !== undefined) {
    outbox = new Outbox({
      folder: resolve(stateDirectory, outboxSettings.folder ?? 'outbox'),
      from: outboxSettings.from ?? `outbox@${domains[0]}`,
      rules: outboxSettings.rules,
      partOctets: outboxSettings.partOctets,
      name,
      relay: mail.relay,
      contacts,
      now,
      log,
    });
    await outbox.open();
  }
  return {
    commands,
    status: () => ({ ...commands?.status(), ...outbox?.status() }),
    close: async () => outbox?.close(),
  };
}
