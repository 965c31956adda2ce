/** What the relay makes of replies, rounds and many domains; the next hop is a scripted server on loopback. */
import { createServer, type Server } from 'node:net';
import { createTransport } from 'nodemailer';
import { afterEach, describe, expect, it } from 'vitest';
import { type Envelope, HopLink, MailQueue, ownReply, type Route } from '../../../src/apps/smtp/index.ts';
import type { WallTime } from '../../../src/core/index.ts';
import { type LocalRelay, localRelay } from '../../support/mail/local-relay.ts';
import { Talk } from '../../support/mail/talk.ts';

const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Answers 250 to all but what `replies` says of a verb; its port. */
async function peer(
  extensions: readonly string[],
  replies: Record<string, string> = {},
): Promise<{ port: number; heard: string[] }> {
  const heard: string[] = [];
  const server: Server = createServer((socket) => {
    let inData = false;
    let rest = '';
    socket.on('error', () => {});
    socket.write('220 peer\r\n');
    socket.on('data', (octets) => {
      rest += octets.toString('latin1');
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (inData && line !== '.') continue;
        const verb = inData ? '.' : line.split(' ')[0]!;
        inData = verb === 'DATA' && replies.DATA === undefined;
        heard.push(line);
        if (line === 'STARTTLS') {
          socket.removeAllListeners('data');
          socket.once('data', () => socket.write('I have never heard of TLS\r\n'));
        }
        const hello = ['peer', ...extensions]
          .map((e, i, all) => `250${i < all.length - 1 ? '-' : ' '}${e}\r\n`)
          .join('');
        socket.write(
          verb === 'EHLO'
            ? hello
            : `${replies[verb] ?? { DATA: '354 go', STARTTLS: '220 go' }[verb] ?? '250 2.0.0 ok'}\r\n`,
        );
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => void server.close());
  return { port: (server.address() as { port: number }).port, heard };
}

const trusting = { domains: ['relay.test'], relayFor: ['127.0.0.0/8'] };
const everywhere = (port: number): Route => ({ domain: '*', host: '127.0.0.1', port, peers: undefined, tls: 'never' });

async function relayTo(port: number, options: Parameters<typeof localRelay>[0] = {}): Promise<LocalRelay> {
  const r = await localRelay({
    policy: { ...trusting, routes: [everywhere(port)] },
    ...options,
  });
  ends.push(() => r.close());
  return r;
}
const send = (r: LocalRelay, message: object = {}) =>
  createTransport({ host: '127.0.0.1', port: r.port, ignoreTLS: true }).sendMail({
    from: 'me@relay.test',
    to: 'pi@far.test',
    text: 'x',
    ...message,
  });

describe('NOTIFY=SUCCESS (RFC 3461 section 5.2.2)', () => {
  const dsn = { notify: ['success'], return: 'headers', recipient: 'pi@far.test' };
  it('is answered by us when the next hop has no DSN', async () => {
    const r = await relayTo((await peer(['PIPELINING'])).port);
    await send(r, { dsn });
    await r.until(() => r.mailbox('me').length === 1);
    expect(r.mailbox('me')[0]).toMatch(/Final-Recipient: rfc822; pi@far\.test\nAction: relayed\nStatus: 2\./);
  });
  it('is left to the next hop when that has it', async () => {
    const far = await peer(['PIPELINING', 'DSN']);
    const r = await relayTo(far.port);
    await send(r, { dsn });
    await r.until(() => r.mail.relay.counters.delivered === 1 && r.mail.relay.queue.size === 0);
    expect(far.heard).toContainEqual(expect.stringMatching(/^RCPT TO:<pi@far\.test> NOTIFY=SUCCESS/));
    expect(r.mail.relay.counters.notices).toBe(0);
  });
});

describe('an address in UTF-8', () => {
  it('goes on with SMTPUTF8 also when its sender forgot the keyword (RFC 6531 section 3.4)', async () => {
    const far = await peer(['PIPELINING', '8BITMIME', 'SMTPUTF8']);
    const r = await relayTo(far.port);
    const talk = await Talk.open(r.port);
    await talk.say('EHLO client.test');
    expect(await talk.say('MAIL FROM:<me@relay.test>')).toMatch(/^250/);
    expect(await talk.say(`RCPT TO:<${Buffer.from('jürgen@far.test').toString('latin1')}>`)).toMatch(/^250/);
    await talk.say('DATA');
    expect(await talk.say('Subject: x\r\n\r\nx\r\n.')).toMatch(/^250/);
    talk.end();
    await r.until(() => r.mail.relay.counters.delivered === 1);
    expect(far.heard).toContainEqual(expect.stringMatching(/^MAIL FROM:<me@relay\.test>.* SMTPUTF8/));
  });
});

describe('a next hop that puts a message off for ever', () => {
  const text = (relay: LocalRelay) => relay.mailbox('me').join('\n');
  it('on an unscheduled route: each put-off is a round; the sender hears of the delay, then of the end', async () => {
    const far = await peer(['PIPELINING'], { RCPT: '450 4.2.0 later' });
    let ahead = 0n;
    const r = await relayTo(far.port, {
      now: () => (BigInt(Date.now()) * 1_000_000n + ahead) as WallTime,
      unscheduledRetry: { expiryRounds: 4, delayNoticeRounds: 2 },
    });
    await send(r);
    for (let tries = 1; r.mail.relay.queue.size > 0; tries++) {
      await r.until(() => r.mail.relay.queue.size === 0 || r.mail.relay.list()[0]?.tries === tries);
      ahead += 2n * 3_600_000_000_000n;
    }
    await r.until(() => r.mailbox('me').length === 2);
    expect(text(r)).toMatch(/Action: delayed\nStatus: 4\.2\.0/);
    expect(text(r)).toMatch(/Action: failed\nStatus: 4\.4\.7/);
    expect(far.heard.filter((line) => line.startsWith('RCPT'))).toHaveLength(4);
  });
});

it('a next hop that does not answer is the reason that mailq gives, with the time of the next try', async () => {
  const r = await relayTo(1);
  await send(r);
  await r.until(() => r.log.some((line) => line.startsWith('event=session-ended')));
  expect(r.mail.relay.list()[0]!.reason).toMatch(
    /^the next hop does not answer \(connection refused\), again at \d\d:\d\d:\d\d$/,
  );
});

describe('a next hop whose TLS is broken', () => {
  const begun = (far: { heard: string[] }) => far.heard.filter((line) => line === 'STARTTLS').length;
  it('gets the mail without, where TLS is opportunistic (RFC 7435)', async () => {
    const far = await peer(['STARTTLS']);
    const r = await relayTo(far.port, {
      policy: { ...trusting, routes: [{ ...everywhere(far.port), tls: 'opportunistic' }] },
    });
    await send(r);
    await r.until(() => r.mail.relay.counters.delivered === 1);
    expect(begun(far)).toBe(1);
  });
  it('gets nothing where it is required', async () => {
    const far = await peer(['STARTTLS']);
    const r = await relayTo(far.port, {
      policy: { ...trusting, routes: [{ ...everywhere(far.port), tls: 'required' }] },
    });
    await send(r);
    await r.until(() => r.log.some((line) => line.startsWith('event=session-ended')));
    expect(r.mail.relay.list()[0]!.reason).toMatch(/does not answer \(TLS: /);
    expect(far.heard.filter((line) => line.startsWith('MAIL'))).toEqual([]);
  });
});

describe('many domains', () => {
  const envelope = (n: number): Envelope => ({
    id: `m${n}`,
    reversePath: 'a@x',
    recipients: [{ address: `b@d${n}.test`, state: 'queued', hop: `d${n}.test` }],
    octets: 10,
    trace: '',
    priority: 0,
    eightBit: false,
    smtputf8: false,
    arrived: 0n as WallTime,
    from: 'test',
    held: false,
    hops: {},
  });
  it('leave nothing behind in the queue', () => {
    const queue = new MailQueue();
    for (let n = 0; n < 1000; n++) {
      queue.add(envelope(n));
      const { recipients } = queue.get(`m${n}`)!;
      const replies = recipients.map((recipient) => ({ recipient, reply: ownReply(250, '2.0.0', 'ok') }));
      queue.settle(`m${n}`, `d${n}.test`, replies, 0n as WallTime);
      queue.remove(`m${n}`);
    }
    expect(queue.hops).toEqual([]);
  });

  it('leave no more links than a few idle ones, and none that has mail is dropped', async () => {
    const r = await localRelay({
      policy: {
        domains: ['relay.test'],
        relayFor: [],
        routes: [{ domain: '*', host: undefined, port: 1, peers: [], tls: 'never' }],
      },
      // No contact ever: nothing is dialled.
      contacts: { always: false, next: () => [{ peer: 'x', begin: far, end: (far + 1_000_000_000n) as WallTime }] },
    });
    ends.push(() => r.close());
    const { relay } = r.mail;
    const submit = (n: number) =>
      relay.submit({
        key: `k${n}@test`,
        reversePath: '',
        recipients: [`b@d${n}.test`],
        priority: 0,
        octets: [Buffer.from('Subject: x\r\n\r\nx\r\n')],
      });
    for (let n = 0; n < 80; n++) {
      await submit(n);
      if (n > 0) await relay.cancel(relay.list().find((line) => line.hop === `d${n}.test`)!.id);
    }
    relay.wake();
    const links = Array.from({ length: 80 }, (_, n) => relay.link(`d${n}.test`)).filter((link) => link !== undefined);
    expect(links.length).toBeLessThanOrEqual(65);
    expect(relay.link('d0.test')).toBeInstanceOf(HopLink);
    expect(relay.list().map(({ hop }) => hop)).toEqual(['d0.test']);
  });
});
const far = (BigInt(Date.now() + 86_400_000) * 1_000_000n) as WallTime;
