/** An NTP server from this host's clock, or from a model over it that is wrong on purpose. */
import {
  type ClockSettings,
  type NtpServerSettings,
  referenceFromText,
  type SystemVariables,
  toNtpTimestamp,
} from '../apps/ntp/index.ts';
import type { Instant, WallTime } from '../core/index.ts';
import { NodeClock } from './clock.ts';
import { ntpKeys } from './ntp-keys.ts';
import { NtpServerSocket, type ServerClock } from './ntp-server.ts';

/** log2 of about a microsecond: what reading the clock from JavaScript is good for. */
export const HOST_PRECISION = -20;

export async function serveNtp(options: {
  address: string;
  port: number;
  clock: ClockSettings;
  server: NtpServerSettings;
  keys: readonly { id: number; aes128: string }[];
}): Promise<{ socket: NtpServerSocket; close(): Promise<void> }> {
  const clock = new NodeClock(options.clock);
  const socket = await NtpServerSocket.listen({
    ...options.server,
    address: options.address,
    port: options.port,
    keys: ntpKeys(options.keys),
    clock,
    system: localReference(options.server, clock),
  });
  return { socket, close: () => socket.close() };
}

/** A server that is its own reference: it claims what its settings say, and renews its reference time once a minute. */
export function localReference(settings: NtpServerSettings, clock: ServerClock): (now: Instant) => SystemVariables {
  let reference = clock.now();
  return () => {
    const wall = clock.now();
    if (wall - reference > 60_000_000_000n) reference = wall as WallTime;
    return {
      synchronised: true,
      stratum: settings.stratum,
      rootDelay: 0,
      rootDispersion: settings.rootDispersionSeconds,
      referenceId: referenceFromText(settings.referenceId),
      reference: toNtpTimestamp(reference),
      precision: HOST_PRECISION,
    };
  };
}
