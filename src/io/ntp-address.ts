/** `HOST`, `HOST:PORT`, `[IPv6]:PORT` as users write addresses. */
import { isIPv6 } from 'node:net';
import { OmniError } from '../core/index.ts';

export function parseHostPort(text: string, defaultPort: number): { host: string; port: number } {
  if (isIPv6(text)) return { host: text, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || port > 65535)
    throw new OmniError('OMNI_ADDRESS', `'${text}' is not an address`, {
      remedy: 'write HOST, HOST:PORT or [IPv6]:PORT.',
    });
  return { host: (match[1] ?? match[2])!, port };
}
