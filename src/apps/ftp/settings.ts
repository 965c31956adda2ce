/** The FTP service's settings as a scenario writes them; one source for types, validation and documentation. */
import { z } from 'zod';

const portNumber = z.number().int().min(1).max(65_535);

export const ftpUserSettings = z.strictObject({
  name: z.string().min(1).max(64).describe('login name; `anonymous` and `ftp` are set by the key anonymous'),
  password: z
    .string()
    .min(1)
    .describe('the password, or its scrypt form `scrypt:N:SALT:HASH` as `omni serve ftp --hash-password` prints it'),
  folder: z.string().optional().describe('folder below root that is the user’s `/`; default: root itself'),
  readOnly: z.boolean().default(false).describe('may list and fetch only'),
  quotaOctets: z.number().int().positive().optional().describe('most octets that the user’s tree may hold'),
  quotaFiles: z.number().int().positive().optional().describe('most files and folders that the user’s tree may hold'),
});

export const ftpSettings = z.strictObject({
  root: z.string().optional().describe('folder served; default: `files` in the node’s state directory'),
  users: z.array(ftpUserSettings).default([]).describe('who may log in'),
  anonymous: z
    .enum(['off', 'read-only', 'read-write'])
    .default('read-only')
    .describe('what `anonymous` and `ftp` may do, without a password'),
  port: portNumber.default(21).describe('TCP port of the control connection'),
  implicitTlsPort: portNumber.optional().describe('TCP port on which TLS starts at once, usually 990; needs tls'),
  passivePorts: z
    .tuple([portNumber, portNumber])
    .optional()
    .describe('first and last port for passive data connections; default: any free one'),
  tls: z
    .strictObject({
      certificateFile: z.string().describe('PEM certificate chain'),
      keyFile: z.string().describe('PEM private key'),
      required: z.boolean().default(false).describe('refuse logins and transfers without TLS'),
    })
    .optional()
    .describe('offer AUTH TLS with this certificate'),
  idleSeconds: z
    .number()
    .positive()
    .default(300)
    .describe('contact time without a command after which a session ends; time without contact does not count'),
  stallSeconds: z
    .number()
    .positive()
    .default(300)
    .describe('contact time without an octet after which a transfer is given up; time without contact does not count'),
  maximumSessions: z.number().int().positive().default(400).describe('control connections at once'),
  maximumSessionsPerAddress: z
    .number()
    .int()
    .positive()
    .default(300)
    .describe('control connections at once from one address'),
});

export type FtpSettings = z.infer<typeof ftpSettings>;
