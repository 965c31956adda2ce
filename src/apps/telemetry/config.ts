/** Settings of telemetry, as a scenario writes them. */
import { z } from 'zod';
import { SPACECRAFT } from './spacecraft-dictionary.ts';

/** Seconds between packets unless the scenario says otherwise. */
export const DEFAULT_INTERVALS: Readonly<Record<string, number>> = {
  housekeeping: 10,
  clock: 10,
  link: 10,
  camera: 60,
  storage: 30,
  mailQueue: 30,
};

export const TELEMETRY_PORT = 11_020;

const intervals = z
  .strictObject(
    Object.fromEntries(
      SPACECRAFT.packets.map((p) => [
        p.name,
        z
          .number()
          .min(0)
          .max(86_400)
          .default(DEFAULT_INTERVALS[p.name] ?? 0)
          .describe(`Seconds between '${p.name}' packets; 0 for none.`),
      ]),
    ),
  )
  .prefault({});

export const downlinkSettings = z.strictObject({
  to: z.string().describe('Where packets go: address, node name or multicast group, with :port when it is not 11020.'),
  intervalSeconds: intervals.describe('Seconds from one packet to the next, by packet.'),
  storeOctets: z.int().min(0).max(1_000_000_000).default(1_048_576).describe('Size of the onboard telemetry store.'),
  dumpBitPerSec: z.number().positive().default(4800).describe('Rate at which the store is sent during a contact.'),
  datagramOctets: z
    .int()
    .min(64)
    .max(65_000)
    .default(512)
    .describe('Packets from the store share datagrams up to this size.'),
  guardSeconds: z
    .number()
    .min(0)
    .max(600)
    .default(5)
    .describe('What is made this close to the edge of a contact is sent and stored; the ground removes duplicates.'),
  multicastHops: z.int().min(1).max(255).default(8).describe('TTL of multicast telemetry.'),
});
export type DownlinkSettings = z.infer<typeof downlinkSettings>;

export const recorderSettings = z.strictObject({
  listen: z.string().default(`0.0.0.0:${TELEMETRY_PORT}`).describe('Address and port to receive on.'),
  group: z.string().optional().describe('Multicast group to join.'),
  directory: z.string().optional().describe("Where to record; the node's state directory by default."),
  segmentOctets: z
    .int()
    .min(4096)
    .default(64 * 1_048_576)
    .describe('A new file is begun after this many octets.'),
});
export type RecorderSettings = z.infer<typeof recorderSettings>;

export const telemetrySettings = z
  .strictObject({ downlink: downlinkSettings.optional(), recorder: recorderSettings.optional() })
  .describe('Telemetry: a spacecraft sends (downlink), a ground station or control centre records (recorder).');
export type TelemetrySettings = z.infer<typeof telemetrySettings>;
