/** Command loads, the outbox, joined parts, notices and full disks, each over a real folder. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import PostalMime from 'postal-mime';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CommandOrders,
  canonicalOrders,
  isUsed,
  NO_COUNTERS,
  orderFields,
  withUsed,
} from '../../../src/apps/smtp/index.ts';
import { mailSettings } from '../../../src/apps/smtp/settings.ts';
import type { WallTime } from '../../../src/core/index.ts';
import { startMailApplications } from '../../../src/io/mail-applications.ts';
import { signOrders } from '../../../src/io/mail-commands.ts';
import type { MailRelayOptions } from '../../../src/io/mail-relay.ts';
import { type LocalRelay, localRelay } from '../../support/mail/local-relay.ts';

const SECRET = 'a secret of the tests, long enough';
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});
const now = () => (BigInt(Date.now()) * 1_000_000n) as WallTime;

async function node(settings: object, options: Partial<MailRelayOptions> = {}): Promise<LocalRelay> {
  const r = await localRelay(options);
  const applications = await startMailApplications(r.mail, {
    settings: mailSettings.parse(settings),
    domains: ['relay.test'],
    name: 'relay.test',
    stateDirectory: r.folder,
    contacts: { always: true, next: () => [] },
    now,
    log: (line) => r.log.push(line),
  });
  cleanups.push(async () => {
    await applications.close();
    await r.close();
  });
  return r;
}

const transport = (r: LocalRelay) => createTransport({ host: '127.0.0.1', port: r.port, ignoreTLS: true });

function orders(content: Buffer, change: Partial<CommandOrders> = {}): CommandOrders {
  return {
    key: 'ops',
    counter: 1,
    signed: now(),
    runAt: undefined,
    fileName: 'load.bin',
    sha256: createHash('sha256').update(content).digest('hex'),
    ...change,
  };
}
const load = (content: Buffer, o: CommandOrders, secret = SECRET) => ({
  from: 'ops@relay.test',
  to: 'commands@relay.test',
  subject: 'load',
  headers: orderFields(o, signOrders(secret, canonicalOrders(o))),
  text: 'see attachment',
  attachments: [{ filename: 'load.bin', content }],
});

describe('command loads', () => {
  const commands = { keys: [{ id: 'ops', secret: SECRET, senders: ['ops@relay.test'] }], operator: 'chief@relay.test' };

  it('are stored octet for octet when the signature is good, and receipted with their SHA-256', async () => {
    const r = await node({ commands });
    const content = randomBytes(20_000);
    const o = orders(content);
    await transport(r).sendMail(load(content, o));
    await r.until(() => r.mailbox('ops').length === 1);
    const folder = join(r.folder, 'commands', 'loads');
    const stored = readdirSync(folder).find((name) => name.endsWith('.load'))!;
    expect(readFileSync(join(folder, stored)).equals(content)).toBe(true);
    const receipt = r.mailbox('ops')[0]!;
    expect(receipt).toContain(o.sha256);
    expect(receipt).toContain('Disposition: automatic-action/MDN-sent-automatically; processed');
    expect(r.mailbox('chief')).toEqual([]);
  });

  it('may overtake each other on the way: a counter is taken once, in whatever order, also after a restart', async () => {
    let used = NO_COUNTERS;
    for (let counter = 0; counter < 3000; counter += 2) used = withUsed(used, counter);
    expect(used.above).toHaveLength(1000);
    expect([2998, 2000, 1, 0].map((counter) => isUsed(used, counter))).toEqual([true, true, true, true]);
    expect([2001, 2999, 3000].map((counter) => isUsed(used, counter))).toEqual([false, false, false]);

    const r = await node({ commands });
    const content = Buffer.from('x');
    const mailer = transport(r);
    const sent = [20, 10, 15].map((counter) => load(content, orders(content, { counter })));
    for (const [i, message] of sent.entries()) {
      await mailer.sendMail(message);
      await r.until(() => r.mailbox('ops').length === i + 1);
    }
    expect(r.mailbox('chief')).toEqual([]);
    await mailer.sendMail(sent[1]!);
    await r.until(() => r.mailbox('chief').length === 1);
    const counters = JSON.parse(readFileSync(join(r.folder, 'commands', 'counters.json'), 'utf8'));
    expect(counters).toEqual({ ops: { floor: -1, above: [10, 15, 20] } });
  });

  it('are refused, logged and told to the operator when wrong, stale, replayed or not allowed', async () => {
    const r = await node({ commands });
    const content = Buffer.from('SAFE MODE');
    const mailer = transport(r);
    const good = orders(content, { counter: 10 });
    await mailer.sendMail(load(content, good));
    await r.until(() => r.mailbox('ops').length === 1);
    const cases: [string, object][] = [
      ['replayed', load(content, good)],
      ['wrong-signature', load(content, orders(content, { counter: 11 }), 'not the secret of this key')],
      [
        'wrong-signature',
        {
          ...load(content, orders(content, { counter: 12 })),
          attachments: [{ filename: 'load.bin', content: 'OTHER' }],
        },
      ],
      [
        'outside-time-window',
        load(content, orders(content, { counter: 13, signed: 1_000_000_000_000_000_000n as WallTime })),
      ],
      ['sender-not-allowed', { ...load(content, orders(content, { counter: 14 })), from: 'eve@relay.test' }],
      ['unknown-key', load(content, orders(content, { counter: 15, key: 'other' }))],
      ['not-signed', { from: 'ops@relay.test', to: 'commands@relay.test', text: 'do it' }],
    ];
    for (const [i, [reason, message]] of cases.entries()) {
      await mailer.sendMail(message);
      await r.until(() => r.mailbox('chief').length === i + 1);
      expect(r.log.filter((line) => line.includes('command-refused')).at(-1)).toContain(`reason=${reason}`);
    }
    const loads = readdirSync(join(r.folder, 'commands', 'loads')).filter((name) => name.endsWith('.load'));
    expect(loads).toHaveLength(1);
  });
});

describe('the outbox', () => {
  it('mails a file that appears, in parts when it is long, and the parts arrive as one mail with one file', async () => {
    const outbox = { rules: [{ match: '*.dat', to: ['pi@relay.test'], priority: 2 }], partOctets: 20_000 };
    const r = await node({ outbox }, { joinPartials: true });
    const folder = join(r.folder, 'outbox');
    const content = randomBytes(50_000);
    writeFileSync(join(folder, 'image 1.dat'), content);
    writeFileSync(join(folder, 'half.dat.part'), 'not yet');
    writeFileSync(join(folder, 'other.txt'), 'no rule');
    await r.until(() => r.mailbox('pi').length === 1);
    const message = await PostalMime.parse(r.mailbox('pi')[0]!);
    expect(message.attachments.map((a) => a.filename)).toEqual(['image 1.dat']);
    expect(Buffer.from(message.attachments[0]!.content as ArrayBuffer).equals(content)).toBe(true);
    expect(message.subject).toBe('image 1.dat');
    await r.until(() => r.log.some((line) => line.includes('outbox-sent')));
    expect(r.log.find((line) => line.includes('outbox-sent'))).toMatch(/parts=4/);
    expect(readdirSync(join(folder, '.sent'))).toEqual(['image 1.dat']);
    expect(readdirSync(folder).sort()).toEqual(['.refused', '.sent', '.work', 'half.dat.part', 'other.txt']);
    await r.until(() => r.log.some((line) => line.includes('outbox-no-rule')));
  });
});

describe('parts (RFC 2046 section 5.2.2)', () => {
  const part = (number: number, id = 'whole@craft.test') => ({
    envelope: { from: 'a@craft.test', to: ['pi@relay.test'] },
    raw: `From: a@craft.test\r\nContent-Type: message/partial; id="${id}"; number=${number}; total=2\r\n\r\n${
      number === 1 ? 'Subject: whole\r\n\r\nfirst\r\n' : 'second\r\n'
    }`,
  });
  const trusting = { policy: { domains: ['relay.test'], relayFor: ['127.0.0.0/8'], routes: [] }, joinPartials: true };

  it('of those who may relay are joined once, in whatever order; a late copy of a part leaves nothing behind', async () => {
    const r = await node({}, trusting);
    for (const number of [2, 1]) await transport(r).sendMail(part(number));
    await r.until(() => r.mailbox('pi').length === 1);
    expect(r.mailbox('pi')[0]).toMatch(/Subject: whole\n\nfirst\nsecond\n$/);
    await transport(r).sendMail(part(1));
    await r.until(() => r.mail.relay.counters.accepted === 4 && r.mail.relay.queue.size === 0);
    expect(readdirSync(join(r.folder, 'parts'))).toEqual([]);
    expect(r.mailbox('pi')).toHaveLength(1);
  });

  it('of strangers are delivered as they come: they cannot fill what waits for its parts', async () => {
    const r = await node({}, { joinPartials: true });
    await transport(r).sendMail(part(1));
    await r.until(() => r.mailbox('pi').length === 1);
    expect(r.mailbox('pi')[0]).toContain('message/partial');
  });
});

describe('the outbox, when a file cannot go', () => {
  const outbox = { rules: [{ match: '*', to: ['pi@relay.test'] }] };

  it('puts aside what is refused for good, and goes on with the next', async () => {
    const r = await node({ outbox: { rules: [{ match: 'a*', to: ['pi@nowhere.test'] }, ...outbox.rules] } });
    const folder = join(r.folder, 'outbox');
    writeFileSync(join(folder, 'a.dat'), 'nobody takes it');
    writeFileSync(join(folder, 'b.dat'), 'good');
    await r.until(() => r.mailbox('pi').length === 1);
    await r.until(() => r.log.some((line) => line.includes('outbox-refused') && line.includes('554')));
    expect(readdirSync(join(folder, '.refused'))).toEqual(['a.dat']);
  });

  it('waits with what is refused for now; a second file of the same name goes beside the first', async () => {
    let full = true;
    const r = await node(
      { outbox },
      {
        step: (name) => {
          if (full && name === 'spool') throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        },
      },
    );
    const folder = join(r.folder, 'outbox');
    const deferred = () => r.log.filter((line) => line.includes('outbox-deferred')).length;
    writeFileSync(join(folder, '.sent', 'a.dat'), 'earlier');
    writeFileSync(join(folder, 'a.dat'), 'first');
    await r.until(() => deferred() === 1);
    // A changed file is another one, and not put off for the sake of the old.
    full = false;
    writeFileSync(join(folder, 'a.dat'), 'first, changed');
    await r.until(() => r.mailbox('pi').length === 1);
    await r.until(() => readdirSync(join(folder, '.sent')).length === 2);
    expect(deferred()).toBe(1);
    expect(readFileSync(join(folder, '.sent', 'a.dat.2'), 'utf8')).toBe('first, changed');
    await r.until(() => readdirSync(join(folder, '.work')).length === 0);
  });
});

describe('notices (RFC 3461, 3464)', () => {
  it('tell the sender of a failure, and never the null reverse-path', async () => {
    const far = await localRelay({
      name: 'far.test',
      policy: { domains: ['far.test'], mailboxes: ['here'], relayFor: [], routes: [] },
    });
    cleanups.push(() => far.close());
    const r = await node(
      {},
      {
        policy: {
          domains: ['relay.test'],
          relayFor: ['127.0.0.0/8'],
          routes: [{ domain: 'far.test', host: '127.0.0.1', port: far.port, peers: undefined, tls: 'never' }],
        },
      },
    );
    const mailer = transport(r);
    await mailer.sendMail({
      envelope: { from: 'a@relay.test', to: ['nobody@far.test', 'here@far.test'] },
      from: 'a@relay.test',
      to: 'nobody@far.test',
      subject: 'to nobody',
      text: 'x',
      dsn: { id: 'env 1', return: 'headers', notify: ['failure'], recipient: 'nobody@far.test' },
    });
    await r.until(() => r.mailbox('a').length === 1);
    const notice = r.mailbox('a')[0]!;
    expect(notice).toContain('Return-Path: <>');
    expect(notice).toContain('Content-Type: multipart/report; report-type=delivery-status;');
    expect(notice).toMatch(/Original-Envelope-Id: env 1\n/);
    expect(notice).toMatch(
      /Final-Recipient: rfc822; nobody@far\.test\nAction: failed\nStatus: 5\.1\.1\nRemote-MTA: dns; far\.test\nDiagnostic-Code: smtp; 550 5\.1\.1 /,
    );
    expect(notice).toContain('Subject: to nobody');
    expect(notice).not.toContain('here@far.test');
    await far.until(() => far.mailbox('here').length === 1);
    const before = r.mail.relay.counters.accepted;
    await mailer.sendMail({ envelope: { from: '', to: ['nobody@far.test'] }, from: 'x@y', to: 'z@w', text: 'bounce' });
    await r.until(() => r.mail.relay.queue.size === 0 && r.mail.relay.counters.accepted > before);
    expect(r.mail.relay.counters).toMatchObject({ accepted: before + 1, notices: 1 });
  });
});

describe('a disk that fills', () => {
  for (const at of [
    'spool',
    'commit-sync',
    'commit-rename',
    'commit-sync-messages',
    'commit-write',
    'commit-sync-file',
    'commit-name',
    'commit-sync-folder',
  ])
    it(`at ${at}: 452, nothing is left of the message, and the next one passes`, async () => {
      let full = true;
      const r = await node(
        {},
        {
          step: (name) => {
            if (full && name === at) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          },
        },
      );
      const mail = { from: 'a@relay.test', to: 'box@relay.test', text: 'x' };
      await expect(transport(r).sendMail(mail)).rejects.toMatchObject({ responseCode: 452 });
      const left = ['incoming', 'messages', 'envelopes'].flatMap((n) => readdirSync(join(r.folder, 'queue', n)));
      expect(left).toEqual([]);
      full = false;
      await transport(r).sendMail(mail);
      await r.until(() => r.mailbox('box').length === 1);
    });
});

it('a queue folder that cannot be made is one clear sentence', async () => {
  const r = await node({});
  writeFileSync(join(r.folder, 'file'), '');
  mkdirSync(join(r.folder, 'x'), { recursive: true });
  await expect(localRelay({ queue: join(r.folder, 'file', 'queue') })).rejects.toThrow(/making the mail queue/);
});
