/** `omni serve ntp`: an NTP server on its own, from the host's clock or from one that is wrong on purpose. */
import type { Command } from 'commander';
import { clockSettings, ntpServerSettings } from '../../../apps/ntp/index.ts';
import { parseHostPort } from '../../../io/ntp-address.ts';
import { parseKey } from '../../../io/ntp-keys.ts';
import { serveNtp } from '../../../io/ntp-serve.ts';
import { note, printJson, verb } from '../../verb.ts';

export function command(): Command {
  return verb('ntp', 'Answer NTP requests (RFC 5905) from the host clock, or from a clock with a given error.', [
    'omni serve ntp --listen 127.0.0.1:11123',
    'omni serve ntp --listen 0.0.0.0:123 --stratum 1 --reference GPS',
    'omni serve ntp --listen 127.0.0.1:11123 --offset 3.25 --drift 20    # a clock that is wrong, for tests',
    'omni serve ntp --listen 127.0.0.1:11123 --key 7:000102030405060708090a0b0c0d0e0f --require-key',
  ])
    .option('--listen <address:port>', 'address and port to answer on', '0.0.0.0:123')
    .option('--offset <seconds>', 'serve a clock that is ahead by this', Number, 0)
    .option('--drift <ppm>', 'and gains this much', Number, 0)
    .option('--stratum <n>', "stratum to claim; 10 says 'my own clock'", Number, 10)
    .option('--reference <text>', 'reference identifier to claim', 'LOCL')
    .option('--dispersion <seconds>', 'uncertainty of the clock to claim', Number, 0.001)
    .option('--rate-limit <seconds>', 'average interval a client may ask at; 0 for no limit', Number, 0)
    .option('--key <id:hex>', 'AES-128-CMAC key to accept; may be repeated', collect, [])
    .option('--require-key', 'refuse requests without a key')
    .option('--json', 'print one JSON line when ready and the counters at the end')
    .action(async (options) => {
      const { host, port } = parseHostPort(options.listen, 123);
      const served = await serveNtp({
        address: host === '*' ? '0.0.0.0' : host,
        port,
        clock: clockSettings.parse({ offsetSeconds: options.offset, driftPpm: options.drift }),
        server: ntpServerSettings.parse({
          stratum: options.stratum,
          referenceId: options.reference,
          rootDispersionSeconds: options.dispersion,
          rateLimitSeconds: options.rateLimit,
          requireKey: options.requireKey ?? false,
        }),
        keys: (options.key as string[]).map(parseKey),
      });
      const at = served.socket.address();
      if (options.json) process.stdout.write(`${JSON.stringify({ listening: at })}\n`);
      else note(`answering NTP on ${at.address} port ${at.port}; Ctrl-C ends it`);
      await new Promise<void>((resolve) => {
        process.once('SIGINT', resolve);
        process.once('SIGTERM', resolve);
      });
      await served.close();
      if (options.json) printJson(served.socket.server.counters.snapshot());
      else
        note(
          Object.entries(served.socket.server.counters.snapshot())
            .map(([k, v]) => `${k}=${v}`)
            .join(' ') || 'no requests',
        );
    });
}

const collect = (value: string, previous: string[]): string[] => [...previous, value];
