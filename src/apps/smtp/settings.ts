/** The mail service's settings as a scenario writes them; one source for types, validation and documentation. */
import { z } from 'zod';

const portNumber = z.number().int().min(1).max(65_535);

export const mailRouteSettings = z.strictObject({
  domain: z.string().min(1).describe('a domain, `.domain` for what lies under it, or `*` for all others'),
  host: z.string().min(1).optional().describe('next hop: a node or host name, or an address; default: the domain’s MX'),
  port: portNumber.default(25).describe('its port'),
  scheduled: z.boolean().default(true).describe('false: it is always reachable, whatever the contact plan says'),
  peers: z
    .array(z.string())
    .default([])
    .describe('nodes of the contact plan behind which the next hop lies; none: any contact of this node will do'),
  tls: z
    .enum(['never', 'opportunistic', 'required'])
    .default('opportunistic')
    .describe('STARTTLS; `required` also verifies the certificate'),
  login: z
    .strictObject({
      user: z.string().min(1).describe('login name'),
      password: z.string().min(1).describe('password'),
    })
    .optional()
    .describe('log in there (AUTH PLAIN, over TLS only), as smarthosts want'),
  certificateAuthorityFile: z.string().optional().describe('PEM certificates to trust for `required`'),
});

export const mailUserSettings = z.strictObject({
  name: z.string().min(1).describe('login name'),
  password: z
    .string()
    .min(1)
    .describe('the password, or its scrypt form as `omni serve ftp --hash-password` prints it'),
});

export const outboxRuleSettings = z.strictObject({
  match: z.string().min(1).describe('file name, `*` stands for anything'),
  to: z.array(z.string().min(3)).min(1).describe('who gets the file as an attachment'),
  subject: z.string().optional().describe('subject; default: the file’s name'),
  priority: z.number().int().min(-9).max(9).default(0).describe('priority, 9 goes first (RFC 6710)'),
});

export const mailSettings = z.strictObject({
  name: z.string().optional().describe('what the relay calls itself; default: the node’s name'),
  port: portNumber.default(25).describe('TCP port it listens on'),
  domains: z.array(z.string()).optional().describe('domains whose mail ends here; default: the node’s name'),
  mailboxes: z.array(z.string()).optional().describe('mailboxes that exist there; default: every one'),
  relayFor: z
    .array(z.string())
    .default(['127.0.0.0/8', '::1/128'])
    .describe('networks whose hosts may send mail to other domains'),
  routes: z.array(mailRouteSettings).default([]).describe('next hops by domain; the most specific one counts'),
  users: z.array(mailUserSettings).default([]).describe('who may log in (AUTH PLAIN over TLS) and send anywhere'),
  tls: z
    .strictObject({
      certificateFile: z.string().describe('PEM certificate chain'),
      keyFile: z.string().describe('PEM private key'),
    })
    .optional()
    .describe('offer STARTTLS with this certificate'),
  messageOctets: z.number().int().positive().optional().describe('largest message taken; default 2 GiB'),
  maildir: z.string().optional().describe('folder of the Maildirs; default: `mail` in the node’s state directory'),
  expiryContacts: z
    .number()
    .int()
    .positive()
    .default(60)
    .describe('contacts after which an undelivered message expires'),
  delayNoticeContacts: z.number().int().positive().default(3).describe('contacts after which its sender is told, once'),
  joinPartials: z
    .boolean()
    .default(true)
    .describe('join message/partial messages (RFC 2046) that come for our domains, and deliver the whole'),
  outbox: z
    .strictObject({
      folder: z.string().optional().describe('folder watched; default: `outbox` in the node’s state directory'),
      from: z.string().optional().describe('sender; default: `outbox@` and the first domain'),
      rules: z.array(outboxRuleSettings).min(1).describe('the first that matches a file counts'),
      partOctets: z
        .number()
        .int()
        .min(4096)
        .optional()
        .describe('messages above this go out as message/partial parts (RFC 2046 section 5.2.2)'),
    })
    .optional()
    .describe('send each file that appears in a folder as an attachment'),
  commands: z
    .strictObject({
      mailbox: z.string().default('commands').describe('the mailbox that takes command loads'),
      folder: z.string().optional().describe('where loads and receipts go; default: `commands` in the state directory'),
      keys: z
        .array(
          z.strictObject({
            id: z.string().min(1).describe('key id, named in the message'),
            secret: z.string().min(16).describe('shared secret of the HMAC-SHA-256'),
            senders: z.array(z.string()).optional().describe('reverse-paths that may use it; default: any'),
          }),
        )
        .default([])
        .describe('keys that command loads are signed with'),
      certificates: z
        .array(
          z.strictObject({
            id: z.string().min(1).describe('name of the signer, for receipts and logs'),
            file: z.string().min(1).describe('PEM file with the certificate'),
            senders: z.array(z.string()).optional().describe('reverse-paths that may use it; default: any'),
          }),
        )
        .default([])
        .describe('signers whose S/MIME signatures (RFC 8551) are accepted; only these certificates count'),
      windowSeconds: z
        .number()
        .positive()
        .default(7 * 86400)
        .describe('how old the signature’s time may be'),
      operator: z.string().optional().describe('who is told of refused loads; default: their sender alone'),
      largestOctets: z
        .number()
        .int()
        .positive()
        .default(16 * 1024 * 1024)
        .describe('largest command load'),
    })
    .refine(({ keys, certificates }) => keys.length + certificates.length > 0, {
      error: 'give `keys` or `certificates`: without either, no command load is accepted',
    })
    .optional()
    .describe('take command loads by mail, signed'),
});

export type MailSettings = z.infer<typeof mailSettings>;
