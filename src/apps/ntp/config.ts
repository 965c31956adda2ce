/** Settings of the clock and of NTP, as a scenario writes them. One source for types, validation and documentation. */
import { z } from 'zod';

export const clockSettings = z
  .strictObject({
    offsetSeconds: z.number().default(0).describe('How far the clock is ahead of the truth at the start, seconds.'),
    driftPpm: z.number().min(-500).max(500).default(0).describe("The oscillator's constant frequency error, ppm."),
    temperaturePpm: z.number().min(0).max(100).default(0).describe('Amplitude of a sine in the frequency, ppm.'),
    temperaturePeriodSeconds: z.number().positive().default(5700).describe('Period of that sine; an orbit by default.'),
    randomWalkPpmPerSqrtHour: z
      .number()
      .min(0)
      .max(10)
      .default(0)
      .describe('Random walk of the frequency: its standard deviation after one hour, ppm.'),
    tickMs: z
      .number()
      .min(0)
      .max(1000)
      .default(0)
      .describe('What the clock shows is a multiple of this; 10 on UoSAT-12, 0 for none.'),
  })
  .describe("A node's clock: a model over the monotonic clock. Without it a node has the host's time.");
export type ClockSettings = z.infer<typeof clockSettings>;

const key = z.strictObject({
  id: z.int().min(1).max(0xffffffff).describe('Key identifier; both ends must use the same.'),
  aes128: z
    .string()
    .regex(/^[0-9a-fA-F]{32}$/, '32 hexadecimal digits')
    .describe('AES-128 key for CMAC (RFC 8573), 32 hexadecimal digits.'),
});

export const DISCIPLINES = ['omni', 'rfc5905', 'regression'] as const;
export type DisciplineName = (typeof DISCIPLINES)[number];

export const ntpClientSettings = z.strictObject({
  server: z.string().describe('Address or node name of the NTP server, with :port when it is not 123.'),
  discipline: z
    .enum(DISCIPLINES)
    .default('regression')
    .describe(
      "How the clock follows: 'omni' is the step rule of UoSAT-12, 'rfc5905' the standard's loop, 'regression' learns offset and frequency and knows contacts.",
    ),
  enabled: z.boolean().default(true).describe('Whether the client runs from the start; a command switches it later.'),
  pollSeconds: z.number().min(1).max(131072).default(30).describe("Seconds between polls of 'omni' and 'regression'."),
  minimumPoll: z.int().min(0).max(17).default(6).describe("Shortest poll of 'rfc5905', log2 seconds (MINPOLL)."),
  maximumPoll: z.int().min(0).max(17).default(10).describe("Longest poll of 'rfc5905', log2 seconds (MAXPOLL)."),
  burst: z
    .int()
    .min(0)
    .max(64)
    .default(8)
    .describe('Polls sent close together after acquisition of signal; 0 for none.'),
  burstSpacingSeconds: z.number().min(0.5).max(60).default(4).describe('Seconds between the polls of a burst.'),
  maximumDistanceSeconds: z
    .number()
    .positive()
    .default(1)
    .describe('Root distance above which a reply is refused (MAXDIST); 1 refuses the Moon, 3 accepts it.'),
  maximumDelaySeconds: z.number().positive().default(16).describe('Round trip above which a reply is refused.'),
  correction: z
    .enum(['off', 'stamped', 'configured'])
    .default('off')
    .describe(
      "Cure for unequal serial rates: 'stamped' asks the links to stamp their delays, 'configured' uses the two numbers below.",
    ),
  requestHoldSeconds: z
    .number()
    .min(0)
    .default(0)
    .describe("'configured': seconds that links hold a request (serialisation)."),
  replyHoldSeconds: z.number().min(0).default(0).describe("'configured': seconds that links hold a reply."),
  keyId: z.int().min(1).optional().describe('Key to authenticate with; replies without it are refused.'),
});
export type NtpClientSettings = z.infer<typeof ntpClientSettings>;

export const ntpServerSettings = z.strictObject({
  listen: z.string().default('0.0.0.0:123').describe('Address and port to answer on.'),
  stratum: z
    .int()
    .min(1)
    .max(15)
    .default(1)
    .describe('Stratum to claim; ignored on board, where it follows the client.'),
  referenceId: z
    .string()
    .max(4)
    .default('OMNI')
    .describe('Reference identifier to claim, up to four ASCII characters.'),
  rootDispersionSeconds: z
    .number()
    .min(0)
    .default(0.0001)
    .describe('Uncertainty of the clock that is served, seconds.'),
  rateLimitSeconds: z.number().min(0).default(1).describe('Average interval a client may ask at; 0 for no limit.'),
  rateLimitBurst: z.int().min(1).default(16).describe('Requests a client may send at once before the limit.'),
  requireKey: z.boolean().default(false).describe('Whether requests without a known key are refused.'),
});
export type NtpServerSettings = z.infer<typeof ntpServerSettings>;

export const ntpSettings = z
  .strictObject({
    client: ntpClientSettings.optional(),
    server: ntpServerSettings.optional(),
    keys: z.array(key).default([]).describe('Symmetric keys that client and server may use.'),
  })
  .describe('NTP on this node: a client that steers its clock, a server, or both (a relay).');
export type NtpSettings = z.infer<typeof ntpSettings>;

/** What a link does to the NTP packets that cross it; part of a link's settings. */
export const ntpCorrectionMode = z
  .enum(['off', 'stamp', 'rewrite'])
  .describe(
    'Cures NTP of unequal rates by telling how long the link held a packet: `stamp` fills the field of packets that ask (ntp.client.correction: stamped), `rewrite` also shifts the timestamps of plain replies, for stock programs. Default stamp.',
  );
export type CorrectionMode = z.infer<typeof ntpCorrectionMode>;
