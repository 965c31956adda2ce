/** `omni serve ftp|…`: a node's service alone, outside any testbed. Each is one file in src/cli/verbs/serve and one line here. */
import type { Command } from 'commander';
import { EXIT } from '../exit-codes.ts';
import { VerbError, type VerbModule, verb } from '../verb.ts';

const SERVICES: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<VerbModule> }>> = {
  ftp: { summary: 'the FTP server, for any stock client', load: () => import('./serve/ftp.ts') },
  smtp: { summary: 'the store-and-forward mail relay', load: () => import('./serve/smtp.ts') },
  ntp: { summary: 'an NTP server, right or wrong on purpose', load: () => import('./serve/ntp.ts') },
};

export function command(): Command {
  const list = Object.entries(SERVICES).map(([name, { summary }]) => `  ${name.padEnd(6)} ${summary}`);
  return verb('serve', 'Run one of a node’s services alone, outside any testbed.', [
    'omni serve ftp --help',
    'omni serve ntp --listen 127.0.0.1:11123',
    'omni serve ftp --root ./files --listen 127.0.0.1:2121 --anonymous',
  ])
    .argument('<service>', `one of ${Object.keys(SERVICES).join(', ')}`)
    .argument('[options...]', 'options of the service')
    .addHelpText('after', `\nServices:\n${list.join('\n')}`)
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (name: string, rest: string[]) => {
      const service = Object.hasOwn(SERVICES, name) ? SERVICES[name] : undefined;
      if (service === undefined)
        throw new VerbError(
          EXIT.usage,
          `there is no service '${name}'.`,
          `One of: ${Object.keys(SERVICES).join(', ')}.`,
        );
      const serviceCommand = (await service.load()).command();
      serviceCommand.name(`omni serve ${name}`);
      await serviceCommand.parseAsync(rest, { from: 'user' });
    });
}
