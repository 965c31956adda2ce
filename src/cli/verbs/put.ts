/** `omni put`: a file to a node, across as many passes as it takes. */
import type { Command } from 'commander';
import { type TransferOptions, transferVerb, withTransferOptions } from '../transfer.ts';
import { verb } from '../verb.ts';

export function command(): Command {
  const put = verb('put', 'Send a file by FTP; resumes, verifies, and survives passes, crashes and reboots.', [
    'omni put software.bin spacecraft:/upload/software.bin --user operator:uosat12',
    'omni put commands.txt spacecraft:/commands.txt --priority 10',
    'omni put --list',
  ])
    .argument('[local]', 'the file to send')
    .argument('[destination]', 'NODE:PATH; NODE may be any host name or [IPv6 address]');
  return withTransferOptions(put).action(
    (local: string | undefined, remote: string | undefined, options: TransferOptions) =>
      transferVerb('put', local === undefined || remote === undefined ? undefined : { remote, local }, options),
  );
}
