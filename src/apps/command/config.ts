/** Settings of commanding, as a scenario writes them. */
import { z } from 'zod';

/** Telecommands in UDP and TCP. */
export const COMMAND_PORT = 11_021;

export const commandKey = z.strictObject({
  id: z.int().min(1).max(0xffffffff).describe('Key identifier.'),
  hmacSha256: z
    .string()
    .regex(/^([0-9a-fA-F]{2}){32,64}$/, '64 to 128 hexadecimal digits')
    .describe('HMAC-SHA-256 key, 32 octets or more in hexadecimal.'),
});

export const commandSettings = z
  .strictObject({
    listen: z
      .string()
      .default(`0.0.0.0:${COMMAND_PORT}`)
      .describe('Address and port of blind (UDP) and reliable (TCP) commands.'),
    keys: z.array(commandKey).min(1).describe('Keys whose commands are obeyed.'),
    scheduleLength: z.int().min(0).max(10_000).default(256).describe('Time-tagged commands that may wait.'),
    lateSeconds: z.number().min(0).default(60).describe('A time-tagged command this late is refused.'),
    folder: z
      .string()
      .default('commands')
      .describe(
        "Folder whose .tc files (sequences of commands, uploaded or mailed) are carried out; relative to the folder FTP serves. '' for none.",
      ),
  })
  .describe('The command receiver of a spacecraft.');
export type CommandSettings = z.infer<typeof commandSettings>;
