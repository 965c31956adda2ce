/** `omni fetch`: a file from a node, across as many passes as it takes. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import { type TransferOptions, transferVerb, withTransferOptions } from '../transfer.ts';
import { verb } from '../verb.ts';

export function command(): Command {
  const fetch = verb('fetch', 'Fetch a file by FTP; resumes, verifies, and survives passes, crashes and reboots.', [
    'omni fetch spacecraft:/earth-1.png',
    'omni fetch spacecraft:/logs/today.txt today.txt --priority 10',
    'omni fetch ftp.example.org:/pub/file --user operator:secret --tls',
    'omni fetch --list',
    'omni fetch --resume                         after a reboot: go on with all that waits',
  ])
    .argument('[source]', 'NODE:PATH; NODE may be any host name or [IPv6 address]')
    .argument('[local]', 'where to; default: the same name here');
  return withTransferOptions(fetch).action(
    (source: string | undefined, local: string | undefined, options: TransferOptions) => {
      const target =
        source === undefined ? undefined : { remote: source, local: local ?? basename(source.replace(/^.*?:/s, '')) };
      return transferVerb('fetch', target, options);
    },
  );
}
