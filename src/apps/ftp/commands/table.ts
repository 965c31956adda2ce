/** Every command, by verb. The order is that of HELP. */
import type { CommandRow } from '../command.ts';
import { ACCESS } from './access.ts';
import { FACT_COMMANDS } from './facts.ts';
import { FILE_COMMANDS } from './files.ts';
import { INFORMATION } from './information.ts';
import { LIST_COMMANDS } from './list.ts';
import { PARAMETERS } from './parameters.ts';
import { ROUTE_COMMANDS } from './route.ts';
import { SECURITY } from './security.ts';
import { SITE } from './site.ts';
import { TRANSFER } from './transfer.ts';

/** RFC 775's names, still used (RFC 1123 section 4.1.3.1). */
const ALIASES: Readonly<Record<string, string>> = { XCWD: 'CWD', XCUP: 'CDUP', XMKD: 'MKD', XRMD: 'RMD', XPWD: 'PWD' };

const rows = [
  ...ACCESS,
  ...SECURITY,
  ...PARAMETERS,
  ...ROUTE_COMMANDS,
  ...TRANSFER,
  ...LIST_COMMANDS,
  ...FILE_COMMANDS,
  ...FACT_COMMANDS,
  ...INFORMATION,
  SITE,
];

const byVerb = new Map<string, CommandRow>(rows.map((row) => [row.verb, row]));
for (const [alias, verb] of Object.entries(ALIASES)) byVerb.set(alias, byVerb.get(verb)!);

export const ROWS: ReadonlyMap<string, CommandRow> = byVerb;
